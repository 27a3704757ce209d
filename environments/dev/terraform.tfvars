environment = "dev"

# Checksums are those of your mirror: take them from its SHA256SUMS.
templates = {
  "debian12" = {
    vm_id           = 9000
    image_url       = "https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2"
    image_file_name = "dev-debian-12-genericcloud-amd64.qcow2"
    checksum        = "0000000000000000000000000000000000000000000000000000000000000000"
  }
}
