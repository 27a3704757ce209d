environment = "prod"

templates = {
  "ubuntu22" = {
    vm_id           = 9020
    image_url       = "https://cloud-images.ubuntu.com/jammy/current/jammy-server-cloudimg-amd64.img"
    image_file_name = "prod-jammy-server-cloudimg-amd64.qcow2"
    checksum        = "0000000000000000000000000000000000000000000000000000000000000000"
    cores           = 2
    memory          = 2048
  }
  "debian12" = {
    vm_id           = 9021
    image_url       = "https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2"
    image_file_name = "prod-debian-12-genericcloud-amd64.qcow2"
    checksum        = "0000000000000000000000000000000000000000000000000000000000000000"
    cores           = 2
    memory          = 2048
  }
}

vm_configs = [
  {
    name     = "web-01"
    template = "ubuntu22"
    vm_id    = 9120
    cores    = 4
    memory   = 4096
    tags     = ["web"]
    networks = [{ vlan_id = 30, firewall = true }]
    firewall_rules = [
      { proto = "tcp", dport = "80", comment = "HTTP" },
      { proto = "tcp", dport = "443", comment = "HTTPS" },
    ]
  },
  {
    name     = "web-02"
    template = "ubuntu22"
    vm_id    = 9121
    cores    = 4
    memory   = 4096
    tags     = ["web"]
    networks = [{ vlan_id = 30, firewall = true }]
    firewall_rules = [
      { proto = "tcp", dport = "80", comment = "HTTP" },
      { proto = "tcp", dport = "443", comment = "HTTPS" },
    ]
  },
  {
    name       = "db-01"
    template   = "debian12"
    vm_id      = 9122
    cores      = 8
    memory     = 16384
    disk_size  = 40
    data_disks = [200]
    tags       = ["db"]
    networks   = [{ vlan_id = 30 }, { bridge = "vmbr1", vlan_id = 40 }]
  },
]

lxc_configs = [
  {
    name         = "monitor"
    vm_id        = 9220
    template_url = "http://download.proxmox.com/images/system/debian-12-standard_12.7-1_amd64.tar.zst"
    cores        = 2
    memory       = 2048
    disk_size    = 16
    vlan_id      = 30
    firewall_rules = [
      { proto = "tcp", dport = "9090", source = "10.0.30.0/24", comment = "Prometheus" },
    ]
  },
  {
    name         = "logging"
    vm_id        = 9221
    os_type      = "alpine"
    template_url = "http://download.proxmox.com/images/system/alpine-3.20-default_20240908_amd64.tar.xz"
    memory       = 1024
    disk_size    = 32
    vlan_id      = 30
  },
]
