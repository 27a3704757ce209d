//! Clones of templates that have everything: whatever part a configuration names, at once or later, or names no more, one
//! apply brings it about, and nothing is left to do or to tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pve_executor::ports::Provider;
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::super::lives::VM;
use super::super::{Recorder, World};
use super::turns::step;
use super::world;
use crate::cluster::Method;

/// Makes a guest by hand, and a template of it.
pub(super) async fn template(world: &World, kind: &str, vmid: u32, options: &str) {
    let pairs = options.split(' ').filter_map(|pair| pair.split_once('='));
    let mut pairs: Vec<_> = pairs.map(|(name, text)| (name.to_string(), text.to_string())).collect();
    pairs.push(("vmid".to_string(), vmid.to_string()));
    let path = format!("/nodes/pve/{kind}");
    for (path, pairs) in [(path.clone(), pairs), (format!("{path}/{vmid}/template"), Vec::new())] {
        let upid = world.api.send(Method::Post, &path, &pairs).await.unwrap();
        if let Some(upid) = upid.as_str() {
            world.api.wait(upid, Duration::from_secs(10)).await.unwrap();
        }
    }
}

/// Applies, and looks for anything that is left to do or to tell.
pub(super) async fn quiet(world: &World, prior: Option<&Value>, json: &Json) -> Result<Value, String> {
    let recorded = |world: &World| world.provider.beside(&world.address).and_then(|beside| beside.unspoken);
    let config = world.config(json.clone());
    let applied = world.try_apply(prior, Some(&config), &Recorder::default()).await;
    let after = applied.map_err(|error| error.message)?.unwrap();
    let recorded = recorded(world);
    let planned = world.planned(Some(&after), &config).planned.unwrap();
    let names = crate::values::changed(&after, &planned);
    if !names.is_empty() {
        return Err(format!("{names:?} would change at once"));
    }
    let read = world.read(&after).await.ok_or("it is gone")?;
    let beside = world.provider.beside(&world.address).unwrap_or_default().since(recorded.as_ref());
    let mut told = world.rules().remarks(&beside, &read, Some(&read));
    // The volume of a mount point that is taken out stays, which the plan says.
    told.retain(|remark| !remark.ends_with("set aside; left alone"));
    // Once more, which changes nothing: what was read is what was recorded.
    let after = step(world, Some(&after), json).await?;
    if told.is_empty() { Ok(after) } else { Err(format!("told: {told:?}")) }
}

/// The options of a guest as the cluster has them, without what is drawn anew for each: ids, addresses and names of volumes.
async fn options(world: &World, vmid: u32) -> BTreeMap<String, String> {
    let api = if world.kind == VM { "qemu" } else { "lxc" };
    let path = format!("/nodes/pve/{api}/{vmid}/config");
    let config = world.api.send(Method::Get, &path, &[]).await.unwrap();
    let own = ["digest", "meta", "vmgenid"];
    let options = config.as_object().unwrap().iter().filter(|(name, _)| {
        // What was set aside is told, and stays.
        !own.contains(&&***name) && !name.starts_with("unused")
    });
    let shared = |part: &str| {
        let is_address = part.split(':').count() == 6;
        match part.split_once('=') {
            Some((key @ ("uuid" | "hwaddr"), _)) => key.to_string(),
            Some((model, _)) if is_address => model.to_string(),
            _ => match part.split_once(":vm-") {
                Some((datastore, volume)) if volume.contains("-disk-") => format!("{datastore}:disk"),
                _ => part.replace(&vmid.to_string(), "ID"),
            },
        }
    };
    let text = |option: &Json| option.as_str().map_or_else(|| option.to_string(), str::to_string);
    let parts = |text: String| text.split(',').map(shared).collect::<Vec<_>>().join(",");
    options.map(|(name, option)| (name.clone(), parts(text(option)))).collect()
}

/// Brings a guest from one configuration to the next. What the cluster has after each, as far as it came without a fault.
async fn steps(
    world: &World,
    vmid: u32,
    steps: &[(&str, &Json)],
    faults: &mut Vec<String>,
) -> (Option<Value>, Vec<BTreeMap<String, String>>) {
    let (mut prior, mut had) = (None, Vec::new());
    for (way, json) in steps {
        let mut json = (*json).clone();
        json["vm_id"] = json!(vmid);
        match quiet(world, prior.as_ref(), &json).await {
            Ok(after) => prior = Some(after),
            Err(fault) => {
                faults.push(format!("{vmid} {way}: {fault}"));
                break;
            }
        }
        had.push(options(world, vmid).await);
    }
    (prior, had)
}

