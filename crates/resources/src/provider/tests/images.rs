//! Images from registries are pulled, found again, imported and deleted.

use pve_executor::ports::Provider;
use serde_json::json;

use super::{Recorder, World};
use crate::values::{int, same, text};

#[tokio::test]
async fn an_image_is_pulled_under_the_name_of_its_reference() {
    let kind = "proxmox_oci_image";
    let world = World::new(kind);
    let config =
        json!({"node_name": "pve", "datastore_id": "local", "reference": "docker.io/library/ubuntu:24.04"});
    let made = world.apply(None, config.clone()).await;
    assert_eq!((text(&made, "id"), int(&made, "size")), (Some("local:vztmpl/ubuntu_24.04.tar"), Some(4096)));
    let imported =
        world.provider.import(&world.address, "proxmox", "pve/local:vztmpl/ubuntu_24.04.tar").await.unwrap();
    let planned = world.plan(Some(&imported), &world.config(config.clone()));
    assert!(planned.replace.is_empty() && same(&imported, &planned.planned.unwrap()));
    let mut other = config.clone();
    other["reference"] = json!("docker.io/library/ubuntu:25.10");
    let replaced = world.plan(Some(&made), &world.config(other)).replace;
    assert_eq!(replaced[0].reason, "another image has to be pulled");
    let again = world.try_apply(None, Some(&world.config(config)), &Recorder::default()).await.unwrap_err();
    assert!(again.message.contains("is there already"), "{}", again.message);
    world.destroy(&made).await;
}

#[test]
fn references_and_names_are_checked() {
    let world = World::new("proxmox_oci_image");
    let problems = |reference: &str, name: &str| {
        let json =
            json!({"node_name": "pve", "datastore_id": "local", "reference": reference, "file_name": name});
        world.rules().validate(&world.config(json)).len()
    };
    assert_eq!(problems("ubuntu:24.04", "u.tar"), 0);
    assert_eq!(problems("registry.example.test:5000/ubuntu", "u.tar.gz"), 2);
}
