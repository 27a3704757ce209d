//! What a change that broke off is read by. By its plan alone, what it was to remove and may not have removed would be
//! nobody's: so what was known before counts as well.

use pve_model::Value;

use crate::observed::Observed;
use crate::property::Properties;
use crate::values::{all_blocks, is_unset, text, with, with_elements};

/// Blocks that are told apart by an attribute: those that are not planned any more are known all the same.
const KEYED: &[(&str, &str)] = &[("disk", "interface"), ("mount_point", "path"), ("hostpci", "device")];

/// The planned values, and those of `prior` for which nothing is planned.
pub(super) fn with_unremoved(prior: &Value, planned: &Value) -> Value {
    let mut guide = planned.clone();
    for (name, before) in prior.entries().into_iter().flatten() {
        let Some(wanted) = planned.get(name) else { continue };
        let keyed = KEYED.iter().find(|(block, _)| **block == **name);
        if let (Some((name, key)), true) = (keyed, wanted.is_known()) {
            let wanted = all_blocks(planned, name);
            let is_planned = |old: &&Value| wanted.iter().any(|new| text(new, key) == text(old, key));
            let unremoved = all_blocks(prior, name).iter().filter(|old| !is_planned(old));
            guide = with_elements(&guide, name, wanted.iter().chain(unremoved).cloned().collect());
        } else if wanted.is_known() && is_unset(wanted) && before.is_known() && !is_unset(before) {
            guide = with(&guide, name, before.clone());
        }
    }
    guide
}

/// The guide, in which disks that were to be removed are where they are by now: taken out, and not destroyed yet.
pub(super) fn with_set_aside(guide: &Value, planned: &Value, observed: &Observed) -> Value {
    let is_planned = |interface: &str| {
        all_blocks(planned, "disk").iter().any(|disk| text(disk, "interface") == Some(interface))
    };
    let volume = |slot: &str| {
        Properties::parse(&observed.text(slot).unwrap_or_default()).first_or("file").map(str::to_string)
    };
    let disks = all_blocks(guide, "disk").iter().map(|disk| {
        let interface = text(disk, "interface").unwrap_or_default();
        let (datastore, path) = (text(disk, "datastore_id"), text(disk, "path_in_datastore"));
        let (Some(datastore), Some(path)) = (datastore, path) else { return disk.clone() };
        if is_planned(interface) || observed.text(interface).is_some() {
            return disk.clone();
        }
        let known = format!("{datastore}:{path}");
        let slots = observed.numbered("unused").into_iter().map(|(_, slot)| slot);
        match slots.into_iter().find(|slot| volume(slot).as_deref() == Some(known.as_str())) {
            Some(slot) => with(disk, "interface", Value::string(slot)),
            None => disk.clone(),
        }
    });
    with_elements(guide, "disk", disks.collect())
}

#[cfg(test)]
mod tests {
    use pve_model::codec::decode;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::definition::Definition;
    use crate::observed::defaults;

    fn vm(json: Json) -> Value {
        let block = Definition::new(crate::vm::fields()).schema.block;
        let base = defaults(&block);
        let mut whole = pve_model::codec::to_plain_json(&base);
        for (name, part) in json.as_object().unwrap() {
            whole[name] = part.clone();
        }
        decode(&whole, &block.implied_type()).unwrap()
    }

    #[test]
    fn what_was_to_be_removed_is_looked_at_and_what_is_planned_goes_first() {
        let disk = |interface: &str| json!({"interface": interface});
        let prior = vm(json!({
            "description": "before", "name": "a", "disk": [disk("scsi0"), disk("scsi1")], "cpu": [{"cores": 3}],
        }));
        let planned = vm(json!({"name": "b", "disk": [disk("virtio0"), disk("scsi0")]}));
        let guide = with_unremoved(&prior, &planned);
        let interfaces: Vec<_> =
            all_blocks(&guide, "disk").iter().map(|disk| text(disk, "interface").unwrap()).collect();
        assert_eq!(interfaces, ["virtio0", "scsi0", "scsi1"]);
        assert_eq!((text(&guide, "name"), text(&guide, "description")), (Some("b"), Some("before")));
        assert_eq!(all_blocks(&guide, "cpu").len(), 1);
    }
}
