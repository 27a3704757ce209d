//! Values of options as the configuration file has them.

use crate::guests;
use crate::schema::{self, property_string};
use crate::state::{Options, State};

/// Rewrites values to what the configuration file has.
pub(crate) fn normalise(state: &State, set: &mut Options) {
    for (name, value) in set.iter_mut() {
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        match stem {
            "net" => *value = network_card(state, name, value),
            "tags" => *value = guests::normalise_tags(value),
            "description" => *value = value.trim_end().to_owned(),
            "vmgenid" if value == "1" => *value = uuid::Uuid::new_v4().to_string(),
            _ if value.is_empty() && stem != "description" => *value = " ".to_owned(),
            _ if value.starts_with('0') && is_integer(name) => {
                *value = value.parse().map_or(value.clone(), |number: i64| number.to_string());
            }
            _ => {}
        }
    }
    if set.get("description").is_some_and(String::is_empty) {
        set.remove("description");
    }
}

fn is_integer(name: &str) -> bool {
    schema::lookup(schema::virtual_machine(), name)
        .is_some_and(|property| property.kind == schema::Kind::Integer)
}

fn network_card(state: &State, name: &str, text: &str) -> String {
    let Some(keys) = schema::lookup(schema::virtual_machine(), name).and_then(schema::format_keys) else {
        return text.to_owned();
    };
    let Ok(mut values) = property_string::parse(keys, text) else { return text.to_owned() };
    values.entry("macaddr".to_owned()).or_insert_with(|| guests::new_mac(state));
    property_string::print(keys, &values)
}

/// Windows guests keep the machine version they were made with (PVE::QemuServer::Machine).
pub(crate) fn pin_machine(config: &mut Options) {
    let windows = config.get("ostype").is_some_and(|kind| kind.starts_with('w'));
    let text = config.get("machine").cloned().unwrap_or_default();
    let (kind, rest) = text.split_once(',').map_or((text.as_str(), None), |(kind, rest)| (kind, Some(rest)));
    let kind = kind.strip_prefix("type=").unwrap_or(kind);
    let pinned = match kind {
        "" | "pc" => "pc-i440fx",
        "q35" => "pc-q35",
        _ => return,
    };
    if windows {
        let rest = rest.map(|rest| format!(",{rest}")).unwrap_or_default();
        config.insert("machine".to_owned(), format!("{pinned}-{QEMU_MACHINE}{rest}"));
    }
}

/// The newest machine version of the node's QEMU.
const QEMU_MACHINE: &str = "10.1+pve1";
