variable "name" {
  type    = string
  default = "web"
}

variable "secret" {
  type      = string
  default   = "hunter2"
  sensitive = true
}

variable "ports" {
  type    = list(number)
  default = [80, 443]
}

variable "tags" {
  type = map(string)
  default = {
    env       = "dev"
    "a b"     = "spaced"
    "quo\"te" = "q"
  }
}

variable "zones" {
  type    = set(string)
  default = ["b", "a", "c"]
}

variable "guest" {
  type = object({
    cores = number
    name  = optional(string)
    disks = optional(list(object({ size = number, fast = optional(bool, true) })), [])
  })
  default = {
    cores = 4
    disks = [{ size = 10 }, { size = 20, fast = false }]
  }
}

variable "nothing" {
  type    = string
  default = null
}

locals {
  text = <<-EOT
    first
      second
    third
  EOT
  nested = {
    script = "one\ntwo\n"
    list   = ["x\ny", "z"]
    deep   = { a = { b = { c = [] } } }
  }
  mixed  = { open = 1, hidden = var.secret }
  credentials = { user = "root", password = var.secret }
}

resource "terraform_data" "one" {
  input = "in"
}

resource "terraform_data" "many" {
  count = 2
  input = count.index
}

module "child" {
  source = "./child"
  name   = var.name
}

output "name" {
  value = var.name
}
