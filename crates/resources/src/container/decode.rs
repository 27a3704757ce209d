//! A container's configuration as the API returns it, as values of the schema.

use pve_model::Value;
use pve_model::schema::Block;
use serde_json::{Map, Value as Json, json};

use crate::guest::{Extent, decode_ip_config, decode_startup, is_put_by_a_run};
use crate::observed::{Observed, in_words_of, overlay};
use crate::property::Properties;
use crate::set_outside::taken_in;
use crate::size::{in_gibibytes, same_size};
use crate::values::{all_blocks, block, flag, is_unset, settle_tags, text, texts, with};

/// Blocks that are looked at where the configuration has none.
const LOOKED_AT: &[&str] = &["console", "cpu", "device_passthrough", "features", "memory", "startup"];

/// The values of a container. `guide` has what cannot be read, and decides which blocks are looked at.
pub(crate) fn decode_container(schema: &Block, observed: &Observed, guide: &Value, extent: Extent) -> Value {
    let mut read = decode_scalars(observed, guide);
    let mut blocks = Map::new();
    decode_blocks(observed, guide, &mut blocks);
    decode_network(observed, guide, extent, &mut blocks);
    decode_volumes(observed, guide, extent, &mut blocks);
    read.extend(match extent {
        Extent::Everything => blocks,
        Extent::Guided => taken_in(schema, observed, guide, LOOKED_AT, blocks),
    });
    let value = overlay(schema, guide, read);
    let value = match (guide.get("tags"), value.get("tags")) {
        (Some(before), Some(now)) => with(&value, "tags", settle_tags(before, now)),
        _ => value,
    };
    in_words_of(guide, &value)
}

fn decode_scalars(observed: &Observed, guide: &Value) -> Map<String, Json> {
    let mut read = Map::new();
    let cloned = !all_blocks(guide, "clone").is_empty();
    let mut put = |name: &str, json: Json| {
        read.insert(name.to_string(), json);
    };
    for (attribute, option) in [("description", "description"), ("hook_script_file_id", "hookscript")] {
        let found = observed.written(option);
        let inherited = cloned && guide.get(attribute).is_some_and(is_unset);
        if !inherited || found.as_deref().is_some_and(is_put_by_a_run) {
            put(attribute, json!(found));
        }
    }
    if !(cloned && guide.get("tags").is_some_and(is_unset)) {
        put("tags", observed.tags());
    }
    put("protection", json!(observed.flag("protection").unwrap_or(false)));
    put("start_on_boot", json!(observed.flag("onboot").unwrap_or(false)));
    put("template", json!(observed.flag("template").unwrap_or(false)));
    put("unprivileged", json!(observed.flag("unprivileged").unwrap_or(false)));
    put("node_name", json!(observed.node));
    put("vm_id", json!(observed.vmid));
    put("id", json!(observed.vmid.to_string()));
    put("pool_id", json!(observed.pool));
    if let Some(running) = observed.running.filter(|_| observed.flag("template") != Some(true)) {
        put("started", json!(running));
    }
    for name in ["ipv4", "ipv6"] {
        if guide.get(name).is_none_or(|value| value.is_null() || !value.is_known()) {
            put(name, json!({}));
        }
    }
    if let Some(variables) = observed.written("env") {
        let pairs = variables.split('\0').filter_map(|pair| pair.split_once('='));
        let pairs: Map<String, Json> = pairs.map(|(name, text)| (name.to_string(), json!(text))).collect();
        put("environment_variables", json!(pairs));
    } else {
        put("environment_variables", Json::Null);
    }
    read
}

