//! What is planned for containers, by cases.

use pve_model::codec::decode;
use serde_json::{Value as Json, json};

use super::super::validate::validate;
use super::*;
use crate::definition::Definition;

fn value(json: Json) -> Value {
    decode(&json, &Definition::new(crate::container::fields()).schema.block.implied_type()).unwrap()
}

#[test]
fn a_new_password_is_a_change_in_place_and_says_what_it_does() {
    let with_password =
        |password: &str| value(json!({"initialization": [{"user_account": [{"password": password}]}]}));
    let (prior, config) = (with_password("one"), with_password("two"));
    let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config });
    assert_eq!(response.replace, vec![]);
    assert_eq!(response.notes.len(), 1);
    assert!(!response.notes[0].contains("two"));
}

// As the reference refuses it.
#[test]
fn an_interface_has_an_address_or_none() {
    for (mac, refused) in [
        (json!("BC:24:11:00:00:01"), false),
        (json!(""), false),
        (Json::Null, false),
        (json!("BC:24:11"), true),
    ] {
        let config = value(json!({"network_interface": [{"name": "eth0", "mac_address": mac}]}));
        let paths: Vec<String> = validate(&config).iter().map(|problem| problem.path.to_string()).collect();
        assert_eq!(!paths.is_empty(), refused, "{mac} {paths:?}");
        assert!(paths.iter().all(|path| path == "network_interface[0].mac_address"), "{paths:?}");
    }
}

#[test]
fn a_size_without_a_unit_is_one_of_bytes_and_must_be_large_enough_for_that() {
    for (size, refused) in
        [("8", true), ("1073741823", true), ("5368709120", false), ("8G", false), ("", false)]
    {
        let point = json!({"path": "/srv", "volume": "lvm", "size": size});
        let problems = validate(&value(json!({"mount_point": [point]})));
        assert_eq!(problems.iter().any(|problem| problem.summary.contains("unit")), refused, "{size}");
    }
}

#[test]
fn sizes_of_mount_points_are_compared_as_sizes() {
    let with_size =
        |size: &str| value(json!({"mount_point": [{"path": "/srv", "volume": "lvm", "size": size}]}));
    let (prior, config) = (with_size("4096M"), with_size("4G"));
    let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config });
    assert!(changed(&prior, &response.planned.unwrap()).is_empty());
}

// As the reference plans it: the API ends a description with a line feed.
#[test]
fn the_description_is_planned_as_the_api_keeps_it() {
    let config = value(json!({"description": "  one\r\ntwo\n\n"}));
    let response = plan(PlanRequest { prior: None, config: &config, proposed: &config });
    assert_eq!(text(&response.planned.unwrap(), "description"), Some("one\ntwo\n"));
    let prior = value(json!({"description": "one\ntwo"}));
    let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config });
    assert!(changed(&prior, &response.planned.unwrap()).is_empty());
}

// As the reference plans it.
#[test]
fn an_empty_dns_block_and_no_variables_are_nothing() {
    let dns = json!([{"domain": "", "servers": []}]);
    let config =
        value(json!({"environment_variables": {}, "initialization": [{"hostname": "h", "dns": dns}]}));
    for prior in [None, Some(&value(json!({"initialization": [{"hostname": "h", "dns": []}]})))] {
        let response = plan(PlanRequest { prior, config: &config, proposed: &config });
        let planned = response.planned.unwrap();
        assert!(planned.get("environment_variables").is_some_and(Value::is_null));
        assert!(all_blocks(block(&planned, "initialization").unwrap(), "dns").is_empty());
    }
}

#[test]
fn no_volume_of_a_container_shrinks() {
    let with_point = |volume: &str, size: &str| {
        let data = json!({"path": "/srv/data", "volume": volume, "size": size});
        value(json!({"disk": [{"size": 8}], "mount_point": [{"path": "/srv/a", "volume": "lvm"}, data]}))
    };
    let problems = |config: Value| -> Vec<String> {
        let prior = with_point("lvm", "10G");
        let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config });
        response.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.detail)).collect()
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(problems(with_point("lvm", "10240M")), none);
    assert_eq!(problems(with_point("lvm", "11G")), none);
    for volume in ["lvm", "other"] {
        let found = problems(with_point(volume, "5120M"));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("mount_point[1].size: mount point /srv/data is 10G"), "{found:?}");
    }
    assert_eq!(problems(with_point("/mnt/data", "5G")), none, "another volume has its own size");
}

