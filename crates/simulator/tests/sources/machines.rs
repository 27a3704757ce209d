//! Virtual machines: their options, disks and power.

use super::Api;

#[tokio::test]
async fn options_of_a_machine_are_refused_as_its_update_does() {
    // PVE::API2::Qemu, $update_vm_api.
    let config = "/nodes/pve/qemu/100/config";
    Api::start()
        .await
        .expect(&[
            ("PUT", config, "revert=cores&cores=1", "delete: you can't use '-cores' and -revert cores' at the same time"),
            ("PUT", config, "delete=cores&cores=1", "delete: you can't use '-cores' and -delete cores' at the same time"),
            ("PUT", config, "delete=cores&revert=cores", "revert: you can't use '-delete cores' and -revert cores' at the same time"),
            ("PUT", config, "delete=", "no options specified"),
            ("PUT", config, "balloon=1024", "balloon value too large (must be smaller than assigned memory)"),
            ("PUT", config, "memory=256&balloon=512", "balloon value too large (must be smaller than assigned memory)"),
            ("PUT", config, "memory=512&balloon=512", "200"),
            // PVE::QemuServer::Machine, assert_valid_machine_property.
            ("PUT", config, "machine=pc,viommu=intel", "to use Intel vIOMMU please set the machine type to q35"),
            ("PUT", config, "machine=q35,viommu=intel,aw-bits=40", "Intel vIOMMU supports only 39 or 48 bits as address width"),
            ("PUT", config, "machine=q35,viommu=intel,aw-bits=48", "200"),
            // PVE::QemuServer, assert_clipboard_config.
            ("PUT", config, "vga=serial0,clipboard=vnc", "vga type serial0 is not compatible with VNC clipboard"),
            ("PUT", config, "vga=std,clipboard=vnc", "200"),
            ("PUT", config, "tpmstate0=local-lvm:1,version=v2.0", "200"),
            ("PUT", config, "tpmstate0=local-lvm:vm-100-disk-1,version=v1.2", "cannot change TPM state version after creation"),
            ("POST", config, "scsi1=local-lvm:1,format=qcow2&background_delay=5", "failed to update VM 100: unsupported format 'qcow2' at /usr/share/perl5/PVE/Storage/LvmThinPlugin.pm line 102."),
            ("PUT", "/nodes/pve/qemu/100/unlink", "idlist=nope", "delete: unknown option 'nope'"),
        ])
        .await;
}

#[tokio::test]
async fn processor_weights_stop_at_what_control_groups_take() {
    // PVE::CGroup, clamp_cpu_shares.
    let api = Api::start().await;
    api.expect(&[
        ("PUT", "/nodes/pve/qemu/100/config", "cpuunits=262144", "200"),
        ("PUT", "/nodes/pve/lxc/200/config", "cpuunits=20000", "200"),
    ])
    .await;
    assert_eq!(api.get("/nodes/pve/qemu/100/config").await["cpuunits"], 10_000);
    assert_eq!(api.get("/nodes/pve/lxc/200/config").await["cpuunits"], 10_000);
}

