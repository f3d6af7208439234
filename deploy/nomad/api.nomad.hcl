# The API, any number of them. Each keeps a data directory on its machine; its secrets are equal on all (docs/cluster.md).
variable "datacenters" {
  type = list(string)
}

variable "islet" {
  type        = string
  description = "The launcher, installed on every machine"
  default     = "/usr/bin/islet"
}

variable "domain" {
  type        = string
  description = "The name that sandboxes are reached under"
}

variable "allow_host" {
  type        = list(string)
  description = "Names that the API answers to"
}

variable "apis" {
  type    = number
  default = 2
}

job "islet-api" {
  datacenters = var.datacenters
  type        = "service"

  group "api" {
    count = var.apis

    # Two on one machine would share its ports.
    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    network {
      port "api" {
        static = 3000
      }
      port "members" {
        static = 5010
      }
    }

    service {
      name = "islet-api"
      port = "api"

      check {
        type     = "http"
        path     = "/health"
        interval = "5s"
        timeout  = "2s"
      }
    }

    service {
      name = "islet-members"
      port = "members"

      check {
        type     = "tcp"
        interval = "5s"
        timeout  = "2s"
      }
    }

    update {
      max_parallel = 1
      health_check = "checks"
    }

    task "api" {
      driver       = "raw_exec"
      kill_timeout = "60s"

      config {
        command = var.islet
        args    = ["api"]
      }

      env {
        ISLET_NO_INSTALL     = "1"
        ISLET_DATA_DIR       = "/var/lib/islet-api"
        ISLET_HOST           = "0.0.0.0"
        ISLET_API_PORT       = "${NOMAD_PORT_api}"
        ISLET_EDGE_LINK_PORT = "${NOMAD_PORT_members}"
        ISLET_ADVERTISE      = "${NOMAD_IP_members}"
        ISLET_DOMAIN         = var.domain
        ISLET_ALLOW_HOST     = join(",", var.allow_host)
      }

      # nomad var put nomad/jobs/islet-api database_url=postgres://… redis_url=redis://…
      template {
        destination = "${NOMAD_SECRETS_DIR}/stores.env"
        env         = true
        data        = <<-EOT
          {{ with nomadVar "nomad/jobs/islet-api" }}
          DATABASE_URL={{ .database_url }}
          ISLET_REDIS_URL={{ .redis_url }}
          {{ end }}
        EOT
      }

      resources {
        cpu    = 1000
        memory = 1024
      }
    }
  }
}
