//! A crash at every request of a create, and what the next run makes of it.

use std::sync::PoisonError;

use pve_executor::ports::{Provider, ReadRequest, Recovery};
use pve_model::codec::encode;
use pve_model::event::{ActionIntended, Operation};
use pve_model::state::OpenAction;
use serde_json::{Value as Json, json};

use super::lives::{CONTAINER, VM, full_container, full_vm};
use super::{ACTION, Recorder, World};
use crate::values::changed;

/// The action as the log has it after a crash.
pub(super) async fn open_action(world: &World, config: &pve_model::Value, recorder: &Recorder) -> OpenAction {
    let request = world.request(None, Some(config));
    let claim = world.provider.claim(&request, ACTION).await.unwrap();
    let planned = request.planned.unwrap();
    let reports = recorder.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let tasks = reports.iter().filter_map(|report| {
        let (step, upid) = report.strip_prefix("task ")?.rsplit_once(' ')?;
        Some((step.to_string(), upid.to_string()))
    });
    OpenAction {
        intent: ActionIntended {
            action: ACTION,
            address: world.address.clone(),
            deposed: None,
            operation: Operation::Create,
            provider: "proxmox".into(),
            claim,
            planned: encode(&planned, &planned.ty()),
            sensitive: vec![],
            depose_as: None,
            dependencies: vec![],
            create_before_destroy: false,
            provisioners: 0,
        },
        tasks: tasks.collect(),
        completed: reports
            .iter()
            .filter_map(|report| report.strip_prefix("done "))
            .map(str::to_string)
            .collect(),
        since: 0,
        provisioned: 0,
        made: None,
        indeterminate: None,
    }
}

/// Fails each write in turn, recovers, and lets an update finish the guest. Nothing is made twice or lost.
async fn crash_everywhere(kind: &'static str, config: Json, prepare: fn(&World), vmid: u32) {
    for lose_response in [false, true] {
        crash_in_turn(kind, &config, prepare, vmid, lose_response).await;
    }
}

async fn crash_in_turn(
    kind: &'static str,
    config: &Json,
    prepare: fn(&World),
    vmid: u32,
    lose_response: bool,
) {
    for fail_at in 1.. {
        let world = World::new(kind);
        prepare(&world);
        let config = world.config(config.clone());
        let recorder = Recorder::default();
        world.double.0.lock().unwrap().fail_at = Some(fail_at);
        world.double.0.lock().unwrap().lose_response = lose_response;
        let result = world.try_apply(None, Some(&config), &recorder).await;
        world.double.0.lock().unwrap().fail_at = None;
        if result.is_ok() {
            assert!(fail_at > 2, "there were several writes to fail");
            return;
        }
        let open = open_action(&world, &config, &recorder).await;
        let before = world.double.0.lock().unwrap().guests.len();
        match world.provider.recover(&open, None, None).await.unwrap() {
            Recovery::NothingDone => assert_eq!(
                (fail_at, lose_response),
                (1, false),
                "only a first request that never arrived left nothing"
            ),
            Recovery::Exists(value) => {
                let after = world.try_apply(Some(&value), Some(&config), &Recorder::default()).await;
                let after = after.unwrap().unwrap();
                world.assert_settled(&after, &config).await;
                let description = world.option(vmid, "description");
                assert_eq!(description.as_deref().map(str::trim_end), Some("first"));
                assert!(world.double.0.lock().unwrap().guests[&vmid].running);
            }
            other => panic!("request {fail_at}: {other:?}"),
        }
        assert_eq!(world.double.0.lock().unwrap().guests.len(), before);
    }
}

#[tokio::test]
async fn a_vm_survives_a_crash_at_every_request() {
    crash_everywhere(VM, full_vm(), |_| {}, 511).await;
}

#[tokio::test]
async fn a_vm_with_a_disk_that_the_node_imports_survives_a_crash_at_every_request() {
    let mut config = full_vm();
    config["disk"][0]["import_from"] = json!(null);
    config["disk"][0]["file_id"] = json!("local:iso/d.img");
    crash_everywhere(VM, config.clone(), |_| {}, 511).await;
    // The order that nobody configured has the disk in it, wherever it broke off.
    config["boot_order"] = json!(null);
    for fail_at in 1..8 {
        let world = World::new(VM);
        let config = world.config(config.clone());
        world.double.0.lock().unwrap().fail_at = Some(fail_at);
        let failed = world.try_apply(None, Some(&config), &Recorder::default()).await;
        world.double.0.lock().unwrap().fail_at = None;
        let left = failed.unwrap_or_else(|error| error.left);
        world.try_apply(left.as_ref(), Some(&config), &Recorder::default()).await.unwrap();
        let order = world.option(511, "boot");
        assert_eq!(order.as_deref(), Some("order=ide3;scsi0;net0"), "failed at {fail_at}");
    }
}

#[tokio::test]
async fn a_container_survives_a_crash_at_every_request() {
    crash_everywhere(CONTAINER, full_container(), |_| {}, 610).await;
}

