output "vm_id" {
  description = "Id to clone from"
  value       = proxmox_virtual_environment_vm.template.vm_id
}

output "template_id" {
  description = "Id of the template resource"
  value       = proxmox_virtual_environment_vm.template.id
}

output "image_id" {
  description = "Volume of the image"
  value       = proxmox_virtual_environment_download_file.image.id
}

output "template_reference" {
  description = "Node and id of the template"
  value       = "${var.node_name}/${proxmox_virtual_environment_vm.template.vm_id}"
}
