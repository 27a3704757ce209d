//! What is staged of a node's interfaces, interface by interface: read from the difference of their file that Proxmox VE
//! tells.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::change::{Change, Entries, Lines, METHODS, UNNAMED, is_part_of, lines};

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
            is_head = begins_the_file(line);
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

/// Whether a part of a difference (`@@ -1,9 +1,16 @@`) begins at the first line of the file, or there was no file.
fn begins_the_file(range: &str) -> bool {
    let old = range.trim_start_matches(['@', ' ', '-']);
    matches!(old.split([',', ' ']).next(), Some("0" | "1"))
}

/// What follows a part is the same on both sides, and of what each has named last. Where these differ it is no change of
/// either: how the new one goes on is known.
fn go_on(old: &mut Side, new: &Side, entries: &Entries) -> Lines {
    let Some((name, _)) = new.current.as_ref().filter(|_| old.current != new.current) else {
        return Lines::new();
    };
    let seen = new.found.get(name);
    let is_behind = |option: &String| {
        option != "auto"
            && !METHODS.contains(&option.as_str())
            && seen.is_none_or(|seen| !seen.contains_key(option))
    };
    let known = entries.get(name).map(lines).unwrap_or_default();
    let behind: Lines = known.into_iter().filter(|(option, _)| is_behind(option)).collect();
    if let Some((other, _)) = &old.current {
        let other = old.found.entry(other.clone()).or_default();
        for (option, value) in &behind {
            other.entry(option.clone()).or_insert_with(|| value.clone());
        }
    }
    behind
}

/// Finds out what the lines in front of any name belong to: the one interface that has them.
fn end_of_part(old: &mut Side, new: &mut Side, entries: &Entries) {
    let behind = go_on(old, new, entries);
    if let Some((name, _)) = &new.current {
        new.found.entry(name.clone()).or_default().extend(behind);
    }
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
        let existed = was || !is || is_more(&after);
        let stays = is || !was || entries.contains_key(&name);
        let change = Change { before: existed.then_some(before), after: stays.then_some(after), name };
        (change.before != change.after && !is_written_down(&change, entries)).then_some(change)
    };
    names.into_iter().filter(|name| name != "lo").filter_map(change).collect()
}

/// Whether a side may tell of a second family of addresses of an interface, whose first one is too far in front of it.
fn is_more(side: &Lines) -> bool {
    side.contains_key("inet6") && !side.contains_key("inet") && !side.contains_key("auto")
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::change::entries;
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

    /// `diff` compares the second bridge with what the first one was.
    #[test]
    fn what_goes_on_alike_behind_a_part_is_no_change() {
        let difference = "@@ -1,13 +1,9 @@
 auto lo
 iface lo inet loopback
 
-iface vmbr0 inet static
-\taddress 192.0.2.1/24
-\tbridge-ports none
-\tbridge-stp off
-\tbridge-fd 0
+iface eno1 inet manual
 
-iface vmbr1 inet static
+iface vmbr0 inet static
 \taddress 192.0.2.1/24
 \tbridge-ports none
 \tbridge-stp off
";
        let list = json!([{"iface": "eno1", "type": "eth"}, {"iface": "vmbr0", "type": "bridge",
            "cidr": "192.0.2.1/24", "bridge_ports": "", "bridge_stp": "off", "bridge_fd": "0"}]);
        assert_eq!(told(difference, list), ["vmbr1: deleted"]);
    }

    /// What is new or deleted is only the second part of it.
    #[test]
    fn a_second_family_of_addresses_far_behind_the_first_is_a_change_of_an_interface_that_is_there() {
        let part = |sign: &str| {
            let lines = ["iface vmbr0 inet6 static", "\taddress fd00::1/64", ""]
                .map(|line| format!("{sign}{line}\n"));
            format!(
                "@@ -9,7 +9,10 @@\n \tbridge-stp off\n \tbridge-fd 0\n \n{} auto vmbr1\n iface vmbr1 inet manual\n",
                lines.concat()
            )
        };
        let list = json!([{"iface": "vmbr0", "type": "bridge"}]);
        assert_eq!(told(&part("+"), list.clone()), ["vmbr0: address6 none -> fd00::1/64"]);
        assert_eq!(told(&part("-"), list), ["vmbr0: address6 fd00::1/64 -> none"]);
    }

    /// Comments stand at the end of what they are of.
    #[test]
    fn a_comment_far_behind_the_name_is_of_an_interface_but_for_the_head_of_the_file() {
        let part =
            |range: &str| format!("@@ {range} @@\n+#theirs\n \n auto vmbr1\n iface vmbr1 inet manual\n");
        for range in ["-12,3 +12,4", "-100,3 +100,4", "-10 +10,2", "-2,3 +2,4"] {
            assert_eq!(
                told(&part(range), json!([])),
                [format!("{UNNAMED}: comment none -> theirs")],
                "{range}"
            );
        }
        for range in ["-1,3 +1,4", "-1 +1,2", "-0,0 +1,4"] {
            assert_eq!(told(&part(range), json!([])), Vec::<String>::new(), "{range}");
        }
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
}