#[test]
fn what_a_running_container_takes_only_by_a_restart_is_announced() {
    let base = json!({"started": true, "disk": [{"size": 8}],
                      "mount_point": [{"path": "/a", "volume": "lvm", "size": "1G"}],
                      "memory": [{"dedicated": 512}]});
    let restarts = |name: &str, part: Json| {
        let mut json = base.clone();
        json[name] = part;
        let (prior, config) = (value(base.clone()), value(json));
        let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config });
        response.notes.iter().any(|note| note.starts_with("restarts the container"))
    };
    let point = |path: &str| json!({"path": path, "volume": "lvm", "size": "1G"});
    assert!(restarts("features", json!([{"nesting": true}])));
    assert!(restarts("mount_point", json!([point("/b")])), "another path");
    assert!(restarts("mount_point", json!([])), "taken away");
    assert!(restarts(
        "mount_point",
        json!([{"path": "/a", "volume": "lvm", "size": "1G", "read_only": true}])
    ));
    assert!(restarts("device_passthrough", json!([{"path": "/dev/fuse"}])));
    assert!(!restarts("mount_point", json!([point("/a"), point("/b")])), "a new one is taken at once");
    assert!(!restarts("mount_point", json!([{"path": "/a", "volume": "lvm", "size": "2G"}])), "grown");
    assert!(!restarts("memory", json!([{"dedicated": 1024}])));
    assert!(!restarts("network_interface", json!([{"name": "eth0"}])));
    assert!(!restarts("description", json!("x")));
    assert!(!restarts("started", json!(false)), "it is shut down");
}

// A container that was imported does not tell from what it was made; only a new one needs to be told.
#[test]
fn only_a_new_container_needs_something_to_be_made_from() {
    let config = value(json!({"description": "x", "clone": [], "operating_system": []}));
    let problems = |prior: Option<Json>| {
        let prior = prior.map(value);
        let response = plan(PlanRequest { prior: prior.as_ref(), config: &config, proposed: &config });
        let paths = response.replace.iter().map(|reason| reason.path.to_string());
        (response.problems.len(), paths.collect::<Vec<_>>())
    };
    let made = |file: Json| json!({"operating_system": [{"template_file_id": file, "type": "debian"}]});
    assert_eq!(problems(None), (1, vec![]));
    assert_eq!(problems(Some(made(Json::Null))), (0, vec![]));
    assert_eq!(problems(Some(made(json!("local:vztmpl/d.tar.zst")))).0, 1, "it could not be made anew");
}

#[test]
fn a_list_of_servers_has_one_at_least() {
    let found = |servers: Json| {
        let config =
            value(json!({"initialization": [{"dns": [{"domain": "example.test", "servers": servers}]}]}));
        validate(&config).iter().map(|problem| problem.path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found(Json::Null), Vec::<String>::new());
    assert_eq!(found(json!(["192.0.2.1"])), Vec::<String>::new());
    assert_eq!(found(json!([])), ["initialization[0].dns[0].servers"]);
}

#[test]
fn what_the_api_refuses_in_variables_tags_and_options_is_refused() {
    let found = |config: Json| {
        validate(&value(config)).iter().map(|problem| problem.path.to_string()).collect::<Vec<_>>()
    };
    let good = json!({"environment_variables": {"A_1": "x y"}, "tags": ["a"], "disk": [{"mount_options": ["noatime"]}]});
    assert_eq!(found(good), Vec::<String>::new());
    for (name, text) in [("", "x"), ("a b", "x"), ("a-b", "x"), ("A", "\u{1b}")] {
        assert_eq!(found(json!({"environment_variables": {name: text}})).len(), 1, "{name:?} {text:?}");
    }
    assert_eq!(found(json!({"tags": ["a", ""]})), ["tags[1]"]);
    assert_eq!(found(json!({"disk": [{"mount_options": [""]}]})), ["disk[0].mount_options[0]"]);
}

#[test]
fn an_owner_that_was_written_as_0_is_no_change() {
    let device =
        |gid: Json| value(json!({"device_passthrough": [{"path": "/dev/kvm", "gid": gid, "uid": null}]}));
    let (prior, config) = (device(json!(0)), device(Json::Null));
    let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config });
    assert!(changed(&prior, &response.planned.unwrap()).is_empty());
}

