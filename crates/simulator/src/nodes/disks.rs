//! Disks of a node and what is made of them (PVE::API2::Disks): four disks, the first is the system's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;
use crate::schema::formats::split_list;
use crate::state::{Options, State};
use crate::storage::forget;
use crate::volumes;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/disks", |_| {
        let names = ["directory", "initgpt", "list", "lvm", "lvmthin", "smart", "wipedisk", "zfs"];
        Ok(names.map(|name| json!({ "name": name })).into())
    }),
    ("GET", "/nodes/{node}/disks/list", list),
    ("GET", "/nodes/{node}/disks/smart", |_| {
        Ok(json!({ "health": "PASSED", "type": "ata", "attributes": [] }))
    }),
    ("POST", "/nodes/{node}/disks/initgpt", |request| Ok(request.submit("diskinit", "", Outcome::default()))),
    ("PUT", "/nodes/{node}/disks/wipedisk", wipe),
    ("GET", "/nodes/{node}/disks/zfs", |request| pools(request, "zfs")),
    ("POST", "/nodes/{node}/disks/zfs", |request| create(request, "zfs", "devices")),
    ("GET", "/nodes/{node}/disks/zfs/{name}", detail),
    ("DELETE", "/nodes/{node}/disks/zfs/{name}", |request| remove(request, "zfs")),
    ("GET", "/nodes/{node}/disks/lvm", groups),
    ("POST", "/nodes/{node}/disks/lvm", |request| create(request, "lvm", "device")),
    ("DELETE", "/nodes/{node}/disks/lvm/{name}", |request| remove(request, "lvm")),
    ("GET", "/nodes/{node}/disks/lvmthin", |request| Ok(Value::Array(thin_pools(request)))),
    ("POST", "/nodes/{node}/disks/lvmthin", |request| create(request, "lvmthin", "device")),
    ("DELETE", "/nodes/{node}/disks/lvmthin/{name}", |request| remove(request, "lvmthin")),
    ("GET", "/nodes/{node}/disks/directory", directories),
    ("POST", "/nodes/{node}/disks/directory", |request| create(request, "directory", "device")),
    ("DELETE", "/nodes/{node}/disks/directory/{name}", |request| remove(request, "directory")),
];

/// Something that was made of disks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pool {
    /// `zfs`, `lvm`, `lvmthin`, `directory`.
    pub kind: String,
    pub devices: Vec<String>,
    pub options: BTreeMap<String, String>,
}

/// The kind of a thin pool in a volume group of others, by `GROUP/NAME`.
const BY_HAND: &str = "thin pool";

/// By name.
pub(crate) type Pools = BTreeMap<String, Pool>;

const DISKS: [&str; 4] = ["/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/sdd"];
const SIZE: u64 = 500 << 30;

fn made<'a>(request: &'a Request<'_>) -> &'a Pools {
    static NONE: Pools = Pools::new();
    request.state.disk_pools.get(&request.node).unwrap_or(&NONE)
}

/// A thin pool that somebody made on a node itself, beside the API.
pub(crate) fn add_thin_pool(state: &mut State, node: &str, group: &str, name: &str) {
    let pool = Pool { kind: BY_HAND.to_owned(), devices: Vec::new(), options: BTreeMap::new() };
    state.disk_pools.entry(node.to_owned()).or_default().insert(format!("{group}/{name}"), pool);
}

/// The names of what was made of one kind.
pub(super) fn names(request: &Request<'_>, kind: &str) -> Vec<String> {
    let made = made(request).iter().filter(|(_, pool)| pool.kind == kind);
    made.map(|(name, _)| name.clone()).collect()
}

