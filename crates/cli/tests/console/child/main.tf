variable "name" {
  type = string
}

output "greeting" {
  value = "hello ${var.name}"
}

output "numbers" {
  value = { for n in [1, 2, 3] : "n${n}" => n * n }
}
