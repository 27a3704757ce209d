//! What a provider block and the environment make together, and what is refused.

use pve_api_client::TlsVersion;
use pve_model::codec::decode;
use serde_json::{Value as Json, json};

use super::*;
use crate::definition::Definition;

fn configure(
    json: Json,
    variables: &[(&str, &str)],
) -> Result<ProviderConfiguration, IncompleteConfiguration> {
    let ty = Definition::new(crate::provider_block::fields()).schema.block.implied_type();
    let value = decode(&json, &ty).unwrap();
    let environment =
        |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_string());
    ProviderConfiguration::from_block(&value, &environment)
}

#[test]
fn the_block_comes_before_the_environment() {
    let variables = [
        ("PROXMOX_VE_ENDPOINT", "https://env:8006/"),
        ("PROXMOX_VE_API_TOKEN", "root@pam!t=s"),
        ("PROXMOX_VE_INSECURE", "true"),
    ];
    let from_environment = configure(json!({}), &variables).unwrap();
    assert_eq!(from_environment.endpoint, "https://env:8006/");
    assert!(from_environment.insecure);
    let block = json!({
        "endpoint": "https://block:8006/", "insecure": false, "random_vm_ids": true, "random_vm_id_start": 500,
        "min_tls": "1.2",
        "ssh": [{"agent": true, "node": [{"name": "pve", "address": "192.0.2.1"}], "node_address_source": "dns",
            "socks5_server": "127.0.0.1:1080", "socks5_username": "u", "socks5_password": "hunter2"}]});
    let from_block = configure(block, &variables).unwrap();
    assert_eq!(from_block.endpoint, "https://block:8006/");
    assert!(!from_block.insecure && from_block.ssh.agent);
    assert_eq!(from_block.ssh.nodes, [("pve".to_string(), "192.0.2.1".to_string(), 22)]);
    let port = |port| [variables[0], variables[1], ("PROXMOX_VE_SSH_PORT", port)];
    assert_eq!(configure(json!({}), &port("2022")).unwrap().ssh.port, 2022);
    assert!(configure(json!({}), &port("many")).unwrap_err().message.contains("many"));
    assert_eq!(from_block.settings.random_vm_ids, Some((500, 99_999)));
    assert!(from_block.ssh.by_name && !from_environment.ssh.by_name);
    assert_eq!((from_block.min_tls, from_environment.min_tls), (TlsVersion::V1_2, TlsVersion::V1_3));
    let proxy = from_block.ssh.proxy.as_ref().unwrap();
    assert_eq!((&*proxy.server, proxy.username.as_deref()), ("127.0.0.1:1080", Some("u")));
    assert!(from_environment.ssh.proxy.is_none() && !format!("{from_block:?}").contains("hunter2"));
}

#[test]
fn a_login_in_an_endpoint_is_not_shown_and_a_simulated_block_has_the_same_choices() {
    for scheme in ["http", "https"] {
        let endpoint = format!("{scheme}://root:hunter2@pve:8006/");
        let refused = configure(json!({ "endpoint": endpoint }), &[]).unwrap_err();
        assert!(refused.message.contains("@pve:8006") && !refused.message.contains("hunter2"), "{refused:?}");
    }
    let ty = Definition::new(crate::provider_block::fields()).schema.block.implied_type();
    let block = |start: u32| decode(&json!({"random_vm_id_start": start}), &ty).unwrap();
    assert!(SimulatedConfiguration::from_block(&block(100)).is_ok());
    assert!(SimulatedConfiguration::from_block(&block(99)).is_err());
}

#[test]
fn what_is_missing_is_named_and_secrets_are_not_shown() {
    assert!(configure(json!({}), &[]).unwrap_err().hint.contains("PROXMOX_VE_ENDPOINT"));
    let user = json!({"endpoint": "https://x/", "username": "root@pam"});
    assert!(configure(user, &[]).unwrap_err().hint.contains("api_token"));
    let full = json!({"endpoint": "https://x/", "username": "root@pam", "password": "hunter2"});
    let full = configure(full, &[]).unwrap();
    assert!(!format!("{full:?}").contains("hunter2"));
    assert_eq!(full.ssh.username.as_deref(), Some("root"));
}

const HERE: (&str, &str) = ("PROXMOX_VE_ENDPOINT", "https://x:8006/");

