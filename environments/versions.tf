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
