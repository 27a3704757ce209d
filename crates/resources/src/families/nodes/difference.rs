//! What is staged of a node's interfaces, interface by interface: read from the difference of their file that Proxmox VE
//! tells, or from what they were and are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value as Json};

/// Interfaces by their names, as the list of a node has them.
pub(super) type Entries = BTreeMap<String, Map<String, Json>>;

/// The options of an interface, by the names that they have in the file.
type Lines = BTreeMap<String, String>;

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
const UNNAMED: &str = "an interface that the difference does not name";

/// The option that stands for what an address family of an interface is configured by.
const METHODS: [&str; 2] = ["inet", "inet6"];

/// What tells nothing of how an interface is configured, or follows from the rest.
const BESIDE: [&str; 6] = ["active", "exists", "priority", "altnames", "families", "link-type"];

impl Change {
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
fn lines(entry: &Map<String, Json>) -> Lines {
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

/// One side of a difference as it is read.
#[derive(Default)]
struct Side {
    /// The interface that a line belongs to, and what goes behind the names of its options.
    current: Option<(String, &'static str)>,
    found: BTreeMap<String, Lines>,
    /// Lines in front of any name in this part of the difference.
    stray: Lines,
}

impl Side {
    fn take(&mut self, line: &str, is_head: bool) {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("auto"), Some(name)) => {
                self.current = Some((name.to_string(), ""));
                self.put("auto", "yes".to_string());
            }
            (Some("iface"), Some(name)) => {
                let is_newer = words.next() == Some("inet6");
                self.current = Some((name.to_string(), if is_newer { "6" } else { "" }));
                self.put("inet", words.next().unwrap_or_default().to_string());
            }
            (Some("source" | "source-directory" | "mapping" | "allow-hotplug" | "allow-ovs"), _) => {}
            (Some(word), _) if word.starts_with('#') => {
                if self.current.is_some() || !is_head {
                    self.put("comment", line.trim().trim_start_matches('#').to_string());
                }
            }
            (Some(option), _) => {
                let value = line.trim().split_once(char::is_whitespace).map_or("", |(_, value)| value);
                let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
                self.put(&option.replace('_', "-"), value);
            }
            (None, _) => {}
        }
    }

    fn put(&mut self, option: &str, value: String) {
        let (lines, option) = match &self.current {
            // Only these are of a family of addresses.
            Some((name, family)) if ["address", "gateway", "inet"].contains(&option) => {
                (self.found.entry(name.clone()).or_default(), format!("{option}{family}"))
            }
            Some((name, _)) => (self.found.entry(name.clone()).or_default(), option.to_string()),
            None => (&mut self.stray, option.to_string()),
        };
        lines.entry(option).and_modify(|known| *known = format!("{known}; {value}")).or_insert(value);
    }
}

/// Reads a difference. `entries` are the interfaces as they are staged. What is only written otherwise, or elsewhere in the
/// file, is no change, and neither is that Proxmox VE writes down a device that the file did not name.
pub(super) fn read(difference: &str, entries: &Entries) -> Vec<Change> {
    let (mut old, mut new) = (Side::default(), Side::default());
    let mut is_head = false;
    for line in difference.lines() {
        if line.starts_with("---") || line.starts_with("+++") {
            continue;
        }
        if line.starts_with("@@") {
            end_of_part(&mut old, &mut new, entries);
            is_head = line.starts_with("@@ -1") || line.starts_with("@@ -0");
            continue;
        }
        let Some((sign, text)) = line.split_at_checked(1) else { continue };
        if sign != "+" {
            old.take(text, is_head);
        }
        if sign != "-" {
            new.take(text, is_head);
        }
    }
    end_of_part(&mut old, &mut new, entries);
    changes(old.found, new.found, entries)
}

/// Finds out what the lines in front of any name belong to: the one interface that has them.
fn end_of_part(old: &mut Side, new: &mut Side, entries: &Entries) {
    (old.current, new.current) = (None, None);
    let (before, after) = (std::mem::take(&mut old.stray), std::mem::take(&mut new.stray));
    if before == after {
        return;
    }
    let has_them = |(_, entry): &(&String, &Map<String, Json>)| {
        let lines = lines(entry);
        // Of which family an address is the part does not tell.
        let has = |(option, value): (&String, &String)| {
            [option.clone(), format!("{option}6")].iter().any(|name| lines.get(name) == Some(value))
        };
        after.iter().all(has)
    };
    let mut owners = entries.iter().filter(has_them).map(|(name, _)| name);
    let owner = match (owners.next(), owners.next()) {
        (Some(owner), None) if !after.is_empty() => owner.as_str(),
        _ => UNNAMED,
    };
    old.found.entry(owner.to_string()).or_default().extend(before);
    new.found.entry(owner.to_string()).or_default().extend(after);
}

fn changes(
    mut old: BTreeMap<String, Lines>,
    mut new: BTreeMap<String, Lines>,
    entries: &Entries,
) -> Vec<Change> {
    let names: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    let change = |name: String| {
        let (before, after) = (old.remove(&name).unwrap_or_default(), new.remove(&name).unwrap_or_default());
        let (before, after) = (plain(before), plain(after));
        let is_named = |side: &Lines| METHODS.iter().any(|method| side.contains_key(*method));
        let (was, is) = (is_named(&before), is_named(&after));
        let change =
            Change { before: (was || !is).then_some(before), after: (is || !was).then_some(after), name };
        (change.before != change.after && !is_written_down(&change, entries)).then_some(change)
    };
    names.into_iter().filter(|name| name != "lo").filter_map(change).collect()
}

/// An address in the way that Proxmox VE writes it, whoever wrote the file.
fn plain(mut lines: Lines) -> Lines {
    for (address, mask) in [("address", "netmask"), ("address6", "netmask6")] {
        let Some(mask) = lines.remove(mask) else { continue };
        let bits = mask.parse::<std::net::Ipv4Addr>().map(|mask| u32::from(mask).count_ones().to_string());
        if let Some(text) = lines.get_mut(address).filter(|text| !text.contains('/')) {
            *text = format!("{text}/{}", bits.unwrap_or(mask));
        }
    }
    ["broadcast", "network"].iter().for_each(|option| drop(lines.remove(*option)));
    lines
}

/// Whether an interface is there already, and only named by the file: a device, or what another interface is made of.
fn is_written_down(change: &Change, entries: &Entries) -> bool {
    let (None, Some(after)) = (&change.before, &change.after) else { return false };
    let is_bare = after.iter().all(|(option, value)| option == "inet" && value == "manual");
    let entry = entries.get(&change.name);
    let is_device = entry.is_some_and(|entry| entry.get("type").and_then(Json::as_str) == Some("eth"));
    is_bare && (is_device || entries.values().any(|other| is_part_of(&change.name, other)))
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

    fn told(difference: &str, list: Json) -> Vec<String> {
        let entries = entries(list.as_array().unwrap());
        read(difference, &entries).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn interfaces_are_told_by_name_with_what_becomes_of_them() {
        let difference = "--- /etc/network/interfaces\t2026
+++ /etc/network/interfaces.new\t2026
@@ -12,20 +12,21 @@
 
 auto vmbr0
 iface vmbr0 inet static
-\taddress 10.0.0.10/24
+\taddress 10.0.0.11/24
 \tgateway 10.0.0.1
-\tbridge-ports eno1
+\tbridge-ports none
 
-auto vmbr5
-iface vmbr5 inet manual
+auto vmbr9
+iface vmbr9 inet manual
 \tbridge-ports none
";
        assert_eq!(
            told(difference, json!([])),
            [
                "vmbr0: address 10.0.0.10/24 -> 10.0.0.11/24, bridge-ports eno1 -> none",
                "vmbr5: deleted",
                "vmbr9: new"
            ]
        );
    }

    #[test]
    fn what_is_written_elsewhere_or_otherwise_is_no_change() {
        let difference = "@@ -1,9 +1,16 @@
+# network interface settings; autogenerated
+
 auto lo
 iface lo inet loopback
 
+iface eno1 inet manual
+
+auto vmbr1
+iface vmbr1 inet static
+\taddress 10.1.0.1/24
+\tbridge-ports eno1
+
 auto vmbr0
 iface vmbr0 inet manual
-\tbridge_ports none
+\tbridge-ports none
-auto vmbr1
-iface vmbr1 inet static
-\taddress 10.1.0.1
-\tnetmask 255.255.255.0
-\tbridge_ports eno1
";
        assert_eq!(told(difference, json!([{"iface": "eno1", "type": "eth"}])), Vec::<String>::new());
    }

    /// The context of a difference is three lines.
    #[test]
    fn a_change_far_behind_the_name_is_told_by_the_interface_that_has_its_lines() {
        let difference = "@@ -20,6 +20,7 @@
 \tbridge-ports eno1
 \tbridge-stp off
 \tbridge-fd 0
+\tmtu 9000
 
 auto vmbr1
 iface vmbr1 inet manual
";
        let bridge = |name: &str, ports: &str| {
            json!({"iface": name, "type": "bridge", "bridge_ports": ports, "bridge_stp": "off",
            "bridge_fd": "0", "mtu": "9000"})
        };
        let told_of = |list| told(difference, list);
        let two = json!([bridge("vmbr0", "eno1"), bridge("vmbr1", "")]);
        assert_eq!(told_of(two), ["vmbr0: mtu none -> 9000"]);
        let alike = json!([bridge("vmbr0", "eno1"), bridge("vmbr1", "eno1")]);
        assert_eq!(told_of(alike), [format!("{UNNAMED}: mtu none -> 9000")]);
    }

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
