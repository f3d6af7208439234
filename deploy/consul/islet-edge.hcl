# On each machine with an edge. A load balancer takes the edges from the catalogue.
service {
  name = "islet-edge"
  port = 3002

  check {
    name     = "listens"
    tcp      = "127.0.0.1:3002"
    interval = "5s"
    timeout  = "2s"
  }
}
