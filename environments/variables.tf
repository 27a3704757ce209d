variable "proxmox_endpoint" {
  description = "URL of the Proxmox VE API, such as https://pve.example.test:8006/"
  type        = string
  default     = null
}

variable "proxmox_api_token" {
  description = "API token, USER@REALM!NAME=UUID"
  type        = string
  default     = null
  sensitive   = true
}

variable "proxmox_insecure" {
  description = "Accept any certificate"
  type        = bool
  default     = null
}

variable "proxmox_ssh_username" {
  description = "User for uploading snippets"
  type        = string
  default     = "root"
}

variable "node_name" {
  description = "Node that everything is made on"
  type        = string
  default     = "pve"
}

variable "image_datastore" {
  description = "Datastore for images, container templates and snippets"
  type        = string
  default     = "local"
}

variable "disk_datastore" {
  description = "Datastore for disks"
  type        = string
  default     = "local-lvm"
}

variable "environment" {
  description = "Name of the environment; becomes a tag"
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "The environment must be dev, staging or prod."
  }
}

variable "ssh_public_keys" {
  description = "Keys that may log in to guests"
  type        = list(string)
  default     = []
}

variable "templates" {
  description = "VM templates by name"
  type = map(object({
    vm_id              = number
    image_url          = string
    image_file_name    = string
    checksum           = string
    checksum_algorithm = optional(string, "sha256")
    cores              = optional(number, 1)
    memory             = optional(number, 1024)
    disk_size          = optional(number, 8)
    packages           = optional(list(string), ["qemu-guest-agent"])
  }))

  validation {
    condition     = alltrue([for template in var.templates : template.vm_id >= 9000 && template.vm_id < 9100])
    error_message = "Ids of templates are from 9000 to 9099."
  }
}

variable "vm_configs" {
  description = "VMs cloned from the templates"
  type = list(object({
    name       = string
    template   = string
    vm_id      = number
    cores      = optional(number, 2)
    memory     = optional(number, 2048)
    disk_size  = optional(number, 20)
    data_disks = optional(list(number), [])
    tags       = optional(list(string), [])
    address    = optional(string, "dhcp")
    gateway    = optional(string)
    started    = optional(bool, true)
    networks = optional(list(object({
      bridge   = optional(string, "vmbr0")
      vlan_id  = optional(number)
      firewall = optional(bool, false)
    })), [{}])
    firewall_rules = optional(list(object({
      type    = optional(string, "in")
      action  = optional(string, "ACCEPT")
      proto   = optional(string)
      dport   = optional(string)
      source  = optional(string)
      comment = optional(string)
    })), [])
  }))
  default = []

  validation {
    condition     = alltrue([for vm in var.vm_configs : vm.vm_id >= 9100 && vm.vm_id < 9200])
    error_message = "Ids of VMs are from 9100 to 9199."
  }

  validation {
    condition     = length(distinct([for vm in var.vm_configs : vm.vm_id])) == length(var.vm_configs)
    error_message = "Each VM needs an id of its own."
  }
}

variable "lxc_configs" {
  description = "Containers"
  type = list(object({
    name              = string
    vm_id             = number
    os_type           = optional(string, "debian")
    template_file_id  = optional(string)
    template_url      = optional(string)
    template_checksum = optional(string)
    cores             = optional(number, 1)
    memory            = optional(number, 512)
    swap              = optional(number, 512)
    disk_size         = optional(number, 4)
    unprivileged      = optional(bool, true)
    tags              = optional(list(string), [])
    address           = optional(string, "dhcp")
    gateway           = optional(string)
    bridge            = optional(string, "vmbr0")
    vlan_id           = optional(number)
    started           = optional(bool, true)
    firewall_rules = optional(list(object({
      type    = optional(string, "in")
      action  = optional(string, "ACCEPT")
      proto   = optional(string)
      dport   = optional(string)
      source  = optional(string)
      comment = optional(string)
    })), [])
  }))
  default = []

  validation {
    condition     = alltrue([for container in var.lxc_configs : container.vm_id >= 9200 && container.vm_id < 9300])
    error_message = "Ids of containers are from 9200 to 9299."
  }

  validation {
    condition     = length(distinct([for container in var.lxc_configs : container.vm_id])) == length(var.lxc_configs)
    error_message = "Each container needs an id of its own."
  }

  validation {
    condition     = alltrue([for container in var.lxc_configs : (container.template_file_id == null) != (container.template_url == null)])
    error_message = "A container needs either template_file_id or template_url."
  }
}
