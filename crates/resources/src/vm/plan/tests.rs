//! What is planned for VMs, by cases.

use pve_model::codec::decode;
use serde_json::{Value as Json, json};

use super::*;
use crate::definition::Definition;
use crate::values::int;

fn value(json: Json) -> Value {
    let definition = Definition::new(crate::vm::fields());
    let value = decode(&json, &definition.schema.block.implied_type()).unwrap();
    // Absent list blocks are empty lists.
    definition.schema.block.blocks.keys().fold(value, |value, name| {
        let absent = value.get(name).is_some_and(Value::is_null);
        let Some(Value { kind: pve_model::ValueKind::Null(pve_model::Type::List(ty)), .. }) = value.get(name)
        else {
            return value;
        };
        let empty = Value::list((**ty).clone(), vec![]);
        if absent { with(&value, name, empty) } else { value }
    })
}

fn update(prior: Json, config: Json) -> (Value, PlanResponse) {
    let (prior, config) = (value(prior), value(config));
    let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config });
    (prior, response)
}

fn differences(prior: Json, config: Json) -> Vec<String> {
    let (prior, response) = update(prior, config);
    changed(&prior, &response.planned.unwrap()).into_iter().collect()
}

#[test]
fn another_order_of_tags_or_disks_is_no_change() {
    let disk = |name: &str| json!({"interface": name, "size": 8});
    assert_eq!(
        differences(
            json!({"tags": ["b", "a"], "disk": [disk("scsi0"), disk("scsi1")]}),
            json!({"tags": ["a", "b"], "disk": [disk("scsi1"), disk("scsi0")]}),
        ),
        Vec::<String>::new()
    );
}

#[test]
fn a_disk_keeps_its_volume_when_one_before_it_is_taken_out() {
    let (_, response) = update(
        json!({"disk": [
            {"interface": "scsi0", "size": 8, "path_in_datastore": "vm-1-disk-0"},
            {"interface": "scsi1", "size": 8, "path_in_datastore": "vm-1-disk-1"}]}),
        json!({"disk": [{"interface": "scsi1", "size": 8}]}),
    );
    let planned = response.planned.unwrap();
    assert_eq!(text(&all_blocks(&planned, "disk")[0], "path_in_datastore"), Some("vm-1-disk-1"));
    assert_eq!(response.notes, ["destroys disk scsi0 and its data"]);
}

#[test]
fn a_network_device_keeps_its_address_when_one_before_it_is_taken_out() {
    let (_, response) = update(
        json!({"network_device": [
            {"bridge": "vmbr0", "mac_address": "BC:24:11:00:00:01"},
            {"bridge": "vmbr1", "mac_address": "BC:24:11:00:00:02"}]}),
        json!({"network_device": [{"bridge": "vmbr1"}]}),
    );
    let planned = response.planned.unwrap();
    assert_eq!(text(&all_blocks(&planned, "network_device")[0], "mac_address"), Some("BC:24:11:00:00:02"));
    assert!(!planned.get("mac_addresses").unwrap().is_known());
}

#[test]
fn a_changed_network_device_keeps_its_address() {
    let (_, response) = update(
        json!({"network_device": [{"bridge": "vmbr0", "mac_address": "BC:24:11:00:00:01"}]}),
        json!({"network_device": [{"bridge": "vmbr1"}, {"bridge": "vmbr2"}]}),
    );
    let planned = response.planned.unwrap();
    let devices = all_blocks(&planned, "network_device");
    assert_eq!(text(&devices[0], "mac_address"), Some("BC:24:11:00:00:01"));
    assert!(!devices[1].get("mac_address").unwrap().is_known());
}

#[test]
fn a_smaller_disk_is_refused_but_an_image_larger_than_the_default_is_not() {
    let prior = json!({"disk": [{"interface": "scsi0", "size": 20}]});
    let (_, refused) = update(prior.clone(), json!({"disk": [{"interface": "scsi0", "size": 10}]}));
    assert_eq!(refused.problems.len(), 1);
    let (prior, config) = (value(prior), value(json!({"disk": [{"interface": "scsi0"}]})));
    let proposed = value(json!({"disk": [{"interface": "scsi0", "size": 8}]}));
    let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &proposed });
    assert!(response.problems.is_empty());
    assert_eq!(int(&all_blocks(&response.planned.unwrap(), "disk")[0], "size"), Some(20));
}

