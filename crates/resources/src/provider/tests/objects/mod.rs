//! The kinds that are described as data, against a store that keeps what it is told: every attribute is set, changed and
//! taken out again, and nothing is planned in between; what is there is imported without changes.

mod batches;
mod contradictions;
mod data_sources;
mod networks;
mod others;
mod places;
mod planned;
mod recovered;
mod refused;
mod samples;
mod staging;
mod store;
pub(super) mod turns;
mod values;

use std::sync::Arc;

use pve_executor::ports::Provider;
use pve_model::rules::RulesRegistry;
use serde_json::{Value as Json, json};

use super::{Recorder, World};
use crate::cluster::ApiError;
use crate::families;
use store::Store;
pub(super) use store::USER as STORE_USER;

/// The first name of every kind that is described as data. Virtual machines are more than a store can keep.
fn kinds() -> Vec<&'static str> {
    families::objects().iter().filter(|object| !object.guest).map(|object| object.names[0]).collect()
}

fn world(kind: &'static str) -> (World, Arc<Store>) {
    let store = Arc::new(Store::of(kind));
    (World::over(kind, store.clone()), store)
}

#[tokio::test(start_paused = true)]
async fn every_attribute_of_every_kind_is_set_changed_and_taken_out() {
    let mut faults = Vec::new();
    for kind in kinds() {
        let (world, _) = world(kind);
        faults
            .extend(turns::every_attribute(&world).await.into_iter().map(|fault| format!("{kind}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn every_kind_is_imported_without_changes() {
    let mut faults = Vec::new();
    for kind in kinds() {
        let (world, _) = world(kind);
        if let Err(fault) = turns::imported(&world).await {
            faults.push(format!("{kind}: {fault}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What a generated block lacks: a secret, or what an object does not tell once it is made.
const TO_BE_FILLED_IN: &[(&str, &[&str])] = &[
    ("proxmox_cloned_vm", &["clone"]),
    ("proxmox_storage_cifs", &["password"]),
    ("proxmox_storage_pbs", &["password"]),
    ("proxmox_virtual_environment_certificate", &["private_key"]),
    ("proxmox_node_disk_zfs", &["devices", "raidlevel"]),
];

/// What is wrong with the configuration that is generated for an object of this kind.
pub(super) async fn fault_of_generated(world: &World) -> Option<String> {
    let kind = world.kind;
    let listed = TO_BE_FILLED_IN.iter().find(|(listed, _)| *listed == kind).map_or(&[][..], |it| it.1);
    match turns::generated(world).await {
        Ok(missing) if missing == listed => None,
        Ok(missing) => Some(format!("{kind}: {missing:?} is to be filled in")),
        Err(fault) => Some(format!("{kind}: {fault}")),
    }
}

#[tokio::test(start_paused = true)]
async fn the_configuration_of_every_kind_is_generated_and_plans_nothing() {
    let mut faults = Vec::new();
    for kind in kinds() {
        faults.extend(fault_of_generated(&world(kind).0).await);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_kind_says_what_it_is() {
    let registry = crate::registry();
    for object in families::objects() {
        for name in object.names {
            assert!(registry.resource(name).is_some(), "{name}");
        }
        assert!(!object.about.is_empty() && !object.what.is_empty(), "{}", object.names[0]);
        assert!(!object.example.trim().is_empty(), "{} has an example", object.names[0]);
    }
}

const TOKEN: &str = "proxmox_user_token";

#[tokio::test]
async fn the_secret_of_a_token_is_kept_from_when_it_was_made() {
    let (world, _) = world(TOKEN);
    let config = json!({"user_id": "ops@pve", "token_name": "deploy"});
    let made = world.apply(None, config.clone()).await;
    let secret = crate::values::text(&made, "value").unwrap().to_string();
    assert_eq!(secret, "ops@pve!deploy=00000000-0000-4000-8000-000000000000");
    let changed = world.apply(Some(&made), with(&config, "comment", json!("x"))).await;
    assert_eq!(crate::values::text(&changed, "value"), Some(secret.as_str()));
    let imported = world.provider.import(&world.address, "proxmox", "ops@pve!deploy").await.unwrap();
    assert!(imported.get("value").unwrap().is_null());
}

#[tokio::test]
async fn a_token_does_not_shut_itself_out() {
    let refused = |kind: &'static str, config: Json, change: Option<Json>| async move {
        let (world, _) = world(kind);
        let made = world.apply(None, config.clone()).await;
        let next = change.map(|change| {
            let mut next = config.clone();
            next.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            world.config(next)
        });
        let error = world.try_apply(Some(&made), next.as_ref(), &Recorder::default()).await.unwrap_err();
        assert!(error.message.contains("root@pam!test"), "{}", error.message);
        assert!(error.hint.unwrap().contains("PVE_ALLOW_LOCKOUT"));
    };
    let user = "proxmox_virtual_environment_user";
    let root = json!({"user_id": "root@pam"});
    refused(user, root.clone(), None).await;
    refused(user, root.clone(), Some(json!({"enabled": false}))).await;
    refused(user, root, Some(json!({"expiration_date": "2001-01-01T00:00:00Z"}))).await;
    let own = json!({"user_id": "root@pam", "token_name": "test"});
    refused(TOKEN, own.clone(), None).await;
    refused(TOKEN, own, Some(json!({"expiration_date": "2001-01-01T00:00:00Z"}))).await;
}

#[tokio::test]
async fn a_delete_that_is_refused_for_want_of_something_else_is_no_delete() {
    let (world, store) = world("proxmox_virtual_environment_pool");
    let made = world.apply(None, json!({"pool_id": "web"})).await;
    let error = ApiError {
        message: "delete pool failed: storage 'old' does not exist".into(),
        hint: None,
        status: Some(500),
        lost: false,
    };
    *store.failing.lock().unwrap() = Some(("Delete /pools".into(), error));
    let error = world.try_apply(Some(&made), None, &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("storage 'old' does not exist"), "{}", error.message);
    *store.failing.lock().unwrap() = None;
    world.try_apply(Some(&made), None, &Recorder::default()).await.unwrap();
    // Somebody else deleted it meanwhile.
    world.try_apply(Some(&made), None, &Recorder::default()).await.unwrap();
}

#[tokio::test]
async fn a_generated_key_that_is_not_told_is_not_passed_over_in_silence() {
    let (world, _) = world("proxmox_storage_pbs");
    let config = json!({"id": "backups", "server": "192.0.2.30", "datastore": "main", "username": "pve@pbs",
                        "password": "one-password", "generate_encryption_key": true});
    let recorder = Recorder::default();
    world.try_apply(None, Some(&world.config(config)), &recorder).await.unwrap();
    let said = recorder.1.lock().unwrap().concat();
    assert!(said.contains("did not tell the key") && said.contains("backups.enc"), "{said}");
}

#[tokio::test]
async fn a_changed_password_is_set_and_a_new_secret_of_a_version_is_sent() {
    let (world, store) = world("proxmox_virtual_environment_user");
    let user = |password: &str| json!({"user_id": "ops@pve", "password": password});
    let made = world.apply(None, user("one-password")).await;
    world.apply(Some(&made), user("another-one")).await;
    let requests = store.requests();
    assert!(requests.iter().any(|request| request.contains("/access/password")), "{requests:?}");
    // One that was refused is not the one that is set.
    let error = ApiError { message: "not now".into(), hint: None, status: Some(403), lost: false };
    *store.failing.lock().unwrap() = Some(("Put /access/password".into(), error));
    let next = world.config(user("a-third-one"));
    let error = world.try_apply(Some(&made), Some(&next), &Recorder::default()).await.unwrap_err();
    let known = error.left.as_ref().unwrap_or(&made);
    let planned = world.plan(Some(known), &next).planned.unwrap();
    assert!(crate::values::changed(known, &planned).contains("password"), "{known:?}");

    let (world, store) = self::world("proxmox_realm_openid");
    let realm = |secret: &str, version: i64| {
        json!({"realm": "sso", "issuer_url": "https://a.example.test", "client_id": "pve",
               "client_key_wo": secret, "client_key_wo_version": version})
    };
    let made = world.apply(None, realm("first", 1)).await;
    assert!(made.get("client_key_wo").unwrap().is_null(), "it is not recorded");
    let same = world.apply(Some(&made), realm("second", 1)).await;
    world.apply(Some(&same), realm("second", 2)).await;
    let sent: Vec<String> =
        store.requests().into_iter().filter(|request| request.contains("client-key=")).collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent[1].contains("client-key=second"));
}

fn with(config: &Json, name: &str, value: Json) -> Json {
    let mut config = config.clone();
    config[name] = value;
    config
}
