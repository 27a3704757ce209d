//! What the API accepts: parameters of every endpoint as data, and the checks of PVE's JSON schema.

mod addresses;
mod branches;
mod cluster_formats;
mod cpu;
pub(crate) mod formats;
mod permissions;
pub(crate) mod property_string;
mod validate;

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

pub(crate) use branches::for_type;
pub(crate) use permissions::{Permission, permission};
pub(crate) use validate::{Errors, Raw, normalise};

/// The rules of one parameter, or of one key of a property string.
#[derive(Debug, Clone, Deserialize, Default)]
pub(crate) struct Property {
    #[serde(rename = "type", default)]
    pub kind: Kind,
    #[serde(default, deserialize_with = "flag")]
    pub optional: bool,
    #[serde(default)]
    pub format: Option<Format>,
    #[serde(default, rename = "enum")]
    pub enumeration: Vec<String>,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub pattern: Option<String>,
    #[serde(rename = "minLength")]
    pub minimum_length: Option<usize>,
    #[serde(rename = "maxLength")]
    pub maximum_length: Option<usize>,
    pub requires: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    pub default_key: bool,
    pub alias: Option<String>,
    #[serde(rename = "keyAlias")]
    pub key_alias: Option<String>,
    #[serde(skip)]
    compiled: OnceLock<Option<Regex>>,
}

impl Property {
    /// The pattern as a whole-string expression; `None` where there is none, or where this engine cannot
    /// express it (then every value is accepted).
    pub fn regex(&self) -> Option<&Regex> {
        self.compiled
            .get_or_init(|| {
                let pattern = self
                    .pattern
                    .as_deref()?
                    .replace("(?^:", "(?:")
                    .replace("(?^i:", "(?i:")
                    .replace("{,", "{0,")
                    .replace("\\0", "\\x00");
                // Counted classes (`\w{0,256}`) are large in this engine.
                RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(64 << 20).build().ok()
            })
            .as_ref()
    }
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    #[default]
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
    Null,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
            Kind::Array => "array",
            Kind::Object => "object",
            Kind::Null => "null",
        }
    }
}

/// A format: a name, or the keys of a property string.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Format {
    Named(String),
    Keys(Keys),
}

/// Properties by name.
pub(crate) type Keys = BTreeMap<String, Property>;

fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Bool(value) => value,
        serde_json::Value::Number(number) => number.as_i64() != Some(0),
        serde_json::Value::String(text) => text != "0" && !text.is_empty(),
        _ => false,
    })
}

/// How many of a `name[n]` parameter there are (`MAX_*` constants in qemu-server and pve-container).
fn count_of(name: &str, container: bool) -> u32 {
    match name {
        "ide" => 4,
        "sata" => 6,
        "scsi" => 31,
        "virtio" => 16,
        "net" | "ipconfig" => 32,
        "hostpci" => 16,
        "numa" => 8,
        "parallel" => 3,
        "serial" => 4,
        "usb" => 14,
        "virtiofs" => 10,
        "unused" | "mp" | "dev" => 256,
        _ if container => 32,
        _ => 8,
    }
}

/// Splits `net12` into `net` and 12, where the rest is a number as PVE writes it.
pub(crate) fn indexed(name: &str) -> Option<(&str, u32)> {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (stem, index) = name.split_at(name.len() - digits);
    if stem.is_empty() || index.is_empty() || (index.len() > 1 && index.starts_with('0')) {
        return None;
    }
    Some((stem, index.parse().ok()?))
}

/// The property of `name`, with `net3` found under `net[n]`.
pub(crate) fn lookup<'a>(keys: &'a Keys, name: &str) -> Option<&'a Property> {
    if let Some(found) = keys.get(name) {
        return (!name.ends_with("[n]")).then_some(found);
    }
    let (stem, index) = indexed(name)?;
    let container = keys.contains_key("rootfs");
    (index < count_of(stem, container)).then(|| keys.get(&format!("{stem}[n]"))).flatten()
}

/// Whether an endpoint passes over parameters that it does not define: those of fabrics and the list of the agent's commands
/// do not say `additionalProperties => 0` (PVE::API2::Network::SDN::Fabrics, PVE::API2::Qemu::Agent).
pub(crate) fn takes_more(method: &str, template: &str) -> bool {
    template.starts_with("/cluster/sdn/fabrics")
        || (method, template) == ("GET", "/nodes/{node}/qemu/{vmid}/agent")
}

