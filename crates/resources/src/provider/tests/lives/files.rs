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

#[tokio::test]
async fn a_local_source_that_is_not_there_and_a_name_that_the_api_refuses_are_told_before_apply() {
    let world = World::new("proxmox_virtual_environment_file");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("d.iso"), "one").unwrap();
    std::fs::write(folder.path().join("d.txt"), "one").unwrap();
    let told = |content: &str, source: serde_json::Value| -> Vec<(String, bool)> {
        let config = json!({"node_name": "pve", "datastore_id": "local", "content_type": content, "source_file": [source]});
        let problems = world.rules().validate(&world.config(config));
        problems.into_iter().map(|problem| (problem.path.to_string(), problem.warning)).collect()
    };
    let at = |name: &str| folder.path().join(name);
    assert_eq!(told("iso", json!({"path": at("d.iso")})), []);
    assert_eq!(told("iso", json!({"path": "https://images.example.test/d.ISO"})), []);
    assert_eq!(told("snippets", json!({"path": at("d.txt")})), []);
    assert_eq!(told("iso", json!({"path": at("e.iso")})), [("source_file[0].path".to_string(), true)]);
    assert_eq!(told("iso", json!({"path": at("d.txt")})), [("source_file[0].path".to_string(), true)]);
    assert_eq!(
        told("vztmpl", json!({"path": at("d.iso"), "file_name": "d.tgz"})),
        [("source_file[0].file_name".to_string(), true)]
    );
}
