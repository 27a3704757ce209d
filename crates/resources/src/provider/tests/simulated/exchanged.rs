//! Somebody puts another volume where one was planned to be taken out, moved or grown: it stays, and the plan is refused.

use std::sync::Mutex;

use async_trait::async_trait;
use pve_executor::ports::{Provider as _, ProviderError};
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::super::lives::{CONTAINER, VM};
use super::super::watched::{Watch, Watched};
use super::super::{Recorder, World};
use super::removals::apply_known;
use super::world;
use crate::cluster::{Api, ApiError, Method};

const VM_PATH: &str = "/nodes/pve/qemu/600/config";
const CONTAINER_PATH: &str = "/nodes/pve/lxc/600/config";

fn vm(disks: Json, more: Json) -> Json {
    let mut config = json!({"node_name": "pve", "vm_id": 600, "name": "v", "started": false, "disk": disks});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn disk(interface: &str) -> Json {
    json!({"interface": interface, "size": 1})
}

fn container(points: Json) -> Json {
    json!({
        "node_name": "pve", "vm_id": 600, "started": false, "mount_point": points,
        "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}],
        "disk": [{"datastore_id": "local-lvm", "size": 1}],
    })
}

pub(super) async fn put(api: &dyn Api, path: &str, params: &[(&str, &str)]) {
    let params: Vec<_> = params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    api.send(Method::Put, path, &params).await.unwrap();
}

pub(super) async fn options(api: &dyn Api, path: &str) -> Json {
    api.send(Method::Get, path, &[]).await.unwrap()
}

pub(super) fn volumes(options: &Json) -> Vec<(String, String)> {
    let volumes = options.as_object().unwrap().iter().filter_map(|(name, option)| {
        let option = option.as_str().filter(|option| option.contains("-600-disk-"))?;
        Some((name.clone(), option.split(',').next()?.to_string()))
    });
    volumes.collect()
}

/// Makes a guest, lets somebody exchange volumes, and applies the plan that was made before.
async fn refused_after(
    (kind, path): (&'static str, &str),
    (before, after): (&Json, &Json),
    by_hand: &[&[(&str, &str)]],
) -> ProviderError {
    let (world, _server) = world(kind).await;
    let made = world.apply(None, before.clone()).await;
    for params in by_hand {
        put(&*world.api, path, params).await;
    }
    let found = options(&*world.api, path).await;
    let error = apply_known(&world, &made, &world.config(after.clone()), &Recorder::default()).await;
    let error = error.expect_err(&format!("{by_hand:?} {after}"));
    assert_eq!(options(&*world.api, path).await, found, "{by_hand:?} {after}");
    assert!(error.left.is_none() && !error.indeterminate, "{}", error.message);
    // What is there is planned from then on, and done.
    let read = world.read(&made).await.unwrap();
    apply_known(&world, &read, &world.config(after.clone()), &Recorder::default()).await.unwrap();
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn another_disk_in_the_place_of_a_known_one_is_neither_destroyed_nor_changed() {
    let two = vm(json!([disk("scsi0"), disk("scsi1")]), json!({}));
    let exchanged: &[&[(&str, &str)]] = &[&[("delete", "scsi1")], &[("scsi1", "other:3")]];
    let mut grown = two.clone();
    grown["disk"][1]["size"] = json!(4);
    let mut moved = two.clone();
    moved["disk"][1]["datastore_id"] = json!("files");
    let mut renamed = two.clone();
    renamed["name"] = json!("other");
    for after in [vm(json!([disk("scsi0")]), json!({})), grown, moved, renamed] {
        let error = refused_after((VM, VM_PATH), (&two, &after), exchanged).await;
        assert_eq!(
            error.message,
            "vm 600 on pve: scsi1 has other:vm-600-disk-0 now, and had local-lvm:vm-600-disk-1 when this was planned"
        );
        assert!(error.hint.is_some_and(|hint| hint.contains("plan again")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_was_set_aside_by_hand_is_not_what_was_planned() {
    let two = vm(json!([disk("scsi0"), disk("scsi1")]), json!({}));
    let one = vm(json!([disk("scsi0")]), json!({}));
    let error = refused_after((VM, VM_PATH), (&two, &one), &[&[("delete", "scsi1")]]).await;
    assert!(
        error.message.ends_with("had local-lvm:vm-600-disk-1 when this was planned, which is unused0 now")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_small_drives_that_are_destroyed_are_those_that_were_planned() {
    for (block, slot, by_hand) in
        [("efi_disk", "efidisk0", "other:1,efitype=4m"), ("tpm_state", "tpmstate0", "other:1,version=v2.0")]
    {
        let mut before = vm(json!([disk("scsi0")]), json!({}));
        let after = before.clone();
        before[block] = json!([{}]);
        let exchanged: &[&[(&str, &str)]] = &[&[("delete", slot)], &[(slot, by_hand)]];
        let error = refused_after((VM, VM_PATH), (&before, &after), exchanged).await;
        assert!(error.message.contains(&format!("{slot} has other:vm-600-disk-0 now")), "{}", error.message);
    }
}

/// A disk whose removal broke off is known by its volume, not by its place among those that are set aside.
#[tokio::test(flavor = "multi_thread")]
async fn an_unused_volume_that_takes_the_place_of_a_known_one_is_not_destroyed() {
    let (world, _server) = world(VM).await;
    let one = vm(json!([disk("scsi0")]), json!({}));
    let made = world.apply(None, vm(json!([disk("scsi0"), disk("scsi1")]), json!({}))).await;
    put(&*world.api, VM_PATH, &[("delete", "scsi1")]).await;
    let known: Vec<Value> = crate::values::all_blocks(&made, "disk").to_vec();
    let aside = crate::values::with(&known[1], "interface", Value::string("unused0"));
    let known = crate::values::with_elements(&made, "disk", vec![known[0].clone(), aside]);
    let read = world.read(&known).await.unwrap();
    for params in [("delete", "unused0"), ("scsi6", "other:3"), ("delete", "scsi6")] {
        put(&*world.api, VM_PATH, &[params]).await;
    }
    let config = world.config(one);
    let error = apply_known(&world, &read, &config, &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("unused0 has other:vm-600-disk-0 now"), "{}", error.message);
    assert_eq!(volumes(&options(&*world.api, VM_PATH).await).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_volume_at_the_path_of_a_known_mount_point_stays() {
    let point = |path: &str, volume: &str| json!({"path": path, "volume": volume, "size": "1G"});
    let two = container(json!([point("/a", "local-lvm"), point("/b", "local-lvm")]));
    let one = container(json!([point("/a", "local-lvm")]));
    let moved = container(json!([point("/a", "local-lvm"), point("/b", "other")]));
    let exchanged: &[&[(&str, &str)]] = &[&[("delete", "mp1")], &[("mp1", "other:1,mp=/b")]];
    for after in [one, moved] {
        let error = refused_after((CONTAINER, CONTAINER_PATH), (&two, &after), exchanged).await;
        let told = "the mount point /b has other:vm-600-disk-0 now, and had local-lvm:vm-600-disk-2";
        assert!(error.message.contains(told), "{}", error.message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_with_another_volume_than_it_had_is_destroyed_only_once_that_is_planned() {
    let point = json!([{"path": "/a", "volume": "local-lvm", "size": "1G"}]);
    for (kind, path, config, by_hand) in [
        (VM, VM_PATH, vm(json!([disk("scsi0")]), json!({})), [("delete", "scsi0"), ("scsi0", "other:3")]),
        (CONTAINER, CONTAINER_PATH, container(point), [("delete", "mp0"), ("mp0", "other:1,mp=/a")]),
    ] {
        let (world, _server) = world(kind).await;
        let made = world.apply(None, config).await;
        for params in by_hand {
            put(&*world.api, path, &[params]).await;
        }
        let found = options(&*world.api, path).await;
        let error = world.try_apply(Some(&made), None, &Recorder::default()).await.unwrap_err();
        assert!(error.message.contains("has other:vm-600-disk-0 now, and had"), "{}", error.message);
        assert!(error.left.is_none(), "{kind}: the next plan tells it");
        assert_eq!(options(&*world.api, path).await, found);
        let read = world.read(&made).await.unwrap();
        world.destroy(&read).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_puts_where_a_volume_was_planned_to_be_made_is_taken_in_only_once_that_is_planned() {
    let one = vm(json!([disk("scsi0")]), json!({}));
    let point = json!([{"path": "/a", "volume": "local-lvm", "size": "1G"}]);
    for (kind, path, before, after, by_hand) in [
        (VM, VM_PATH, &one, vm(json!([disk("scsi0"), disk("scsi1")]), json!({})), ("scsi1", "local-lvm:1")),
        (
            VM,
            VM_PATH,
            &one,
            vm(json!([disk("scsi0")]), json!({"tpm_state": [{}]})),
            ("tpmstate0", "local-lvm:1,version=v2.0"),
        ),
        (
            VM,
            VM_PATH,
            &one,
            vm(json!([disk("scsi0")]), json!({"efi_disk": [{}]})),
            ("efidisk0", "local-lvm:1,efitype=4m"),
        ),
        (CONTAINER, CONTAINER_PATH, &container(json!([])), container(point), ("mp0", "local-lvm:1,mp=/a")),
    ] {
        let error = refused_after((kind, path), (before, &after), &[&[by_hand]]).await;
        let told =
            format!("{} has local-lvm:vm-600-disk-1 now, and had nothing when this was planned", by_hand.0);
        assert!(error.message.ends_with(&told), "{}", error.message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_nobody_knew_of_is_not_destroyed_with_its_guest() {
    for (kind, path, config, by_hand) in [
        (VM, VM_PATH, vm(json!([disk("scsi0")]), json!({})), ("scsi5", "other:3")),
        (CONTAINER, CONTAINER_PATH, container(json!([])), ("mp3", "other:1,mp=/b")),
    ] {
        let (world, _server) = world(kind).await;
        let made = world.apply(None, config).await;
        let delete = || async {
            let mut request = world.request(Some(&made), None);
            request.identity = world.provider.identity(&world.address);
            world.provider.apply(request, &Recorder::default()).await
        };
        put(&*world.api, path, &[by_hand]).await;
        let found = options(&*world.api, path).await;
        let error = delete().await.unwrap_err();
        let told =
            format!("{} has other:vm-600-disk-0 now, and had nothing when this was planned", by_hand.0);
        assert!(error.message.ends_with(&told) && error.left.is_none(), "{}", error.message);
        assert_eq!(options(&*world.api, path).await, found);
        world.read(&made).await.unwrap();
        assert_eq!(delete().await.unwrap(), None);
    }
}

/// Exchanges a disk just before it is moved.
struct Exchanging {
    request: Mutex<Option<(&'static str, &'static str, &'static str)>>,
}

#[async_trait]
impl Watch for Exchanging {
    async fn before(
        &self,
        cluster: &dyn Api,
        _: Method,
        path: &str,
        _: &[(String, String)],
    ) -> Result<(), ApiError> {
        if path.ends_with("/move_disk") || path.ends_with("/move_volume") {
            let request = self.request.lock().unwrap().take();
            if let Some((path, slot, volume)) = request {
                put(cluster, path, &[(slot, volume)]).await;
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_exchanged_between_the_look_and_the_move_is_not_moved() {
    let mut vm_moved = vm(json!([disk("scsi0")]), json!({}));
    vm_moved["disk"][0]["datastore_id"] = json!("files");
    let point = |volume: &str| container(json!([{"path": "/a", "volume": volume, "size": "1G"}]));
    for (kind, before, after, request) in [
        (VM, vm(json!([disk("scsi0")]), json!({})), vm_moved, (VM_PATH, "scsi0", "other:3")),
        (CONTAINER, point("local-lvm"), point("other"), (CONTAINER_PATH, "mp0", "local-lvm:2,mp=/a")),
    ] {
        let (plain, _server) = world(kind).await;
        let api = Watched::over(&plain.api, Exchanging { request: Mutex::new(None) });
        let world = World::over(kind, api.clone());
        let made = world.apply(None, before).await;
        *api.request.lock().unwrap() = Some(request);
        let config = world.config(after);
        let error = apply_known(&world, &made, &config, &Recorder::default()).await.unwrap_err();
        assert_eq!(
            error.hint.as_deref(),
            Some("somebody changed it in the meantime: plan again"),
            "{error:?}"
        );
    }
}