#[tokio::test]
async fn a_clone_survives_a_crash_at_every_request() {
    let config = json!({
        "node_name": "pve", "vm_id": 600, "name": "clone-1", "description": "first",
        "clone": [{"vm_id": 9000}], "cpu": [{"cores": 8}],
        "disk": [{"interface": "scsi0", "size": 20}, {"interface": "scsi5", "size": 1}],
        "initialization": [{"user_account": [{"username": "me", "password": "p"}]}],
    });
    let prepare = |world: &World| {
        let config = json!({"template": 1, "cores": 1, "memory": "512", "scsi0": "local-lvm:vm-9000-disk-0,size=2G",
                            "description": "the template"});
        let Json::Object(config) = config else { return };
        let guest = super::double::FakeGuest { kind: "qemu".into(), config, running: false, pool: None };
        world.double.0.lock().unwrap().guests.insert(9000, guest);
    };
    crash_everywhere(VM, config, prepare, 600).await;
}

#[tokio::test]
async fn a_guest_without_our_marker_is_never_taken_for_ours() {
    let world = World::new(VM);
    let config = world.config(json!({"node_name": "pve", "vm_id": 500, "name": "mine"}));
    let open = open_action(&world, &config, &Recorder::default()).await;
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::NothingDone));
    world.apply(None, json!({"node_name": "pve", "vm_id": 500, "name": "theirs"})).await;
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::Unclear(_)));
}

/// What the log has of a killed run does not matter: the guest tells that it is another's by now.
#[tokio::test]
async fn a_guest_that_was_taken_over_from_a_killed_run_is_not_its_own_any_more() {
    for kind in [VM, CONTAINER] {
        let world = World::new(kind);
        let told = format!("Taken over from pve:{ACTION} by ann@desk");
        let config = world.config(json!({"node_name": "pve", "vm_id": 500, "description": told}));
        world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap();
        let mut open = open_action(&world, &config, &Recorder::default()).await;
        for completed in [vec![], vec!["create".to_string()]] {
            open.completed = completed;
            let found = world.provider.recover(&open, None, None).await.unwrap();
            let is_told =
                matches!(&found, Recovery::Unclear(why) if why.contains("was taken over by ann@desk"));
            assert!(is_told, "{kind}: {found:?}");
        }
        // Another's marker in such a text says nothing of this action.
        open.intent.claim.marker = Some("pve:other".into());
        assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::Exists(_)));
    }
}

#[tokio::test]
async fn a_delete_is_recovered_by_looking() {
    let world = World::new(VM);
    let made = world.apply(None, json!({"node_name": "pve", "vm_id": 500, "name": "x"})).await;
    let mut open = open_action(&world, &made, &Recorder::default()).await;
    open.intent.operation = Operation::Delete;
    let found = world.provider.recover(&open, None, None).await.unwrap();
    assert!(matches!(&found, Recovery::Kept(how) if how == "it still exists and runs"), "{found:?}");
    world.destroy(&made).await;
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::Gone));
    assert!(changed(&made, &made).is_empty());
}

#[tokio::test]
async fn a_password_whose_change_broke_off_is_set_again() {
    let world = World::new(VM);
    let config = |password: &str| {
        let mut json = full_vm();
        json["initialization"][0]["user_account"][0]["password"] = json!(password);
        world.config(json)
    };
    let made = world.try_apply(None, Some(&config("one")), &Recorder::default()).await.unwrap().unwrap();
    let next = world.double.0.lock().unwrap().writes() + 1;
    world.double.0.lock().unwrap().fail_at = Some(next);
    let failure = world.try_apply(Some(&made), Some(&config("two")), &Recorder::default()).await.unwrap_err();
    let left = failure.left.unwrap();
    assert!(
        changed(&left, &world.plan(Some(&left), &config("two")).planned.unwrap()).contains("initialization")
    );
}

/// The cluster is gone right after a refusal: what is there is not known, so nothing may be said about it.
#[tokio::test]
async fn a_create_whose_remains_cannot_be_read_stays_open() {
    for fail_at in [1, 2] {
        let world = World::new(VM);
        let config = world.config(full_vm());
        {
            let mut state = world.double.0.lock().unwrap();
            state.fail_at = Some(fail_at);
            state.break_down = true;
        }
        let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
        assert!(error.indeterminate && error.left.is_none(), "write {fail_at}: {error:?}");
    }
}

/// One step of a change is done, the next is refused, and then nothing answers: that nothing was changed would be untrue.
#[tokio::test]
async fn a_change_whose_remains_cannot_be_read_stays_open() {
    let world = World::new(VM);
    let made = world.apply(None, full_vm()).await;
    let mut changed = full_vm();
    changed["name"] = json!("other");
    changed["started"] = json!(false);
    {
        let mut state = world.double.0.lock().unwrap();
        state.fail_at = Some(state.writes() + 2);
        state.break_down = true;
    }
    let config = world.config(changed);
    let error = world.try_apply(Some(&made), Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.indeterminate && error.left.is_none(), "{error:?}");
}

