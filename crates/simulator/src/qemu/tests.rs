//! Changes of machines, mostly of running ones (PVE::API2::Qemu, PVE::QemuServer).

use serde_json::{Value, json};

use crate::calls::Calls;
use crate::options::Options;

/// A node with a running machine 100: a disk that it boots from, one that it does not, a card and a medium.
fn running() -> Calls {
    let calls = Calls::new();
    calls.ok("PUT", "/storage/local", &[("content", "images,iso,snippets,backup")]);
    let options = [
        ("vmid", "100"),
        ("scsi0", "local-lvm:1"),
        ("scsi1", "local-lvm:1"),
        ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
        ("ide2", "none,media=cdrom"),
        ("boot", "order=scsi0"),
    ];
    calls.ok("POST", "/nodes/pve/qemu", &options);
    calls.ok("POST", "/nodes/pve/qemu/100/status/start", &[]);
    calls
}

const CONFIG: &str = "/nodes/pve/qemu/100/config";

/// The row of an option in `GET pending`.
fn row(calls: &Calls, key: &str) -> Value {
    let rows = calls.get("/nodes/pve/qemu/100/pending");
    rows.as_array().unwrap().iter().find(|row| row["key"] == key).cloned().unwrap_or_default()
}

#[test]
fn a_card_goes_to_no_bridge_that_is_not_there() {
    let calls = running();
    let card = "virtio=BC:24:11:00:00:01,bridge=vmbr77";
    let refused = calls.refused("PUT", CONFIG, &[("net0", card), ("name", "changed")]);
    assert_eq!(
        refused,
        "400 Parameter verification failed. [net0: hotplug problem - bridge 'vmbr77' is neither a linux nor an OVS bridge!]"
    );
    // The rest is done, and the card waits.
    assert_eq!(row(&calls, "name")["value"], "changed");
    assert_eq!(row(&calls, "net0")["pending"], card);
    let upid = calls.ok("POST", CONFIG, &[("net0", card)]);
    let exit = "400 Parameter verification failed. net0: hotplug problem - bridge 'vmbr77' is neither a linux nor an OVS bridge! ";
    assert_eq!(calls.task(&upid).0, exit);
}

#[test]
fn a_disk_that_a_machine_boots_from_stays_in_it() {
    let calls = running();
    let refused = calls.refused("PUT", CONFIG, &[("delete", "scsi0")]);
    assert_eq!(
        refused,
        "400 Parameter verification failed. [scsi0: hotplug problem - can't unplug bootdisk 'scsi0']"
    );
    assert_eq!(row(&calls, "scsi0")["delete"], 1);
    calls.ok("PUT", CONFIG, &[("delete", "scsi1")]);
    assert_eq!(row(&calls, "unused0")["value"], "local-lvm:vm-100-disk-1");
}

#[test]
fn a_guest_without_a_system_keeps_its_devices() {
    let calls = Calls::with(Options { guests_obey: false, ..Options::default() });
    calls.ok("POST", "/nodes/pve/qemu", &[("vmid", "100"), ("net1", "virtio,bridge=vmbr0")]);
    calls.ok("POST", "/nodes/pve/qemu/100/status/start", &[]);
    let refused = calls.refused("PUT", CONFIG, &[("delete", "net1")]);
    let text = "hotplug problem - error on hot-unplugging device 'net1' - still busy in guest?";
    assert_eq!(refused, format!("400 Parameter verification failed. [net1: {text}]"));
}

#[test]
fn what_qemu_cannot_change_in_a_drive_waits() {
    let calls = running();
    calls.ok("PUT", CONFIG, &[("scsi1", "local-lvm:vm-100-disk-1,mbps_rd=10")]);
    assert_eq!(
        row(&calls, "scsi1"),
        json!({ "key": "scsi1", "value": "local-lvm:vm-100-disk-1,mbps_rd=10,size=1G" })
    );
    calls.ok("PUT", CONFIG, &[("scsi1", "local-lvm:vm-100-disk-1,cache=none")]);
    assert_eq!(row(&calls, "scsi1")["pending"], "local-lvm:vm-100-disk-1,cache=none,size=1G");
    let refused = calls.refused("PUT", CONFIG, &[("scsi1", "none,media=cdrom")]);
    assert!(refused.contains("[scsi1: hotplug problem - unable to change media type]"), "{refused}");
}

#[test]
fn a_new_disk_that_was_taken_back_is_left_over() {
    let calls = running();
    calls.ok("PUT", CONFIG, &[("sata0", "local-lvm:1")]);
    assert_eq!(row(&calls, "sata0")["pending"], "local-lvm:vm-100-disk-2,size=1G");
    calls.ok("PUT", CONFIG, &[("revert", "sata0")]);
    assert_eq!(
        (row(&calls, "sata0"), row(&calls, "unused0")["value"].clone()),
        (Value::Null, json!("local-lvm:vm-100-disk-2"))
    );
}

