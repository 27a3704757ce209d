output "vm_id" {
  description = "Id of the VM"
  value       = proxmox_virtual_environment_vm.this.vm_id
}

output "ip_address" {
  description = "First IPv4 address that the guest agent reports, else null"
  value       = try([for address in flatten(proxmox_virtual_environment_vm.this.ipv4_addresses) : address if address != "127.0.0.1"][0], null)
}
