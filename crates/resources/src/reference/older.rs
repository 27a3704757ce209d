//! What the pages say of kinds that have code of their own.

/// One kind.
pub(super) struct Older {
    name: &'static str,
    pub(super) about: &'static str,
    pub(super) example: &'static str,
    /// The id that it is imported by, where its operations do not say it.
    pub(super) import: &'static str,
}

/// What is said of a kind, by its shortest name.
pub(super) fn older(name: &str) -> Option<&'static Older> {
    OLDER.iter().find(|older| older.name == name)
}

const OLDER: &[Older] = &[
    Older {
        name: "proxmox_virtual_environment_vm",
        about: "A virtual machine. It is known by its VMID: one that was migrated is the same. Disks are known by their \
                interface. What needs a reboot is said in the plan.",
        example: r#"
  node_name = "pve"
  name      = "web-1"

  cpu {
    cores = 2
    type  = "x86-64-v2-AES"
  }
  memory {
    dedicated = 2048
  }
  disk {
    interface    = "scsi0"
    datastore_id = "local-lvm"
    size         = 20
  }
  network_device {
    bridge = "vmbr0"
  }
"#,
        import: "NODE_NAME/VM_ID",
    },
    Older {
        name: "proxmox_virtual_environment_container",
        about: "A container. A clone is unprivileged where its template is: `unprivileged` need not be written for one, and \
                cannot make it otherwise.",
        example: r#"
  node_name    = "pve"
  unprivileged = true

  initialization {
    hostname = "ct-1"
    ip_config {
      ipv4 {
        address = "dhcp"
      }
    }
  }
  disk {
    datastore_id = "local-lvm"
    size         = 8
  }
  network_interface {
    name = "eth0"
  }
  operating_system {
    template_file_id = "local:vztmpl/debian.tar.zst"
    type             = "debian"
  }
"#,
        import: "NODE_NAME/VM_ID",
    },
    Older {
        name: "proxmox_download_file",
        about: "A file that a node downloads to a storage.",
        example: r#"
  node_name    = "pve"
  datastore_id = "local"
  content_type = "import"
  url          = "https://images.example.test/debian.qcow2"
"#,
        import: "NODE_NAME/DATASTORE_ID:CONTENT_TYPE/FILE_NAME",
    },
    Older {
        name: "proxmox_virtual_environment_file",
        about: "A file that is uploaded to a storage; snippets go over SSH.",
        example: r#"
  node_name    = "pve"
  datastore_id = "local"
  content_type = "snippets"

  source_raw {
    file_name = "user-data.yaml"
    data      = "hostname: web-1"
  }
"#,
        import: "NODE_NAME/DATASTORE_ID:CONTENT_TYPE/FILE_NAME",
    },
    Older {
        name: "proxmox_oci_image",
        about: "An image of a registry that a node pulls as a container template.",
        example: r#"
  node_name    = "pve"
  datastore_id = "local"
  reference    = "docker.io/library/debian:13"
"#,
        import: "",
    },
    Older {
        name: "proxmox_virtual_environment_cluster_firewall",
        about: "The firewall settings of the cluster.",
        example: r#"
  enabled      = false
  input_policy = "DROP"
"#,
        import: "",
    },
    Older {
        name: "proxmox_virtual_environment_cluster_firewall_security_group",
        about: "A group of rules under a name.",
        example: r#"
  name = "web"

  rule {
    type   = "in"
    action = "ACCEPT"
    proto  = "tcp"
    dport  = "443"
  }
"#,
        import: "",
    },
    Older {
        name: "proxmox_virtual_environment_firewall_alias",
        about: "A name for a network, in the cluster or for one guest.",
        example: r#"
  name = "office"
  cidr = "192.0.2.0/24"
"#,
        import: "",
    },
    Older {
        name: "proxmox_virtual_environment_firewall_ipset",
        about: "A set of networks under a name, in the cluster or for one guest.",
        example: r#"
  name = "offices"

  cidr {
    name = "192.0.2.0/24"
  }
"#,
        import: "",
    },
    Older {
        name: "proxmox_virtual_environment_firewall_options",
        about: "The firewall settings of a guest.",
        example: r#"
  node_name = "pve"
  vm_id     = 100
  enabled   = true
"#,
        import: "",
    },
    Older {
        name: "proxmox_virtual_environment_firewall_rules",
        about: "The rules of a firewall, in order: of the cluster, a node or a guest.",
        example: r#"
  node_name = "pve"
  vm_id     = 100

  rule {
    type   = "in"
    action = "ACCEPT"
    proto  = "tcp"
    dport  = "22"
  }
"#,
        import: "",
    },
    Older {
        name: "proxmox_node_firewall",
        about: "The firewall settings of a node.",
        example: r#"
  node_name = "pve"
  enabled   = true
"#,
        import: "",
    },
    Older {
        name: "null_resource",
        about: "Something for provisioners; no cluster has it.",
        example: r#"
  triggers = {
    version = "1"
  }
"#,
        import: "ID",
    },
    Older {
        name: "terraform_data",
        about: "A value that is kept, and something for provisioners; no cluster has it.",
        example: r#"
  input = "1"
"#,
        import: "ID",
    },
];