#[test]
fn a_disk_that_waits_to_be_destroyed_is_destroyed_at_the_stop() {
    let calls = running();
    calls.ok("PUT", CONFIG, &[("sata0", "local-lvm:1")]);
    calls.ok("POST", "/nodes/pve/qemu/100/status/reboot", &[]);
    calls.ok("PUT", CONFIG, &[("delete", "sata0"), ("force", "1")]);
    assert_eq!(row(&calls, "sata0")["delete"], 2);
    calls.ok("POST", "/nodes/pve/qemu/100/status/stop", &[]);
    assert_eq!((row(&calls, "sata0"), row(&calls, "unused0")), (Value::Null, Value::Null));
    let left = calls.get("/nodes/pve/storage/local-lvm/content");
    assert!(!left.to_string().contains("vm-100-disk-2"), "{left}");
}

#[test]
fn a_volume_of_a_snapshot_is_not_destroyed() {
    let calls = running();
    calls.ok("POST", "/nodes/pve/qemu/100/status/stop", &[]);
    calls.ok("POST", "/nodes/pve/qemu/100/snapshot", &[("snapname", "one")]);
    let volume = "volume is still in use (snapshot?)";
    let refused = calls.refused("PUT", CONFIG, &[("delete", "scsi1"), ("force", "1")]);
    assert_eq!(
        refused,
        format!(
            "400 Parameter verification failed. [scsi1: unable to apply pending change scsi1 : unable to delete 'local-lvm:vm-100-disk-1' - {volume}]"
        )
    );
    assert_eq!(row(&calls, "scsi1")["delete"], 2);
    calls.ok("PUT", CONFIG, &[("revert", "scsi1")]);
    calls.ok("PUT", CONFIG, &[("delete", "scsi1")]);
    let refused = calls.refused("PUT", CONFIG, &[("delete", "unused0")]);
    assert_eq!(refused, format!("500 unable to delete 'local-lvm:vm-100-disk-1' - {volume}"));
}

#[test]
fn only_root_has_options_that_no_privilege_is_for() {
    let calls = running();
    let token = calls.token(&calls.simulator.token());
    for (name, value) in [("affinity", "0"), ("arch", "x86_64"), ("spice_enhancements", "foldersharing=1")] {
        let refused = token.refused("PUT", CONFIG, &[(name, value)]);
        assert_eq!(refused, format!("500 only root can set '{name}' config"));
        calls.ok("PUT", CONFIG, &[(name, value)]);
    }
}

#[test]
fn a_tpm_stays_where_it_is_while_the_machine_runs() {
    let calls = running();
    calls.ok("POST", "/nodes/pve/qemu/100/status/stop", &[]);
    calls.ok("PUT", CONFIG, &[("tpmstate0", "local-lvm:1,version=v2.0")]);
    calls.ok("POST", "/nodes/pve/qemu/100/status/start", &[]);
    let place = [("disk", "tpmstate0"), ("storage", "local")];
    let upid = calls.ok("POST", "/nodes/pve/qemu/100/move_disk", &place);
    assert_eq!(calls.task(&upid).0, "storage migration failed: cannot move TPM state while VM is running");
}

#[test]
fn a_disk_does_not_leave_a_storage_that_is_gone() {
    let calls = running();
    calls.ok(
        "POST",
        "/storage",
        &[("storage", "dd"), ("type", "dir"), ("path", "/x"), ("content", "images")],
    );
    calls.ok("PUT", CONFIG, &[("scsi5", "dd:1")]);
    calls.ok("DELETE", "/storage/dd", &[]);
    let place = [("disk", "scsi5"), ("storage", "local-lvm")];
    let upid = calls.ok("POST", "/nodes/pve/qemu/100/move_disk", &place);
    assert_eq!(calls.task(&upid).0, "storage 'dd' does not exist");
}

#[test]
fn a_machine_does_not_start_without_its_snippets() {
    let calls = running();
    calls.ok("POST", "/nodes/pve/qemu/100/status/stop", &[]);
    calls.ok("PUT", CONFIG, &[("ide0", "local-lvm:cloudinit")]);
    calls.ok("PUT", CONFIG, &[("cicustom", "user=local:snippets/none.yaml")]);
    let upid = calls.ok("POST", "/nodes/pve/qemu/100/status/start", &[]);
    assert_eq!(calls.task(&upid).0, "volume 'local:snippets/none.yaml' does not exist");
}

