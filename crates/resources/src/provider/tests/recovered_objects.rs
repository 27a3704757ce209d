//! Files, images and plain objects after a crash: what proves that they are ours.

use pve_executor::ports::{Provider, Recovery};
use pve_model::event::Operation;
use serde_json::json;

use super::recovered::open_action;
use super::{Recorder, World};
use crate::values::changed;

#[tokio::test]
async fn a_file_whose_upload_broke_off_is_uploaded_again() {
    let world = World::new("proxmox_virtual_environment_file");
    let config = |data: &str| {
        world.config(json!({
            "node_name": "pve", "datastore_id": "local", "content_type": "snippets",
            "source_raw": [{"data": data, "file_name": "u.yaml"}]}))
    };
    let made = world.try_apply(None, Some(&config("one")), &Recorder::default()).await.unwrap().unwrap();
    let mut open = open_action(&world, &config("two"), &Recorder::default()).await;
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::NothingDone));
    open.intent.operation = Operation::Update;
    let Recovery::Exists(value) = world.provider.recover(&open, None, None).await.unwrap() else {
        panic!("it exists")
    };
    assert!(
        changed(&value, &world.plan(Some(&value), &config("two")).planned.unwrap()).contains("source_raw")
    );
    open.completed.push("upload".into());
    let Recovery::Exists(value) = world.provider.recover(&open, None, None).await.unwrap() else {
        panic!("it exists")
    };
    assert!(
        !changed(&value, &world.plan(Some(&value), &config("two")).planned.unwrap()).contains("source_raw")
    );
    world.destroy(&made).await;
}

#[tokio::test]
async fn a_plain_object_is_ours_by_a_step_or_by_its_values() {
    let (world, _server) = super::simulated::world("proxmox_virtual_environment_firewall_ipset").await;
    let entries = json!([{"name": "192.0.2.0/24"}, {"name": "198.51.100.1"}]);
    let config = world.config(json!({"name": "home", "comment": "c", "cidr": entries}));
    let mut open = open_action(&world, &config, &Recorder::default()).await;
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::NothingDone));
    let half = world.config(json!({"name": "home", "comment": "c", "cidr": [entries[0]]}));
    let made = world.try_apply(None, Some(&half), &Recorder::default()).await.unwrap();
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::Unclear(_)));
    open.completed.push("create".into());
    let Recovery::Exists(left) = world.provider.recover(&open, None, None).await.unwrap() else {
        panic!("it exists")
    };
    let names = changed(&left, &world.plan(Some(&left), &config).planned.unwrap());
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["cidr"], "the rest is still to be done");
    let planned = std::mem::replace(&mut open.intent.planned, json!("of another version"));
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::Unclear(_)));
    open.intent.planned = planned;
    open.completed.clear();
    world.try_apply(made.as_ref(), Some(&config), &Recorder::default()).await.unwrap();
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::Exists(_)));
}

#[tokio::test]
async fn an_image_that_cannot_be_proved_to_be_ours_stays_open() {
    let world = World::new("proxmox_virtual_environment_oci_image");
    let config = world.config(json!({
        "node_name": "pve", "datastore_id": "local", "reference": "docker.io/library/ubuntu:24.04"}));
    let mut open = open_action(&world, &config, &Recorder::default()).await;
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::NothingDone));
    world.double.0.lock().unwrap().volumes.insert("local:vztmpl/ubuntu_24.04.tar".into(), 1);
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::Unclear(_)));
    open.tasks.push(("pull".into(), "UPID:pve:00000001:00000002:00000003:ociregistrypull::root@pam:".into()));
    world.double.0.lock().unwrap().tasks_failed = true;
    assert!(
        matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::Unclear(_)),
        "its task failed"
    );
    world.double.0.lock().unwrap().tasks_failed = false;
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::Exists(_)));
}
