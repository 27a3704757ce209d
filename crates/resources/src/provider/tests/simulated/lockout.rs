//! A token that changes what it may do itself, with permissions enforced: what takes something from it is refused before
//! anything is sent, what does not is done.

use pve_api_client::Credentials;
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::super::{Recorder, World};
use super::{connect, world};
use crate::cluster::Method;

const GROUP: &str = "proxmox_virtual_environment_group";
const USER: &str = "proxmox_virtual_environment_user";

/// A world whose requests are made by a token of `admin@pve`, who is in the group `admins` with a role as strong as
/// Administrator; and the world of root.
async fn as_token(kind: &'static str, separated: bool) -> (World, World, pve_simulator::Server) {
    let (root, server) = world(kind).await;
    let send = async |method, path: &str, params: Vec<(&str, &str)>| {
        let params: Vec<_> =
            params.into_iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        root.api.send(method, path, &params).await.unwrap()
    };
    let roles = send(Method::Get, "/access/roles", vec![]).await;
    let all = roles.as_array().unwrap().iter().find(|role| role["roleid"] == "Administrator").unwrap();
    send(
        Method::Post,
        "/access/roles",
        vec![("roleid", "MyAdmin"), ("privs", all["privs"].as_str().unwrap())],
    )
    .await;
    send(Method::Post, "/access/groups", vec![("groupid", "admins")]).await;
    send(Method::Post, "/access/users", vec![("userid", "admin@pve"), ("groups", "admins")]).await;
    send(Method::Put, "/access/acl", vec![("path", "/"), ("groups", "admins"), ("roles", "MyAdmin")]).await;
    let flag = if separated { "1" } else { "0" };
    let made = send(Method::Post, "/access/users/admin@pve/token/ci", vec![("privsep", flag)]).await;
    if separated {
        send(
            Method::Put,
            "/access/acl",
            vec![("path", "/"), ("tokens", "admin@pve!ci"), ("roles", "MyAdmin")],
        )
        .await;
    }
    let token = format!("admin@pve!ci={}", made["value"].as_str().unwrap());
    let api = connect(&server, Credentials::Token(token.into()));
    (World::over(kind, api), root, server)
}

async fn permissions(world: &World) -> Json {
    world.api.send(Method::Get, "/access/permissions", &[]).await.unwrap()
}

/// The change is refused, or made; the token loses nothing either way.
async fn changes(world: &World, prior: Option<&Value>, next: Option<Json>, refused: bool) -> Option<Value> {
    let before = permissions(world).await;
    let config = next.as_ref().map(|next| world.config(next.clone()));
    let done = world.try_apply(prior, config.as_ref(), &Recorder::default()).await;
    assert_eq!(done.is_err(), refused, "{next:?}: {done:?}");
    if let Err(error) = &done {
        let whom = format!("{}, which makes this very change", world.api.user());
        assert!(error.message.contains(&whom), "{}", error.message);
        let hint = error.hint.as_ref().unwrap();
        assert!(hint.contains("PVE_ALLOW_LOCKOUT=1"));
        let leaves_an_entry = world.kind == "proxmox_acl" && next.is_none();
        assert!(!leaves_an_entry || hint.contains("create_before_destroy"), "{hint}");
        assert_eq!(permissions(world).await, before, "nothing was sent");
    }
    assert_eq!(
        permissions(world).await["/"].as_object().map(|own| own.len()),
        before["/"].as_object().map(|own| own.len())
    );
    done.ok().flatten()
}

#[tokio::test]
async fn permission_blocks_of_the_own_group_and_user_are_looked_at() {
    let (world, _root, _server) = as_token(GROUP, false).await;
    let group = |blocks: Json| json!({"group_id": "admins", "acl": blocks});
    let whole = json!({"path": "/", "role_id": "MyAdmin", "propagate": true});
    let imported =
        pve_executor::ports::Provider::import(&world.provider, &world.address, "proxmox", "admins")
            .await
            .unwrap();
    let own = changes(&world, Some(&imported), Some(group(json!([whole]))), false).await.unwrap();
    for weaker in [
        json!([{"path": "/", "role_id": "PVEAuditor", "propagate": true}]),
        json!([{"path": "/", "role_id": "MyAdmin"}]),
        json!([]),
        json!([whole, {"path": "/access", "role_id": "PVEAuditor"}]),
        json!([whole, {"path": "/", "role_id": "NoAccess"}]),
    ] {
        changes(&world, Some(&own), Some(group(weaker)), true).await;
    }
    changes(&world, Some(&own), None, true).await;
    let administrator = json!([{"path": "/", "role_id": "Administrator", "propagate": true}]);
    let other = changes(&world, Some(&own), Some(group(administrator)), false).await.unwrap();
    changes(
        &world,
        Some(&other),
        Some(group(json!([whole, {"path": "/vms", "role_id": "Administrator", "propagate": true}]))),
        false,
    )
    .await;
}

