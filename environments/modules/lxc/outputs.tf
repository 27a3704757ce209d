output "container_id" {
  description = "Id of the container"
  value       = proxmox_virtual_environment_container.this.vm_id
}

output "ip_address" {
  description = "IPv4 address of eth0, else null"
  value       = try(proxmox_virtual_environment_container.this.ipv4["eth0"], null)
}
