//! A VM's options as parameters of the API (`qm.conf(5)`), without its drives.

use pve_model::Value;

use crate::guest::{encode_ip_config, key_lines};
use crate::params::Params;
use crate::property::Properties;
use crate::values::{all_blocks, block, flag, float, int, text, texts};

/// The options that `value` states. With `absent_as_default` blocks that are absent state their defaults, as the
/// provider's documentation has it; a clone keeps what the template has.
pub(super) fn encode_options(value: &Value, absent_as_default: bool) -> Params {
    let mut params = Params::default();
    encode_scalars(value, &mut params);
    encode_cpu(block(value, "cpu"), absent_as_default, &mut params);
    encode_memory(block(value, "memory"), absent_as_default, &mut params);
    match block(value, "operating_system") {
        Some(system) => params.put("ostype", text(system, "type")),
        None if absent_as_default => params.put("ostype", Some("other")),
        None => {}
    }
    encode_machine_parts(value, &mut params);
    encode_initialization(block(value, "initialization"), &mut params);
    super::encode_devices::encode_devices(value, &mut params);
    params
}

fn encode_scalars(value: &Value, params: &mut Params) {
    for (attribute, parameter) in [
        ("bios", "bios"),
        ("description", "description"),
        ("hook_script_file_id", "hookscript"),
        ("hotplug", "hotplug"),
        ("keyboard_layout", "keyboard"),
        ("kvm_arguments", "args"),
        ("machine", "machine"),
        ("name", "name"),
        ("scsi_hardware", "scsihw"),
    ] {
        params.put(parameter, text(value, attribute));
    }
    for (attribute, parameter) in
        [("acpi", "acpi"), ("on_boot", "onboot"), ("protection", "protection"), ("tablet_device", "tablet")]
    {
        params.put_flag(parameter, flag(value, attribute));
    }
    let tags = texts(value, "tags");
    params.put("tags", (!tags.is_empty()).then(|| tags.join(";")));
    let order = texts(value, "boot_order");
    params.put("boot", (!order.is_empty()).then(|| format!("order={}", order.join(";"))));
}

fn encode_cpu(cpu: Option<&Value>, absent_as_default: bool, params: &mut Params) {
    let Some(cpu) = cpu else {
        if absent_as_default {
            params.put("cores", Some(1));
            params.put("sockets", Some(1));
            params.put("cpu", Some("qemu64"));
        }
        return;
    };
    params.put("cores", int(cpu, "cores"));
    params.put("sockets", int(cpu, "sockets"));
    params.put("vcpus", int(cpu, "hotplugged").filter(|count| *count > 0));
    params.put("cpulimit", float(cpu, "limit").filter(|limit| *limit > 0.0));
    params.put("cpuunits", int(cpu, "units").filter(|units| *units > 0));
    params.put_flag("numa", flag(cpu, "numa").filter(|numa| *numa));
    params.put("affinity", text(cpu, "affinity"));
    params.put("arch", text(cpu, "architecture"));
    let flags = texts(cpu, "flags");
    if let Some(model) = text(cpu, "type") {
        let flags = (!flags.is_empty()).then(|| flags.join(";"));
        params.put("cpu", Some(Properties::starting(model).with("flags", flags)));
    }
}

fn encode_memory(memory: Option<&Value>, absent_as_default: bool, params: &mut Params) {
    let Some(memory) = memory else {
        if absent_as_default {
            params.put("memory", Some(512));
            params.put("balloon", Some(0));
        }
        return;
    };
    params.put("memory", int(memory, "dedicated"));
    params.put("balloon", int(memory, "floating"));
    params.put("hugepages", text(memory, "hugepages"));
    params.put_flag("keephugepages", flag(memory, "keep_hugepages").filter(|keep| *keep));
    let shared = int(memory, "shared").filter(|size| *size > 0);
    params.put("ivshmem", shared.map(|size| Properties::default().with("size", Some(size))));
}

