output "templates_created" {
  description = "Templates by name"
  value = {
    for name, template in module.template : name => {
      vm_id       = template.vm_id
      template_id = template.template_id
      image_id    = template.image_id
    }
  }
}

output "vms_created" {
  description = "VMs by name"
  value = {
    for name, vm in module.vm : name => {
      vm_id      = vm.vm_id
      ip_address = vm.ip_address
    }
  }
}

output "lxc_created" {
  description = "Containers by name"
  value = {
    for name, container in module.lxc : name => {
      container_id = container.container_id
      ip_address   = container.ip_address
    }
  }
}
