//! Addresses of modules, resources and their instances, written as Terraform writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The key of one instance of a module or resource with `count` or `for_each`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InstanceKey {
    /// A `count` index.
    Index(u64),
    /// A `for_each` key.
    Key(String),
}

/// One module call on the way from the root, with the key of its instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleStep {
    /// The name of the call.
    pub name: String,
    /// The instance, if the call has `count` or `for_each`.
    pub key: Option<InstanceKey>,
}

/// An instance of a module; empty for the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModulePath(pub Vec<ModuleStep>);

/// Whether a resource is managed or only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceMode {
    /// A `resource` block.
    Managed,
    /// A `data` block.
    Data,
}

/// A `resource` or `data` block within an instance of a module.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceAddress {
    /// The module instance.
    pub module: ModulePath,
    /// Managed or data.
    pub mode: ResourceMode,
    /// The kind, for instance `proxmox_virtual_environment_vm`.
    pub kind: String,
    /// The name.
    pub name: String,
}

/// One instance of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceAddress {
    /// The resource.
    pub resource: ResourceAddress,
    /// The instance, if the resource has `count` or `for_each`.
    pub key: Option<InstanceKey>,
}

impl ModulePath {
    /// The root module.
    pub fn root() -> ModulePath {
        ModulePath::default()
    }

    /// The instance of a module called from this one.
    pub fn child(&self, name: impl Into<String>, key: Option<InstanceKey>) -> ModulePath {
        let mut steps = self.0.clone();
        steps.push(ModuleStep { name: name.into(), key });
        ModulePath(steps)
    }

    /// The names of the calls without keys: which module of the configuration this is an instance of.
    pub fn call_names(&self) -> Vec<&str> {
        self.0.iter().map(|step| step.name.as_str()).collect()
    }
}

impl ResourceAddress {
    /// One instance of this resource.
    pub fn instance(&self, key: Option<InstanceKey>) -> InstanceAddress {
        InstanceAddress { resource: self.clone(), key }
    }
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstanceKey::Index(index) => write!(f, "[{index}]"),
            InstanceKey::Key(key) => {
                let escaped = key.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                write!(f, "[\"{escaped}\"]")
            }
        }
    }
}

impl fmt::Display for ModulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            write!(f, "{}module.{}", if i == 0 { "" } else { "." }, step.name)?;
            if let Some(key) = &step.key {
                write!(f, "{key}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ResourceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.module.0.is_empty() {
            write!(f, "{}.", self.module)?;
        }
        if self.mode == ResourceMode::Data {
            f.write_str("data.")?;
        }
        write!(f, "{}.{}", self.kind, self.name)
    }
}

impl fmt::Display for InstanceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.resource)?;
        match &self.key {
            Some(key) => write!(f, "{key}"),
            None => Ok(()),
        }
    }
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address: {reason}")]
pub struct ParseAddressError {
    text: String,
    reason: &'static str,
}

/// A target: a module instance, a resource or an instance of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Everything in a module (with no key, in all its instances).
    Module(ModulePath),
    /// A resource with all its instances.
    Resource(ResourceAddress),
    /// One instance.
    Instance(InstanceAddress),
}

