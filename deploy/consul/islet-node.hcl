# On each node: put in the address that it advertises to the cluster.
service {
  name    = "islet-node"
  address = "10.0.0.2"
  port    = 5008

  # Which node it is, and where the rest of it listens: an API with ISLET_CONSUL reads it.
  meta {
    islet-node            = "one"
    sandbox-proxy-port    = "5007"
    template-manager-port = "5009"
  }

  check {
    name     = "listens"
    tcp      = "10.0.0.2:5008"
    interval = "5s"
    timeout  = "2s"
  }
}