/// The parameters of an endpoint: `endpoint("POST", "/nodes/{node}/qemu")`.
pub(crate) fn endpoint(method: &str, template: &str) -> Option<&'static Keys> {
    endpoints().get(&format!("{method} {template}"))
}

/// Why the API refuses this value of a parameter, in its words. `None` when it takes it, and where nothing is known of the
/// parameter. In the path, `{...}` stands for any one part of it.
///
/// ```
/// let fault = |value| pve_simulator::parameter_fault("POST", "/nodes/{name}/qemu", "cores", value);
/// assert_eq!(fault("0").as_deref(), Some("value must have a minimum value of 1"));
/// assert_eq!(fault("2"), None);
/// ```
pub fn parameter_fault(method: &str, path: &str, name: &str, value: &str) -> Option<String> {
    let fits = |template: &str| {
        let is_same =
            |(one, other): (&str, &str)| one == other || (one.starts_with('{') && other.starts_with('{'));
        template.split('/').count() == path.split('/').count()
            && template.split('/').zip(path.split('/')).all(is_same)
    };
    let known =
        |key: &&String| key.split_once(' ').is_some_and(|(verb, template)| verb == method && fits(template));
    let keys = endpoints().get(endpoints().keys().find(known)?)?;
    validate::check(name, lookup(keys, name)?, value).err()
}

/// Reads a file of the crate. It cannot fail: a test reads the same files.
fn embedded(text: &str) -> HashMap<String, Keys> {
    serde_json::from_str(text).unwrap_or_else(|error| unreachable!("an embedded schema: {error}"))
}

fn endpoints() -> &'static HashMap<String, Keys> {
    static ENDPOINTS: OnceLock<HashMap<String, Keys>> = OnceLock::new();
    ENDPOINTS.get_or_init(|| embedded(include_str!("../../schema/endpoints.json")))
}

/// The keys behind a named format that is a property string itself (`pve-qm-boot`).
pub(crate) fn named_keys(name: &str) -> Option<&'static Keys> {
    static FORMATS: OnceLock<HashMap<String, Keys>> = OnceLock::new();
    let formats = FORMATS.get_or_init(|| embedded(include_str!("../../schema/formats.json")));
    match name {
        "pve-qm-ide" => format_keys(lookup(virtual_machine(), "ide0")?),
        _ => formats.get(name),
    }
}

/// The keys of a property's format, if it is a property string.
pub(crate) fn format_keys(property: &'static Property) -> Option<&'static Keys> {
    match property.format.as_ref()? {
        Format::Keys(keys) => Some(keys),
        Format::Named(name) => named_keys(name),
    }
}

/// Every option of a virtual machine's configuration.
pub(crate) fn virtual_machine() -> &'static Keys {
    static NONE: OnceLock<Keys> = OnceLock::new();
    endpoint("PUT", "/nodes/{node}/qemu/{vmid}/config").unwrap_or_else(|| NONE.get_or_init(Keys::new))
}

/// Every option of a container's configuration.
pub(crate) fn container() -> &'static Keys {
    static NONE: OnceLock<Keys> = OnceLock::new();
    endpoint("PUT", "/nodes/{node}/lxc/{vmid}/config").unwrap_or_else(|| NONE.get_or_init(Keys::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoints_are_read() {
        assert!(endpoints().len() > 600);
        assert!(named_keys("pve-qm-boot").is_some());
        assert!(lookup(virtual_machine(), "scsi30").is_some());
        assert!(lookup(virtual_machine(), "scsi31").is_none());
        assert!(lookup(virtual_machine(), "net01").is_none());
        assert!(lookup(container(), "mp7").is_some());
    }

    #[test]
    fn every_pattern_of_the_schema_compiles() {
        fn check(path: &str, keys: &Keys) {
            for (name, property) in keys {
                if property.pattern.is_some() {
                    assert!(property.regex().is_some(), "{path} {name}: {:?}", property.pattern);
                }
                if let Some(Format::Keys(inner)) = &property.format {
                    check(path, inner);
                }
            }
        }
        for (path, keys) in endpoints() {
            check(path, keys);
        }
    }
}
