# What is null here is taken from PROXMOX_VE_ENDPOINT, PROXMOX_VE_API_TOKEN and so on.
provider "proxmox" {
  endpoint  = var.proxmox_endpoint
  api_token = var.proxmox_api_token
  insecure  = var.proxmox_insecure

  ssh {
    agent    = true
    username = var.proxmox_ssh_username
  }
}
