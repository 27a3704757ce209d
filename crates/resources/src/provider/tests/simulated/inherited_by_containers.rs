//! Clones of containers that have everything, as those of VMs: whatever part a configuration names, at once or later.

use serde_json::{Value as Json, json};

use super::super::lives::CONTAINER;
use super::inherited::{quiet, take_part, template};
use super::turns::step;
use super::world;
use crate::cluster::Method;

#[tokio::test(flavor = "multi_thread")]
async fn a_container() {
    let (world, _server) = world(CONTAINER).await;
    let options = "ostemplate=local:vztmpl/t.tar.zst rootfs=local-lvm:4 mp0=local-lvm:1,mp=/srv,backup=1 hostname=tpl \
        cores=2 cpulimit=1 cpuunits=200 memory=1024 swap=256 net0=name=eth0,bridge=vmbr0,ip=dhcp,tag=5 \
        net1=name=eth1,bridge=vmbr1,ip=192.0.2.7/24 features=nesting=1 tags=tpl description=template \
        startup=order=3,up=10 onboot=1 nameserver=192.0.2.1 searchdomain=example.net tty=1 cmode=shell unprivileged=1 \
        dev0=path=/dev/null,mode=0600 hookscript=local:snippets/a.sh";
    template(&world, "lxc", 9100, options).await;
    let parts = vec![
        json!({}),
        json!({"memory": [{}]}),
        json!({"memory": [{"dedicated": 512, "swap": 0}]}),
        json!({"cpu": [{}]}),
        json!({"cpu": [{"cores": 1}]}),
        json!({"console": [{}]}),
        json!({"console": [{"type": "shell"}]}),
        json!({"features": [{"keyctl": true}]}),
        json!({"features": [{"nesting": true}]}),
        json!({"startup": [{"order": 3}]}),
        json!({"startup": [{}]}),
        json!({"device_passthrough": [{"path": "/dev/zero"}]}),
        json!({"disk": [{"size": 4}]}),
        json!({"disk": [{"size": 6, "datastore_id": "other"}]}),
        json!({"disk": [{"size": 4, "datastore_id": "local-lvm", "acl": true}]}),
        json!({"mount_point": [{"path": "/srv", "volume": "local-lvm", "size": "1G"}]}),
        json!({"mount_point": [{"path": "/srv", "volume": "other", "size": "2G", "backup": true}]}),
        json!({"mount_point": [{"path": "/data", "volume": "local-lvm", "size": "1G"}]}),
        json!({"network_interface": [{"name": "eth0"}]}),
        json!({"network_interface": [{"name": "eth0", "bridge": "vmbr1"}, {"name": "eth1"}]}),
        json!({"network_interface": [{"name": "eth1"}]}),
        json!({"network_interface": [{"name": "eth0"}, {"name": "eth1"}, {"name": "eth2"}]}),
        json!({"initialization": [{"hostname": "c"}]}),
        json!({"initialization": [{"dns": [{"servers": ["192.0.2.9"]}]}]}),
        json!({"initialization": [{"hostname": "c", "ip_config": [{"ipv4": [{"address": "192.0.2.8/24"}]}]}]}),
        json!({"network_interface": [{"name": "eth0"}],
               "initialization": [{"hostname": "c", "ip_config": [{"ipv4": [{"address": "192.0.2.8/24"}]}]}]}),
        json!({"operating_system": [{"type": "debian"}]}),
        json!({"description": "d", "tags": ["b", "a"]}),
        json!({"hook_script_file_id": "local:snippets/b.sh"}),
        json!({"start_on_boot": false, "pool_id": "one", "unprivileged": true}),
    ];
    let mut faults = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let base = json!({"node_name": "pve", "started": false, "clone": [{"vm_id": 9100}]});
        faults.extend(take_part(&world, &base, 3001 + u32::try_from(index).unwrap(), part).await);
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_container_has_the_environment_that_is_written_for_it() {
    let (world, _server) = world(CONTAINER).await;
    template(&world, "lxc", 900, "ostemplate=local:vztmpl/t.tar.zst rootfs=local-lvm:1 hostname=t").await;
    let bare = json!({"node_name": "pve", "vm_id": 601, "started": false, "clone": [{"vm_id": 900}]});
    let mut full = bare.clone();
    full["environment_variables"] = json!({"A": "1"});
    let made = quiet(&world, None, &full).await.unwrap();
    let written =
        async || world.api.send(Method::Get, "/nodes/pve/lxc/601/config", &[]).await.unwrap()["env"].clone();
    assert_eq!(written().await, "A=1");
    let without = quiet(&world, Some(&made), &bare).await.unwrap();
    assert_eq!(written().await, Json::Null);
    quiet(&world, Some(&without), &full).await.unwrap();
    assert_eq!(written().await, "A=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_container_has_the_architecture_of_its_template_or_at_once_the_one_that_is_written() {
    let (world, _server) = world(CONTAINER).await;
    let options = "ostemplate=local:vztmpl/t.tar.zst arch=arm64 rootfs=local-lvm:1 hostname=t";
    template(&world, "lxc", 900, options).await;
    for (vmid, cpu, architecture) in
        [(601, json!({"cores": 2}), "arm64"), (602, json!({"architecture": "armhf"}), "armhf")]
    {
        let config = json!({"node_name": "pve", "vm_id": vmid, "started": false,
                            "clone": [{"vm_id": 900}], "cpu": [cpu]});
        step(&world, None, &config).await.unwrap();
        let path = format!("/nodes/pve/lxc/{vmid}/config");
        assert_eq!(world.api.send(Method::Get, &path, &[]).await.unwrap()["arch"], architecture);
        // A block that comes later says as much.
        let mut bare = config.clone();
        (bare["vm_id"], bare["cpu"]) = (json!(vmid + 10), json!([]));
        let made = step(&world, None, &bare).await.unwrap();
        bare["cpu"] = config["cpu"].clone();
        step(&world, Some(&made), &bare).await.unwrap();
        let path = format!("/nodes/pve/lxc/{}/config", vmid + 10);
        assert_eq!(world.api.send(Method::Get, &path, &[]).await.unwrap()["arch"], architecture);
    }
}
