//! Storage definitions: `/storage`.

use serde_json::{Map, Value, json};
use sha1::Digest as _;

use crate::failure::Failure;
use crate::guests::hex;
use crate::nodes::{has_thin_pool, has_zfs_pool};
use crate::request::{Answer, Request};
use crate::schema::formats::split_list;
use crate::schema::{self, Kind};
use crate::state::{Options, State};
use crate::volumes;

/// What a plugin demands, allows, and may hold.
struct Plugin {
    kind: &'static str,
    required: &'static [&'static str],
    options: &'static [&'static str],
    content: &'static [&'static str],
}

const COMMON: &[&str] = &[
    "content",
    "disable",
    "nodes",
    "shared",
    "prune-backups",
    "preallocation",
    "format",
    "mkdir",
    "bwlimit",
    "content-dirs",
    "create-base-path",
    "create-subdirs",
    "is_mountpoint",
    "max-protected-backups",
    "maxfiles",
    "snapshot-as-volume-chain",
];
const FILES: &[&str] = &["images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import"];
const BLOCKS: &[&str] = &["images", "rootdir"];

const PLUGINS: &[Plugin] = &[
    Plugin { kind: "dir", required: &["path"], options: &[], content: FILES },
    Plugin { kind: "btrfs", required: &["path"], options: &["nocow"], content: FILES },
    Plugin { kind: "nfs", required: &["server", "export"], options: &["options", "path"], content: FILES },
    Plugin {
        kind: "cifs",
        required: &["server", "share"],
        options: &["options", "path", "username", "password", "domain", "smbversion", "subdir"],
        content: FILES,
    },
    Plugin {
        kind: "cephfs",
        required: &[],
        options: &["monhost", "path", "subdir", "username", "fs-name", "fuse", "keyring", "options"],
        content: &["vztmpl", "iso", "backup", "snippets", "import"],
    },
    Plugin { kind: "lvmthin", required: &["vgname", "thinpool"], options: &["base"], content: BLOCKS },
    Plugin {
        kind: "lvm",
        required: &["vgname"],
        options: &["base", "saferemove", "saferemove_throughput", "tagged_only"],
        content: BLOCKS,
    },
    Plugin {
        kind: "zfspool",
        required: &["pool"],
        options: &["blocksize", "sparse", "mountpoint"],
        content: BLOCKS,
    },
    Plugin {
        kind: "rbd",
        required: &[],
        options: &["monhost", "pool", "username", "krbd", "data-pool", "namespace", "keyring"],
        content: BLOCKS,
    },
    Plugin {
        kind: "pbs",
        required: &["server", "datastore"],
        options: &[
            "username",
            "password",
            "fingerprint",
            "encryption-key",
            "namespace",
            "port",
            "master-pubkey",
        ],
        content: &["backup"],
    },
    Plugin { kind: "iscsi", required: &["portal", "target"], options: &[], content: &["images", "none"] },
];

fn digest(request: &Request<'_>) -> String {
    // The storage that is there without a configuration file is in no file.
    let written: Vec<_> =
        request.state.storages.iter().filter(|(_, options)| !is_implicit(options)).collect();
    let text = serde_json::to_string(&written).unwrap_or_default();
    hex(&sha1::Sha1::digest(if written.is_empty() { "" } else { &text }))
}

/// `local` is always there (PVE::Storage::Plugin, `parse_config`).
fn implicit_local() -> Options {
    [
        ("type", "dir"),
        ("path", "/var/lib/vz"),
        ("content", "images,rootdir,vztmpl,iso,snippets,backup"),
        ("priority", "0"),
        ("prune-backups", "keep-all=1"),
    ]
    .map(|(key, text)| (key.to_owned(), text.to_owned()))
    .into()
}

fn is_implicit(options: &Options) -> bool {
    options.contains_key("priority")
}

fn shown(request: &Request<'_>, name: &str, options: &Options) -> Value {
    let mut row: Map<String, Value> = options
        .iter()
        .map(|(key, text)| {
            let number = schema::endpoint("POST", "/storage")
                .and_then(|keys| schema::lookup(keys, key))
                .is_some_and(|property| matches!(property.kind, Kind::Integer | Kind::Boolean))
                || key == "priority";
            let value = match text.parse::<i64>() {
                Ok(value) if number => json!(value),
                _ => json!(text),
            };
            (key.clone(), value)
        })
        .collect();
    row.insert("storage".to_owned(), json!(name));
    row.insert("digest".to_owned(), json!(digest(request)));
    Value::Object(row)
}

