# In the configuration directory of the Consul agent on each machine with an API. Nomad registers the services of its jobs itself.
service {
  name = "islet-api"
  port = 3000

  check {
    name     = "answers"
    http     = "http://127.0.0.1:3000/health"
    interval = "5s"
    timeout  = "2s"
  }
}
