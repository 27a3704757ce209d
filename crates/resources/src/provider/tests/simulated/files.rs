//! Downloads and lists of files against the simulator.

use pve_executor::ports::Provider;
use serde_json::json;

use super::super::Recorder;
use super::turns::step;
use super::world;
use crate::cluster::Method;
use crate::values::{all_blocks, int, same, text};

const URL: &str = "https://images.example.test/debian.qcow2";

#[tokio::test]
async fn a_download_with_a_checksum_is_kept_imported_and_replaced_when_it_was_exchanged() {
    let kind = "proxmox_virtual_environment_download_file";
    let (world, server) = world(kind).await;
    server.simulator().register_url(URL, b"an image");
    let sum = "4ad5a4ac8d0a2ea4c1bc1c1aa3d3a3a9a6b1f1ab"; // of something else
    let config = |extra: serde_json::Value| {
        let mut json =
            json!({"node_name": "pve", "datastore_id": "local", "content_type": "import", "url": URL});
        json.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json
    };
    let wrong = world.config(config(json!({"checksum": sum, "checksum_algorithm": "sha1"})));
    let error = world.try_apply(None, Some(&wrong), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("checksum"), "{}", error.message);
    let made = step(&world, None, &config(json!({}))).await.unwrap();
    assert_eq!((text(&made, "id"), int(&made, "size")), (Some("local:import/debian.qcow2"), Some(8)));

    let imported =
        world.provider.import(&world.address, "proxmox", "pve/local:import/debian.qcow2").await.unwrap();
    let planned = world.plan(Some(&imported), &world.config(config(json!({}))));
    assert!(planned.replace.is_empty() && same(&imported, &planned.planned.unwrap()));

    server.simulator().add_file("local:import/debian.qcow2", b"something else altogether");
    let read = world.read(&made).await.unwrap();
    let planned = world.plan(Some(&read), &world.config(config(json!({}))));
    assert!(planned.replace[0].reason.contains("another size"), "{:?}", planned.replace);
    let kept = step(&world, Some(&made), &config(json!({"overwrite": false}))).await;
    assert!(kept.unwrap_err().contains("size"), "what is there is shown, and is not replaced");
}

#[tokio::test]
async fn files_of_a_datastore_are_listed_by_content_and_name() {
    let (world, _server) = world("proxmox_virtual_environment_download_file").await;
    let kind = "proxmox_files";
    let ty = world.provider.registry.data_kind(kind).unwrap().block().implied_type();
    let list = async |extra: serde_json::Value| -> Vec<String> {
        let mut json = json!({"node_name": "pve", "datastore_id": "local"});
        json.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let config = pve_model::codec::decode(&json, &ty).unwrap();
        let read = world.provider.read_data(kind, "proxmox", config).await.unwrap();
        all_blocks(&read, "files").iter().filter_map(|file| text(file, "id")).map(str::to_string).collect()
    };
    assert_eq!(list(json!({"content_type": "iso"})).await, ["local:iso/a.iso", "local:iso/b.iso"]);
    assert_eq!(
        list(json!({"file_name_regex": "^b\\."})).await,
        ["local:iso/b.iso", "local:snippets/b.sh", "local:snippets/b.yaml"]
    );
    let all = world.api.send(Method::Get, "/nodes/pve/storage/local/content", &[]).await.unwrap();
    assert_eq!(list(json!({})).await.len(), all.as_array().unwrap().len());
}

#[tokio::test]
async fn a_file_whose_storage_went_is_gone() {
    let (world, _server) = world("proxmox_virtual_environment_file").await;
    let storage = [("storage", "gone"), ("type", "dir"), ("path", "/srv/gone"), ("content", "iso,snippets")];
    let storage = storage.map(|(name, text)| (name.to_string(), text.to_string()));
    world.api.send(Method::Post, "/storage", &storage).await.unwrap();
    let made = world
        .apply(
            None,
            json!({"node_name": "pve", "datastore_id": "gone", "content_type": "iso",
                   "source_raw": [{"data": "x", "file_name": "x.iso"}]}),
        )
        .await;
    world.api.send(Method::Delete, "/storage/gone", &[]).await.unwrap();
    assert_eq!(world.try_read(&made).await.unwrap(), None);
    assert_eq!(world.try_apply(Some(&made), None, &Recorder::default()).await.unwrap(), None);
}
