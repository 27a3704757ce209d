//! Containers: their options and volumes.

use super::Api;

#[tokio::test]
async fn options_of_a_container_are_refused_as_its_update_does() {
    // PVE::API2::LXC::Config and PVE::LXC::Config, update_pct_config.
    let config = "/nodes/pve/lxc/200/config";
    let api = Api::start().await;
    api.expect(&[
        (
            "PUT",
            config,
            "revert=cores&cores=1",
            "revert: you can't use '-cores' and '-revert cores' at the same time",
        ),
        (
            "PUT",
            config,
            "delete=cores&cores=1",
            "delete: you can't use '-cores' and -delete cores' at the same time",
        ),
        (
            "PUT",
            config,
            "delete=cores&revert=cores",
            "delete: you can't use '-delete cores' and '-revert cores' at the same time",
        ),
        ("PUT", config, "delete=memory", "unable to delete required option 'memory'"),
        ("PUT", config, "delete=swap", "200"),
        ("PUT", config, "delete=unprivileged", "unable to delete read-only option: 'unprivileged'"),
        (
            "PUT",
            config,
            "net0=name=eth0,bridge=vmbr0,mtu=9000",
            "net0: MTU size '9000' is bigger than bridge MTU '1500'",
        ),
        ("PUT", config, "protection=1", "200"),
        ("PUT", config, "delete=mp0", "can't remove CT 200 drive 'mp0' - protection mode enabled"),
        (
            "PUT",
            config,
            "mp0=local-lvm:vm-200-disk-1,mp=/b",
            "can't update CT 200 drive 'mp0' - protection mode enabled",
        ),
        ("PUT", config, "protection=0&nameserver=1.1.1.1,8.8.8.8", "200"),
        (
            "PUT",
            "/nodes/pve/lxc/999/config",
            "delete=nope",
            "Configuration file 'nodes/pve/lxc/999.conf' does not exist",
        ),
    ])
    .await;
    let read = api.get(config).await;
    assert_eq!(read["nameserver"], "1.1.1.1 8.8.8.8");
    assert!(read["swap"].is_null());
}

#[tokio::test]
async fn volumes_of_a_container_are_moved_only_where_they_can_go() {
    // PVE::API2::LXC, move_volume and clone_vm.
    let path = "/nodes/pve/lxc/200/move_volume";
    Api::start()
        .await
        .expect(&[
            (
                "POST",
                path,
                "volume=mp0&storage=local&target-vmid=201",
                "either set storage or target-vmid, but not both",
            ),
            ("POST", path, "volume=rootfs&target-vmid=200", "Cannot move to/from 'rootfs'"),
            (
                "POST",
                path,
                "volume=unused0&target-vmid=200&target-volume=mp3",
                "Moving an unused volume to a used one is not possible",
            ),
            ("POST", path, "volume=mp0&target-vmid=999", "could not find CT 999"),
            (
                "POST",
                path,
                "volume=mp7&target-vmid=200&target-volume=mp3",
                "volume 'mp7' for container '200' does not exist",
            ),
            (
                "POST",
                path,
                "volume=mp0&target-vmid=200",
                "Target volume key 'mp0' is already in use for container '200'",
            ),
            ("POST", path, "volume=mp0&target-vmid=200&target-volume=mp3", "200"),
            (
                "POST",
                path,
                "volume=unused0&storage=local-lvm",
                "cannot move volume 'unused0', only configured volumes can be moved to another storage",
            ),
            (
                "POST",
                "/nodes/pve/lxc",
                "vmid=201&ostemplate=local:iso/x.iso",
                "unable to use volume local:iso/x.iso - content type needs to be 'vztmpl'",
            ),
            (
                "POST",
                "/nodes/pve/lxc",
                "vmid=201&ostemplate=local:vztmpl/debian-12.tar.zst&mp0=local-lvm:1,mp=/a",
                "mount points configured, but 'rootfs' not set - aborting",
            ),
        ])
        .await;
}