#[test]
fn a_template_is_replaced_to_become_a_vm_and_another_node_is_no_replacement() {
    let (_, response) = update(json!({"template": true}), json!({"template": false}));
    assert_eq!(response.replace.len(), 1);
    let (_, response) = update(json!({"node_name": "a"}), json!({"node_name": "b"}));
    assert_eq!(response.replace, vec![]);
    assert_eq!(response.notes, ["migrates from a to b"]);
}

#[test]
fn the_source_of_a_clone_replaces_it_but_how_often_it_was_tried_does_not() {
    let cloned = |json: Json| json!({ "clone": [json] });
    let reasons = |prior: Json, config: Json| -> Vec<String> {
        update(prior, config).1.replace.iter().map(|reason| reason.path.to_string()).collect()
    };
    let base = json!({"vm_id": 9000, "full": true, "retries": 1});
    let none: Vec<String> = Vec::new();
    assert_eq!(
        reasons(cloned(base.clone()), cloned(json!({"vm_id": 9000, "full": true, "retries": 3}))),
        none
    );
    let other = cloned(json!({"vm_id": 9001, "full": true, "retries": 1}));
    assert_eq!(reasons(cloned(base.clone()), other), ["clone[0].vm_id"]);
    assert_eq!(reasons(cloned(base.clone()), json!({})), ["clone[0].vm_id"]);
    let told = json!({"vm_id": 9000, "full": false, "retries": 3, "datastore_id": "d"});
    assert_eq!(
        reasons(cloned(told), json!({})),
        ["clone[0].datastore_id", "clone[0].full", "clone[0].retries", "clone[0].vm_id"],
        "the reference names what said more than what is meant without it"
    );
    assert_eq!(
        reasons(json!({}), cloned(base)),
        none,
        "an imported VM does not tell what it was cloned from"
    );
}

#[test]
fn devices_that_trade_places_keep_the_addresses_of_the_places() {
    let device = |bridge: &str, mac: &str| json!({"bridge": bridge, "mac_address": mac});
    let (_, response) = update(
        json!({"network_device": [device("vmbr0", "BC:24:11:00:00:01"), device("vmbr1", "BC:24:11:00:00:02")]}),
        json!({"network_device": [{"bridge": "vmbr1"}, {"bridge": "vmbr0"}]}),
    );
    let planned = response.planned.unwrap();
    assert_eq!(text(&all_blocks(&planned, "network_device")[0], "mac_address"), Some("BC:24:11:00:00:01"));
}

#[test]
fn the_description_is_planned_as_the_api_keeps_it() {
    let config = value(json!({"description": " one\r\ntwo\n"}));
    let response = plan(PlanRequest { prior: None, config: &config, proposed: &config });
    assert_eq!(text(&response.planned.unwrap(), "description"), Some("one\ntwo"));
}

// The reference suppresses every difference of `started` in a template.
#[test]
fn whether_a_template_is_started_is_no_matter() {
    let config = value(json!({"template": true, "started": true}));
    let response = plan(PlanRequest { prior: None, config: &config, proposed: &config });
    assert_eq!(flag(&response.planned.unwrap(), "started"), None);
    let prior = json!({"template": true, "started": false});
    assert_eq!(differences(prior, json!({"template": true, "started": true})), Vec::<String>::new());
}

