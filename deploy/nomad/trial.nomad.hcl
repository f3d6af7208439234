# PostgreSQL and Redis for a first trial: one of each, on one machine, with no backup. Not for what is to last.
variable "datacenters" {
  type = list(string)
}

job "islet-trial" {
  datacenters = var.datacenters
  type        = "service"

  group "stores" {
    network {
      port "postgres" {
        static = 5432
      }
      port "redis" {
        static = 6379
      }
    }

    service {
      name = "islet-postgres"
      port = "postgres"

      check {
        type     = "tcp"
        interval = "5s"
        timeout  = "2s"
      }
    }

    service {
      name = "islet-redis"
      port = "redis"

      check {
        type     = "tcp"
        interval = "5s"
        timeout  = "2s"
      }
    }

    task "postgres" {
      driver = "docker"

      config {
        image = "docker.io/library/postgres:17"
        ports = ["postgres"]
      }

      env {
        POSTGRES_USER = "islet"
        POSTGRES_DB   = "islet"
      }

      # nomad var put nomad/jobs/islet-trial postgres_password=… redis_password=…
      template {
        destination = "${NOMAD_SECRETS_DIR}/postgres.env"
        env         = true
        data        = "POSTGRES_PASSWORD={{ with nomadVar \"nomad/jobs/islet-trial\" }}{{ .postgres_password }}{{ end }}"
      }

      resources {
        cpu    = 500
        memory = 512
      }
    }

    task "redis" {
      driver = "docker"

      config {
        image   = "docker.io/valkey/valkey:8"
        ports   = ["redis"]
        command = "valkey-server"
        args    = ["/secrets/redis.conf"]
      }

      template {
        destination = "${NOMAD_SECRETS_DIR}/redis.conf"
        data        = <<-EOT
          {{ with nomadVar "nomad/jobs/islet-trial" }}
          requirepass {{ .redis_password }}
          {{ end }}
          save ""
        EOT
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
