terraform {
  required_version = ">= 1.5.0"

  required_providers {
    proxmox = {
      source  = "bpg/proxmox"
      version = ">= 0.80.0"
    }
  }

  # A team keeps its log in a bucket instead of this folder:
  #
  # backend "s3" {
  #   bucket       = "terraform-state-bucket"
  #   key          = "proxmox/terraform.tfstate"
  #   region       = "us-east-1"
  #   encrypt      = true
  #   use_lockfile = true
  # }
}

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