#[tokio::test]
async fn an_entry_of_its_own_may_not_outdo_those_of_its_group() {
    let (world, _root, _server) = as_token(USER, false).await;
    let user = |blocks: Json| json!({"user_id": "admin@pve", "groups": ["admins"], "acl": blocks});
    let imported =
        pve_executor::ports::Provider::import(&world.provider, &world.address, "proxmox", "admin@pve")
            .await
            .unwrap();
    let weaker = json!([{"path": "/", "role_id": "PVEAuditor", "propagate": true}]);
    changes(&world, Some(&imported), Some(user(weaker)), true).await;
    changes(&world, Some(&imported), Some(json!({"user_id": "admin@pve"})), true).await;
    let strong = json!([{"path": "/", "role_id": "Administrator", "propagate": true}]);
    changes(&world, Some(&imported), Some(user(strong)), false).await;
}

#[tokio::test]
async fn entries_that_weaken_are_refused_and_those_that_give_back_are_not() {
    for (separated, holder) in [(false, "user_id"), (true, "token_id")] {
        let (world, root, _server) = as_token("proxmox_acl", separated).await;
        let name = if separated { "admin@pve!ci" } else { "admin@pve" };
        let entry = |path: &str, role: &str| json!({holder: name, "path": path, "role_id": role});
        for (path, role) in [("/access", "NoAccess"), ("/vms", "PVEAuditor"), ("/", "NoAccess")] {
            changes(&world, None, Some(entry(path, role)), true).await;
        }
        // Root makes what the token may take back.
        let keeper = [("roleid", "Keeper"), ("privs", "Permissions.Modify")];
        let keeper = keeper.map(|(name, text)| (name.to_string(), text.to_string()));
        root.api.send(Method::Post, "/access/roles", &keeper).await.unwrap();
        let config = root.config(entry("/vms", "Keeper"));
        let weak = root.try_apply(None, Some(&config), &Recorder::default()).await.unwrap().unwrap();
        changes(&world, Some(&weak), None, false).await;
        let more = changes(&world, None, Some(entry("/vms", "Administrator")), false).await.unwrap();
        changes(&world, Some(&more), None, false).await;
    }
}

#[tokio::test]
async fn entries_of_a_token_that_is_not_separated_mean_nothing() {
    let (world, _root, _server) = as_token("proxmox_acl", false).await;
    let entry = json!({"token_id": "admin@pve!ci", "path": "/access", "role_id": "NoAccess"});
    let made = changes(&world, None, Some(entry), false).await.unwrap();
    changes(&world, Some(&made), None, false).await;
}

#[tokio::test]
async fn an_entry_that_is_not_shown_is_not_said_to_be_gone() {
    const ACL: &str = "proxmox_acl";
    let (root, server) = world(ACL).await;
    let send = async |method, path: &str, params: &[(&str, &str)]| {
        let params: Vec<_> = params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        root.api.send(method, path, &params).await.unwrap()
    };
    let entry = json!({"path": "/vms/100", "role_id": "PVEVMUser", "user_id": "root@pam"});
    let known = root.apply(None, entry).await;
    send(Method::Post, "/access/users", &[("userid", "weak@pve")]).await;
    let made = send(Method::Post, "/access/users/weak@pve/token/ci", &[("privsep", "0")]).await;
    let token = format!("weak@pve!ci={}", made["value"].as_str().unwrap());
    let weak = World::over(ACL, connect(&server, Credentials::Token(token.into())));
    let error = weak.try_read(&known).await.unwrap_err();
    assert!(error.message.contains("are not shown to weak@pve!ci"), "{}", error.message);
    send(Method::Put, "/access/acl", &[("path", "/access"), ("users", "weak@pve"), ("roles", "PVEAuditor")])
        .await;
    assert!(weak.try_read(&known).await.unwrap().is_some());
    // A later run destroys it.
    let later = World::over(ACL, root.api.clone());
    assert!(later.try_apply(Some(&known), None, &Recorder::default()).await.unwrap().is_none());
    assert!(weak.try_read(&known).await.unwrap().is_none(), "whoever sees all entries is believed");
}

