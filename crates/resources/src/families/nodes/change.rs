//! A change of one interface of a node, by what it was and is: as its file has it, whoever tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value as Json};

/// Interfaces by their names, as the list of a node has them.
pub(super) type Entries = BTreeMap<String, Map<String, Json>>;

/// The options of an interface, by the names that they have in the file.
pub(super) type Lines = BTreeMap<String, String>;

/// An interface of which something is staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(super) name: String,
    /// What is known of it before; `None` where it is new.
    pub(super) before: Option<Lines>,
    /// What is known of it as it is staged; `None` where it is deleted.
    pub(super) after: Option<Lines>,
}

/// The name of what nothing tells the name of.
pub(super) const UNNAMED: &str = "an interface that the difference does not name";

/// The option that stands for what an address family of an interface is configured by.
pub(super) const METHODS: [&str; 2] = ["inet", "inet6"];

/// What tells nothing of how an interface is configured, or follows from the rest.
const BESIDE: [&str; 6] = ["active", "exists", "priority", "altnames", "families", "link-type"];

impl Change {
    /// Whether nothing tells which interface it is of.
    pub(super) fn is_unnamed(&self) -> bool {
        self.name == UNNAMED
    }

    /// What is different of an interface, if anything is.
    pub(super) fn between(
        name: &str,
        before: Option<&Map<String, Json>>,
        after: Option<&Map<String, Json>>,
    ) -> Option<Change> {
        (before != after).then(|| Change {
            name: name.to_string(),
            before: before.map(lines),
            after: after.map(lines),
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        let (before, after) = match (&self.before, &self.after) {
            (Some(before), Some(after)) => (before, after),
            (None, _) => return f.write_str("new"),
            (_, None) => return f.write_str("deleted"),
        };
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let is_other = |name: &&&String| before.get(**name) != after.get(**name);
        let (methods, options): (Vec<&String>, Vec<&String>) =
            names.iter().filter(is_other).copied().partition(|name| METHODS.contains(&name.as_str()));
        let told = if options.is_empty() { methods } else { options };
        let part = |side: &Lines, name: &String| side.get(name).cloned().unwrap_or_else(|| "none".into());
        let one = |name: &&String| format!("{name} {} -> {}", part(before, name), part(after, name));
        match told.is_empty() {
            true => f.write_str("changed"),
            false => f.write_str(&told.iter().map(one).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Several of them, for a message.
pub(super) fn listed(changes: &[Change]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The interfaces of an answer, without what may change while nobody changes them.
pub(super) fn entries(list: &[Json]) -> Entries {
    let named = list.iter().filter_map(|entry| {
        let mut entry = entry.as_object()?.clone();
        let name = entry.get("iface")?.as_str()?.to_string();
        BESIDE.iter().for_each(|option| drop(entry.remove(*option)));
        Some((name, entry))
    });
    named.collect()
}

/// The options of an entry as the file has them.
pub(super) fn lines(entry: &Map<String, Json>) -> Lines {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let option = |(name, value): (&String, &Json)| {
        let value = text(value);
        let name = match name.as_str() {
            "iface" | "type" | "address" | "netmask" | "address6" | "netmask6" => return None,
            "cidr" => "address".to_string(),
            "cidr6" => "address6".to_string(),
            "method" => "inet".to_string(),
            "method6" => "inet6".to_string(),
            "autostart" => "auto".to_string(),
            "comments" | "comments6" => "comment".to_string(),
            "slaves" => "bond-slaves".to_string(),
            name => name.replace('_', "-"),
        };
        let value = match (name.as_str(), value.trim()) {
            ("auto" | "bridge-vlan-aware", _) => "yes".to_string(),
            ("bridge-ports" | "bond-slaves", "") => "none".to_string(),
            (_, value) => value.split_whitespace().collect::<Vec<_>>().join(" "),
        };
        Some((name, value))
    };
    entry.iter().filter_map(option).collect()
}

/// Whether a device is one that an interface is made of.
pub(super) fn is_part_of(name: &str, entry: &Map<String, Json>) -> bool {
    let lists = ["bridge_ports", "slaves", "vlan-raw-device"].into_iter();
    let mut parts = lists.filter_map(|list| entry.get(list)?.as_str()).flat_map(str::split_whitespace);
    parts.any(|part| part == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_are_told_as_the_file_is() {
        let before = entries(&[
            json!({"iface": "vmbr5", "type": "bridge", "cidr": "10.0.0.1/24", "address": "10.0.0.1",
            "method": "static", "bridge_ports": "", "active": 1, "priority": 4}),
        ]);
        let after =
            entries(&[json!({"iface": "vmbr5", "type": "bridge", "method": "manual", "bridge_ports": "",
            "priority": 9})]);
        let change = Change::between("vmbr5", before.get("vmbr5"), after.get("vmbr5")).unwrap();
        assert_eq!(change.to_string(), "vmbr5: address 10.0.0.1/24 -> none");
        let gone = Change::between("vmbr5", before.get("vmbr5"), None).unwrap();
        assert_eq!(gone.to_string(), "vmbr5: deleted");
        assert_eq!(Change::between("vmbr5", before.get("vmbr5"), before.get("vmbr5")), None);
    }
}
