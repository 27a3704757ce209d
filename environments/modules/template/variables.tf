variable "name" {
  description = "Name of the template"
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

variable "image_datastore" {
  description = "Datastore for the image and the snippet"
  type        = string
}

variable "disk_datastore" {
  description = "Datastore for the disk"
  type        = string
}

variable "vm_id" {
  description = "Id of the template"
  type        = number
}

variable "image_url" {
  description = "URL of the cloud image"
  type        = string
}

variable "image_file_name" {
  description = "Name of the image on the datastore"
  type        = string
}

variable "checksum" {
  description = "Checksum of the image"
  type        = string
}

variable "checksum_algorithm" {
  description = "Algorithm of the checksum"
  type        = string
  default     = "sha256"
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

variable "packages" {
  description = "Packages that cloud-init installs"
  type        = list(string)
  default     = []
}
