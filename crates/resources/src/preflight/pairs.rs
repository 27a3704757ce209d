//! What a part of a planned guest was before: blocks that have an identity are found by it, wherever they stand.

use pve_model::path::PathStep;
use pve_model::{Path, Value};

use crate::guest::match_mount_points;
use crate::values::{all_blocks, text};

/// The place in `prior` of what is at `path` in `planned`. `None` where it is of a block that is new.
pub(super) fn before(prior: &Value, planned: &Value, path: &Path) -> Option<Path> {
    let [PathStep::Attribute(name), PathStep::Index(index), rest @ ..] = &path.0[..] else {
        return Some(path.clone());
    };
    let (old, new) = (all_blocks(prior, name), all_blocks(planned, name));
    let at = usize::try_from(*index).ok()?;
    let Some(block) = new.get(at) else { return Some(path.clone()) };
    let with_the_same = |key: &str| old.iter().position(|old| text(old, key) == text(block, key));
    let old_at = match name.as_str() {
        "disk" => with_the_same("interface"),
        "network_interface" => with_the_same("name"),
        "mount_point" => match_mount_points(old, new).get(at).copied().flatten(),
        "network_device" => device(old, new, at),
        _ => return Some(path.clone()),
    }?;
    let steps = [PathStep::Attribute(name.clone()), PathStep::Index(old_at as u64)];
    Some(Path(steps.into_iter().chain(rest.iter().cloned()).collect()))
}

/// A network device is planned with the address of the one that it was. An address that is configured anew makes another
/// one of the device in its place.
fn device(old: &[Value], new: &[Value], at: usize) -> Option<usize> {
    let address = |device: &Value| text(device, "mac_address").map(str::to_ascii_lowercase);
    let wanted = address(&new[at])?;
    let of = |device: &Value, devices: &[Value]| devices.iter().position(|it| address(it) == address(device));
    old.iter().position(|device| address(device).as_ref() == Some(&wanted)).or_else(|| {
        let in_place = old.get(at)?;
        of(in_place, new).is_none().then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use pve_model::codec::decode;
    use serde_json::{Value as Json, json};

    use super::*;

    fn value(fields: crate::definition::Fields, json: &Json) -> Value {
        decode(json, &crate::definition::Definition::new(fields).schema.block.implied_type()).unwrap()
    }

    fn places(
        fields: fn() -> crate::definition::Fields,
        name: &str,
        old: Json,
        new: Json,
    ) -> Vec<Option<String>> {
        let count = new.as_array().unwrap().len() as u64;
        let (old, new) = (value(fields(), &json!({name: old})), value(fields(), &json!({name: new})));
        let at = |index| Path(vec![PathStep::Attribute(name.to_string()), PathStep::Index(index)]);
        (0..count).map(|index| before(&old, &new, &at(index)).map(|path| path.to_string())).collect()
    }

    #[test]
    fn blocks_are_found_where_they_were() {
        let place = |name: &str, index: usize| Some(format!("{name}[{index}]"));
        let disk = |name: &str| json!({"interface": name});
        assert_eq!(
            places(crate::vm::fields, "disk", json!([disk("scsi0")]), json!([disk("scsi1"), disk("scsi0")])),
            [None, place("disk", 0)]
        );
        let device = |mac: &str| json!({"mac_address": mac});
        let old = json!([device("02:00:00:00:00:0a"), device("02:00:00:00:00:0b")]);
        let new = json!([device("02:00:00:00:00:0B"), {"bridge": "vmbr9"}]);
        assert_eq!(places(crate::vm::fields, "network_device", old, new), [place("network_device", 1), None]);
        let renamed = places(
            crate::vm::fields,
            "network_device",
            json!([device("02:00:00:00:00:0a")]),
            json!([device("02:00:00:00:00:0c")]),
        );
        assert_eq!(renamed, [place("network_device", 0)]);
        let point = |path: &str| json!({"path": path, "volume": "lvm", "size": path.len().to_string()});
        assert_eq!(
            places(
                crate::container::fields,
                "mount_point",
                json!([point("/a")]),
                json!([point("/bb"), point("/a")])
            ),
            [None, place("mount_point", 0)]
        );
        let interface = |name: &str| json!({"name": name});
        assert_eq!(
            places(
                crate::container::fields,
                "network_interface",
                json!([interface("a"), interface("b")]),
                json!([interface("b"), interface("c")])
            ),
            [place("network_interface", 1), None]
        );
    }
}
