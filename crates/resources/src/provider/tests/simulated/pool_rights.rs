//! A guest and the pool by which whoever changes it has rights on it: what the next pool gives counts, and what means
//! nothing on a guest does not.

use pve_api_client::Credentials;
use pve_executor::ports::Provider as _;
use serde_json::json;

use super::super::{Recorder, World};
use super::{connect, world};
use crate::cluster::Method;

const VM: &str = "proxmox_virtual_environment_vm";

/// Guest 500 in pool `one`, beside an empty pool `two`, and a token with roles on paths.
async fn as_tenant(
    kind: &'static str,
    privileges: &str,
    rights: &[(&str, &str)],
) -> (World, World, pve_simulator::Server) {
    let (root, server) = world(kind).await;
    let send = async |method, path: &str, params: &[(&str, &str)]| {
        let params: Vec<_> = params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        root.api.send(method, path, &params).await.unwrap()
    };
    send(Method::Post, "/nodes/pve/qemu", &[("vmid", "500")]).await;
    let pools = root.api.send(Method::Get, "/pools", &[]).await.unwrap();
    for pool in ["one", "two"] {
        if pools.as_array().unwrap().iter().all(|known| known["poolid"] != pool) {
            send(Method::Post, "/pools", &[("poolid", pool)]).await;
        }
    }
    send(Method::Put, "/pools", &[("poolid", "one"), ("vms", "500")]).await;
    send(Method::Post, "/access/roles", &[("roleid", "Tenant"), ("privs", privileges)]).await;
    send(Method::Post, "/access/users", &[("userid", "tenant@pve")]).await;
    for (path, role) in rights {
        send(Method::Put, "/access/acl", &[("path", path), ("users", "tenant@pve"), ("roles", role)]).await;
    }
    let made = send(Method::Post, "/access/users/tenant@pve/token/ci", &[("privsep", "0")]).await;
    let token = format!("tenant@pve!ci={}", made["value"].as_str().unwrap());
    let api = connect(&server, Credentials::Token(token.into()));
    (World::over(kind, api), root, server)
}

#[tokio::test]
async fn a_guest_goes_to_another_pool_that_gives_the_same() {
    const PRIVILEGES: &str = "Pool.Allocate,Pool.Audit,VM.Audit,VM.Allocate,VM.Config.Options,VM.Config.Memory,\
                              VM.Config.CPU,VM.Config.HWType,VM.PowerMgmt";
    let pool_alone = ("/pool/two", "PVEPoolAdmin");
    for (second, refused) in [(("/pool/two", "Tenant"), false), (pool_alone, true)] {
        let (world, root, _server) = as_tenant(VM, PRIVILEGES, &[("/pool/one", "Tenant"), second]).await;
        let known = world.provider.import(&world.address, "proxmox", "pve/500").await.unwrap();
        let config = json!({"node_name": "pve", "vm_id": 500, "pool_id": "two", "started": false});
        let config = world.config(config);
        let told = world.provider.review(&[world.request(Some(&known), Some(&config))]).await;
        assert_eq!(told.len(), usize::from(refused), "{told:?}");
        let done = world.try_apply(Some(&known), Some(&config), &Recorder::default()).await;
        assert_eq!(done.as_ref().err().is_some_and(|error| error.message.contains("very change")), refused);
        assert_eq!(done.is_err(), refused, "{:?}", done.err().map(|error| error.message));
        let held = world.api.send(Method::Get, "/access/permissions", &[]).await.unwrap();
        assert!(held["/vms/500"].get("VM.Allocate").is_some(), "{held}");
        let members = root.api.send(Method::Get, "/pools/two", &[]).await.unwrap();
        assert_eq!(members["members"].as_array().unwrap().len(), usize::from(!refused), "{members}");
    }
}

#[tokio::test]
async fn whoever_manages_guests_and_pools_takes_a_guest_out_of_a_pool() {
    let rights = [("/vms", "PVEVMAdmin"), ("/pool", "PVEPoolAdmin")];
    let (world, _root, _server) = as_tenant("proxmox_pool_membership", "VM.Audit", &rights).await;
    let known = world.provider.import(&world.address, "proxmox", "one/vm/500").await.unwrap();
    let told = world.provider.review(&[world.request(Some(&known), None)]).await;
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(world.try_apply(Some(&known), None, &Recorder::default()).await.unwrap(), None);
}

#[tokio::test]
async fn a_membership_goes_to_another_pool_that_gives_the_same() {
    const PRIVILEGES: &str = "Pool.Allocate,Pool.Audit,VM.Audit,VM.Allocate,VM.PowerMgmt";
    const KIND: &str = "proxmox_pool_membership";
    let pool_alone = ("/pool/two", "PVEPoolAdmin");
    for (second, refused) in [(("/pool/two", "Tenant"), false), (pool_alone, true)] {
        let (world, root, _server) = as_tenant(KIND, PRIVILEGES, &[("/pool/one", "Tenant"), second]).await;
        let known = world.provider.import(&world.address, "proxmox", "one/vm/500").await.unwrap();
        let config = world.config(json!({"pool_id": "two", "vm_id": 500}));
        let planned = world.plan(Some(&known), &config);
        assert!(planned.replace.is_empty(), "{:?}", planned.replace);
        let told = world.provider.review(&[world.request(Some(&known), Some(&config))]).await;
        assert_eq!(told.len(), usize::from(refused), "{told:?}");
        let done = world.try_apply(Some(&known), Some(&config), &Recorder::default()).await;
        match done {
            Ok(done) => assert_eq!(done.unwrap().get("id"), Some(&pve_model::Value::string("two/vm/500"))),
            Err(error) => assert!(refused && error.message.contains("very change"), "{}", error.message),
        }
        let members = root.api.send(Method::Get, "/pools/two", &[]).await.unwrap();
        assert_eq!(members["members"].as_array().unwrap().len(), usize::from(!refused), "{members}");
    }
}
