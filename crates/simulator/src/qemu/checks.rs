//! What a change of a machine's configuration may have in it, beyond the parameters' schema.

use crate::failure::Failure;
use crate::request::Request;
use crate::schema;
use crate::state::Options;

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
    if let Some(count) = options.remove("smp") {
        options.entry("sockets".to_owned()).or_insert(count);
    }
    options
}

/// Refuses options that only root itself may set or delete.
pub(crate) fn check_root_options(
    request: &Request<'_>,
    options: &Options,
    delete: &[String],
) -> Result<(), Failure> {
    if request.identity.is_root() {
        return Ok(());
    }
    let refuse = |text: String| Err(Failure::died(text));
    for name in options.keys().chain(delete) {
        let value = options.get(name).map(String::as_str).unwrap_or_default();
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        match stem {
            "lock" | "args" | "vmgenid" | "meta" | "parallel" | "arch" if stem != "arch" => {
                return refuse(format!("only root can set '{name}' config"));
            }
            "hostpci" if !value.contains("mapping=") => {
                return refuse(format!("only root can set '{name}' config for non-mapped devices"));
            }
            "usb"
                if !value.is_empty()
                    && !value.contains("mapping=")
                    && !value.to_lowercase().contains("spice") =>
            {
                return refuse(format!("only root can set '{name}' config for real devices"));
            }
            "serial" if value.starts_with("/dev/") => {
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
    if let Some(script) = set.get("hookscript").filter(|script| !request.state.volumes.contains_key(*script))
    {
        return Err(Failure::parameter("hookscript", format!("script '{script}' does not exist\n")));
    }
    if let Some(keys) = set.get("sshkeys") {
        let decoded = crate::server::percent_decode(keys);
        let valid = decoded.lines().filter(|line| !line.trim().is_empty()).all(is_public_key);
        if !valid {
            return Err(Failure::died("SSH public key validation error"));
        }
    }
    Ok(())
}

fn is_public_key(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let kind =
        words.find(|word| word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-"));
    kind.is_some() && words.next().is_some_and(|data| data.len() >= 40 || line.starts_with('#'))
        || line.starts_with('#')
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