#[tokio::test]
async fn a_token_that_is_not_shown_its_own_entries_may_not_change_what_it_has() {
    const ROLE: &str = "proxmox_virtual_environment_role";
    let (root, server) = world(ROLE).await;
    let send = async |method, path: &str, params: &[(&str, &str)]| {
        let params: Vec<_> = params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        root.api.send(method, path, &params).await.unwrap()
    };
    let privileges = "Sys.Modify,User.Modify,VM.Audit";
    send(Method::Post, "/access/roles", &[("roleid", "Half"), ("privs", privileges)]).await;
    send(Method::Post, "/access/users", &[("userid", "half@pve")]).await;
    send(Method::Put, "/access/acl", &[("path", "/"), ("users", "half@pve"), ("roles", "Half")]).await;
    let made = send(Method::Post, "/access/users/half@pve/token/ci", &[("privsep", "0")]).await;
    let token = format!("half@pve!ci={}", made["value"].as_str().unwrap());
    let half = World::over(ROLE, connect(&server, Credentials::Token(token.into())));
    assert_eq!(half.api.send(Method::Get, "/access/acl", &[]).await.unwrap(), json!([]), "it sees none");
    let role = |privileges: &[&str]| json!({"role_id": "Half", "privileges": privileges});
    let prior = root.config(role(&["Sys.Modify", "User.Modify", "VM.Audit"]));
    let weaker = half.config(role(&["User.Modify"]));
    let error = half.try_apply(Some(&prior), Some(&weaker), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("the entry that gives it is not shown"), "{}", error.message);
    assert!(error.hint.unwrap().contains("Sys.Audit on /access"));
}

/// What `privileges` on a path make of a token that is not separated, and of its user; both worlds.
async fn with_rights(
    kind: &'static str,
    user: &str,
    path: &str,
    role: (&str, Option<&str>),
) -> (World, World, pve_simulator::Server) {
    let (root, server) = world(kind).await;
    let send = async |method, path: &str, params: &[(&str, &str)]| {
        let params: Vec<_> = params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        root.api.send(method, path, &params).await.unwrap()
    };
    if let Some(privileges) = role.1 {
        send(Method::Post, "/access/roles", &[("roleid", role.0), ("privs", privileges)]).await;
    }
    send(Method::Post, "/access/users", &[("userid", user)]).await;
    send(Method::Put, "/access/acl", &[("path", path), ("users", user), ("roles", role.0)]).await;
    let made = send(Method::Post, &format!("/access/users/{user}/token/ci"), &[("privsep", "0")]).await;
    let token = format!("{user}!ci={}", made["value"].as_str().unwrap());
    let api = connect(&server, Credentials::Token(token.into()));
    (World::over(kind, api), root, server)
}

#[tokio::test]
async fn a_user_manager_deletes_a_group_that_it_is_not_in() {
    let (world, root, _server) = with_rights(GROUP, "uadm@pve", "/access", ("PVEUserAdmin", None)).await;
    let config = world.config(json!({"group_id": "team"}));
    let made = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap().unwrap();
    assert_eq!(world.try_apply(Some(&made), None, &Recorder::default()).await.unwrap(), None);
    // One that it is in may give it something: the entries are hidden from it.
    let made = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap().unwrap();
    let member = [("groups".to_string(), "team".to_string())];
    root.api.send(Method::Put, "/access/users/uadm@pve", &member).await.unwrap();
    let error = world.try_apply(Some(&made), None, &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("the entry that gives it is not shown"), "{}", error.message);
}

#[tokio::test]
async fn whoever_may_give_permissions_on_a_path_does_so_without_knowing_its_own_groups() {
    let role = ("Delegate", Some("VM.Audit,VM.Allocate,Permissions.Modify"));
    let (world, root, _server) = with_rights("proxmox_acl", "vmadm@pve", "/vms", role).await;
    let group = [("groupid".to_string(), "team".to_string())];
    root.api.send(Method::Post, "/access/groups", &group).await.unwrap();
    for holder in [("group_id", "team"), ("user_id", "vmadm@pve")] {
        let entry = json!({holder.0: holder.1, "path": "/vms/100", "role_id": "Delegate"});
        let made = changes(&world, None, Some(entry), false).await.unwrap();
        changes(&World::over("proxmox_acl", world.api.clone()), Some(&made), None, false).await;
    }
    // What its own weaker entry would take is seen all the same.
    let entry = json!({"user_id": "vmadm@pve", "path": "/vms/100", "role_id": "PVEAuditor"});
    changes(&world, None, Some(entry), true).await;
}