/// `GET /storage`.
pub(crate) fn list(request: &mut Request<'_>) -> Answer {
    let kind = request.get("type").map(str::to_owned);
    Ok(request
        .state
        .storages
        .iter()
        .filter(|(_, options)| kind.is_none() || options.get("type") == kind.as_ref())
        .filter(|(name, _)| super::may_see(request, name))
        .map(|(name, options)| shown(request, name, options))
        .collect())
}

fn missing(prefix: &str, name: &str) -> Failure {
    Failure::died(format!("{prefix}storage '{name}' does not exist"))
}

/// `GET /storage/{storage}`.
pub(crate) fn read(request: &mut Request<'_>) -> Answer {
    let name = request.text("storage");
    let options = request.state.storages.get(&name).ok_or_else(|| missing("", &name))?;
    Ok(shown(request, &name, options))
}

fn short(name: &str, kind: &str) -> Value {
    json!({ "storage": name, "type": kind })
}

/// `POST /storage`.
pub(crate) fn create(request: &mut Request<'_>) -> Answer {
    let (name, kind) = (request.text("storage"), request.text("type"));
    let mut options: Options = request
        .parameters
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "storage" | "password" | "keyring" | "encryption-key"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(plugin) = PLUGINS.iter().find(|plugin| plugin.kind == kind) {
        check_plugin(plugin, &mut options)?;
    }
    if request.state.storages.contains_key(&name) {
        return Err(Failure::died(format!("create storage failed: storage ID '{name}' already defined")));
    }
    activate(request, &name, &options)
        .map_err(|text| Failure::died(format!("create storage failed: {text}")))?;
    let mut answer = short(&name, &kind);
    if kind == "pbs" {
        let key = request.get("encryption-key").map(encryption_key).transpose();
        let key = key.map_err(|text| Failure::died(format!("create storage failed: {text}")))?;
        options.extend(key.iter().map(|(_, fingerprint)| ("encryption-key".to_owned(), fingerprint.clone())));
        answer["config"] = key.map_or(json!({}), |(key, _)| json!({ "encryption-key": key }));
    }
    request.state.storages.insert(name.clone(), options);
    Ok(answer)
}

/// Looks for what a new storage is made of, on the node that is asked and where it is enabled there
/// (PVE::API2::Storage::Config, `create`). A volume group is not missed until something is to be written to it.
fn activate(request: &Request<'_>, name: &str, options: &Options) -> Result<(), String> {
    let text = |key: &str| options.get(key).map(String::as_str).unwrap_or_default();
    let nodes = options.get("nodes").map(String::as_str);
    if text("disable") == "1" || nodes.is_some_and(|nodes| split_list(nodes).all(|node| node != request.node))
    {
        return Ok(());
    }
    let (group, thin, pool) = (text("vgname"), text("thinpool"), text("pool"));
    match text("type") {
        "lvmthin" if !has_thin_pool(request, group, thin) => {
            Err(format!("no such logical volume {group}/{thin}"))
        }
        "zfspool" if !has_zfs_pool(request, pool) => {
            let pool = pool.split('/').next().unwrap_or_default();
            let reason = format!("cannot import '{pool}': no such pool available");
            Err(format!("could not activate storage '{name}', zfs error: {reason}"))
        }
        _ => Ok(()),
    }
}

/// The key of a backup storage, made where `autogen` asks for it, with its fingerprint (PVE::Storage::PBSPlugin,
/// `on_add_hook`).
fn encryption_key(given: &str) -> Result<(String, String), &'static str> {
    let key = match given {
        "autogen" => {
            let data = hex(uuid::Uuid::new_v4().as_bytes());
            let fingerprint: Vec<String> =
                data.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into()).collect();
            json!({ "kdf": null, "data": data, "fingerprint": fingerprint.join(":") }).to_string()
        }
        given => given.to_owned(),
    };
    let decoded: Value = serde_json::from_str(&key).unwrap_or_default();
    if decoded.get("data").is_none() {
        return Err("Value does not seems like a valid, JSON formatted encryption key!");
    }
    let fingerprint = decoded["fingerprint"].as_str().unwrap_or("1").to_owned();
    Ok((key, fingerprint))
}