#[test]
fn nothing_is_put_on_a_storage_that_is_disabled() {
    let calls = running();
    calls.ok("PUT", "/storage/local", &[("disable", "1")]);
    let upid = calls.ok("POST", "/nodes/pve/qemu", &[("vmid", "101"), ("scsi0", "local:1")]);
    assert_eq!(calls.task(&upid).0, "unable to create VM 101 - storage 'local' is disabled");
    assert_eq!(
        calls.refused("GET", "/nodes/pve/storage/local/content", &[]),
        "500 storage 'local' is disabled"
    );
    let refused = calls.refused("GET", "/nodes/pve/storage", &[("storage", "local"), ("content", "images")]);
    assert_eq!(refused, "400 Parameter verification failed. [storage: No such storage.]");
}

#[test]
fn a_container_with_a_directory_of_the_host_stays_there() {
    let calls = Calls::with(Options { other_nodes: vec!["pve2".to_owned()], ..Options::default() });
    let template = "local:vztmpl/debian-13_13.1-1_amd64.tar.zst";
    calls.simulator.add_file(template, &[0; 64]);
    let options =
        [("vmid", "200"), ("ostemplate", template), ("rootfs", "local-lvm:1"), ("mp0", "/mnt/bulk,mp=/bulk")];
    calls.ok("POST", "/nodes/pve/lxc", &options);
    let upid = calls.ok("POST", "/nodes/pve/lxc/200/migrate", &[("target", "pve2")]);
    let (exit, log) = calls.task(&upid);
    assert_eq!(exit, "migration aborted");
    let said = "ERROR: migration aborted (duration 00:00:00): cannot migrate local bind mount point 'mp0'";
    assert!(log[0].ends_with(said), "{log:?}");
    calls.ok("PUT", "/nodes/pve/lxc/200/config", &[("mp0", "/mnt/bulk,mp=/bulk,shared=1")]);
    let upid = calls.ok("POST", "/nodes/pve/lxc/200/migrate", &[("target", "pve2")]);
    assert_eq!(calls.task(&upid).0, "OK");
}

#[test]
fn a_clone_goes_to_another_node_by_way_of_a_shared_storage_only() {
    let calls = Calls::with(Options { other_nodes: vec!["pve2".to_owned()], ..Options::default() });
    for (name, shared) in [("own", "0"), ("nas", "1")] {
        let path = format!("/mnt/{name}");
        let options =
            [("storage", name), ("type", "dir"), ("path", &path), ("content", "images"), ("shared", shared)];
        calls.ok("POST", "/storage", &options);
    }
    calls.ok("POST", "/nodes/pve/qemu", &[("vmid", "100"), ("scsi0", "nas:1")]);
    let clone =
        |storage: &'static str| [("newid", "101"), ("target", "pve2"), ("full", "1"), ("storage", storage)];
    let refused = calls.refused("POST", "/nodes/pve/qemu/100/clone", &clone("own"));
    assert_eq!(refused, "500 can't clone to non-shared storage 'own'");
    calls.ok("POST", "/nodes/pve/qemu/100/clone", &clone("nas"));
    assert!(calls.get("/nodes/pve2/qemu/101/config")["smbios1"].is_string());
}

#[test]
fn a_cloud_init_drive_that_is_deleted_by_the_same_request_is_still_in_the_way() {
    let calls = running();
    calls.ok("POST", "/nodes/pve/qemu/100/status/stop", &[]);
    calls.ok("PUT", CONFIG, &[("ide2", "local-lvm:cloudinit")]);
    let refused = calls.refused("PUT", CONFIG, &[("delete", "ide2"), ("ide0", "local-lvm:cloudinit")]);
    assert_eq!(refused, "500 ide0 - cloud-init drive is already attached at 'ide2'");
    calls.ok("PUT", CONFIG, &[("delete", "ide2")]);
    calls.ok("PUT", CONFIG, &[("ide0", "local-lvm:cloudinit")]);
    calls.ok("POST", "/nodes/pve/qemu/100/status/start", &[]);
    // Of a running machine the deletion waits, and the drive is in the way until then.
    calls.ok("PUT", CONFIG, &[("delete", "ide0")]);
    let refused = calls.refused("PUT", CONFIG, &[("ide2", "local-lvm:cloudinit")]);
    assert_eq!(refused, "500 ide2 - cloud-init drive is already attached at 'ide0'");
}

