# Nodes: one on each machine that has joined as one. Each joins once, as root: islet join --data-dir /var/lib/islet-node
variable "datacenters" {
  type = list(string)
}

variable "islet" {
  type    = string
  default = "/usr/bin/islet"
}

job "islet-node" {
  datacenters = var.datacenters
  type        = "system"

  group "node" {
    # Set `islet_node = "1"` in the meta of the clients that have joined as nodes.
    constraint {
      attribute = "${meta.islet_node}"
      value     = "1"
    }

    network {
      port "sandboxes" {
        static = 5007
      }
      port "orchestrator" {
        static = 5008
      }
      port "templates" {
        static = 5009
      }
    }

    # It is started again for as long as it fails, on its machine: its sandboxes are there.
    restart {
      attempts = 3
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    service {
      name = "islet-node"
      port = "orchestrator"

      check {
        type     = "tcp"
        interval = "5s"
        timeout  = "2s"
      }
    }

    task "node" {
      # As root, as the client does. It ends what is in the task's cgroup: sandboxes are in cgroups of their own and outlive the node,
      # which adopts them when it starts again.
      driver       = "raw_exec"
      kill_timeout = "180s"

      config {
        command = var.islet
        args    = ["node"]
      }

      env {
        ISLET_NO_INSTALL            = "1"
        ISLET_DATA_DIR              = "/var/lib/islet-node"
        ISLET_SANDBOX_PROXY_PORT    = "${NOMAD_PORT_sandboxes}"
        ISLET_ORCHESTRATOR_PORT     = "${NOMAD_PORT_orchestrator}"
        ISLET_TEMPLATE_MANAGER_PORT = "${NOMAD_PORT_templates}"
      }

      # What the node itself takes; sandboxes are in cgroups beside it.
      resources {
        cpu    = 1000
        memory = 1024
      }
    }
  }
}