#[test]
fn a_vm_whose_first_disk_changes_its_interface_boots_from_it_there() {
    let vm = |disks: &[&str], order: Json| {
        let disks: Vec<Json> = disks.iter().map(|name| json!({"interface": name, "size": 8})).collect();
        json!({"disk": disks, "boot_order": order, "started": true, "network_device": [{"bridge": "vmbr0"}]})
    };
    let cases: &[(&[&str], Json, &[&str], Json)] = &[
        (&["scsi0"], json!(["scsi0", "net0"]), &["virtio0"], json!(["virtio0", "net0"])),
        (&["scsi0", "scsi1"], json!(["scsi0", "net0"]), &["scsi1", "virtio0"], json!(["virtio0", "net0"])),
        (&["scsi0"], json!(["net0", "scsi0"]), &["sata1"], json!(["net0", "sata1"])),
        (&[], json!(["net0"]), &["scsi0"], json!(["scsi0", "net0"])),
        (&[], json!(["scsi0", "net0"]), &["virtio0"], json!(["scsi0", "net0"])),
        (&["scsi0"], json!(["scsi0", "net0"]), &["scsi0", "virtio0"], json!(["scsi0", "net0"])),
        (
            &["scsi0", "virtio0"],
            json!(["scsi0", "virtio0", "net0"]),
            &["virtio0"],
            json!(["virtio0", "net0"]),
        ),
    ];
    for (before, order, after, expected) in cases {
        let (prior, config) = (vm(before, order.clone()), vm(after, Json::Null));
        let (prior, config) = (value(prior), value(config));
        let proposed = with(&config, "boot_order", prior.get("boot_order").unwrap().clone());
        let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &proposed });
        let planned = response.planned.unwrap();
        let (sent, _) = super::super::option_changes::changed_options(&prior, &planned);
        let boot = sent
            .0
            .get("boot")
            .map(|boot| json!(boot.trim_start_matches("order=").split(';').collect::<Vec<_>>()));
        assert_eq!(boot.as_ref().unwrap_or(order), expected, "{before:?} {after:?}");
        let told = ["reboots the VM", "shuts the VM down and starts it again"];
        let restarts = response.notes.iter().any(|note| told.iter().any(|told| note.starts_with(told)));
        assert_eq!(restarts, order != expected, "{before:?} {after:?} {:?}", response.notes);
        let destroyed = response.notes.iter().filter(|note| note.starts_with("destroys disk")).count();
        assert_eq!(destroyed, before.iter().filter(|name| !after.contains(name)).count());
    }
}

#[test]
fn another_image_of_a_disk_that_is_there_is_only_recorded_and_the_plan_says_so() {
    let disk = |image: Json| json!({"disk": [{"interface": "scsi0", "size": 8, "import_from": image}]});
    let (_, response) = update(disk(json!("local:import/a.qcow2")), disk(json!("local:import/b.qcow2")));
    assert_eq!(response.replace, vec![]);
    assert!(response.notes[0].starts_with("import_from of scsi0 is only recorded"), "{:?}", response.notes);
    let (_, response) = update(disk(Json::Null), disk(json!("local:import/b.qcow2")));
    assert!(response.notes[0].starts_with("import_from of scsi0 is only recorded"), "{:?}", response.notes);
    let (_, response) = update(disk(json!("")), disk(json!("local:import/b.qcow2")));
    assert_eq!(response.notes, Vec::<String>::new(), "an imported VM does not tell its image");
}

#[test]
fn another_file_of_a_disk_replaces_the_vm_unless_it_was_imported() {
    let disk = |file: Json| json!({"disk": [{"interface": "scsi0", "size": 8, "file_id": file}]});
    for (before, after, replaces) in [
        (json!("local:iso/a.img"), json!("local:iso/b.img"), true),
        (json!("local:iso/a.img"), json!(""), true),
        (Json::Null, json!("local:iso/b.img"), true),
        (json!(""), json!("local:iso/b.img"), false),
    ] {
        let (_, response) = update(disk(before.clone()), disk(after.clone()));
        assert_eq!(!response.replace.is_empty(), replaces, "{before} {after}");
    }
}

// The reference: a list of disks that differ in this alone is the same list.
#[test]
fn a_disk_that_is_there_keeps_its_volume_whatever_path_is_configured() {
    let disk = |path: Json| json!({"disk": [{"interface": "scsi0", "size": 8, "path_in_datastore": path}]});
    let (before, after) = (disk(json!("vm-1-disk-0")), disk(json!("base/x")));
    assert_eq!(differences(before, after), Vec::<String>::new());
}

