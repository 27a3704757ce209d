#!/usr/bin/env bash
# The environment dev on a cluster that is not ours: applied, planned without changes, destroyed but for what is
# protected. The variables of the environment name the cluster.
set -euo pipefail
pve=$1
project=$(mktemp -d)
trap 'rm -rf "$project"' EXIT
"$pve" init "$project/infra" >"$project/said"
cd "$project/infra"
cat >cluster_override.tf <<EOF
provider "proxmox" {
  ssh {
    node {
      name    = "pve"
      address = "127.0.0.1"
      port    = $PROXMOX_VE_SSH_PORT
    }
  }
}
EOF
"$pve" apply -e dev -auto-approve >"$project/said" 2>&1 || { cat "$project/said"; exit 1; }
"$pve" plan -e dev -detailed-exitcode >"$project/said" 2>&1 || { cat "$project/said"; exit 1; }
[ "$("$pve" state list -e dev | wc -l)" -eq 3 ]
sed -i 's/prevent_destroy = true/prevent_destroy = false/' modules/template/main.tf
"$pve" destroy -e dev -auto-approve >"$project/said" 2>&1 || { cat "$project/said"; exit 1; }
[ -z "$("$pve" state list -e dev)" ]
echo "environments dev on fakepve: applied, no changes, destroyed"