fn encode_machine_parts(value: &Value, params: &mut Params) {
    // What means the same as nothing is not written.
    if let Some(agent) = block(value, "agent") {
        let on = |name: &str| flag(agent, name).filter(|on| *on);
        let agent = Properties::default()
            .with_flag("enabled", on("enabled"))
            .with_flag("fstrim_cloned_disks", on("trim"))
            .with("type", text(agent, "type").filter(|kind| *kind != "virtio"));
        let agent = if agent.is_empty() || agent.get("enabled").is_some() {
            agent
        } else {
            Properties::default().with_flag("enabled", Some(false)).joined(&agent)
        };
        params.put("agent", (!agent.is_empty()).then_some(agent));
    }
    if let Some(vga) = block(value, "vga") {
        let other = Properties::default()
            .with("memory", int(vga, "memory").filter(|memory| *memory != 16))
            .with("clipboard", text(vga, "clipboard"));
        let kind = text(vga, "type").filter(|kind| *kind != "std" || !other.is_empty());
        let vga = Properties::default().with("type", kind).joined(&other);
        params.put("vga", (!vga.is_empty()).then_some(vga));
    }
    if let Some(startup) = block(value, "startup") {
        let part = |name: &str| int(startup, name).filter(|number| *number >= 0);
        let startup = Properties::default()
            .with("order", part("order"))
            .with("up", part("up_delay"))
            .with("down", part("down_delay"));
        params.put("startup", (!startup.is_empty()).then_some(startup));
    }
    if let Some(smbios) = block(value, "smbios") {
        params.put("smbios1", Some(encode_smbios(smbios)));
    }
    if let Some(sev) = block(value, "amd_sev") {
        let sev = Properties::default()
            .with("type", text(sev, "type"))
            .with_flag("allow-smt", flag(sev, "allow_smt"))
            .with_flag("kernel-hashes", flag(sev, "kernel_hashes"))
            .with_flag("no-debug", flag(sev, "no_debug"))
            .with_flag("no-key-sharing", flag(sev, "no_key_sharing"));
        params.put("amd-sev", Some(sev));
    }
}

/// The texts are sent in base64, so that they may have commas.
fn encode_smbios(smbios: &Value) -> Properties {
    let names = ["family", "manufacturer", "product", "serial", "sku", "version"];
    let any = names.iter().any(|name| text(smbios, name).is_some());
    let mut properties = Properties::default().with("uuid", text(smbios, "uuid"));
    properties = properties.with_flag("base64", any.then_some(true));
    for name in names {
        properties = properties.with(name, text(smbios, name).map(crate::base64::encode));
    }
    properties
}

fn encode_initialization(initialization: Option<&Value>, params: &mut Params) {
    let Some(initialization) = initialization else { return };
    params.put("citype", text(initialization, "type"));
    params.put_flag("ciupgrade", flag(initialization, "upgrade").filter(|on| !on));
    if let Some(dns) = block(initialization, "dns") {
        let servers = texts(dns, "servers");
        params.put("nameserver", (!servers.is_empty()).then(|| servers.join(" ")));
        params.put("searchdomain", text(dns, "domain"));
    }
    for (index, config) in all_blocks(initialization, "ip_config").iter().enumerate() {
        let config = encode_ip_config(config);
        params.put(&format!("ipconfig{index}"), (!config.is_empty()).then_some(config));
    }
    if let Some(account) = block(initialization, "user_account") {
        params.put("ciuser", text(account, "username"));
        params.put("cipassword", text(account, "password"));
        let keys = key_lines(&texts(account, "keys"));
        params.put("sshkeys", (!keys.is_empty()).then(|| percent_encode(&keys.join("\n"))));
    }
    let custom = Properties::default()
        .with("meta", text(initialization, "meta_data_file_id"))
        .with("network", text(initialization, "network_data_file_id"))
        .with("user", text(initialization, "user_data_file_id"))
        .with("vendor", text(initialization, "vendor_data_file_id"));
    params.put("cicustom", (!custom.is_empty()).then_some(custom));
}

/// `sshkeys` is percent-encoded by itself, beside the encoding of the request.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