// The reference: computed attributes that are left out stay as they are.
#[test]
fn what_is_left_out_and_only_the_cluster_can_tell_stays() {
    let disk = |size: Json| json!([{"interface": "scsi0", "size": size}]);
    for (before, after) in [
        (json!({"disk": disk(json!(3))}), json!({"disk": disk(Json::Null)})),
        (json!({"vga": [{"type": "qxl", "memory": 32}]}), json!({})),
        (json!({"pool_id": "lab"}), json!({"pool_id": null})),
        (json!({"pool_id": "lab"}), json!({"pool_id": ""})),
    ] {
        assert_eq!(differences(before.clone(), after), Vec::<String>::new(), "{before}");
    }
}

#[test]
fn keys_of_the_firmware_make_its_disk_anew_and_keep_the_vm() {
    let disk = |keys: bool| json!({"efi_disk": [{"type": "4m", "pre_enrolled_keys": keys}]});
    let (_, response) = update(disk(false), disk(true));
    assert_eq!(response.replace, vec![]);
    assert_eq!(response.notes, ["makes the EFI disk anew: what the firmware has stored is lost"]);
}

// Another client writes defaults down where this one writes nothing.
#[test]
fn a_default_that_was_written_elsewhere_is_no_change() {
    let before = json!({
        "hostpci": [{"device": "hostpci1", "id": "0000:01:00", "pcie": false, "rombar": false, "xvga": false}],
        "usb": [{"host": "1234:5678", "usb3": false}],
        "initialization": [{"datastore_id": "local-lvm", "interface": null}],
    });
    let after = json!({
        "hostpci": [{"device": "hostpci1", "id": "0000:01:00"}],
        "usb": [{"host": "1234:5678"}],
        "initialization": [{"datastore_id": "local-lvm", "interface": "ide2"}],
    });
    assert_eq!(differences(before.clone(), after.clone()), Vec::<String>::new());
    let mut other = after;
    other["initialization"][0]["interface"] = json!("scsi9");
    other["usb"][0]["usb3"] = json!(true);
    assert!(
        ["initialization", "usb"]
            .iter()
            .all(|name| differences(before.clone(), other.clone()).contains(&name.to_string()))
    );
}

// The reference's state has empty texts for files that are not named.
#[test]
fn files_that_a_state_of_the_reference_has_empty_are_no_change() {
    let before = json!({"initialization": [{"user_data_file_id": "", "meta_data_file_id": ""}]});
    let after = json!({"initialization": [{"user_data_file_id": null, "meta_data_file_id": null}]});
    assert_eq!(differences(before, after), Vec::<String>::new());
    let named = json!({"initialization": [{"user_data_file_id": "local:snippets/u.yaml"}]});
    let unnamed = json!({"initialization": [{"user_data_file_id": null}]});
    assert!(differences(named, unnamed).contains(&"initialization".to_string()));
}

#[test]
fn a_cloud_init_drive_without_an_interface_of_its_own_gives_way_to_one_that_comes_to_where_it_is() {
    let before = json!({"cdrom": [{"interface": "ide2"}], "initialization": [{"interface": "ide3"}]});
    let after = json!({"cdrom": [{"interface": "ide3"}], "initialization": [{"interface": null}]});
    let planned = update(before, after).1.planned.unwrap();
    assert!(block(&planned, "initialization").unwrap().get("interface").unwrap().is_null());
}

#[test]
fn the_cloud_init_drive_of_a_clone_has_no_interface_where_none_is_written() {
    let json = json!({"clone": [{"vm_id": 9000}], "initialization": [{"interface": null}]});
    let config = value(json.clone());
    let response = plan(PlanRequest { prior: None, config: &config, proposed: &config });
    let made = response.planned.unwrap();
    assert!(block(&made, "initialization").unwrap().get("interface").unwrap().is_null());
    let bare = json!({"clone": [{"vm_id": 9000}]});
    let added = update(bare, json.clone()).1.planned.unwrap();
    assert!(block(&added, "initialization").unwrap().get("interface").unwrap().is_null());
    let named = json!({"clone": [{"vm_id": 9000}], "initialization": [{"interface": "ide2"}]});
    assert!(differences(json, named).contains(&"initialization".to_string()));
}

#[test]
fn a_vm_that_takes_the_place_of_another_may_have_smaller_disks() {
    let vm = |id: i64, size: i64| json!({"vm_id": id, "disk": [{"interface": "scsi0", "size": size}]});
    assert_eq!(update(vm(100, 12), vm(100, 4)).1.problems.len(), 1);
    assert_eq!(update(vm(100, 12), vm(101, 4)).1.problems, vec![]);
}

