//! A change that takes parts of a guest out breaks off: the next run takes out what is left of them.

use std::time::Duration;

use pve_executor::ports::{Provider, ProviderError, Recovery};
use pve_model::Value;
use pve_model::event::Operation;
use pve_simulator::Options;
use serde_json::{Value as Json, json};

use super::super::lives::{CONTAINER, VM};
use super::super::recovered::open_action;
use super::super::watched::Watched;
use super::super::{ACTION, Recorder, World};
use super::refused::Refusing;
use super::{world, world_with};
use crate::cluster::Method;
use crate::values::{same, text};

fn disk(interface: &str) -> Json {
    json!({"interface": interface, "size": 1})
}

fn vm(parts: Json) -> Json {
    let mut config = json!({"node_name": "pve", "vm_id": 600, "name": "v", "started": false,
                            "disk": [disk("scsi0")], "network_device": [{"bridge": "vmbr0"}]});
    config.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
    config
}

fn extras() -> Json {
    json!({
        "disk": [disk("scsi0"), disk("scsi1")], "description": "dd",
        "cpu": [{"cores": 3}], "cdrom": [{"interface": "ide3", "file_id": "none"}],
        "network_device": [{"bridge": "vmbr0"}, {"bridge": "vmbr1"}],
    })
}

/// What a run knows of the object whose change broke off: by the error, or by what the next run finds.
pub(super) async fn known_after(
    world: &World,
    prior: &Value,
    config: &Value,
    recorder: &Recorder,
    left: Option<Value>,
    crash: Option<Option<String>>,
) -> Value {
    // What a crash leaves of what is known beside the values.
    let Some(identity) = crash else { return left.unwrap_or_else(|| prior.clone()) };
    let mut open = open_action(world, config, recorder).await;
    let planned = world.request(Some(prior), Some(config)).planned.unwrap();
    open.intent.operation = Operation::Update;
    open.intent.planned = pve_model::codec::encode(&planned, &planned.ty());
    match world.provider.recover(&open, identity.as_deref(), Some(prior)).await.unwrap() {
        Recovery::Exists(value) => value,
        other => panic!("{other:?}"),
    }
}

/// Changes a guest that is known by what it was when it was seen last.
pub(super) async fn apply_known(
    world: &World,
    prior: &Value,
    config: &Value,
    recorder: &Recorder,
) -> Result<Option<Value>, ProviderError> {
    let mut request = world.request(Some(prior), Some(config));
    request.claim = world.provider.claim(&request, ACTION).await.unwrap();
    request.identity = world.provider.identity(&world.address);
    world.provider.apply(request, recorder).await
}

/// Breaks the change off at each of its requests in turn, and lets the next run finish it. Every time the guest becomes
/// what it becomes undisturbed, and nothing is left to plan. Returns what it is then.
pub(super) async fn break_off_in_turn(
    kind: &'static str,
    api_kind: &str,
    with: &Json,
    without: &Json,
    prepare: Option<&Json>,
) -> Json {
    let mut undisturbed = None;
    for (is_crash, is_lost) in [(false, false), (true, false), (true, true)] {
        for at in (1..).map(|at| (at > 1).then_some(at - 1)) {
            let options = Options {
                other_nodes: vec!["pve2".into()],
                status_cycle: Duration::ZERO,
                ..Options::default()
            };
            let (plain, _server) = world_with(kind, options).await;
            if let Some(template) = prepare {
                let config = plain.config(template.clone());
                plain.try_apply(None, Some(&config), &Recorder::default()).await.unwrap();
            }
            let api = Watched::over(&plain.api, Refusing::default());
            let world = World::over(kind, api.clone());
            let made = world.config(with.clone());
            let made = world.try_apply(None, Some(&made), &Recorder::default()).await.unwrap().unwrap();
            let config = world.config(without.clone());
            let recorder = Recorder::default();
            match is_lost {
                true => api.lose_from_now(at),
                false => api.refuse_from_now(at),
            }
            let identity = world.provider.identity(&world.address);
            let done = apply_known(&world, &made, &config, &recorder).await;
            let was_refused = api.is_past();
            if let Err(error) = done {
                let crash = is_crash.then_some(identity);
                let known = known_after(&world, &made, &config, &recorder, error.left, crash).await;
                let read = world.read(&known).await.unwrap();
                // Nothing is applied where nothing is planned.
                if !same(&read, &world.plan(Some(&read), &config).planned.unwrap()) {
                    let done = apply_known(&world, &read, &config, &Recorder::default()).await;
                    let done = done.unwrap_or_else(|error| panic!("request {at:?}: {}", error.message));
                    world.assert_settled(&done.unwrap(), &config).await;
                }
            } else if at.is_some() && !was_refused {
                break;
            }
            let now = present(&plain, api_kind, &config).await;
            let expected = undisturbed.get_or_insert_with(|| now.clone());
            assert_eq!(&now, expected, "request {at:?}, crash {is_crash}, lost {is_lost}");
        }
    }
    undisturbed.unwrap()
}