fn decode_blocks(observed: &Observed, guide: &Value, blocks: &mut Map<String, Json>) {
    let cpu = json!([{
        "architecture": observed.written("arch").unwrap_or("amd64".into()),
        "cores": observed.int("cores").unwrap_or(1),
        "limit": observed.float("cpulimit").unwrap_or(0.0),
        "units": observed.int("cpuunits"),
    }]);
    blocks.insert("cpu".into(), cpu);
    // A type that the template told is not the configuration's.
    let told = block(guide, "operating_system").and_then(|system| text(system, "type")) == Some("unmanaged");
    if !told {
        blocks.insert("operating_system".into(), json!([{ "type": observed.written("ostype") }]));
    }
    let memory = json!([{
        "dedicated": observed.int("memory").unwrap_or(512),
        "swap": observed.int("swap").unwrap_or(512),
    }]);
    blocks.insert("memory".into(), memory);
    let console = json!([{
        "enabled": observed.flag("console").unwrap_or(true),
        "tty_count": observed.int("tty").unwrap_or(2),
        "type": observed.written("cmode").unwrap_or("tty".into()),
    }]);
    blocks.insert("console".into(), console);
    let features = Properties::parse(&observed.written("features").unwrap_or_default());
    let on = |name: &str| features.flag(name).unwrap_or(false);
    let mount = features.get("mount").map(|mount| mount.split(';').map(str::to_string).collect::<Vec<_>>());
    let features = json!([{
        "fuse": on("fuse"), "keyctl": on("keyctl"), "mknod": on("mknod"), "nesting": on("nesting"), "mount": mount,
    }]);
    blocks.insert("features".into(), features);
    blocks.insert("startup".into(), decode_startup(observed, guide));
    let devices = observed.numbered("dev").into_iter().map(|(_, name)| {
        let device = Properties::parse(&observed.text(&name).unwrap_or_default());
        let number = |key: &str| device.get(key).and_then(|text| text.parse::<i64>().ok());
        json!({
            "path": device.first_or("path"),
            "deny_write": device.flag("deny-write").unwrap_or(false),
            "gid": number("gid"),
            "uid": number("uid"),
            "mode": device.get("mode").unwrap_or("0660"),
        })
    });
    blocks.insert("device_passthrough".into(), devices.collect());
    blocks.insert("idmap".into(), super::idmap::decode(observed));
}

fn decode_network(observed: &Observed, guide: &Value, extent: Extent, blocks: &mut Map<String, Json>) {
    let known = all_blocks(guide, "network_interface").len();
    let names = observed.numbered("net");
    let last = names.last().map_or(0, |(index, _)| *index as usize + 1);
    let count = match extent {
        // Whoever configures none leaves them to others.
        Extent::Guided if known == 0 => 0,
        Extent::Guided => last.max(known),
        Extent::Everything => last,
    };
    let net = |index: usize| observed.text(&format!("net{index}")).map(|net| Properties::parse(&net));
    let disabled = |index: usize| {
        all_blocks(guide, "network_interface").get(index).and_then(|one| flag(one, "enabled")) == Some(false)
    };
    let places = (0..count).filter(|index| net(*index).is_some() || disabled(*index));
    let interfaces = places.map(|index| {
        let Some(net) = net(index) else { return json!({}) };
        let number = |key: &str| net.get(key).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        json!({
            "name": net.get("name"),
            "bridge": net.get("bridge"),
            "firewall": net.flag("firewall").unwrap_or(false),
            "host_managed": net.flag("host-managed").unwrap_or(false),
            "mac_address": net.get("hwaddr"),
            "mtu": number("mtu"),
            "rate_limit": net.get("rate").and_then(|rate| rate.parse::<f64>().ok()).unwrap_or(0.0),
            "vlan_id": number("tag"),
        })
    });
    blocks.insert("network_interface".into(), interfaces.collect());
    decode_initialization(observed, guide, extent, &net, blocks);
}

