# Brings the schema up to date, before an upgrade of the APIs: nomad job run, then nomad job dispatch islet-migrate
variable "datacenters" {
  type = list(string)
}

variable "islet" {
  type    = string
  default = "/usr/bin/islet"
}

job "islet-migrate" {
  datacenters = var.datacenters
  type        = "batch"

  parameterized {}

  group "migrate" {
    restart {
      attempts = 0
      mode     = "fail"
    }

    task "migrate" {
      driver = "raw_exec"

      config {
        command = var.islet
        args    = ["db", "migrate"]
      }

      env {
        ISLET_NO_INSTALL = "1"
        ISLET_DATA_DIR   = "${NOMAD_TASK_DIR}/islet"
      }

      # nomad var put nomad/jobs/islet-migrate database_url=postgres://…
      template {
        destination = "${NOMAD_SECRETS_DIR}/stores.env"
        env         = true
        data        = <<-EOT
          {{ with nomadVar "nomad/jobs/islet-migrate" }}
          DATABASE_URL={{ .database_url }}
          {{ end }}
        EOT
      }

      resources {
        cpu    = 500
        memory = 256
      }
    }
  }
}