/// The faults of one part: made with the clone, added to one that has only its template's, taken out again. At once or later,
/// the cluster has the same guest.
pub(super) async fn take_part(world: &World, bare: &Json, vmid: u32, part: &Json) -> Vec<String> {
    let mut full = bare.clone();
    for (name, value) in part.as_object().unwrap() {
        full[name] = value.clone();
    }
    let mut faults = Vec::new();
    let ways = [("at once", &full), ("taken out", bare), ("added", &full), ("again", bare)];
    let (last, of_first) = steps(world, vmid, &ways, &mut faults).await;
    if let Some(last) = last {
        world.try_apply(Some(&last), None, &Recorder::default()).await.unwrap();
        let ways = [("bare", bare), ("added to a bare one", &full)];
        let (_, of_second) = steps(world, vmid + 5000, &ways, &mut faults).await;
        for (one, other, told) in [
            (of_first.first(), of_second.get(1), "added to a bare one is otherwise than at once"),
            (of_first.get(1), of_first.get(3), "taken out once more is otherwise than taken out"),
        ] {
            let (Some(one), Some(other)) = (one, other) else { continue };
            let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            let differs = names.into_iter().filter(|name| one.get(*name) != other.get(*name));
            let differs =
                differs.map(|name| format!("{name}: {:?} and {:?}", one.get(name), other.get(name)));
            faults.extend(differs.map(|differs| format!("{told}: {differs}")));
        }
    }
    faults.into_iter().map(|fault| format!("{part} {fault}")).collect()
}

const RICH: &str = "name=tpl scsi0=local-lvm:4,discard=on,ssd=1 scsi1=local-lvm:1 ide0=local:iso/a.iso,media=cdrom \
    efidisk0=local-lvm:1,efitype=4m,pre-enrolled-keys=1 tpmstate0=local-lvm:1,version=v2.0 bios=ovmf machine=q35 \
    cores=2 sockets=2 cpu=host cpulimit=2 cpuunits=200 numa=1 memory=2048 balloon=1024 shares=500 \
    net0=virtio,bridge=vmbr0,tag=5 net1=e1000,bridge=vmbr1 serial0=socket serial1=socket vga=serial0 agent=1,type=isa \
    ostype=l26 tags=tpl description=template args=-no-hpet hookscript=local:snippets/a.sh startup=order=3,up=10 \
    rng0=source=/dev/urandom,max_bytes=1024 watchdog=model=i6300esb,action=reset audio0=device=intel-hda,driver=spice \
    usb0=host=1234:5678 hotplug=disk,network onboot=1 tablet=0 acpi=1 keyboard=de scsihw=virtio-scsi-single localtime=1 \
    ciuser=tpl nameserver=192.0.2.1 searchdomain=example.net ipconfig0=ip=dhcp ipconfig1=ip=192.0.2.5/24 ciupgrade=0 \
    boot=order=scsi0;net0";