fn decode_initialization(
    observed: &Observed,
    guide: &Value,
    extent: Extent,
    net: &dyn Fn(usize) -> Option<Properties>,
    blocks: &mut Map<String, Json>,
) {
    let guide = block(guide, "initialization");
    let mut read = Map::new();
    let hostname = observed.written("hostname");
    if guide.is_none_or(|guide| text(guide, "hostname").is_some()) {
        read.insert("hostname".into(), json!(hostname));
    }
    read.insert("entrypoint".into(), json!(observed.written("entrypoint")));
    let known = guide.and_then(|guide| block(guide, "dns"));
    let (servers, domain) = (observed.written("nameserver"), observed.written("searchdomain"));
    if known.is_some() || servers.is_some() || domain.is_some() {
        let servers = servers.map(|text| text.split_whitespace().map(str::to_string).collect::<Vec<_>>());
        let single =
            known.is_some_and(|dns| text(dns, "server").is_some() && texts(dns, "servers").is_empty());
        let dns = match (single, servers) {
            (true, Some(servers)) => json!({ "server": servers.first(), "domain": domain }),
            (_, servers) => json!({ "servers": servers, "domain": domain }),
        };
        read.insert("dns".into(), json!([dns]));
    }
    let configs = guide.map(|guide| all_blocks(guide, "ip_config")).unwrap_or_default();
    let count = match extent {
        Extent::Guided => configs.len(),
        Extent::Everything => observed.numbered("net").len(),
    };
    let mut configs: Vec<Json> = (0..count)
        .map(|index| match (net(index), configs.get(index)) {
            // Without an interface there is nothing that an address could be read from: it stays as it was configured.
            (None, Some(_)) => json!({}),
            (net, known) => decode_ip_config(&net.unwrap_or_default(), known),
        })
        .collect();
    let is_empty = |config: &Json| config["ipv4"] == json!([]) && config["ipv6"] == json!([]);
    while extent == Extent::Everything && configs.last().is_some_and(is_empty) {
        configs.pop();
    }
    read.insert("ip_config".into(), Json::Array(configs));
    blocks.insert("initialization".into(), json!([read]));
}

fn decode_volumes(observed: &Observed, guide: &Value, extent: Extent, blocks: &mut Map<String, Json>) {
    if let Some(root) = observed.text("rootfs").map(|root| Properties::parse(&root)) {
        let volume = root.first_or("volume").unwrap_or_default();
        let datastore = volume.split_once(':').map_or("", |(datastore, _)| datastore);
        let on = |name: &str| root.flag(name).unwrap_or(false);
        let options =
            root.get("mountoptions").map(|list| list.split(';').map(str::to_string).collect::<Vec<_>>());
        let mut disk = json!({
            "datastore_id": datastore,
            "path_in_datastore": volume,
            "acl": on("acl"), "quota": on("quota"), "replicate": on("replicate"),
            "mount_options": options,
        });
        if let Some(size) = root.get("size").and_then(in_gibibytes) {
            disk["size"] = json!(size);
        }
        blocks.insert("disk".into(), json!([disk]));
    }
    let mut paths: Vec<String> =
        all_blocks(guide, "mount_point").iter().filter_map(|p| text(p, "path")).map(str::to_string).collect();
    let found: Vec<Properties> = observed
        .numbered("mp")
        .iter()
        .filter_map(|(_, name)| observed.text(name))
        .map(|point| Properties::parse(&point))
        .collect();
    if extent == Extent::Everything {
        paths = found.iter().filter_map(|point| point.get("mp")).map(str::to_string).collect();
    }
    let points = paths.iter().filter_map(|path| {
        let point = found.iter().find(|point| point.get("mp") == Some(path))?;
        let guide = all_blocks(guide, "mount_point").iter().find(|known| text(known, "path") == Some(path));
        Some(decode_mount_point(point, guide))
    });
    blocks.insert("mount_point".into(), points.collect());
}

fn decode_mount_point(point: &Properties, guide: Option<&Value>) -> Json {
    let volume = point.first_or("volume").unwrap_or_default();
    let on = |name: &str| point.flag(name).unwrap_or(false);
    let options =
        point.get("mountoptions").map(|list| list.split(';').map(str::to_string).collect::<Vec<_>>());
    let wanted = guide.and_then(|guide| text(guide, "volume"));
    // A new volume is configured by its datastore only.
    let datastore = volume.split(':').next().unwrap_or_default();
    let shown = wanted.filter(|wanted| *wanted == volume || *wanted == datastore);
    let size = point.get("size");
    let known_size = guide.and_then(|guide| text(guide, "size"));
    let size = match (known_size, size) {
        (Some(known), Some(now)) if same_size(known, now) => Some(known),
        (None, _) if guide.is_some() => None,
        (_, now) => now,
    };
    json!({
        "path": point.get("mp"),
        "volume": shown.unwrap_or(volume),
        // With its datastore, as by the reference: another container mounts it by this.
        "path_in_datastore": volume,
        "size": size,
        "acl": on("acl"), "backup": on("backup"), "quota": on("quota"), "shared": on("shared"),
        "read_only": on("ro"),
        "replicate": point.flag("replicate").unwrap_or(true),
        "mount_options": options,
    })
}
