resource "proxmox_virtual_environment_vm" "this" {
  name        = var.name
  description = "${var.name}, managed by pve"
  node_name   = var.node_name
  vm_id       = var.vm_id
  tags        = sort(concat([var.environment], var.tags))
  started     = var.started

  clone {
    vm_id = var.template_vm_id
    full  = true
  }

  # An agent that never answers must not hold up an apply for long.
  agent {
    enabled = true
    timeout = "1m"
  }

  cpu {
    cores = var.cores
    type  = "x86-64-v2-AES"
  }

  memory {
    dedicated = var.memory
  }

  disk {
    datastore_id = var.disk_datastore
    interface    = "scsi0"
    size         = var.disk_size
    discard      = "on"
  }

  dynamic "disk" {
    for_each = var.data_disks

    content {
      datastore_id = var.disk_datastore
      interface    = "scsi${disk.key + 1}"
      size         = disk.value
      discard      = "on"
    }
  }

  dynamic "network_device" {
    for_each = var.networks

    content {
      bridge   = network_device.value.bridge
      vlan_id  = network_device.value.vlan_id
      firewall = network_device.value.firewall
    }
  }

  operating_system {
    type = "l26"
  }

  initialization {
    datastore_id = var.disk_datastore

    ip_config {
      ipv4 {
        address = var.address
        gateway = var.gateway
      }
    }

    user_account {
      username = "ops"
      keys     = var.ssh_public_keys
    }
  }

  lifecycle {
    # cloud-init has run by then: a change would do nothing, or make the guest anew.
    ignore_changes = [initialization]
  }
}

resource "proxmox_virtual_environment_firewall_options" "this" {
  count = length(var.firewall_rules) > 0 ? 1 : 0

  node_name     = var.node_name
  vm_id         = proxmox_virtual_environment_vm.this.vm_id
  enabled       = true
  input_policy  = "DROP"
  output_policy = "ACCEPT"
}

resource "proxmox_virtual_environment_firewall_rules" "this" {
  count = length(var.firewall_rules) > 0 ? 1 : 0

  node_name = var.node_name
  vm_id     = proxmox_virtual_environment_vm.this.vm_id

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