fn parts_of_a_vm() -> Vec<Json> {
    vec![
        json!({}),
        json!({"memory": [{"dedicated": 2048}]}),
        json!({"memory": [{"dedicated": 1024, "floating": 512}]}),
        json!({"cpu": [{"cores": 2}]}),
        json!({"cpu": [{"cores": 4, "type": "host", "numa": true}]}),
        json!({"agent": [{"enabled": true}]}),
        json!({"agent": [{"enabled": false}]}),
        json!({"vga": [{"type": "std"}]}),
        json!({"vga": [{"type": "qxl", "memory": 32}]}),
        json!({"serial_device": [{}]}),
        json!({"serial_device": [{}, {}, {}]}),
        json!({"network_device": [{}]}),
        json!({"network_device": [{"bridge": "vmbr1", "model": "e1000"}, {}]}),
        json!({"network_device": [{}, {}, {}]}),
        json!({"operating_system": [{"type": "win11"}]}),
        json!({"operating_system": [{}]}),
        json!({"startup": [{"order": 2}]}),
        json!({"startup": [{}]}),
        json!({"rng": [{"source": "/dev/urandom"}]}),
        json!({"watchdog": [{"enabled": true}]}),
        json!({"watchdog": [{"enabled": false}]}),
        json!({"audio_device": [{}]}),
        json!({"audio_device": [{"enabled": false}]}),
        json!({"usb": [{"host": "spice"}]}),
        json!({"usb": [{"host": "1234:5678"}, {"host": "spice"}]}),
        json!({"smbios": [{"serial": "s"}]}),
        json!({"numa": [{"device": "numa0", "cpus": "0", "memory": 512}], "cpu": [{"numa": true}]}),
        json!({"efi_disk": [{"type": "4m"}]}),
        json!({"efi_disk": [{"type": "4m", "datastore_id": "other", "pre_enrolled_keys": true}]}),
        json!({"tpm_state": [{"version": "v2.0"}]}),
        json!({"tpm_state": [{"version": "v2.0", "datastore_id": "other"}]}),
        json!({"disk": [{"interface": "scsi0", "size": 4}]}),
        json!({"disk": [{"interface": "scsi0", "size": 6, "datastore_id": "other", "iothread": true}]}),
        json!({"disk": [{"interface": "scsi0", "size": 4, "datastore_id": "files", "file_format": "qcow2"}]}),
        json!({"disk": [{"interface": "scsi1", "size": 1}, {"interface": "scsi0", "size": 4}]}),
        json!({"disk": [{"interface": "virtio0", "size": 1}]}),
        json!({"disk": [{"interface": "ide0", "size": 1}]}),
        json!({"disk": [{"interface": "scsi0"}]}),
        json!({"cdrom": [{}]}),
        json!({"cdrom": [{"interface": "ide0"}]}),
        json!({"cdrom": [{"interface": "ide0", "file_id": "none"}]}),
        json!({"cdrom": [{"interface": "ide0", "file_id": "local:iso/a.iso"}]}),
        json!({"cdrom": [{"interface": "ide2", "file_id": "local:iso/b.iso"}]}),
        json!({"initialization": [{"ip_config": [{"ipv4": [{"address": "dhcp"}]}]}]}),
        json!({"initialization": [{}]}),
        json!({"initialization": [{"datastore_id": "other"}]}),
        json!({"initialization": [{"datastore_id": "files", "file_format": "qcow2"}]}),
        json!({"initialization": [{"interface": "ide3"}]}),
        json!({"initialization": [{"interface": "ide2", "user_account": [{"username": "u", "password": "p"}]}]}),
        json!({"initialization": [{"interface": "ide3"}], "cdrom": [{"interface": "ide2"}]}),
        json!({"initialization": [{"interface": "ide3"}], "disk": [{"interface": "ide2", "size": 1}]}),
        json!({"initialization": [{"interface": "ide3"}], "disk": [{"interface": "scsi5", "size": 1}]}),
        json!({"description": "d", "tags": ["b", "a"]}),
        json!({"machine": "pc", "bios": "seabios"}),
        json!({"kvm_arguments": "-no-reboot"}),
        json!({"hook_script_file_id": "local:snippets/b.sh"}),
        json!({"boot_order": ["scsi0"]}),
        json!({"hotplug": "usb"}),
        json!({"on_boot": false, "tablet_device": true, "keyboard_layout": "en-us", "scsi_hardware": "lsi"}),
        json!({"name": "n", "pool_id": "one"}),
    ]
}