/// What a disk is used for.
fn used(request: &Request<'_>, disk: &str) -> Option<&'static str> {
    if disk == DISKS[0] {
        return Some("BIOS boot");
    }
    let pool = made(request).values().find(|pool| pool.devices.iter().any(|device| device == disk))?;
    Some(match pool.kind.as_str() {
        "zfs" => "ZFS",
        "directory" => "mounted",
        _ => "LVM",
    })
}

fn list(request: &mut Request<'_>) -> Answer {
    let unused = request.get("type") == Some("unused");
    let rows = DISKS.iter().enumerate().filter(|(_, disk)| !unused || used(request, disk).is_none());
    Ok(rows
        .map(|(number, disk)| {
            let mut row = json!({
                "devpath": disk, "size": SIZE, "type": "ssd", "model": "SIMULATED", "serial": format!("SIM{number:04}"),
                "vendor": "ATA", "wwn": format!("0x500000000000000{number}"), "health": "PASSED", "gpt": u8::from(number == 0),
                "rpm": 0, "wearout": 100, "osdid": -1, "osdid-list": null,
                "by_id_link": format!("/dev/disk/by-id/ata-SIMULATED_SIM{number:04}"),
            });
            if let Some(used) = used(request, disk) {
                row["used"] = json!(used);
            }
            row
        })
        .collect())
}

fn check_disk(request: &Request<'_>, disk: &str) -> Result<(), Failure> {
    if !DISKS.contains(&disk) {
        return Err(Failure::died(format!("{disk} is not a valid local disk")));
    }
    if used(request, disk).is_some() {
        return Err(Failure::died(format!("device '{disk}' is already in use")));
    }
    Ok(())
}

fn wipe(request: &mut Request<'_>) -> Answer {
    let disk = request.text("disk");
    if used(request, &disk).is_some() {
        return Err(Failure::died(format!("disk/partition '{disk}' is in use")));
    }
    Ok(request.submit("wipedisk", disk.trim_start_matches("/dev/"), Outcome::default()))
}

/// How many disks a level takes at least.
fn least(level: &str) -> usize {
    match level {
        "mirror" | "raidz" => 2,
        "raid10" => 4,
        "raidz2" | "draid" => 3,
        "raidz3" | "draid2" => 4,
        "draid3" => 5,
        _ => 1,
    }
}

fn create(request: &mut Request<'_>, kind: &str, parameter: &str) -> Answer {
    let name = request.text("name");
    let devices: Vec<String> = split_list(&request.text(parameter)).map(str::to_owned).collect();
    if made(request).get(&name).is_some_and(|pool| pool.kind == kind) {
        let what = match kind {
            "zfs" => format!("pool '{name}' already exists on node"),
            "lvm" => format!("volume group with name '{name}' already exists on node"),
            "lvmthin" => format!("volume group with name '{name}' already exists on node"),
            _ => format!("a systemd mount unit for '/mnt/pve/{name}' already exists"),
        };
        return Err(Failure::died(what));
    }
    let storage = request.flag("add_storage");
    if storage && request.state.storages.contains_key(&name) {
        return Err(Failure::died(format!("storage ID '{name}' already defined")));
    }
    devices.iter().try_for_each(|disk| check_disk(request, disk))?;
    if let Some(level) = request.get("raidlevel").filter(|level| devices.len() < least(level)) {
        let text = format!("{level} needs at least {} disks", least(level));
        return Err(Failure::died(text));
    }
    let call = ["node", "name", "add_storage", parameter];
    let set = request.parameters.iter().filter(|(key, _)| !call.contains(&key.as_str()));
    let options = set.map(|(key, value)| (key.clone(), value.clone())).collect();
    let pool = Pool { kind: kind.to_owned(), devices, options };
    let task = match kind {
        "zfs" => "zfscreate",
        "lvm" => "lvmcreate",
        "lvmthin" => "lvmthincreate",
        _ => "dircreate",
    };
    let kind = kind.to_owned();
    Ok(request.task(task, &name.clone(), |request, _| {
        let node = request.node.clone();
        request.state.disk_pools.entry(node.clone()).or_default().insert(name.clone(), pool);
        if storage {
            let path = format!("/mnt/pve/{name}");
            let options: &[(&str, &str)] = match kind.as_str() {
                "zfs" => &[("type", "zfspool"), ("pool", &name), ("content", "images,rootdir")],
                "lvm" => &[("type", "lvm"), ("vgname", &name), ("content", "images,rootdir")],
                "lvmthin" => &[
                    ("type", "lvmthin"),
                    ("vgname", &name),
                    ("thinpool", &name),
                    ("content", "images,rootdir"),
                ],
                _ => &[
                    ("type", "dir"),
                    ("path", &path),
                    ("is_mountpoint", "1"),
                    ("content", "images,rootdir,vztmpl,iso,backup,snippets,import"),
                ],
            };
            let mut options: crate::state::Options =
                options.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
            options.insert("nodes".to_owned(), node);
            request.state.storages.insert(name, options);
        }
        Ok(())
    }))
}

fn remove(request: &mut Request<'_>, kind: &str) -> Answer {
    let name = request.text("name");
    if made(request).get(&name).is_none_or(|pool| pool.kind != kind) {
        let text = match kind {
            "zfs" => format!("no such pool '{name}'"),
            "directory" => format!("no such directory '{name}'"),
            _ => format!("no such volume group '{name}'"),
        };
        return Err(Failure::died(text));
    }
    let cleanup = request.flag("cleanup-config");
    let task = match kind {
        "zfs" => "zfsremove",
        "lvm" => "lvmremove",
        "lvmthin" => "lvmthinremove",
        _ => "dirremove",
    };
    Ok(request.task(task, &name.clone(), |request, _| {
        let node = request.node.clone();
        if let Some(pools) = request.state.disk_pools.get_mut(&node) {
            pools.remove(&name);
        }
        if cleanup {
            forget(request.state, &name);
        }
        Ok(())
    }))
}

fn pools(request: &mut Request<'_>, kind: &str) -> Answer {
    let mine = made(request).iter().filter(|(_, pool)| pool.kind == kind);
    Ok(mine
        .map(|(name, pool)| {
            let size = SIZE * pool.devices.len() as u64;
            json!({ "name": name, "size": size, "alloc": 0, "free": size, "frag": 0, "dedup": 1.0, "health": "ONLINE" })
        })
        .collect())
}

fn detail(request: &mut Request<'_>) -> Answer {
    let name = request.text("name");
    let Some(pool) = made(request).get(&name).filter(|pool| pool.kind == "zfs") else {
        return Err(Failure::died(format!("cannot open '{name}': no such pool")));
    };
    let leaf = |device: &String| json!({ "name": device.trim_start_matches("/dev/"), "state": "ONLINE", "read": 0, "write": 0, "cksum": 0, "leaf": 1, "msg": "" });
    let leaves: Vec<Value> = pool.devices.iter().map(leaf).collect();
    let level = pool.options.get("raidlevel").map_or("single", String::as_str);
    let children = if level == "single" || level == "raid0" {
        leaves
    } else {
        vec![
            json!({ "name": format!("{level}-0"), "state": "ONLINE", "read": 0, "write": 0, "cksum": 0, "leaf": 0, "msg": "", "children": leaves }),
        ]
    };
    let root = json!({ "name": name, "state": "ONLINE", "read": 0, "write": 0, "cksum": 0, "leaf": 0, "msg": "", "children": children });
    Ok(
        json!({ "name": name, "state": "ONLINE", "scan": "none requested", "errors": "No known data errors", "leaf": 0, "children": [root] }),
    )
}

fn groups(request: &mut Request<'_>) -> Answer {
    Ok(json!({ "leaf": 0, "children": volume_groups(request) }))
}

/// Root and swap of a default installation.
const SYSTEM: u64 = 5 << 30;

/// What a pool's metadata takes: about one hundredth.
fn metadata(pool: u64) -> u64 {
    pool / 96
}

/// The volume groups of the node: the one that the system is installed on has its pool, and 16 GiB beside it.
pub(super) fn volume_groups(request: &Request<'_>) -> Vec<Value> {
    let row = |name: &str, size: u64, free: u64, count: usize, devices: Vec<&str>| {
        let leaf = |device: &&str| json!({ "name": device, "size": size, "free": free, "leaf": 1 });
        let leaves: Vec<Value> = devices.iter().map(leaf).collect();
        json!({ "name": name, "size": size, "free": free, "lvcount": count, "leaf": 0, "children": leaves })
    };
    let pool = request.options.storage_size;
    let whole = pool + (16 << 30) - volumes::EXTENT;
    let free = whole - pool - (2 * metadata(pool) + SYSTEM).min(whole - pool);
    let thin = |id: &String| {
        let storage = volumes::split(id).and_then(|(storage, _)| request.state.storages.get(storage));
        storage.is_some_and(|options| options.get("vgname").is_some_and(|group| group == "pve"))
    };
    let count = 3 + request.state.volumes.keys().filter(|id| thin(id)).count();
    let mine = made(request).iter().filter(|(_, pool)| matches!(pool.kind.as_str(), "lvm" | "lvmthin"));
    let mut rows = vec![row("pve", whole, free, count, vec!["/dev/sda3"])];
    rows.extend(
        mine.map(|(name, pool)| row(name, SIZE, 0, 1, pool.devices.iter().map(String::as_str).collect())),
    );
    rows
}

/// A thin pool. All of them were made when the node was installed.
pub(super) fn thin_pool(name: &str, group: &str, size: u64) -> Value {
    let metadata = metadata(size);
    json!({
        "lv": name, "vg": group, "lv_size": size, "lv_type": "t", "lv_state": "a", "ctime": "1795437316", "used": 0,
        "metadata_size": metadata, "metadata_used": metadata * 631 / 10_000,
    })
}

/// The thin pools of the node.
pub(super) fn thin_pools(request: &Request<'_>) -> Vec<Value> {
    let mine = made(request).iter().filter(|(_, pool)| pool.kind == "lvmthin");
    let mut rows = vec![thin_pool("data", "pve", request.options.storage_size)];
    rows.extend(mine.map(|(name, _)| thin_pool(name, name, SIZE)));
    let by_hand = made(request).iter().filter(|(_, pool)| pool.kind == BY_HAND);
    let by_hand = by_hand.filter_map(|(name, _)| name.split_once('/'));
    rows.extend(by_hand.map(|(group, name)| thin_pool(name, group, request.options.storage_size)));
    rows
}

/// Whether there is a thin pool: those of the node, and those that storages are of.
pub(crate) fn has_thin_pool(request: &Request<'_>, group: &str, name: &str) -> bool {
    let is_it = |options: &Options| {
        options.get("vgname").is_some_and(|own| own == group)
            && options.get("thinpool").is_some_and(|own| own == name)
    };
    thin_pools(request).iter().any(|pool| pool["vg"] == group && pool["lv"] == name)
        || request.state.storages.values().any(is_it)
}

/// Whether a node, or any, has the volume group of a storage of type `lvm`; storages of other types need none.
pub(crate) fn has_volume_group(state: &State, node: Option<&str>, storage: &Options) -> bool {
    let group = storage.get("vgname").map(String::as_str).unwrap_or_default();
    let is_of_disks = |pool: &Pool| matches!(pool.kind.as_str(), "lvm" | "lvmthin");
    storage.get("type").is_none_or(|kind| kind != "lvm")
        || group == "pve"
        || state.disk_pools.iter().any(|(own, pools)| {
            node.is_none_or(|node| node == own) && pools.get(group).is_some_and(is_of_disks)
        })
}

/// Whether there is the ZFS pool of a dataset: those of the node, and those that storages are of.
pub(crate) fn has_zfs_pool(request: &Request<'_>, dataset: &str) -> bool {
    let pool_of = |dataset: &str| dataset.split('/').next().map(str::to_owned);
    let of_storages = request
        .state
        .storages
        .values()
        .filter(|options| options.get("type").is_some_and(|kind| kind == "zfspool"));
    let known = of_storages.filter_map(|options| options.get("pool")).cloned();
    known.chain(names(request, "zfs")).any(|name| pool_of(&name) == pool_of(dataset))
}

fn directories(request: &mut Request<'_>) -> Answer {
    let mine = made(request).iter().filter(|(_, pool)| pool.kind == "directory");
    Ok(mine
        .map(|(name, pool)| {
            json!({
                "path": format!("/mnt/pve/{name}"), "device": pool.devices.first(), "options": "defaults",
                "type": pool.options.get("filesystem").map_or("ext4", String::as_str),
                "unitfile": format!("/etc/systemd/system/mnt-pve-{name}.mount"),
            })
        })
        .collect())
}
