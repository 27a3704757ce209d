//! Property strings (`vol,discard=on,size=4G`): reading and printing as PVE::JSONSchema does.

use std::collections::BTreeMap;

use super::Keys;

/// The values of a property string by key.
pub(crate) type Values = BTreeMap<String, String>;

/// Reads a boolean word of a property string.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

/// Reads a property string without checking the values; unknown keys are kept for the caller to refuse.
pub(crate) fn parse(keys: &Keys, text: &str) -> Result<Values, String> {
    let default_key = keys.iter().find(|(_, property)| property.default_key).map(|(name, _)| name);
    let mut values = Values::new();
    let duplicate = |key: &str| format!("duplicate key in comma-separated list property: {key}");
    for part in text.split(',') {
        if part.trim().is_empty() {
            continue;
        }
        match part.split_once('=') {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                let mut key = key.to_owned();
                if values.contains_key(&key) {
                    return Err(duplicate(&key));
                }
                if let Some(alias) = keys.get(&key).and_then(|property| property.alias.clone()) {
                    if let Some(key_alias) = keys.get(&key).and_then(|property| property.key_alias.clone()) {
                        if values.contains_key(&key_alias) {
                            return Err(format!("key alias '{key_alias}' is already defined"));
                        }
                        values.insert(key_alias, key);
                    }
                    key = alias;
                }
                let is_boolean = keys.get(&key).is_some_and(|p| p.kind == super::Kind::Boolean);
                let value = match boolean(value) {
                    Some(flag) if is_boolean => if flag { "1" } else { "0" }.to_owned(),
                    _ => value.to_owned(),
                };
                values.insert(key, value);
            }
            Some(_) => return Err("missing key in comma-separated list property".to_owned()),
            None => {
                let Some(key) = default_key else {
                    return Err("value without key, but schema does not define a default key".to_owned());
                };
                if values.contains_key(key) {
                    return Err(duplicate(key));
                }
                let is_boolean = keys.get(key).is_some_and(|p| p.kind == super::Kind::Boolean);
                let value = match boolean(part) {
                    Some(flag) if is_boolean => if flag { "1" } else { "0" }.to_owned(),
                    _ => part.to_owned(),
                };
                values.insert(key.clone(), value);
            }
        }
    }
    Ok(values)
}

/// Prints a property string: the default key first and bare, then required keys, then the rest, each
/// sorted. `net0` has `model=MAC` in front instead.
pub(crate) fn print(keys: &Keys, values: &Values) -> String {
    let mut parts = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    if let Some((name, _)) = keys.iter().find(|(_, property)| property.default_key)
        && let Some(value) = values.get(name)
    {
        let aliased = keys.get(value).filter(|property| property.key_alias.as_deref() == Some(name));
        match aliased.and_then(|property| property.alias.as_deref()) {
            Some(target) if values.contains_key(target) => {
                parts.push(format!("{value}={}", values[target]));
                done.push(target);
            }
            _ => parts.push(value.clone()),
        }
        done.push(name);
    }
    for required in [true, false] {
        for (key, value) in values {
            let optional = keys.get(key).is_none_or(|property| property.optional);
            if done.contains(&key.as_str()) || optional == required {
                continue;
            }
            parts.push(format!("{key}={value}"));
        }
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::super::{format_keys, lookup, virtual_machine};
    use super::*;

    fn round_trip(option: &str, text: &str) -> String {
        let keys = format_keys(lookup(virtual_machine(), option).unwrap()).unwrap();
        print(keys, &parse(keys, text).unwrap())
    }

    #[test]
    fn options_are_sorted_after_the_default_key() {
        assert_eq!(
            round_trip("scsi0", "file=lab:1,ssd=on,discard=on,backup=yes"),
            "lab:1,backup=1,discard=on,ssd=1"
        );
    }

    #[test]
    fn network_cards_start_with_model_and_address() {
        assert_eq!(
            round_trip("net0", "model=e1000,macaddr=bc:24:11:00:00:02,bridge=vmbr0"),
            "e1000=bc:24:11:00:00:02,bridge=vmbr0"
        );
        assert_eq!(round_trip("net0", "virtio,tag=5,bridge=vmbr0"), "virtio,bridge=vmbr0,tag=5");
    }
}
