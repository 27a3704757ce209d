//! Containers.

use pve_executor::ports::Provider;
use serde_json::{Value as Json, json};

use super::{CONTAINER, changed, full_container};
use crate::provider::tests::World;

#[tokio::test]
async fn a_container_lives() {
    let world = World::new(CONTAINER);
    let config = full_container();
    let made = world.apply(None, config.clone()).await;
    assert_eq!(world.option(610, "description").as_deref(), Some("first\n"));
    let mut next = changed(config, "/memory/0/dedicated", json!(512));
    next = changed(next, "/disk/0/size", json!(8));
    next = changed(next, "/network_interface/0/vlan_id", json!(31));
    next = changed(next, "/features", json!([]));
    next = changed(next, "/initialization/0/user_account/0/password", json!("another"));
    let next = changed(next, "/mount_point/0/size", json!("6G"));
    let updated = world.apply(Some(&made), next).await;
    assert!(world.option(610, "rootfs").unwrap().ends_with("size=8G"));
    assert!(world.option(610, "mp0").unwrap().ends_with("size=6G"));
    assert!(world.option(610, "net0").unwrap().contains("tag=31"));
    assert_eq!(world.option(610, "features"), None);
    world.destroy(&updated).await;
}

#[tokio::test]
async fn an_imported_container_plans_no_replacement() {
    let world = World::new(CONTAINER);
    world.apply(None, full_container()).await;
    let imported = world.provider.import(&world.address, "proxmox", "pve/610").await.unwrap();
    let response = world.plan(Some(&imported), &world.config(full_container()));
    assert_eq!(response.replace, vec![]);
    let names = crate::values::changed(&imported, &response.planned.unwrap());
    // A password and keys cannot be read.
    let expected = ["initialization"];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_map_of_ids_is_written_and_a_running_container_starts_with_it() {
    let world = World::new(CONTAINER);
    let config = |maps: Json| {
        json!({"node_name": "pve", "vm_id": 500, "idmap": maps, "unprivileged": true,
               "operating_system": [{"template_file_id": "local:vztmpl/x.tar.zst"}]})
    };
    let map =
        |kind: &str, size: u32| json!({"type": kind, "container_id": 0, "host_id": 100000, "size": size});
    let lines = |world: &World| world.double.0.lock().unwrap().guests[&500].config.get("lxc").cloned();
    let made = world.apply(None, config(json!([map("uid", 9), map("gid", 9)]))).await;
    assert_eq!(lines(&world), Some(json!([["lxc.idmap", "u 0 100000 9"], ["lxc.idmap", "g 0 100000 9"]])));
    world.double.0.lock().unwrap().requests.clear();
    let made = world.apply(Some(&made), config(json!([map("uid", 7)]))).await;
    assert_eq!(lines(&world), Some(json!([["lxc.idmap", "u 0 100000 7"]])));
    let requests = world.double.0.lock().unwrap().requests.clone();
    let power = requests.iter().filter(|request| request.contains("/status/") && request.starts_with("Post"));
    let power: Vec<&str> = power.filter_map(|request| request.rsplit('/').next()).collect();
    assert_eq!(power, ["shutdown", "start"]);
    world.apply(Some(&made), config(json!([]))).await;
    assert_eq!(lines(&world), None);
}