#[test]
fn the_ways_to_log_in_come_in_the_order_of_the_reference() {
    let all = [
        HERE,
        ("PROXMOX_VE_API_TOKEN", "eve@pve!t=s"),
        ("PROXMOX_VE_AUTH_TICKET", "PVE:eve@pve:1::a"),
        ("PROXMOX_VE_CSRF_PREVENTION_TOKEN", "1:a"),
        ("PROXMOX_VE_USERNAME", "eve@pve"),
        ("PROXMOX_VE_PASSWORD", "hunter2"),
        ("PROXMOX_VE_OTP", "123456"),
    ];
    let secret = |text: &str| Secret(text.into());
    assert_eq!(configure(json!({}), &all).unwrap().login, Login::Token(secret("eve@pve!t=s")));
    // An empty text in the block takes back what the environment has.
    let ticket = configure(json!({"api_token": ""}), &all).unwrap().login;
    assert_eq!(ticket, Login::Ticket(secret("PVE:eve@pve:1::a"), secret("1:a")));
    let password = configure(json!({"api_token": "", "auth_ticket": ""}), &all).unwrap();
    let expected = Login::Password("eve@pve".into(), secret("hunter2"), Some(secret("123456")));
    assert_eq!(password.login, expected);
    let old = [HERE, ("PM_VE_USERNAME", "old@pam"), ("PM_VE_PASSWORD", "p"), ("PM_VE_INSECURE", "1")];
    let old = configure(json!({}), &old).unwrap();
    assert!(old.insecure && matches!(old.login, Login::Password(user, ..) if user == "old@pam"));
}

#[test]
fn who_logs_in_at_the_api_with_a_password_logs_in_at_the_nodes() {
    let login = [HERE, ("PROXMOX_VE_USERNAME", "ops@pve"), ("PROXMOX_VE_PASSWORD", "hunter2")];
    let ssh = configure(json!({}), &login).unwrap().ssh;
    assert_eq!((ssh.username.as_deref(), ssh.password), (Some("ops"), Some(Secret("hunter2".into()))));
    let block = json!({"ssh": [{"username": "deploy", "password": "other"}]});
    let ssh = configure(block, &login).unwrap().ssh;
    assert_eq!((ssh.username.as_deref(), ssh.password), (Some("deploy"), Some(Secret("other".into()))));
    // An empty text in this block says nothing.
    let block = json!({"ssh": [{"username": "", "password": ""}]});
    let variables = [login[0], login[1], login[2], ("PROXMOX_VE_SSH_USERNAME", "env")];
    let ssh = configure(block, &variables).unwrap().ssh;
    assert_eq!((ssh.username.as_deref(), ssh.password), (Some("env"), Some(Secret("hunter2".into()))));
    // A token has no password that could be used, whatever else is set.
    let token = [login[0], login[1], login[2], ("PROXMOX_VE_API_TOKEN", "ops@pve!t=s")];
    let ssh = configure(json!({}), &token).unwrap().ssh;
    assert_eq!((ssh.username, ssh.password), (None, None));
}

#[test]
fn settings_of_ssh_come_from_the_block_or_from_the_environment() {
    let variables = [
        HERE,
        ("PROXMOX_VE_API_TOKEN", "ops@pve!t=s"),
        ("PROXMOX_VE_SSH_USERNAME", "ops"),
        ("PROXMOX_VE_SSH_PASSWORD", "word"),
        ("PROXMOX_VE_SSH_PRIVATE_KEY", "key"),
        ("PROXMOX_VE_SSH_AGENT", "true"),
        ("PROXMOX_VE_SSH_AGENT_FORWARDING", "1"),
        ("PROXMOX_VE_SSH_AUTH_SOCK", "/socket"),
        ("PROXMOX_VE_SSH_SOCKS5_SERVER", "p:1080"),
        ("PROXMOX_VE_SSH_SOCKS5_USERNAME", "u"),
        ("PROXMOX_VE_SSH_SOCKS5_PASSWORD", "w"),
        ("PROXMOX_VE_MIN_TLS", "1.1"),
    ];
    let all = configure(json!({}), &variables).unwrap();
    assert_eq!(all.min_tls, TlsVersion::V1_2);
    let ssh = all.ssh;
    assert!(ssh.agent && ssh.agent_forwarding);
    assert_eq!((ssh.username.as_deref(), ssh.agent_socket.as_deref()), (Some("ops"), Some("/socket")));
    assert_eq!((ssh.password, ssh.private_key), (Some(Secret("word".into())), Some(Secret("key".into()))));
    let proxy = ssh.proxy.unwrap();
    assert_eq!((&*proxy.server, proxy.username.as_deref()), ("p:1080", Some("u")));
    assert_eq!(proxy.password, Some(Secret("w".into())));
    let off = json!({"ssh": [{"agent": false, "agent_forwarding": false, "agent_socket": "/other"}]});
    let ssh = configure(off, &variables).unwrap().ssh;
    assert!(!ssh.agent && !ssh.agent_forwarding);
    assert_eq!(ssh.agent_socket.as_deref(), Some("/other"));
}

