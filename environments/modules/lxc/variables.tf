variable "name" {
  description = "Name of the container"
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

variable "vm_id" {
  description = "Id of the container"
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
  description = "Size of the disk in GiB"
  type        = number
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
  description = "Whether the container runs"
  type        = bool
  default     = true
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

variable "image_datastore" {
  description = "Datastore for the template"
  type        = string
}

variable "os_type" {
  description = "Operating system: debian, ubuntu, alpine and so on"
  type        = string
  default     = "debian"
}

variable "template_file_id" {
  description = "Volume of a container template that is already there; otherwise template_url is downloaded"
  type        = string
  default     = null
}

variable "template_url" {
  description = "URL of the container template"
  type        = string
  default     = null
}

variable "template_checksum" {
  description = "SHA-512 of the container template"
  type        = string
  default     = null
}

variable "swap" {
  description = "Swap in MiB"
  type        = number
  default     = 512
}

variable "unprivileged" {
  description = "Whether root in the container is nobody outside"
  type        = bool
  default     = true
}

variable "bridge" {
  description = "Bridge of the network interface"
  type        = string
  default     = "vmbr0"
}

variable "vlan_id" {
  description = "VLAN of the network interface"
  type        = number
  default     = null
}