/// What the cluster has of the guest, but for what it draws anew each time.
pub(super) async fn present(world: &World, api_kind: &str, config: &Value) -> Json {
    let path = format!("/nodes/{}/{api_kind}/600", text(config, "node_name").unwrap());
    let get = async |path: String| world.api.send(Method::Get, &path, &[]).await.unwrap();
    let mut now = get(format!("{path}/config")).await;
    let options = now.as_object_mut().unwrap();
    options.retain(|name, _| !["digest", "smbios1", "vmgenid", "meta"].contains(&name.as_str()));
    for (_, option) in options.iter_mut().filter(|(name, _)| name.starts_with("net")) {
        let is_address = |text: &str| text.len() == 17 && text.matches(':').count() == 5;
        let parts = option.as_str().unwrap().split(',');
        let parts = parts.map(|part| match part.split_once('=') {
            Some((key, text)) if is_address(text) => key,
            _ => part,
        });
        *option = parts.collect::<Vec<_>>().join(",").into();
    }
    let listed = get("/cluster/resources".into()).await;
    let listed = listed.as_array().unwrap().iter().find(|guest| guest["vmid"] == 600).cloned();
    let status = get(format!("{path}/status/current")).await["status"].clone();
    json!({"options": now, "status": status, "pool": listed.unwrap()["pool"]})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_vm_was_to_lose_is_lost_whatever_request_was_refused() {
    break_off_in_turn(VM, "qemu", &vm(extras()), &vm(json!({})), None).await;
}

/// No value tells the volumes of these, and a running VM holds on to them until it restarts.
#[tokio::test(flavor = "multi_thread")]
async fn the_small_drives_of_a_vm_are_destroyed_whatever_request_was_refused() {
    let small = json!({"efi_disk": [{"type": "4m"}], "tpm_state": [{"version": "v2.0"}]});
    for started in [false, true] {
        let (mut with, mut without) = (vm(small.clone()), vm(json!({})));
        (with["started"], without["started"]) = (json!(started), json!(started));
        break_off_in_turn(VM, "qemu", &with, &without, None).await;
    }
}

/// A running VM holds on to such a disk until it restarts.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_leaves_with_a_reboot_is_destroyed_whatever_request_was_refused() {
    let of = |disks: Json| vm(json!({"started": true, "disk": disks}));
    let (with, without) = (of(json!([disk("scsi0"), disk("sata1")])), of(json!([disk("scsi0")])));
    break_off_in_turn(VM, "qemu", &with, &without, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_clone_was_to_lose_is_lost_whatever_request_was_refused() {
    let mut template = vm(json!({"vm_id": 9000, "name": "tpl", "template": true}));
    template.as_object_mut().unwrap().remove("network_device");
    let clone = json!([{"vm_id": 9000}]);
    let (mut with, mut without) = (vm(extras()), vm(json!({})));
    (with["clone"], without["clone"]) = (clone.clone(), clone);
    break_off_in_turn(VM, "qemu", &with, &without, Some(&template)).await;
}

/// What cloud-init is told: access that is withdrawn is withdrawn, also from a clone, whose template may tell of its own.
#[tokio::test(flavor = "multi_thread")]
async fn what_cloud_init_was_not_to_be_told_any_more_is_not_whatever_request_was_refused() {
    let address = |last: u8| json!({"ipv4": [{"address": format!("192.0.2.{last}/24")}]});
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ000000000000000000000000000000000000000000 a@b";
    let told = json!({
        "ip_config": [address(7), address(8)], "dns": [{"servers": ["192.0.2.1"], "domain": "example.net"}],
        "user_account": [{"username": "u", "password": "p", "keys": [key]}],
    });
    let template = vm(json!({"vm_id": 9000, "name": "tpl", "template": true}));
    for left in [
        json!({"ip_config": [address(7)]}),
        json!({"ip_config": [address(7)], "user_account": [{"username": "u"}]}),
    ] {
        let (mut with, mut without) =
            (vm(json!({"initialization": [told]})), vm(json!({"initialization": [left]})));
        break_off_in_turn(VM, "qemu", &with, &without, None).await;
        for config in [&mut with, &mut without] {
            config["clone"] = json!([{"vm_id": 9000}]);
        }
        break_off_in_turn(VM, "qemu", &with, &without, Some(&template)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_was_to_lose_is_lost_whatever_request_was_refused() {
    let without = json!({
        "node_name": "pve", "vm_id": 600, "started": false,
        "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}],
        "disk": [{"datastore_id": "local-lvm", "size": 1}],
    });
    let mut with = without.clone();
    with["description"] = json!("dd");
    with["mount_point"] = json!([{"path": "/data", "volume": "local-lvm", "size": "1G"}]);
    break_off_in_turn(CONTAINER, "lxc", &with, &without, None).await;
    // It has a mount point until it restarts.
    let mut without = without;
    (with["started"], without["started"]) = (json!(true), json!(true));
    break_off_in_turn(CONTAINER, "lxc", &with, &without, None).await;
}

/// No value tells the volume of an EFI disk: it is known as long as it is in its place.
#[tokio::test(flavor = "multi_thread")]
async fn an_efi_disk_whose_removal_was_refused_is_still_known() {
    let (plain, _server) = world(VM).await;
    let api = Watched::over(&plain.api, Refusing::default());
    let world = World::over(VM, api.clone());
    let made = world.config(vm(json!({"efi_disk": [{"type": "4m"}]})));
    let made = world.try_apply(None, Some(&made), &Recorder::default()).await.unwrap().unwrap();
    let config = world.config(vm(json!({})));
    api.refuse_path(Some("/600/config"));
    let recorder = Recorder::default();
    let error = world.try_apply(Some(&made), Some(&config), &recorder).await.unwrap_err();
    api.refuse_path(None);
    for crash in [None, Some(None)] {
        let known = known_after(&world, &made, &config, &recorder, error.left.clone(), crash.clone()).await;
        assert_eq!(crate::values::all_blocks(&known, "efi_disk").len(), 1, "crash {crash:?}");
    }
}
