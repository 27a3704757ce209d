//! Files and what is downloaded.

use serde_json::json;

use super::{changed, changed_insert};
use crate::provider::tests::World;
use crate::values::{int, text};

#[tokio::test]
async fn files_live() {
    let world = World::new("proxmox_virtual_environment_download_file");
    let config = json!({
        "node_name": "pve", "datastore_id": "local", "content_type": "import",
        "url": "https://images.example.test/d.qcow2"});
    let made = world.apply(None, config.clone()).await;
    assert_eq!((text(&made, "id"), int(&made, "size")), (Some("local:import/d.qcow2"), Some(4096)));
    let made = world.apply(Some(&made), changed_insert(config, "overwrite", json!(false))).await;
    world.destroy(&made).await;

    let world = World::new("proxmox_virtual_environment_file");
    let config = json!({
        "node_name": "pve", "datastore_id": "local", "content_type": "snippets",
        "source_raw": [{"data": "#cloud-config\n", "file_name": "u.yaml"}]});
    let made = world.apply(None, config.clone()).await;
    assert_eq!((text(&made, "id"), int(&made, "file_size")), (Some("local:snippets/u.yaml"), Some(14)));
    let updated =
        world.apply(Some(&made), changed(config, "/source_raw/0/data", json!("#!/bin/sh\necho\n"))).await;
    assert_eq!((text(&updated, "id"), int(&updated, "file_size")), (Some("local:snippets/u.yaml"), Some(15)));
    world.destroy(&updated).await;
}

#[tokio::test]
async fn a_file_whose_local_source_changed_is_uploaded_again() {
    let world = World::new("proxmox_virtual_environment_file");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.iso");
    std::fs::write(&path, "one").unwrap();
    let config = json!({"node_name": "pve", "datastore_id": "local", "source_file": [{"path": path}]});
    let made = world.apply(None, config.clone()).await;
    assert_eq!((text(&made, "id"), text(&made, "content_type")), (Some("local:iso/d.iso"), Some("iso")));
    std::fs::write(&path, "three").unwrap();
    let read = world.read(&made).await.unwrap();
    let updated = world.apply(Some(&read), config).await;
    assert_eq!(int(&updated, "file_size"), Some(5));
}