impl Target {
    /// Whether the target takes in `address`; a module step without a key takes in every instance.
    pub fn contains(&self, address: &InstanceAddress) -> bool {
        let within = |outer: &ModulePath, inner: &ModulePath, whole: bool| {
            (if whole { outer.0.len() == inner.0.len() } else { outer.0.len() <= inner.0.len() })
                && outer
                    .0
                    .iter()
                    .zip(&inner.0)
                    .all(|(a, b)| a.name == b.name && (a.key.is_none() || a.key == b.key))
        };
        let same = |a: &ResourceAddress, b: &ResourceAddress| {
            a.mode == b.mode && a.kind == b.kind && a.name == b.name && within(&a.module, &b.module, true)
        };
        match self {
            Target::Module(module) => within(module, &address.resource.module, false),
            Target::Resource(resource) => same(resource, &address.resource),
            Target::Instance(instance) => {
                same(&instance.resource, &address.resource) && instance.key == address.key
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Module(module) => module.fmt(f),
            Target::Resource(resource) => resource.fmt(f),
            Target::Instance(instance) => instance.fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Target, ParseAddressError> {
        let fail = |reason| ParseAddressError { text: text.to_string(), reason };
        let parts = split(text).map_err(fail)?;
        let mut module = ModulePath::root();
        let mut rest = &parts[..];
        while let [(first, None), (name, key), tail @ ..] = rest {
            if first != "module" {
                break;
            }
            module = module.child(name.clone(), key.clone());
            rest = tail;
        }
        let mode = match rest {
            [(first, None), tail @ ..] if first == "data" => {
                rest = tail;
                ResourceMode::Data
            }
            _ => ResourceMode::Managed,
        };
        match rest {
            [] if mode == ResourceMode::Managed && !module.0.is_empty() => Ok(Target::Module(module)),
            [(kind, None), (name, key)] => {
                let resource = ResourceAddress { module, mode, kind: kind.clone(), name: name.clone() };
                Ok(match key {
                    None => Target::Resource(resource),
                    key => Target::Instance(resource.instance(key.clone())),
                })
            }
            _ => Err(fail("expected KIND.NAME, optionally after module.NAME, and an optional [KEY]")),
        }
    }
}

impl FromStr for InstanceAddress {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<InstanceAddress, ParseAddressError> {
        match text.parse()? {
            Target::Resource(resource) => Ok(resource.instance(None)),
            Target::Instance(instance) => Ok(instance),
            Target::Module(_) => {
                Err(ParseAddressError { text: text.to_string(), reason: "it names a module, not a resource" })
            }
        }
    }
}

type Part = (String, Option<InstanceKey>);

/// Splits `a.b["k"].c[0]` into names with their keys.
fn split(text: &str) -> Result<Vec<Part>, &'static str> {
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
            return Err("a name is missing or has a character that names cannot have");
        }
        rest = &rest[end..];
        let mut key = None;
        if let Some(tail) = rest.strip_prefix('[') {
            let (found, tail) = read_key(tail)?;
            key = Some(found);
            rest = tail;
        }
        parts.push((name.to_string(), key));
        match rest.strip_prefix('.') {
            Some(tail) => rest = tail,
            None if rest.is_empty() => return Ok(parts),
            None => return Err("unexpected text after a key"),
        }
    }
}

fn read_key(text: &str) -> Result<(InstanceKey, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (digits, tail) = text.split_once(']').ok_or("a `]` is missing")?;
        return digits
            .parse()
            .map(|index| (InstanceKey::Index(index), tail))
            .map_err(|_| "a key is a number or a quoted string");
    };
    let mut key = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => {
                let tail = quoted[at + 1..].strip_prefix(']').ok_or("a `]` is missing")?;
                return Ok((InstanceKey::Key(key), tail));
            }
            '\\' => match characters.next() {
                Some((_, 'n')) => key.push('\n'),
                Some((_, other)) => key.push(other),
                None => break,
            },
            other => key.push(other),
        }
    }
    Err("a closing quote is missing")
}

macro_rules! serialize_as_text {
    ($($t:ty),*) => {$(
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
serialize_as_text!(InstanceAddress, ResourceAddress, Target);

impl<'de> Deserialize<'de> for InstanceAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<InstanceAddress, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Target, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ResourceAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ResourceAddress, D::Error> {
        let address: InstanceAddress =
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)?;
        Ok(address.resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_are_written() {
        for text in [
            "terraform_data.a",
            "terraform_data.a[0]",
            "module.vm[\"web-01\"].proxmox_virtual_environment_vm.this",
            "module.a.module.b[3].data.proxmox_virtual_environment_nodes.all[\"a.b\\\"c\"]",
        ] {
            assert_eq!(text.parse::<InstanceAddress>().unwrap().to_string(), text);
        }
        for text in ["", "a", "a.", "a.b[", "a.b[\"x", "module.a.b", "a.b.c"] {
            assert!(text.parse::<InstanceAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_target_without_keys_takes_in_every_instance() {
        let inside: InstanceAddress = "module.vm[\"a\"].x.y[1]".parse().unwrap();
        for (target, contains) in [
            ("module.vm", true),
            ("module.vm[\"a\"]", true),
            ("module.vm[\"b\"]", false),
            ("module.vm.x.y", true),
            ("module.vm[\"a\"].x.y[0]", false),
            ("x.y", false),
        ] {
            assert_eq!(target.parse::<Target>().unwrap().contains(&inside), contains, "{target}");
        }
    }
}
