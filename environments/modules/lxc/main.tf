resource "proxmox_virtual_environment_download_file" "template" {
  count = var.template_file_id == null ? 1 : 0

  node_name          = var.node_name
  datastore_id       = var.image_datastore
  content_type       = "vztmpl"
  url                = var.template_url
  file_name          = "${var.environment}-${var.name}-${basename(var.template_url)}"
  checksum           = var.template_checksum
  checksum_algorithm = var.template_checksum == null ? null : "sha512"
}

resource "proxmox_virtual_environment_container" "this" {
  description   = "${var.name}, managed by pve"
  node_name     = var.node_name
  vm_id         = var.vm_id
  tags          = sort(concat([var.environment], var.tags))
  unprivileged  = var.unprivileged
  started       = var.started
  start_on_boot = true

  cpu {
    cores = var.cores
  }

  memory {
    dedicated = var.memory
    swap      = var.swap
  }

  disk {
    datastore_id = var.disk_datastore
    size         = var.disk_size
  }

  operating_system {
    template_file_id = var.template_file_id == null ? proxmox_virtual_environment_download_file.template[0].id : var.template_file_id
    type             = var.os_type
  }

  network_interface {
    name     = "eth0"
    bridge   = var.bridge
    vlan_id  = var.vlan_id
    firewall = length(var.firewall_rules) > 0
  }

  initialization {
    hostname = var.name

    ip_config {
      ipv4 {
        address = var.address
        gateway = var.gateway
      }
    }

    user_account {
      keys = var.ssh_public_keys
    }
  }
}

resource "proxmox_virtual_environment_firewall_options" "this" {
  count = length(var.firewall_rules) > 0 ? 1 : 0

  node_name     = var.node_name
  container_id  = proxmox_virtual_environment_container.this.vm_id
  enabled       = true
  input_policy  = "DROP"
  output_policy = "ACCEPT"
}

resource "proxmox_virtual_environment_firewall_rules" "this" {
  count = length(var.firewall_rules) > 0 ? 1 : 0

  node_name    = var.node_name
  container_id = proxmox_virtual_environment_container.this.vm_id

  dynamic "rule" {
    for_each = var.firewall_rules

    content {
      type    = rule.value.type
      action  = rule.value.action
      proto   = rule.value.proto
      dport   = rule.value.dport
      source  = rule.value.source
      comment = rule.value.comment
    }
  }
}