#[test]
fn what_cannot_be_what_it_is_given_for_is_told_before_anything_is_asked() {
    let check = |name: &str, text: &str| {
        configure(json!({}), &[HERE, (name, text), ("PROXMOX_VE_PASSWORD", "p")]).map(drop)
    };
    for token in
        ["garbageToken", "root@pam=s", "root!t=s", "root@pam!t=", "root@pam!=s", "@pam!t=s", "a@b!c=d e"]
    {
        let error = check("PROXMOX_VE_API_TOKEN", token).unwrap_err();
        assert!(error.hint.contains("USER@REALM!NAME=SECRET") && !error.message.contains(token), "{error}");
    }
    assert_eq!(check("PROXMOX_VE_API_TOKEN", "root@pam!t=0-a"), Ok(()));
    assert!(check("PROXMOX_VE_USERNAME", "root").unwrap_err().hint.contains("root@pam"));
    assert_eq!(check("PROXMOX_VE_USERNAME", "root@pam"), Ok(()));
    let alone = json!({"api_token": "root@pam!t=s", "ssh": [{"socks5_username": "u"}]});
    let error = configure(alone, &[HERE]).unwrap_err();
    assert!(error.hint.contains("socks5_server"), "{error}");
}
#[test]
fn random_ids_are_from_a_range_that_has_some() {
    let check = |start: Option<i64>, end: Option<i64>| {
        let block = json!({"api_token": "root@pam!t=s", "random_vm_ids": true, "random_vm_id_start": start,
                           "random_vm_id_end": end});
        configure(block, &[HERE]).map(drop).map_err(|error| error.message)
    };
    for good in [(None, None), (Some(100), Some(100)), (Some(50_000), None), (None, Some(10_000))] {
        assert_eq!(check(good.0, good.1), Ok(()), "{good:?}");
    }
    assert!(check(Some(50), None).unwrap_err().starts_with("random_vm_id_start"));
    for bad in [(Some(90_000), Some(80_000)), (None, Some(9_999)), (Some(100_000), None)] {
        let message = check(bad.0, bad.1).unwrap_err();
        assert!(message.starts_with("random_vm_id_start is "), "{message}");
    }
}

#[test]
fn what_is_wrong_is_told_by_its_place_or_the_name_of_its_variable() {
    let token = ("PROXMOX_VE_API_TOKEN", "root@pam!t=s");
    let of_block = |block: Json| configure(block, &[HERE, token]).unwrap_err();
    for (block, path, word) in [
        (json!({"endpoint": "http://x:8006/"}), "endpoint", "https"),
        (json!({"api_token": "garbage"}), "api_token", "no token"),
        (json!({"min_tls": "1.9"}), "min_tls", "1.9"),
        (json!({"api_token": "", "username": "root", "password": "hunter2"}), "username", "realm"),
        (json!({"random_vm_ids": true, "random_vm_id_end": 200}), "random_vm_id_end", "200"),
        (json!({"random_vm_id_start": 99}), "random_vm_id_start", "99"),
        (json!({"ssh": [{"node_address_source": "guess"}]}), "ssh[0].node_address_source", "guess"),
        (
            json!({"ssh": [{"node": [{"name": "a", "address": "b", "port": 70_000}]}]}),
            "ssh[0].node[0].port",
            "70000",
        ),
        (json!({"ssh": [{"socks5_password": "hunter2"}]}), "ssh[0].socks5_password", "socks5_server"),
    ] {
        let error = of_block(block);
        let SettingPlace::Block(at) = &error.place else { panic!("{error:?}") };
        assert_eq!(at.to_string(), path, "{error:?}");
        assert!(error.message.contains(word) && !error.message.contains("hunter2"), "{error:?}");
    }
    for (name, text) in [
        ("PROXMOX_VE_ENDPOINT", "http://x"),
        ("PM_VE_API_TOKEN", "garbage"),
        ("PROXMOX_VE_MIN_TLS", "1.9"),
        ("PROXMOX_VE_SSH_PORT", "0"),
        ("PROXMOX_VE_SSH_SOCKS5_USERNAME", "u"),
    ] {
        let error = configure(json!({}), &[(name, text), HERE, token]).map(drop);
        let error = match name {
            "PM_VE_API_TOKEN" => configure(json!({}), &[HERE, (name, text)]).map(drop).unwrap_err(),
            _ => error.unwrap_err(),
        };
        assert!(error.message.starts_with(name) && error.place == SettingPlace::Variable, "{error:?}");
    }
    let nothing = configure(json!({}), &[]).unwrap_err();
    assert_eq!(nothing.place, SettingPlace::Missing);
}

#[test]
fn a_simulated_cluster_takes_whoever_comes() {
    let of = |block: Json| {
        let ty = Definition::new(crate::provider_block::fields()).schema.block.implied_type();
        SimulatedConfiguration::from_block(&decode(&block, &ty).unwrap()).unwrap()
    };
    assert!(!of(json!({})).is_user && !of(json!({"api_token": "x"})).is_user);
    assert!(of(json!({"username": "root", "password": "x"})).is_user);
    assert_eq!(of(json!({"endpoint": "http://x"})).endpoint, "http://x");
}
