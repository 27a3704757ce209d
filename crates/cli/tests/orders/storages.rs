//! Storages, and the disks of guests on them.

use super::simulated::PROVIDER;
use super::{changed, is_refused, one_apply};

fn storage(id: &str, path: &str, datastore: &str) -> String {
    format!(
        r#"
resource "proxmox_storage_directory" "d" {{
  id      = "{id}"
  path    = "{path}"
  content = ["images"]
}}
{}"#,
        with_disk(datastore)
    )
}

fn with_disk(datastore: &str) -> String {
    format!(
        r#"
resource "proxmox_virtual_environment_vm" "v" {{
  node_name = "pve"
  vm_id     = 540
  started   = false
  disk {{
    interface    = "scsi1"
    datastore_id = {datastore}
    file_format  = "qcow2"
    size         = 2
  }}
}}
"#
    )
}

#[test]
fn a_storage_under_another_name_is_there_before_the_disks_go_and_the_old_one_goes_after_them() {
    let by_reference = "proxmox_storage_directory.d.id";
    let first = storage("dd", "/x", by_reference);
    for second in [storage("d2", "/y", by_reference), storage("d2", "/y", "\"d2\"")] {
        let (cluster, _project) = one_apply(&first, &second);
        let disk = cluster.get("/nodes/pve/qemu/540/config")["scsi1"].to_string();
        assert!(disk.contains("d2:540/"), "{disk}");
        let requests = cluster.requests();
        let at = |method: &str, path: &str| {
            requests.iter().position(|it| it.method == method && it.path.ends_with(path)).unwrap()
        };
        let moved = at("POST", "/qemu/540/move_disk");
        assert!(at("POST", "/storage") < moved && moved < at("DELETE", "/storage/dd"));
    }
}

#[test]
fn a_storage_does_not_go_while_a_guest_has_a_disk_on_it() {
    let by_reference = "proxmox_storage_directory.d.id";
    let first = storage("dd", "/x", by_reference);
    for second in [with_disk("\"dd\""), storage("dd", "/y", by_reference)] {
        let (cluster, project) = changed(&first, &second);
        let why =
            "proxmox_storage_directory.d cannot be destroyed while proxmox_virtual_environment_vm.v has it";
        is_refused(&cluster, &project, &[why]);
        // Together they go.
        project.write("main.tf", PROVIDER);
        project.ok(&["apply", "--auto-approve"]);
    }
}