/// Parts of clones of a template whose cloud-init drive is here.
async fn vms(drive: &str, parts: &[Json]) {
    let (world, _server) = world(VM).await;
    template(&world, "qemu", 9000, &format!("{RICH} {drive}")).await;
    let base = json!({"node_name": "pve", "started": false, "clone": [{"vm_id": 9000}]});
    let mut faults = Vec::new();
    for (vmid, part) in (3001..).zip(parts) {
        faults.extend(take_part(&world, &base, vmid, part).await);
    }
    assert!(faults.is_empty(), "{drive}: {} faults\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_whose_template_has_everything() {
    vms("ide2=local-lvm:cloudinit", &parts_of_a_vm()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_whose_template_has_cloud_init_elsewhere_or_not_at_all() {
    let mut parts = parts_of_a_vm();
    parts.retain(|part| ["cdrom", "disk", "initialization"].iter().any(|name| part.get(name).is_some()));
    for drive in ["scsi5=local-lvm:cloudinit", "ide3=local-lvm:cloudinit", "sata5=none,media=cdrom"] {
        vms(drive, &parts).await;
    }
}

const KEY: &str = "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIJ000000000000000000000000000000000000000000%20a";

/// What cloud-init is told of a clone, by the cluster.
async fn told_to_cloud_init(world: &World, vmid: u32) -> serde_json::Map<String, Json> {
    let path = format!("/nodes/pve/qemu/{vmid}/config");
    let config = world.api.send(Method::Get, &path, &[]).await.unwrap();
    let is_told = |name: &str| {
        name.starts_with("ci")
            || name.starts_with("ipconfig")
            || ["nameserver", "searchdomain", "sshkeys"].contains(&name)
    };
    config.as_object().unwrap().clone().into_iter().filter(|(name, _)| is_told(name)).collect()
}

/// Brings a clone through blocks of cloud-init; what each leaves is what the template has, with these exceptions.
async fn through(world: &World, vmid: u32, turns: &[(Json, Json)]) {
    let template = told_to_cloud_init(world, 9000).await;
    let mut prior = None;
    for (turn, (blocks, otherwise)) in turns.iter().enumerate() {
        let config = json!({"node_name": "pve", "vm_id": vmid, "started": false, "clone": [{"vm_id": 9000}],
                            "initialization": blocks});
        let after = quiet(world, prior.as_ref(), &config).await;
        prior = Some(after.unwrap_or_else(|fault| panic!("{vmid} turn {turn} {blocks}: {fault}")));
        let mut expected = template.clone();
        for (name, wanted) in otherwise.as_object().unwrap() {
            match wanted {
                Json::Null => expected.remove(name),
                wanted => expected.insert(name.clone(), wanted.clone()),
            };
        }
        assert_eq!(told_to_cloud_init(world, vmid).await, expected, "{vmid} turn {turn} {blocks}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cloud_init_is_told_by_the_template_alone_stays_in_its_clone() {
    let (world, _server) = world(VM).await;
    let options = format!(
        "name=tpl scsi0=local-lvm:1 ide2=local-lvm:cloudinit ciuser=tpl cipassword=secret sshkeys={KEY} citype=nocloud ciupgrade=0 \
         nameserver=192.0.2.1 searchdomain=example.net ipconfig0=ip=dhcp ipconfig1=ip=192.0.2.5/24 \
         cicustom=vendor=local:snippets/a.yaml"
    );
    template(&world, "qemu", 9000, &options).await;
    let address = |last: u8| json!([{"ipv4": [{"address": format!("192.0.2.{last}/24")}]}]);
    let addressed = |last: u8| {
        (json!([{"ip_config": address(last)}]), json!({"ipconfig0": format!("ip=192.0.2.{last}/24")}))
    };
    let none = || (json!([]), json!({}));
    let gone = || (json!([]), json!({"ipconfig0": null, "citype": null, "ciupgrade": null}));
    let account = || {
        let block = json!([{"ip_config": address(8), "user_account": [{"username": "u", "password": "p"}]}]);
        (block, json!({"ipconfig0": "ip=192.0.2.8/24", "ciuser": "u"}))
    };
    let dns = || {
        let block =
            json!([{"dns": [{"servers": ["192.0.2.7"]}], "user_data_file_id": "local:snippets/b.yaml"}]);
        let files = "user=local:snippets/b.yaml,vendor=local:snippets/a.yaml";
        (block, json!({"nameserver": "192.0.2.7", "cicustom": files}))
    };
    through(&world, 501, &[addressed(9), addressed(8), gone()]).await;
    through(&world, 502, &[none(), addressed(9), addressed(8), gone()]).await;
    through(&world, 503, &[none(), account()]).await;
    let without_account = json!({"ipconfig0": "ip=192.0.2.8/24", "ciuser": null, "cipassword": null});
    through(&world, 504, &[account(), (addressed(8).0, without_account)]).await;
    through(&world, 505, &[dns(), (json!([{}]), json!({"nameserver": null}))]).await;
    through(&world, 506, &[none(), dns()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_comes_to_a_clone_later_takes_the_place_of_its_template_s() {
    let (world, _server) = world(VM).await;
    let options = "name=tpl ide2=local-lvm:cloudinit ciuser=tpl cipassword=secret";
    template(&world, "qemu", 9000, options).await;
    let bare = json!({"node_name": "pve", "vm_id": 501, "started": false, "clone": [{"vm_id": 9000}]});
    let made = quiet(&world, None, &bare).await.unwrap();
    let mut full = bare;
    full["initialization"] = json!([{"user_account": [{"password": "hidden"}]}]);
    let recorder = Recorder::default();
    world.try_apply(Some(&made), Some(&world.config(full)), &recorder).await.unwrap();
    let path = "/nodes/pve/qemu/501/cloudinit/dump";
    let dump = world.api.send(Method::Get, path, &[("type".to_string(), "user".to_string())]).await.unwrap();
    assert!(dump.as_str().unwrap().contains("password: hidden"), "{dump}");
}