#[tokio::test]
async fn a_group_that_what_is_held_must_come_from_counts_as_its_own() {
    let (world, root, _server) = with_rights("proxmox_acl", "dele@pve", "/vms", ("NoAccess", None)).await;
    let send = async |method, path: &str, params: &[(&str, &str)]| {
        let params: Vec<_> = params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        root.api.send(method, path, &params).await.unwrap()
    };
    send(
        Method::Post,
        "/access/roles",
        &[("roleid", "Delegate"), ("privs", "VM.Allocate,Permissions.Modify")],
    )
    .await;
    send(Method::Post, "/access/groups", &[("groupid", "dele")]).await;
    send(Method::Put, "/access/users/dele@pve", &[("groups", "dele")]).await;
    send(
        Method::Put,
        "/access/acl",
        &[("path", "/vms"), ("users", "dele@pve"), ("roles", "NoAccess"), ("delete", "1")],
    )
    .await;
    let delegate = json!({"group_id": "dele", "path": "/vms", "role_id": "Delegate"});
    let own = root.apply(None, delegate).await;
    let weaker = json!({"group_id": "dele", "path": "/vms/100", "role_id": "PVEAuditor"});
    changes(&world, None, Some(weaker), true).await;
    changes(&world, Some(&own), None, true).await;
}

/// Where one path is known only after apply, planning cannot see it.
#[tokio::test]
async fn an_entry_of_a_block_and_one_of_its_own_are_not_given_in_one_run() {
    let block = json!({"group_id": "ops", "acl": [{"path": "/vms", "role_id": "PVEAuditor"}]});
    let entry = json!({"group_id": "ops", "path": "/vms", "role_id": "PVEAuditor"});
    for turns in [[(GROUP, &block), ("proxmox_acl", &entry)], [("proxmox_acl", &entry), (GROUP, &block)]] {
        let (mut world, _server) = world(GROUP).await;
        let other = json!({"group_id": "ops"});
        let ops = world.try_apply(None, Some(&world.config(other)), &Recorder::default()).await.unwrap();
        let mut done = Vec::new();
        for (kind, json) in turns {
            world.kind = kind;
            world.address = format!("{kind}.a").parse().unwrap();
            let prior = ops.as_ref().filter(|_| kind == GROUP);
            let config = world.config(json.clone());
            done.push(world.try_apply(prior, Some(&config), &Recorder::default()).await);
        }
        assert!(done[0].is_ok(), "{:?}", done[0]);
        let error = done[1].as_ref().unwrap_err();
        assert!(error.message.contains("by a proxmox_acl and by an `acl` block"), "{}", error.message);
    }
}

#[tokio::test]
async fn a_guest_does_not_leave_the_pool_by_which_whoever_takes_it_out_has_it() {
    let privileges = "Pool.Allocate,Pool.Audit,VM.Audit,VM.Allocate,VM.Config.Options";
    for (elsewhere, refused) in [("", true), ("/vms", false)] {
        let (root, server) = world("proxmox_pool_membership").await;
        let send = async |method, path: &str, params: &[(&str, &str)]| {
            let params: Vec<_> =
                params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
            root.api.send(method, path, &params).await.unwrap()
        };
        send(Method::Post, "/nodes/pve/qemu", &[("vmid", "500")]).await;
        send(Method::Put, "/pools", &[("poolid", "one"), ("vms", "500")]).await;
        send(Method::Post, "/access/roles", &[("roleid", "Boss"), ("privs", privileges)]).await;
        send(Method::Post, "/access/users", &[("userid", "pa@pve")]).await;
        for path in ["/pool/one", elsewhere].iter().filter(|path| !path.is_empty()) {
            send(Method::Put, "/access/acl", &[("path", path), ("users", "pa@pve"), ("roles", "Boss")]).await;
        }
        let made = send(Method::Post, "/access/users/pa@pve/token/ci", &[("privsep", "0")]).await;
        let token = format!("pa@pve!ci={}", made["value"].as_str().unwrap());
        let world = World::over(root.kind, connect(&server, Credentials::Token(token.into())));
        let known =
            pve_executor::ports::Provider::import(&world.provider, &world.address, "proxmox", "one/vm/500")
                .await
                .unwrap();
        let request = world.request(Some(&known), None);
        let told = pve_executor::ports::Provider::review(&world.provider, &[request]).await;
        assert_eq!(told.len(), usize::from(refused), "{told:?}");
        let done = world.try_apply(Some(&known), None, &Recorder::default()).await;
        assert_eq!(done.is_err(), refused, "{done:?}");
        let held = permissions(&world).await;
        assert!(held.get("/vms/500").is_some() || !refused, "{held}");
    }
}
