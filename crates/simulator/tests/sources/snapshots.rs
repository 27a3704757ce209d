//! Snapshots of guests.

use super::Api;

#[tokio::test]
async fn snapshots_bring_back_the_disks_and_keep_the_new_ones() {
    // PVE::AbstractConfig, snapshot_rollback and __snapshot_rollback_get_unused.
    let api = Api::start().await;
    api.expect(&[
        (
            "POST",
            "/nodes/pve/qemu/100/snapshot",
            "snapname=PENDING",
            "unable to use snapshot name 'pending' (reserved name)",
        ),
        (
            "POST",
            "/nodes/pve/lxc/200/snapshot",
            "snapname=vzdump",
            "unable to use snapshot name 'vzdump' (reserved name)",
        ),
        (
            "POST",
            "/nodes/pve/lxc/999/snapshot",
            "snapname=one",
            "task: Configuration file 'nodes/pve/lxc/999.conf' does not exist",
        ),
        (
            "POST",
            "/nodes/pve/qemu/999/snapshot/one/rollback",
            "",
            "task: Configuration file 'nodes/pve/qemu-server/999.conf' does not exist",
        ),
        ("PUT", "/nodes/pve/qemu/100/snapshot/nope/config", "", "200"),
        ("POST", "/nodes/pve/qemu/100/snapshot", "snapname=one", "200"),
        ("PUT", "/nodes/pve/qemu/100/config", "scsi1=local-lvm:2", "200"),
        ("POST", "/nodes/pve/qemu/100/snapshot/one/rollback", "start=1", "200"),
    ])
    .await;
    let config = api.get("/nodes/pve/qemu/100/config").await;
    assert_eq!(config["unused0"], "local-lvm:vm-100-disk-1");
    assert!(config["scsi1"].is_null());
    assert_eq!(api.get("/nodes/pve/qemu/100/status/current").await["status"], "running");
    // PVE::Storage::LvmThinPlugin: thin volumes can be cloned from a snapshot.
    let linked = ("POST", "/nodes/pve/qemu/100/clone", "newid=110&full=0&snapname=one", "200");
    api.expect(&[linked]).await;
}
