variable "name" {
  description = "Name of the VM"
  type        = string
}

variable "environment" {
  description = "Name of the environment"
  type        = string
}

variable "node_name" {
  description = "Node"
  type        = string
}

variable "disk_datastore" {
  description = "Datastore for disks"
  type        = string
}

variable "template_vm_id" {
  description = "Id of the template to clone"
  type        = number
}

variable "vm_id" {
  description = "Id of the VM"
  type        = number
}

variable "cores" {
  description = "Cores"
  type        = number
}

variable "memory" {
  description = "Memory in MiB"
  type        = number
}

variable "disk_size" {
  description = "Size of the first disk in GiB"
  type        = number
}

variable "data_disks" {
  description = "Sizes of further disks in GiB"
  type        = list(number)
  default     = []
}

variable "tags" {
  description = "Tags beside the environment"
  type        = list(string)
  default     = []
}

variable "address" {
  description = "IPv4 address in CIDR notation, or dhcp"
  type        = string
  default     = "dhcp"
}

variable "gateway" {
  description = "IPv4 gateway"
  type        = string
  default     = null
}

variable "started" {
  description = "Whether the VM runs"
  type        = bool
  default     = true
}

variable "networks" {
  description = "Network devices in order"
  type = list(object({
    bridge   = optional(string, "vmbr0")
    vlan_id  = optional(number)
    firewall = optional(bool, false)
  }))
}

variable "firewall_rules" {
  description = "Firewall rules, first match wins; none leaves the firewall off"
  type = list(object({
    type    = optional(string, "in")
    action  = optional(string, "ACCEPT")
    proto   = optional(string)
    dport   = optional(string)
    source  = optional(string)
    comment = optional(string)
  }))
  default = []
}

variable "ssh_public_keys" {
  description = "Keys that may log in"
  type        = list(string)
  default     = []
}