fn check_plugin(plugin: &Plugin, options: &mut Options) -> Result<(), Failure> {
    for key in options.keys() {
        let known = [COMMON, plugin.required, plugin.options].iter().any(|list| list.contains(&key.as_str()));
        let shared = key == "shared" && matches!(plugin.kind, "lvmthin" | "zfspool");
        if (!known || shared) && key != "type" {
            return Err(Failure::died(format!("unexpected property '{key}'")));
        }
    }
    if let Some(absent) = plugin.required.iter().find(|key| !options.contains_key(**key)) {
        return Err(Failure::died(format!("missing value for required option '{absent}'")));
    }
    let content = options.get("content").cloned().unwrap_or_else(|| {
        if plugin.content.contains(&"images") {
            "images,rootdir".to_owned()
        } else {
            plugin.content[0].to_owned()
        }
    });
    if content == "none" {
        return Err(Failure::died("create storage failed: unknown vtype 'none'"));
    }
    // Types that the plugin lacks are dropped; only when nothing is left is it an error.
    let kept: Vec<&str> = content.split(',').filter(|item| plugin.content.contains(item)).collect();
    if kept.is_empty() {
        return Err(Failure::died("storage does not support content type 'none'"));
    }
    options.insert("content".to_owned(), kept.join(","));
    Ok(())
}

/// `PUT /storage/{storage}`: answers a part of the definition.
pub(crate) fn update(request: &mut Request<'_>) -> Answer {
    let name = request.text("storage");
    let failed = |text: String| Failure::died(format!("update storage failed: {text}"));
    let present = request.state.storages.get(&name).cloned();
    let mut options = present.ok_or_else(|| missing("update storage failed: ", &name))?;
    request
        .check_digest(
            &digest(request),
            "detected modified configuration - file changed by other user? Try again.",
        )
        .map_err(|failure| failed(failure.reason))?;
    let kind = options.get("type").cloned().unwrap_or_default();
    let plugin = PLUGINS.iter().find(|plugin| plugin.kind == kind);
    let call = ["storage", "digest", "delete", "password", "keyring"];
    let set: Options = request
        .parameters
        .iter()
        .filter(|(key, _)| !call.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for key in split_list(request.get("delete").unwrap_or_default()) {
        if set.contains_key(key) {
            return Err(failed(format!("cannot set and delete property '{key}' at the same time!")));
        }
        if key == "type" || plugin.is_some_and(|plugin| plugin.required.contains(&key)) {
            return Err(failed(format!("unable to delete required option '{key}'")));
        }
        let known = COMMON.contains(&key) && key != "maxfiles"
            || plugin.is_some_and(|plugin| plugin.options.contains(&key));
        if !known {
            return Err(failed(format!("no such option '{key}'")));
        }
        options.remove(key);
    }
    options.extend(set);
    let key = request.get("encryption-key").map(encryption_key).transpose();
    let key = key.map_err(|text| failed(text.to_owned()))?;
    options.extend(key.map(|(_, fingerprint)| ("encryption-key".to_owned(), fingerprint)));
    options.remove("priority");
    if options.get("disable").is_some_and(|text| text == "0") {
        options.remove("disable");
    }
    if let Some(plugin) = plugin {
        check_plugin(plugin, &mut options).map_err(|failure| failed(failure.reason))?;
    }
    request.state.storages.insert(name.clone(), options);
    Ok(short(&name, &kind))
}

/// `DELETE /storage/{storage}`: the definition only, files stay.
/// Takes out a storage, with what is permitted on it and its places in pools (PVE::AccessControl,
/// `remove_storage_access`).
pub(crate) fn forget(state: &mut State, name: &str) -> Option<Options> {
    let gone = state.storages.remove(name)?;
    let path = format!("/storage/{name}");
    state.access.entries.retain(|entry| entry.path != path);
    for pool in state.pools.values_mut() {
        pool.storages.retain(|member| member != name);
    }
    Some(gone)
}

pub(crate) fn delete(request: &mut Request<'_>) -> Answer {
    let name = request.text("storage");
    match forget(request.state, &name) {
        Some(gone) => {
            volumes::leave(request.state, &name, &gone);
            request.state.storages.entry("local".to_owned()).or_insert_with(implicit_local);
            Ok(Value::Null)
        }
        None => Err(missing("delete storage failed: ", &name)),
    }
}