/// A clone is made by the node of its template, which the configuration names or the list of the cluster tells.
#[tokio::test]
async fn a_clone_that_still_runs_is_looked_for_on_the_node_of_its_template() {
    let world = World::new(VM);
    let clone = json!([{"vm_id": 9000, "node_name": "other"}]);
    let config = world.config(json!({"node_name": "pve", "vm_id": 500, "name": "mine", "clone": clone}));
    let open = open_action(&world, &config, &Recorder::default()).await;
    let task = |upid: &str, user: &str| json!({"upid": upid, "id": "9000", "user": user, "starttime": 1});
    let ours = "UPID:other:00000001:00000002:00000003:qmclone:9000:root@pam:";
    let theirs = "UPID:other:00000001:00000002:00000003:qmclone:9000:root@pa:";
    world.double.0.lock().unwrap().tasks = vec![task(ours, "root@pam"), task(theirs, "root@pa")];
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::NothingDone));
    let requests = world.double.0.lock().unwrap().requests.clone();
    assert!(requests.contains(&"Get /nodes/other/tasks".to_string()), "{requests:?}");
    assert!(requests.contains(&format!("wait for {ours}")), "{requests:?}");
    assert!(!requests.contains(&format!("wait for {theirs}")), "{requests:?}");
}

#[tokio::test]
async fn a_task_without_a_record_is_waited_for_whatever_the_clocks_say() {
    let world = World::new(VM);
    let config = world.config(json!({"node_name": "pve", "vm_id": 500, "name": "mine"}));
    let upid = "UPID:pve:00000001:00000002:00000003:qmcreate:500:root@pam:";
    world.double.0.lock().unwrap().tasks =
        vec![json!({"upid": upid, "id": "500", "user": "root@pam", "starttime": 1_000_000})];
    let mut open = open_action(&world, &config, &Recorder::default()).await;
    // The clock of the machine that died was years ahead.
    open.since = 200_000_000;
    world.provider.recover(&open, None, None).await.unwrap();
    let requests = world.double.0.lock().unwrap().requests.clone();
    assert!(requests.contains(&format!("wait for {upid}")), "{requests:?}");
    world.double.0.lock().unwrap().tasks_lost = true;
    world.provider.recover(&open, None, None).await.unwrap_err();
}

#[tokio::test]
async fn nothing_is_gone_because_of_an_answer_that_is_no_list() {
    let world = World::new(VM);
    let made = world.apply(None, json!({"node_name": "pve", "vm_id": 500, "name": "x"})).await;
    let open = open_action(&world, &made, &Recorder::default()).await;
    world.double.0.lock().unwrap().garbled = true;
    let request = ReadRequest {
        address: world.address.clone(),
        provider: "proxmox".into(),
        prior: made.clone(),
        identity: None,
    };
    let error = world.provider.read(request).await.unwrap_err();
    assert!(error.message.contains("is no list"), "{error}");
    assert!(world.provider.recover(&open, None, None).await.unwrap_err().message.contains("is no list"));
}

/// Somebody destroyed the guest while its change was open, and made another one with its VMID.
#[tokio::test]
async fn an_open_change_does_not_take_another_guest_for_its_own() {
    let world = World::new(VM);
    let config = json!({"node_name": "pve", "vm_id": 500, "name": "mine", "network_device": [{}]});
    let made = world.apply(None, config).await;
    let mut open = open_action(&world, &made, &Recorder::default()).await;
    open.intent.operation = Operation::Update;
    assert!(matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::Exists(_)));
    {
        let mut double = world.double.0.lock().unwrap();
        let config = &mut double.guests.get_mut(&500).unwrap().config;
        config.insert("name".into(), json!("theirs"));
        config.insert("net0".into(), json!("virtio=BC:24:11:99:99:99,bridge=vmbr0"));
    }
    let found = world.provider.recover(&open, None, None).await.unwrap();
    assert!(matches!(&found, Recovery::Unclear(why) if why.contains("it is named theirs")), "{found:?}");
}

/// A container has nothing that tells it for certain: one that was renamed and unplugged looks like another.
#[tokio::test]
async fn a_container_that_was_to_be_destroyed_is_not_gone_because_it_looks_like_another() {
    let world = World::new(CONTAINER);
    let config = json!({
        "node_name": "pve", "vm_id": 500, "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst"}],
        "initialization": [{"hostname": "mine"}], "network_interface": [{"name": "eth0"}]
    });
    let made = world.apply(None, config).await;
    let mut open = open_action(&world, &made, &Recorder::default()).await;
    open.intent.operation = Operation::Delete;
    assert!(matches!(world.provider.recover(&open, None, Some(&made)).await.unwrap(), Recovery::Kept(_)));
    {
        let mut double = world.double.0.lock().unwrap();
        let config = &mut double.guests.get_mut(&500).unwrap().config;
        config.insert("hostname".into(), json!("theirs"));
        config.remove("net0");
    }
    let found = world.provider.recover(&open, None, Some(&made)).await.unwrap();
    assert!(matches!(&found, Recovery::Unclear(why) if why.contains("is named \"theirs\"")), "{found:?}");
}
