//! What a change that broke off is read by. By its plan alone, what it was to remove and may not have removed would be
//! nobody's: so what was known before counts as well.

use pve_model::Value;
use pve_model::schema::Block;

use crate::known_volumes::{SMALL_DRIVES, volume_of, volume_of_disk};
use crate::observed::{Observed, defaults};
use crate::property::Properties;
use crate::values::{all_blocks, block, is_unset, text, with, with_elements};
use crate::vm::is_media;

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
    match (block(prior, "initialization"), block(planned, "initialization")) {
        (Some(before), Some(wanted)) => {
            with_elements(&guide, "initialization", vec![with_unremoved_parts(before, wanted)])
        }
        _ => guide,
    }
}

/// A block with the parts, and the parts of its blocks, that it had before and for which nothing is planned.
fn with_unremoved_parts(before: &Value, planned: &Value) -> Value {
    let mut guide = planned.clone();
    for (name, part) in before.entries().into_iter().flatten() {
        let Some(wanted) = planned.get(name).filter(|wanted| wanted.is_known() && part.is_known()) else {
            continue;
        };
        let (blocks, olds) = (all_blocks(planned, name), all_blocks(before, name));
        if olds.iter().any(|old| old.entries().is_some()) {
            let filled = |(index, new): (usize, &Value)| match olds.get(index) {
                Some(old) => with_unremoved_parts(old, new),
                None => new.clone(),
            };
            let left = olds.iter().skip(blocks.len()).cloned();
            guide = with_elements(&guide, name, blocks.iter().enumerate().map(filled).chain(left).collect());
        } else if is_unset(wanted) && !is_unset(part) {
            guide = with(&guide, name, part.clone());
        }
    }
    guide
}

/// The guide, in which disks that were to be removed are where they are by now: taken out, and not destroyed yet. The
/// volume of a small drive, as `identity` tells it, is a disk like any other by then.
pub(super) fn with_set_aside(
    guide: &Value,
    planned: &Value,
    (observed, identity): (&Observed, Option<&str>),
    block: &Block,
) -> Value {
    let is_planned = |interface: &str| {
        all_blocks(planned, "disk").iter().any(|disk| text(disk, "interface") == Some(interface))
    };
    let volume_at = |slot: &str| observed.text(slot).and_then(|drive| volume_of(&drive));
    let set_aside = |volume: &str| {
        let mut slots = observed.numbered("unused").into_iter().map(|(_, slot)| slot);
        slots.find(|slot| volume_at(slot).as_deref() == Some(volume))
    };
    let disks = all_blocks(guide, "disk").iter().map(|disk| {
        let interface = text(disk, "interface").unwrap_or_default();
        // A medium may have come into the place of one that was taken out.
        let is_there =
            is_planned(interface) || observed.text(interface).is_some_and(|drive| !is_media(&drive));
        match volume_of_disk(disk).filter(|_| !is_there).and_then(|volume| set_aside(&volume)) {
            Some(slot) => with(disk, "interface", Value::string(slot)),
            None => disk.clone(),
        }
    });
    let disks: Vec<Value> = disks.collect();
    let identity = Properties::parse(identity.unwrap_or_default());
    let small = SMALL_DRIVES.iter().filter_map(|(_, slot)| {
        let volume = identity.get(slot).filter(|volume| volume_at(slot).as_deref() != Some(volume))?;
        let slot = Value::string(set_aside(volume)?);
        let is_known = disks.iter().any(|disk| disk.get("interface") == Some(&slot));
        let disk = defaults(&block.blocks.get("disk").filter(|_| !is_known)?.block);
        Some(with(&disk, "interface", slot))
    });
    with_elements(guide, "disk", disks.iter().cloned().chain(small).collect())
}

#[cfg(test)]
mod tests {
    use pve_model::codec::decode;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::definition::Definition;

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