#[tokio::test]
async fn disks_go_to_another_machine_only_if_both_let_them() {
    // PVE::API2::Qemu, $load_and_check_reassign_configs and $load_and_check_move.
    let move_disk = "/nodes/pve/qemu/100/move_disk";
    let api = Api::start().await;
    api.expect(&[
        (
            "POST",
            move_disk,
            "disk=scsi0&target-vmid=100",
            "target-vmid: must be different than source VMID to reassign disk",
        ),
        ("POST", move_disk, "disk=scsi0&target-vmid=999", "could not find target VM 999"),
        ("POST", move_disk, "disk=scsi9&target-vmid=101", "Disk 'scsi9' for VM '100' does not exist"),
        ("POST", move_disk, "disk=scsi9&storage=nope", "disk 'scsi9' does not exist"),
        (
            "POST",
            move_disk,
            "disk=scsi0&storage=local-lvm",
            "you can't move to the same storage with same format",
        ),
        ("POST", move_disk, "disk=scsi0&storage=nope", "storage 'nope' does not exist"),
        ("PUT", "/nodes/pve/qemu/100/config", "ide2=none,media=cdrom", "200"),
        ("PUT", "/nodes/pve/qemu/100/resize", "disk=ide2&size=+1G", "task: unable to parse volume ID 'none'"),
        ("POST", move_disk, "disk=ide2&target-vmid=101", "CD drive contents can't be moved to another VM"),
        ("POST", "/nodes/pve/qemu/100/status/start", "", "200"),
        (
            "POST",
            move_disk,
            "disk=scsi0&target-vmid=101",
            "Cannot move disk to another VM while the source VM is running - detach first",
        ),
        ("POST", "/nodes/pve/qemu/100/status/stop", "", "200"),
        ("POST", "/nodes/pve/qemu/100/snapshot", "snapname=one", "200"),
        ("POST", move_disk, "disk=scsi0&target-vmid=101", "Can't move disk used by a snapshot to another VM"),
        ("DELETE", "/nodes/pve/qemu/100/snapshot/one", "", "200"),
        ("POST", move_disk, "disk=scsi0&target-vmid=101&target-disk=scsi3", "200"),
    ])
    .await;
    assert_eq!(api.get("/nodes/pve/qemu/101/config").await["scsi3"], "local-lvm:vm-101-disk-0,size=1G");
    assert_eq!(api.get("/nodes/pve/qemu/100/config").await["boot"], "order=net0;ide2");
}

#[tokio::test]
async fn machines_are_started_and_stopped_in_the_words_of_their_source() {
    // PVE::API2::Qemu (vm_shutdown, vm_reboot, vm_suspend, vm_resume) and PVE::QemuServer::Agent.
    let status = |what: &str| -> &'static str {
        Box::leak(format!("/nodes/pve/qemu/100/status/{what}").into_boxed_str())
    };
    let agent = "/nodes/pve/qemu/100/agent/ping";
    let api = Api::start().await;
    api.expect(&[
        ("POST", status("shutdown"), "", "200"),
        ("POST", status("reboot"), "", "VM 100 not running"),
        ("POST", agent, "", "No QEMU guest agent configured"),
        ("PUT", "/nodes/pve/qemu/100/config", "agent=0", "200"),
        ("POST", agent, "", "VM 100 is not running"),
        ("POST", status("start"), "", "200"),
        ("POST", agent, "", "QEMU guest agent is not running"),
        ("POST", status("suspend"), "", "200"),
        ("POST", status("shutdown"), "", "VM is paused - cannot shutdown"),
        ("POST", status("reboot"), "", "VM is paused - cannot shutdown"),
        ("POST", status("shutdown"), "forceStop=1", "200"),
        (
            "POST",
            "/nodes/pve/qemu/999/status/reset",
            "",
            "unable to find configuration file for VM 999 on node 'pve'",
        ),
        ("POST", status("stop"), "keepActive=1", "keepActive: Only root may use this option."),
    ])
    .await;
}

#[tokio::test]
async fn a_machine_that_is_suspended_to_disk_goes_on_at_its_next_start() {
    // PVE::QemuServer::RunState, vm_suspend: the state's size is twice the memory and 500 MiB.
    let api = Api::start().await;
    let current = "/nodes/pve/qemu/100";
    api.expect(&[
        ("PUT", "/nodes/pve/qemu/100/config", "memory=256", "200"),
        ("POST", "/nodes/pve/qemu/100/status/start", "", "200"),
        ("POST", "/nodes/pve/qemu/100/status/suspend", "todisk=1", "200"),
        ("PUT", "/nodes/pve/qemu/100/config", "cores=1", "VM is locked (suspended)"),
    ])
    .await;
    let config = api.get(&format!("{current}/config")).await;
    assert_eq!(config["lock"], "suspended");
    let volume = config["vmstate"].as_str().unwrap().to_owned();
    assert!(volume.starts_with("local-lvm:vm-100-state-suspend-"), "{volume}");
    let content = api.get("/nodes/pve/storage/local-lvm/content").await;
    let saved = content.as_array().unwrap().iter().find(|row| row["volid"] == volume.as_str()).unwrap();
    assert_eq!(saved["size"], (2 * 256 + 500) << 20);
    api.expect(&[("POST", "/nodes/pve/qemu/100/status/start", "", "200")]).await;
    let config = api.get(&format!("{current}/config")).await;
    assert!(config["lock"].is_null() && config["vmstate"].is_null(), "{config}");
}
