# A Consul server for a first trial: one, in memory of this machine alone. Three on three machines for what is to last.
server           = true
bootstrap_expect = 1
data_dir         = "/var/lib/consul"
bind_addr        = "{{ GetPrivateIP }}"
client_addr      = "127.0.0.1"
