//! A container's options as parameters of the API (`pct.conf(5)`).

use pve_model::Value;

use crate::guest::{encode_ip_config, key_lines};
use crate::params::Params;
use crate::property::Properties;
use crate::values::{all_blocks, block, flag, float, int, text, texts};

/// Which options are stated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// All, for comparison and for a container made from a template file.
    All,
    /// Only those that the configuration states: a clone keeps the rest.
    Clone,
}

/// The options that can be set at any time.
pub(super) fn encode_options(value: &Value, purpose: Purpose) -> Params {
    let mut params = Params::default();
    params.put("description", text(value, "description"));
    params.put("hookscript", text(value, "hook_script_file_id"));
    params.put_flag("protection", flag(value, "protection"));
    params.put_flag("onboot", flag(value, "start_on_boot"));
    let tags = texts(value, "tags");
    params.put("tags", (!tags.is_empty()).then(|| tags.join(";")));
    encode_resources(value, purpose, &mut params);
    encode_system(value, &mut params);
    encode_initialization(value, &mut params);
    encode_network(value, &mut params);
    encode_devices(value, &mut params);
    params
}

fn encode_resources(value: &Value, purpose: Purpose, params: &mut Params) {
    match block(value, "cpu") {
        Some(cpu) => {
            params.put("arch", text(cpu, "architecture"));
            params.put("cores", int(cpu, "cores"));
            params.put("cpulimit", float(cpu, "limit").filter(|limit| *limit > 0.0));
            params.put("cpuunits", int(cpu, "units").filter(|units| *units > 0));
        }
        None if purpose == Purpose::All => params.put("cores", Some(1)),
        None => {}
    }
    match block(value, "memory") {
        Some(memory) => {
            params.put("memory", int(memory, "dedicated"));
            params.put("swap", int(memory, "swap"));
        }
        None if purpose == Purpose::All => {
            params.put("memory", Some(512));
            params.put("swap", Some(0));
        }
        None => {}
    }
}

fn encode_system(value: &Value, params: &mut Params) {
    params.put("ostype", block(value, "operating_system").and_then(|system| text(system, "type")));
    if let Some(console) = block(value, "console") {
        params.put_flag("console", flag(console, "enabled"));
        params.put("tty", int(console, "tty_count"));
        params.put("cmode", text(console, "type"));
    }
    if let Some(features) = block(value, "features") {
        let on = |name: &str| flag(features, name).filter(|on| *on);
        let mount = texts(features, "mount");
        let features = Properties::default()
            .with_flag("fuse", on("fuse"))
            .with_flag("keyctl", on("keyctl"))
            .with_flag("mknod", on("mknod"))
            .with("mount", (!mount.is_empty()).then(|| mount.join(";")))
            .with_flag("nesting", on("nesting"));
        params.put("features", (!features.is_empty()).then_some(features));
    }
    if let Some(startup) = block(value, "startup") {
        let part = |name: &str| int(startup, name).filter(|number| *number >= 0);
        let startup = Properties::default()
            .with("order", part("order"))
            .with("up", part("up_delay"))
            .with("down", part("down_delay"));
        params.put("startup", (!startup.is_empty()).then_some(startup));
    }
    let variables = value.get("environment_variables").and_then(Value::entries);
    let variables = variables.map(|entries| {
        let pairs = entries.iter().filter_map(|(name, text)| Some(format!("{name}={}", text.as_str()?)));
        pairs.collect::<Vec<_>>().join("\0")
    });
    params.put("env", variables.filter(|text| !text.is_empty()));
}

fn encode_initialization(value: &Value, params: &mut Params) {
    let Some(initialization) = block(value, "initialization") else { return };
    params.put("hostname", text(initialization, "hostname"));
    params.put("entrypoint", text(initialization, "entrypoint"));
    let Some(dns) = block(initialization, "dns") else { return };
    let mut servers = texts(dns, "servers");
    // The older word counts where the newer one says nothing, as in the reference.
    if servers.is_empty() {
        servers.extend(text(dns, "server").map(str::to_string));
    }
    params.put("nameserver", (!servers.is_empty()).then(|| servers.join(" ")));
    params.put("searchdomain", text(dns, "domain"));
}

