//! What a change of a machine's configuration may have in it, beyond the parameters' schema.

use super::drives;
use crate::access::guest_options;
use crate::failure::Failure;
use crate::guests;
use crate::request::Request;
use crate::schema;
use crate::state::{Guest, Options};

/// Parameters of the call that are no options of the machine.
pub(super) const CALL_PARAMETERS: &[&str] = &[
    "node",
    "vmid",
    "digest",
    "delete",
    "revert",
    "skiplock",
    "force",
    "background_delay",
    "archive",
    "bwlimit",
    "ha-managed",
    "import-working-storage",
    "live-restore",
    "pool",
    "start",
    "storage",
    "unique",
];

/// The options among the request's parameters, with `cdrom` and `smp` under their real names.
pub(crate) fn options(request: &Request<'_>) -> Options {
    let mut options: Options = request
        .parameters
        .iter()
        .filter(|(name, _)| !CALL_PARAMETERS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(medium) = options.remove("cdrom") {
        let text = if medium.contains("media=") { medium } else { format!("{medium},media=cdrom") };
        options.entry("ide2".to_owned()).or_insert(text);
    }
    // Control groups of the second version go no further.
    if let Some(units) =
        options.get_mut("cpuunits").filter(|text| text.parse().is_ok_and(|n: u64| n > 10_000))
    {
        *units = "10000".to_owned();
    }
    if let Some(count) = options.remove("smp") {
        options.entry("sockets".to_owned()).or_insert(count);
    }
    options
}

/// Refuses options that only root itself may set or delete: those that no privilege is for, and devices of the host, which
/// nobody else exchanges for others either. `old` is the present configuration.
pub(crate) fn check_root_options(
    request: &Request<'_>,
    old: &Options,
    options: &Options,
    delete: &[String],
) -> Result<(), Failure> {
    if request.identity.is_root() {
        return Ok(());
    }
    let refuse = |text: String| Err(Failure::died(text));
    for name in delete.iter().chain(options.keys()) {
        let values: Vec<&String> = [old.get(name), options.get(name)].into_iter().flatten().collect();
        let has = |key: &str| values.iter().any(|value| value.split(',').any(|part| part.starts_with(key)));
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        match stem {
            _ if guest_options::is_for_root(stem) => {
                return refuse(format!("only root can set '{name}' config"));
            }
            "hostpci" if values.iter().any(|value| !value.contains("mapping=")) => {
                return refuse(format!("only root can set '{name}' config for non-mapped devices"));
            }
            "hostpci" if has("romfile=") => {
                return Err(Failure::parameter(name, "only root@pam can set 'romfile' option"));
            }
            "usb"
                if values
                    .iter()
                    .any(|value| !value.contains("mapping=") && !value.to_lowercase().contains("spice")) =>
            {
                return refuse(format!("only root can set '{name}' config for real devices"));
            }
            "serial" if values.iter().any(|value| *value != "socket") => {
                return refuse(format!("only root can modify '{name}' config for real devices"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Values that the schema lets through and the configuration's own parser does not.
pub(crate) fn check_values(request: &Request<'_>, set: &Options) -> Result<(), Failure> {
    for (name, value) in set {
        let Some(property) = schema::lookup(schema::virtual_machine(), name) else { continue };
        let bad = match property.kind {
            schema::Kind::Integer => value.starts_with('+'),
            schema::Kind::Number => value.starts_with(['.', '+']) || value.contains(['e', 'E']),
            _ => false,
        };
        if bad {
            let kind = property.kind.name();
            let text =
                format!("unable to parse value of '{name}' - type check ('{kind}') failed - got '{value}'");
            return Err(Failure::died(text));
        }
    }
    if let Some(script) = set.get("hookscript") {
        guests::check_hook_script(request, script)
            .map_err(|failure| Failure::parameter("hookscript", format!("{}\n", failure.reason)))?;
    }
    if let Some(keys) = set.get("sshkeys") {
        guests::check_public_keys(&crate::server::percent_decode(keys))?;
    }
    Ok(())
}

/// Refuses what the present configuration does not go with: more memory for the balloon than there is, a machine that
/// cannot have its IOMMU, a display without clipboard, a TPM of another version.
pub(super) fn check_against(guest: &Guest, set: &Options) -> Result<(), Failure> {
    let config = guest.effective();
    if set.contains_key("memory") || set.contains_key("balloon") {
        let new = |key: &str| set.get(key).or(config.get(key));
        let memory = new("memory").map(|text| text.strip_prefix("current=").unwrap_or(text));
        let memory: u64 = memory.and_then(|text| text.parse().ok()).unwrap_or(512);
        if new("balloon").and_then(|text| text.parse().ok()).is_some_and(|balloon: u64| balloon > memory) {
            return Err(Failure::died("balloon value too large (must be smaller than assigned memory)"));
        }
    }
    if let Some(machine) = set.get("machine") {
        check_machine(machine)?;
    }
    check_clipboard(set)?;
    check_tpm(&config, set)
}

fn check_machine(machine: &str) -> Result<(), Failure> {
    let part = |key: &str| machine.split(',').find_map(|part| part.strip_prefix(key));
    let kind = part("type=").or(machine.split(',').next().filter(|first| !first.contains('=')));
    let refuse = |text: &str| Err(Failure::died(text));
    match (part("viommu="), part("aw-bits=")) {
        (Some("intel"), _) if !kind.is_some_and(|kind| kind.contains("q35")) => {
            refuse("to use Intel vIOMMU please set the machine type to q35")
        }
        (Some("intel"), Some(bits)) if bits != "39" && bits != "48" => {
            refuse("Intel vIOMMU supports only 39 or 48 bits as address width")
        }
        (None, Some(bits)) if bits != "0" => refuse("cannot set aw-bits if no vIOMMU is configured"),
        _ => Ok(()),
    }
}

/// Only displays with a frame buffer have the clipboard of VNC.
pub(super) fn check_clipboard(set: &Options) -> Result<(), Failure> {
    let Some(vga) = set.get("vga").filter(|vga| vga.contains("clipboard=vnc")) else { return Ok(()) };
    let kind = vga.split(',').find(|part| !part.contains('=') || part.starts_with("type="));
    let kind = kind.map(|kind| kind.strip_prefix("type=").unwrap_or(kind)).unwrap_or("std");
    if ["std", "cirrus", "vmware", "virtio", "qxl"].iter().any(|fine| kind.starts_with(fine)) {
        return Ok(());
    }
    Err(Failure::died(format!("vga type {kind} is not compatible with VNC clipboard")))
}

fn check_tpm(config: &Options, set: &Options) -> Result<(), Failure> {
    let (Some(old), Some(new)) = (config.get("tpmstate0"), set.get("tpmstate0")) else { return Ok(()) };
    let version = |text: &str| {
        let found = text.split(',').find_map(|part| part.strip_prefix("version="));
        found.unwrap_or("v1.2").to_owned()
    };
    if drives::file_of(old) == drives::file_of(new) && version(old) != version(new) {
        return Err(Failure::died("cannot change TPM state version after creation"));
    }
    Ok(())
}

pub(super) fn check_boot(config: &Options, set: &Options) -> Result<(), Failure> {
    let Some(order) = set.get("boot").and_then(|boot| boot.strip_prefix("order=")) else { return Ok(()) };
    for device in order.split(';').filter(|device| !device.is_empty()) {
        if !config.contains_key(device) && !set.contains_key(device) {
            return Err(Failure::died(format!("invalid bootorder: device '{device}' does not exist'")));
        }
    }
    Ok(())
}
