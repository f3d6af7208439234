# The ways into sandboxes. Each machine has joined as an edge before: islet join --data-dir /var/lib/islet-edge
variable "datacenters" {
  type = list(string)
}

variable "islet" {
  type    = string
  default = "/usr/bin/islet"
}

variable "domain" {
  type        = string
  description = "The name that sandboxes are reached under"
}

variable "edges" {
  type    = number
  default = 2
}

job "islet-edge" {
  datacenters = var.datacenters
  type        = "service"

  group "edge" {
    count = var.edges

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    # Set `islet_edge = "1"` in the meta of the clients that have joined as edges.
    constraint {
      attribute = "${meta.islet_edge}"
      value     = "1"
    }

    network {
      port "sandboxes" {
        static = 3002
      }
    }

    service {
      name = "islet-edge"
      port = "sandboxes"

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

    task "edge" {
      driver       = "raw_exec"
      kill_timeout = "60s"

      config {
        command = var.islet
        args    = ["edge"]
      }

      env {
        ISLET_NO_INSTALL = "1"
        ISLET_DATA_DIR   = "/var/lib/islet-edge"
        ISLET_HOST       = "0.0.0.0"
        ISLET_PROXY_PORT = "${NOMAD_PORT_sandboxes}"
        ISLET_DOMAIN     = var.domain
      }

      resources {
        cpu    = 1000
        memory = 512
      }
    }
  }
}