/// The addresses of an interface are in `initialization`, by place.
fn encode_network(value: &Value, params: &mut Params) {
    let configs =
        block(value, "initialization").map(|init| all_blocks(init, "ip_config")).unwrap_or_default();
    for (index, interface) in all_blocks(value, "network_interface").iter().enumerate() {
        if flag(interface, "enabled") == Some(false) {
            continue;
        }
        let number = |name: &str| int(interface, name).filter(|number| *number != 0);
        let mut net = Properties::default()
            .with("name", text(interface, "name"))
            .with("bridge", text(interface, "bridge"))
            .with_flag("firewall", flag(interface, "firewall").filter(|on| *on))
            .with_flag("host-managed", flag(interface, "host_managed").filter(|on| *on))
            .with("hwaddr", text(interface, "mac_address"))
            .with("mtu", number("mtu"))
            .with("rate", float(interface, "rate_limit").filter(|rate| *rate > 0.0))
            .with("tag", number("vlan_id"))
            .with("type", Some("veth"));
        if let Some(config) = configs.get(index) {
            for (key, value) in encode_ip_config(config).pairs() {
                net = net.with(key, Some(value));
            }
        }
        params.put(&format!("net{index}"), Some(net));
    }
}

fn encode_devices(value: &Value, params: &mut Params) {
    for (index, device) in all_blocks(value, "device_passthrough").iter().enumerate() {
        let path = text(device, "path").unwrap_or_default();
        let device = Properties::starting(path)
            .with_flag("deny-write", flag(device, "deny_write").filter(|on| *on))
            .with("gid", int(device, "gid"))
            .with("mode", text(device, "mode"))
            .with("uid", int(device, "uid"));
        params.put(&format!("dev{index}"), Some(device));
    }
}

/// The options of the root disk, after its volume.
pub(super) fn encode_root_disk(disk: &Value, volume: &str) -> Properties {
    let on = |name: &str| flag(disk, name).filter(|on| *on);
    let options = texts(disk, "mount_options");
    Properties::starting(volume)
        .with_flag("acl", on("acl"))
        .with("mountoptions", (!options.is_empty()).then(|| options.join(";")))
        .with_flag("quota", on("quota"))
        .with_flag("replicate", on("replicate"))
}

/// A mount point: `volume` is a datastore for a new one, a volume or a path for one that exists.
pub(super) fn encode_mount_point(point: &Value, volume: &str) -> Properties {
    let on = |name: &str| flag(point, name).filter(|on| *on);
    let options = texts(point, "mount_options");
    Properties::starting(volume)
        .with("mp", text(point, "path"))
        .with_flag("acl", on("acl"))
        .with_flag("backup", on("backup"))
        .with("mountoptions", (!options.is_empty()).then(|| options.join(";")))
        .with_flag("quota", on("quota"))
        .with_flag("ro", on("read_only"))
        .with_flag("replicate", flag(point, "replicate").filter(|on| !on))
        .with_flag("shared", on("shared"))
}

/// The volume of a new mount point: `datastore:GIBIBYTES`, an existing volume, or a path of the node.
pub(super) fn new_volume(point: &Value) -> String {
    let volume = text(point, "volume").unwrap_or_default();
    if volume.starts_with('/') || volume.contains(':') {
        return volume.to_string();
    }
    // A part of a gibibyte may be asked for, too (`PVE::LXC::NEW_DISK_RE`).
    let bytes = text(point, "size").and_then(crate::size::parse_size).unwrap_or(8 << 30);
    format!("{volume}:{}", bytes as f64 / f64::from(1 << 30))
}

/// Everything that a new container from a template file needs.
pub(super) fn encode_new(value: &Value) -> Params {
    let mut params = encode_options(value, Purpose::All);
    let system = block(value, "operating_system");
    params.put("ostemplate", system.and_then(|system| text(system, "template_file_id")));
    if params.0.get("ostype").is_some_and(|kind| kind == "unmanaged") {
        // The template tells its own kind, unless it has none.
        params.0.remove("ostype");
    }
    params.put_flag("unprivileged", Some(flag(value, "unprivileged") == Some(true)));
    params.put("pool", text(value, "pool_id"));
    let disk = block(value, "disk");
    let datastore = disk.and_then(|disk| text(disk, "datastore_id")).unwrap_or("local");
    let size = disk.and_then(|disk| int(disk, "size")).unwrap_or(4);
    let volume = format!("{datastore}:{size}");
    let root = disk.map(|disk| encode_root_disk(disk, &volume));
    params.put("rootfs", Some(root.unwrap_or_else(|| Properties::starting(volume))));
    for (index, point) in all_blocks(value, "mount_point").iter().enumerate() {
        params.put(&format!("mp{index}"), Some(encode_mount_point(point, &new_volume(point))));
    }
    let account = block(value, "initialization").and_then(|init| block(init, "user_account"));
    if let Some(account) = account {
        params.put("password", text(account, "password"));
        let keys = key_lines(&texts(account, "keys"));
        params.put("ssh-public-keys", (!keys.is_empty()).then(|| keys.join("\n")));
    }
    params
}