#[test]
fn a_reboot_is_told_with_what_it_is_for() {
    let base = json!({"started": true, "bios": "seabios", "cpu": [{"type": "host"}],
                      "initialization": [{"interface": "ide2", "user_account": [{"username": "a"}]}]});
    let notes = |name: &str, part: Json| {
        let mut json = base.clone();
        json[name] = part;
        update(base.clone(), json).1.notes
    };
    assert_eq!(notes("bios", json!("ovmf")), ["reboots the VM: it does not take bios while it runs"]);
    assert_eq!(
        notes("cpu", json!([{"type": "kvm64"}])),
        ["reboots the VM if it cannot take cpu while it runs"]
    );
    let account = json!([{"interface": "ide2", "user_account": [{"username": "b"}]}]);
    assert_eq!(notes("initialization", account), ["cloud-init sees the new values at the next boot"]);
}

#[test]
fn a_tpm_state_moves_while_the_vm_is_shut_down_and_an_efi_disk_while_it_runs() {
    let vm = |efi: &str, tpm: &str, reboots: bool| {
        json!({"started": true, "reboot_after_update": reboots,
               "efi_disk": [{"datastore_id": efi, "type": "4m"}], "tpm_state": [{"datastore_id": tpm, "version": "v2.0"}]})
    };
    let notes = |efi: &str, tpm: &str, reboots: bool| {
        update(vm("lvm", "lvm", reboots), vm(efi, tpm, reboots)).1.notes
    };
    let told = ["shuts the VM down and starts it again: the TPM state does not move while it runs"];
    assert_eq!(notes("lvm", "zfs", true), told);
    assert_eq!(notes("zfs", "zfs", false), told);
    assert_eq!(notes("zfs", "lvm", true), Vec::<String>::new());
}

#[test]
fn no_rate_is_below_none() {
    let problems = |fields: crate::definition::Fields, name: &str, rate: f64| {
        let definition = Definition::new(fields);
        let config = json!({ name: [{ "rate_limit": rate }] });
        let config = decode(&config, &definition.schema.block.implied_type()).unwrap();
        definition.check(&config).iter().map(|problem| problem.path.to_string()).collect::<Vec<_>>()
    };
    for (fields, name) in [
        (crate::vm::fields as fn() -> crate::definition::Fields, "network_device"),
        (crate::container::fields, "network_interface"),
    ] {
        assert_eq!(problems(fields(), name, 1.5), Vec::<String>::new());
        assert_eq!(problems(fields(), name, -1.0), [format!("{name}[0].rate_limit")]);
    }
}

#[test]
fn a_cloud_init_drive_without_an_interface_does_not_come_to_where_another_drive_is() {
    let with =
        |part: &str, block: Json| json!({part: [block], "initialization": [{"datastore_id": "local-lvm"}]});
    let create = |config: Json| {
        let config = value(config);
        let problems = plan(PlanRequest { prior: None, config: &config, proposed: &config }).problems;
        problems.iter().map(|problem| format!("{}: {}", problem.path, problem.detail)).collect::<Vec<_>>()
    };
    let taken =
        |by: &str| vec![format!("initialization[0].interface: ide2 is the interface of {by} already")];
    let disk = || with("disk", json!({"interface": "ide2"}));
    assert_eq!(create(disk()), taken("a disk"));
    assert_eq!(create(with("cdrom", json!({"interface": "ide2"}))), taken("the CD-ROM drive"));
    assert_eq!(create(with("disk", json!({"interface": "ide0"}))), Vec::<String>::new());
    let mut clone = disk();
    clone["clone"] = json!([{"vm_id": 9}]);
    assert_eq!(create(clone), Vec::<String>::new(), "the template's may be elsewhere");
    assert_eq!(update(json!({"disk": [{"interface": "ide2"}]}), disk()).1.problems.len(), 1);
    let elsewhere = json!({"disk": [{"interface": "ide2"}],
                           "initialization": [{"datastore_id": "local-lvm", "interface": "ide0"}]});
    assert_eq!(update(elsewhere, disk()).1.problems, vec![]);
}
