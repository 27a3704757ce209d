environment = "staging"

templates = {
  "ubuntu22" = {
    vm_id           = 9010
    image_url       = "https://cloud-images.ubuntu.com/jammy/current/jammy-server-cloudimg-amd64.img"
    image_file_name = "staging-jammy-server-cloudimg-amd64.qcow2"
    checksum        = "0000000000000000000000000000000000000000000000000000000000000000"
  }
}

vm_configs = [
  {
    name     = "staging-web-01"
    template = "ubuntu22"
    vm_id    = 9110
    cores    = 2
    memory   = 2048
    networks = [{ vlan_id = 20 }]
  },
]
