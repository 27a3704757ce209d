module "template" {
  for_each = var.templates
  source   = "./modules/template"

  name               = each.key
  environment        = var.environment
  node_name          = var.node_name
  image_datastore    = var.image_datastore
  disk_datastore     = var.disk_datastore
  vm_id              = each.value.vm_id
  image_url          = each.value.image_url
  image_file_name    = each.value.image_file_name
  checksum           = each.value.checksum
  checksum_algorithm = each.value.checksum_algorithm
  cores              = each.value.cores
  memory             = each.value.memory
  disk_size          = each.value.disk_size
  packages           = each.value.packages
}

module "vm" {
  for_each = { for vm in var.vm_configs : vm.name => vm }
  source   = "./modules/vm"

  name            = each.value.name
  environment     = var.environment
  node_name       = var.node_name
  disk_datastore  = var.disk_datastore
  template_vm_id  = module.template[each.value.template].vm_id
  vm_id           = each.value.vm_id
  cores           = each.value.cores
  memory          = each.value.memory
  disk_size       = each.value.disk_size
  data_disks      = each.value.data_disks
  tags            = each.value.tags
  address         = each.value.address
  gateway         = each.value.gateway
  started         = each.value.started
  networks        = each.value.networks
  firewall_rules  = each.value.firewall_rules
  ssh_public_keys = var.ssh_public_keys
}

module "lxc" {
  for_each = { for container in var.lxc_configs : container.name => container }
  source   = "./modules/lxc"

  name              = each.value.name
  environment       = var.environment
  node_name         = var.node_name
  image_datastore   = var.image_datastore
  disk_datastore    = var.disk_datastore
  vm_id             = each.value.vm_id
  os_type           = each.value.os_type
  template_file_id  = each.value.template_file_id
  template_url      = each.value.template_url
  template_checksum = each.value.template_checksum
  cores             = each.value.cores
  memory            = each.value.memory
  swap              = each.value.swap
  disk_size         = each.value.disk_size
  unprivileged      = each.value.unprivileged
  tags              = each.value.tags
  address           = each.value.address
  gateway           = each.value.gateway
  bridge            = each.value.bridge
  vlan_id           = each.value.vlan_id
  started           = each.value.started
  firewall_rules    = each.value.firewall_rules
  ssh_public_keys   = var.ssh_public_keys
}
