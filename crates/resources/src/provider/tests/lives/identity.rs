//! Guests whose id somebody else takes, or has taken.

use pve_executor::ports::{Provider, ReadRequest};
use serde_json::json;

use super::{CONTAINER, VM};
use crate::provider::tests::{Recorder, World};
use crate::values::int;

#[tokio::test]
async fn a_configured_id_that_is_taken_is_refused_and_the_guest_there_is_not_touched() {
    let world = World::new(VM);
    world.apply(None, json!({"node_name": "pve", "vm_id": 500, "name": "old"})).await;
    let config = world.config(json!({"node_name": "pve", "vm_id": 500, "name": "new"}));
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.hint.unwrap().contains("import it"));
    assert_eq!(error.left, None);
    assert_eq!(world.option(500, "name").as_deref(), Some("old"));
}

#[tokio::test]
async fn an_id_lost_to_somebody_else_is_replaced_by_the_next() {
    let world = World::new(VM);
    let config = world.config(json!({"node_name": "pve", "name": "mine"}));
    let mut request = world.request(None, Some(&config));
    request.claim = world.provider.claim(&request, crate::provider::tests::ACTION).await.unwrap();
    assert_eq!(request.claim.vmid, Some(100));
    World::apply(&world, None, json!({"node_name": "pve", "vm_id": 100, "name": "faster"})).await;
    let recorder = Recorder::default();
    let made = world.provider.apply(request, &recorder).await.unwrap().unwrap();
    assert_eq!(int(&made, "vm_id"), Some(101));
    assert_eq!(world.option(100, "name").as_deref(), Some("faster"));
    assert!(recorder.0.lock().unwrap().contains(&"done vmid 101".to_string()));
}

/// Between plan and apply somebody destroyed the guest and made another one with its VMID.
#[tokio::test]
async fn a_guest_with_the_same_vmid_and_another_name_is_not_touched() {
    let vm = json!({"node_name": "pve", "vm_id": 500, "name": "mine"});
    let container = json!({"node_name": "pve", "vm_id": 500, "initialization": [{"hostname": "mine"}],
                           "operating_system": [{"template_file_id": "local:vztmpl/x.tar.zst"}]});
    for (kind, name, json) in [(VM, "name", vm), (CONTAINER, "hostname", container)] {
        let world = World::new(kind);
        let made = world.apply(None, json.clone()).await;
        world
            .double
            .0
            .lock()
            .unwrap()
            .guests
            .get_mut(&500)
            .unwrap()
            .config
            .insert(name.into(), json!("theirs"));
        let mut changed = json;
        changed["description"] = json!("changed");
        let writes = world.double.0.lock().unwrap().writes();
        // Nothing of the other one is recorded, so that a second try meets the same.
        for config in [None, Some(world.config(changed))].iter().cycle().take(4) {
            let result = world.try_apply(Some(&made), config.as_ref(), &Recorder::default()).await;
            let error = result.unwrap_err();
            assert!(error.message.contains("it may be another guest"), "{}", error.message);
            assert_eq!((error.left, error.indeterminate), (None, false));
        }
        assert_eq!(world.double.0.lock().unwrap().writes(), writes, "{kind}");
    }
}

/// Somebody destroyed the guest and made another one with its VMID, before this plan.
#[tokio::test]
async fn a_guest_that_has_nothing_of_the_known_one_is_not_taken_for_it() {
    let vm = json!({"node_name": "pve", "vm_id": 500, "name": "mine", "network_device": [{}]});
    let container = json!({"node_name": "pve", "vm_id": 500, "initialization": [{"hostname": "mine"}],
                           "network_interface": [{"name": "veth0"}],
                           "operating_system": [{"template_file_id": "local:vztmpl/x.tar.zst"}]});
    for (kind, name, json) in [(VM, "name", vm), (CONTAINER, "hostname", container)] {
        let world = World::new(kind);
        let made = world.apply(None, json).await;
        let set = |option: &str, value: &str| {
            let mut double = world.double.0.lock().unwrap();
            double.guests.get_mut(&500).unwrap().config.insert(option.into(), json!(value))
        };
        let device = set("net0", "").unwrap();
        set("net0", device.as_str().unwrap());
        set(name, "theirs");
        assert!(world.read(&made).await.is_some(), "a renamed {kind} is the same");
        let other =
            if kind == VM { "virtio=BC:24:11:00:00:01" } else { "name=veth0,hwaddr=BC:24:11:00:00:01" };
        set("net0", other);
        let error = world.try_read(&made).await.unwrap_err();
        assert!(error.message.contains("is another one: it is named theirs"), "{}", error.message);
        set(name, "mine");
        // A container has nothing else that tells it from another one of its name.
        let same = world.try_read(&made).await;
        assert_eq!(same.is_ok(), kind == VM, "a VM with a new network device is the same");
    }
}

/// The guest was renamed and its network device changed, or destroyed and made again with the same name and id.
#[tokio::test]
async fn a_vm_is_known_by_its_uuid_whatever_its_name_and_devices_are() {
    let world = World::new(VM);
    let made = world
        .apply(None, json!({"node_name": "pve", "vm_id": 500, "name": "mine", "network_device": [{}]}))
        .await;
    let set = |option: &str, value: &str| {
        let mut double = world.double.0.lock().unwrap();
        double.guests.get_mut(&500).unwrap().config.insert(option.into(), json!(value));
    };
    let read = async |identity: &str| {
        let request = ReadRequest {
            address: world.address.clone(),
            provider: "proxmox".into(),
            prior: made.clone(),
            identity: Some(identity.into()),
        };
        world.provider.read(request).await
    };
    let known = world.provider.identity(&world.address).unwrap();
    assert!(known.starts_with("uuid=1,volumes="), "{known}");
    set("name", "renamed");
    set("net0", "virtio=BC:24:11:00:00:01");
    assert!(read(&known).await.unwrap().is_some());
    set("vmgenid", "restored");
    assert!(read("uuid=1,vmgenid=first").await.unwrap().is_some());
    set("name", "mine");
    set("smbios1", "uuid=2");
    set("meta", "creation-qemu=10.1.2,ctime=2");
    let error = read("uuid=1,vmgenid=first,ctime=1").await.unwrap_err();
    assert!(error.message.contains("it has another UUID"), "{}", error.message);
    let error = read("uuid=1,ctime=2").await.unwrap_err();
    assert!(error.message.contains("it has another UUID"), "made in the same second: {}", error.message);
    set("vmgenid", "0");
    let error = read("uuid=1,vmgenid=0").await.unwrap_err();
    assert!(error.message.contains("it has another UUID"), "both have no generation: {}", error.message);
    set("vmgenid", "first");
    assert!(read("uuid=1,vmgenid=first").await.unwrap().is_some(), "its UUID was set by hand");
    set("smbios1", "");
    set("vmgenid", "");
    assert!(read("uuid=1,ctime=2").await.unwrap().is_some());
    assert!(read("uuid=1,ctime=1").await.is_err(), "nothing else can be compared");
}