#[test]
fn an_address_that_goes_to_another_interface_is_told() {
    let container = |names: &[&str], addresses: &[&str]| {
        let interfaces: Vec<Json> = names.iter().map(|name| json!({ "name": name })).collect();
        let configs: Vec<Json> =
            addresses.iter().map(|address| json!({"ipv4": [{ "address": address }]})).collect();
        value(json!({"network_interface": interfaces, "initialization": [{"ip_config": configs}]}))
    };
    let notes = |before: (&[&str], &[&str]), after: (&[&str], &[&str])| {
        let (prior, config) = (container(before.0, before.1), container(after.0, after.1));
        plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config }).notes
    };
    let one: &[&str] = &["192.0.2.5/24"];
    let none: Vec<String> = Vec::new();
    assert_eq!(
        notes((&["eth0", "eth1"], one), (&["eth1", "eth0"], one)),
        [
            "addresses go by place (ip_config): eth1 has ip=192.0.2.5/24 instead of no address, eth0 has no address instead of ip=192.0.2.5/24"
        ]
    );
    assert_eq!(
        notes((&["eth0"], one), (&["eth9", "eth0"], one)),
        [
            "addresses go by place (ip_config): eth9 has ip=192.0.2.5/24, eth0 has no address instead of ip=192.0.2.5/24"
        ]
    );
    assert_eq!(notes((&["eth0"], one), (&["eth0", "eth1"], one)), none);
    assert_eq!(notes((&["eth0"], one), (&["eth0"], &["192.0.2.6/24"])), none, "edited");
    let two = &["dhcp", "192.0.2.5/24"];
    assert_eq!(notes((&["eth0"], one), (&["eth9", "eth0"], two)), none, "it goes along");
}

#[test]
fn a_container_that_takes_the_place_of_another_may_have_smaller_volumes() {
    let container = |id: i64, size: i64| value(json!({"vm_id": id, "disk": [{"size": size}]}));
    for (id, refused) in [(100, 1), (101, 0)] {
        let (prior, config) = (container(100, 8), container(id, 4));
        let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config });
        assert_eq!(response.problems.len(), refused);
    }
}

#[test]
fn a_new_password_alone_leaves_the_addresses_known() {
    let with_password = |password: &str| {
        value(
            json!({"ipv4": {"eth0": "192.0.2.5"}, "initialization": [{"user_account": [{"password": password}]}]}),
        )
    };
    let (prior, config) = (with_password("one"), with_password("two"));
    let planned =
        plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config }).planned.unwrap();
    assert!(planned.get("ipv4").unwrap().is_known());
}

#[test]
fn a_running_container_is_shut_down_for_volumes_that_move_and_the_plan_says_so() {
    let container = |root: &str, volume: &str, started: bool| {
        value(json!({"started": started, "disk": [{"datastore_id": root, "size": 8}],
                     "mount_point": [{"path": "/a", "volume": volume, "size": "1G", "path_in_datastore": "lvm:vm-1-disk-1"}]}))
    };
    let notes = |root: &str, volume: &str, started: bool| {
        let (prior, config) = (container("lvm", "lvm", true), container(root, volume, started));
        plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config }).notes
    };
    let told = ["shuts the container down and starts it again: its volumes do not move while it runs"];
    assert_eq!(notes("zfs", "lvm", true), told);
    assert_eq!(notes("lvm", "zfs", true), told);
    let none: Vec<String> = Vec::new();
    assert_eq!(notes("lvm", "lvm", true), none);
    assert_eq!(notes("zfs", "lvm", false), none, "it is shut down anyway");
}

#[test]
fn a_mount_point_that_goes_to_another_path_is_told_to_keep_its_volume() {
    let container = |paths: &[&str]| {
        let points = paths.iter().map(|path| json!({"path": path, "volume": "lvm", "size": "1G"}));
        value(json!({"mount_point": points.collect::<Vec<_>>()}))
    };
    let notes = |before: &[&str], after: &[&str]| {
        let (prior, config) = (container(before), container(after));
        plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config }).notes
    };
    assert_eq!(notes(&["/a", "/b"], &["/c", "/b"]), ["mount point /a becomes /c and keeps its volume"]);
    assert_eq!(notes(&["/a", "/b"], &["/b"]), ["takes away mount point /a; its volume stays as unused"]);
}

#[test]
fn an_empty_datastore_of_the_root_disk_stands_for_the_default() {
    let config = value(json!({"disk": [{"datastore_id": "", "size": 4}], "clone": []}));
    let prior = value(json!({"disk": [{"datastore_id": "local", "size": 4}], "clone": []}));
    for prior in [None, Some(&prior)] {
        let planned = plan(PlanRequest { prior, config: &config, proposed: &config }).planned.unwrap();
        assert_eq!(block(&planned, "disk").and_then(|disk| text(disk, "datastore_id")), Some("local"));
    }
}
