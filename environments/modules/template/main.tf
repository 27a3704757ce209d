resource "proxmox_virtual_environment_download_file" "image" {
  node_name          = var.node_name
  datastore_id       = var.image_datastore
  content_type       = "import"
  url                = var.image_url
  file_name          = var.image_file_name
  checksum           = var.checksum
  checksum_algorithm = var.checksum_algorithm
}

resource "proxmox_virtual_environment_file" "vendor_data" {
  node_name    = var.node_name
  datastore_id = var.image_datastore
  content_type = "snippets"

  source_raw {
    file_name = "${var.environment}-${var.name}-vendor.yaml"
    data      = <<-EOT
      #cloud-config
      package_update: true
      packages: ${jsonencode(var.packages)}
      runcmd:
        - [systemctl, enable, --now, qemu-guest-agent]
    EOT
  }
}

resource "proxmox_virtual_environment_vm" "template" {
  name        = var.name
  description = "Template ${var.name}, managed by pve"
  node_name   = var.node_name
  vm_id       = var.vm_id
  tags        = ["template", var.environment]
  template    = true
  started     = false
  on_boot     = false

  agent {
    enabled = true
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
    import_from  = proxmox_virtual_environment_download_file.image.id
    interface    = "scsi0"
    size         = var.disk_size
    discard      = "on"
  }

  network_device {
    bridge = "vmbr0"
  }

  operating_system {
    type = "l26"
  }

  serial_device {}

  initialization {
    datastore_id        = var.disk_datastore
    vendor_data_file_id = proxmox_virtual_environment_file.vendor_data.id

    ip_config {
      ipv4 {
        address = "dhcp"
      }
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}