#[test]
fn a_guest_that_is_purged_takes_along_what_is_of_it() {
    let calls = Calls::with(Options { other_nodes: vec!["pve2".to_owned()], ..Options::default() });
    let pool = [("name", "tank"), ("raidlevel", "single"), ("devices", "/dev/sdb")];
    calls.ok("POST", "/nodes/pve/disks/zfs", &pool);
    calls.ok("POST", "/storage", &[("storage", "tank"), ("type", "zfspool"), ("pool", "tank")]);
    calls.ok("POST", "/access/users", &[("userid", "bob@pve")]);
    for vmid in ["100", "101"] {
        calls.ok("POST", "/nodes/pve/qemu", &[("vmid", vmid), ("scsi0", "tank:1")]);
        let (job, path) = (format!("{vmid}-0"), format!("/vms/{vmid}"));
        calls.ok("POST", "/cluster/replication", &[("id", &job), ("target", "pve2"), ("type", "local")]);
        calls.ok("PUT", "/access/acl", &[("path", &path), ("roles", "PVEVMUser"), ("users", "bob@pve")]);
    }
    for (id, guests) in [("both", "100,101"), ("first", "100")] {
        let job = [("id", id), ("storage", "local"), ("schedule", "02:30"), ("vmid", guests)];
        calls.ok("POST", "/cluster/backup", &job);
    }
    let refused = calls.refused("DELETE", "/nodes/pve/qemu/100", &[]);
    assert!(refused.contains("There is a replication job '100-0' for guest '100'"), "{refused}");
    calls.ok("DELETE", "/nodes/pve/qemu/100", &[("purge", "1")]);
    let column = |path: &str, name: &str| -> Vec<String> {
        let rows = calls.get(path);
        rows.as_array().unwrap().iter().filter_map(|row| Some(row[name].as_str()?.to_owned())).collect()
    };
    assert_eq!(column("/cluster/replication", "id"), ["101-0"]);
    assert_eq!(column("/access/acl", "path"), ["/vms/101"]);
    assert_eq!(
        (column("/cluster/backup", "id"), column("/cluster/backup", "vmid")),
        (vec!["both".into()], vec!["101".into()])
    );
}

#[test]
fn a_machine_from_a_backup_has_its_cloud_init_drive_anew() {
    let calls = Calls::new();
    let made = [("vmid", "100"), ("scsi0", "local-lvm:1"), ("ide2", "local-lvm:cloudinit")];
    calls.ok("POST", "/nodes/pve/qemu", &made);
    calls.ok("POST", "/nodes/pve/vzdump", &[("vmid", "100"), ("storage", "local")]);
    let backups = calls.ok("GET", "/nodes/pve/storage/local/content", &[("content", "backup")]);
    let archive = backups[0]["volid"].as_str().unwrap().to_owned();
    let drive = || calls.get("/nodes/pve/qemu/100/config")["ide2"].as_str().unwrap().to_owned();
    let listed = || calls.get("/nodes/pve/storage/local-lvm/content").to_string();
    for force in ["0", "1"] {
        if force == "0" {
            calls.ok("DELETE", "/nodes/pve/qemu/100", &[]);
        }
        calls.ok("POST", "/nodes/pve/qemu", &[("vmid", "100"), ("archive", &archive), ("force", force)]);
        assert_eq!(drive(), "local-lvm:vm-100-cloudinit,media=cdrom");
        assert!(listed().contains("local-lvm:vm-100-cloudinit"), "{}", listed());
        calls.ok("POST", "/nodes/pve/qemu/100/status/start", &[]);
        assert_eq!(calls.get("/nodes/pve/qemu/100/status/current")["status"], "running");
        calls.ok("POST", "/nodes/pve/qemu/100/status/stop", &[]);
    }
    let params = [("vmid", "100"), ("archive", archive.as_str()), ("force", "1"), ("storage", "local")];
    calls.ok("POST", "/nodes/pve/qemu", &params);
    assert!(drive().starts_with("local:100/vm-100-cloudinit."), "{}", drive());
}

#[test]
fn only_root_exchanges_a_device_of_the_host_or_takes_it_away() {
    let root = Calls::new();
    root.ok(
        "POST",
        "/nodes/pve/qemu",
        &[("vmid", "100"), ("usb0", "host=1234:5678"), ("serial0", "/dev/ttyS0")],
    );
    let other = root.user("ops@pve", &[("/", "Administrator")]);
    for (name, value) in [("usb0", "spice"), ("serial0", "socket"), ("delete", "usb0"), ("delete", "serial0")]
    {
        let refused = other.refused("PUT", CONFIG, &[(name, value)]);
        assert!(refused.contains("only root can") && refused.contains("real devices"), "{refused}");
    }
    root.ok("PUT", CONFIG, &[("usb0", "spice"), ("delete", "serial0")]);
    other.ok("PUT", CONFIG, &[("delete", "usb0")]);
}
