//! Blocks that a guest has otherwise than a configuration without them means. As with the reference they are read, so that a
//! plan brings their defaults back; of a clone they are the template's business.

use pve_model::Value;
use pve_model::schema::Block;
use serde_json::{Map, Value as Json};

use crate::observed::{Observed, defaults, overlay};
use crate::values::{all_blocks, is_unset, same};

/// Whether the block of this name says more than that everything is as by default. What Proxmox VE has by itself where an
/// option is not written down counts as that, as with the reference.
pub(crate) fn is_set_outside(
    schema: &Block,
    observed: &Observed,
    guide: &Value,
    name: &str,
    read: &Json,
) -> bool {
    let is_clone = !all_blocks(guide, "clone").is_empty();
    let Some(nested) = schema.blocks.get(name).filter(|_| !is_clone) else { return false };
    let blocks = read.as_array().map(Vec::as_slice).unwrap_or_default();
    let ([Json::Object(read)], true) = (blocks, OF_EVERY_GUEST.contains(&name)) else {
        return !blocks.is_empty();
    };
    let by_default = defaults(&nested.block);
    let found = overlay(&nested.block, &by_default, read.clone());
    let unwritten =
        UNWRITTEN.iter().filter(|(block, _, option)| *block == name && observed.text(option).is_none());
    let mut unasked: Vec<&str> = unwritten.map(|(_, attribute, _)| *attribute).collect();
    // A container is of the architecture that its template is made for.
    if observed.config.contains_key("rootfs") {
        unasked.push("architecture");
    }
    found.entries().into_iter().flatten().any(|(attribute, part)| {
        let default = by_default.get(attribute);
        let means_nothing = is_unset(part) && default.is_none_or(is_unset);
        !means_nothing
            && !unasked.contains(&&**attribute)
            && !default.is_some_and(|default| same(default, part))
    })
}

/// Blocks that every guest has, configured or not. Others are devices, or say that there is one.
const OF_EVERY_GUEST: &[&str] =
    &["agent", "console", "cpu", "features", "memory", "operating_system", "startup", "vga"];

/// Attributes whose default is sent with every guest, and is not what Proxmox VE has without their option.
const UNWRITTEN: &[(&str, &str, &str)] =
    &[("cpu", "type", "cpu"), ("memory", "floating", "balloon"), ("memory", "swap", "swap")];

/// Of the blocks that were read those that are taken in: those of the guide, and those that were set outside.
pub(crate) fn taken_in(
    schema: &Block,
    observed: &Observed,
    guide: &Value,
    looked_at: &[&str],
    blocks: Map<String, Json>,
) -> Map<String, Json> {
    let is_taken = |name: &str, read: &Json| {
        let is_guided = !all_blocks(guide, name).is_empty();
        is_guided || looked_at.contains(&name) && is_set_outside(schema, observed, guide, name, read)
    };
    let taken = blocks.into_iter().filter(|(name, read)| is_taken(name, read));
    taken.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Extent;
    use crate::vm::decode_vm;
    use crate::{container, definition::Definition, vm};
    use serde_json::json;

    fn observed(config: Json) -> Observed {
        let Json::Object(config) = config else { unreachable!() };
        Observed { config, ..Observed::default() }
    }

    #[test]
    fn what_a_guest_has_without_being_asked_is_not_set_outside() {
        let block = Definition::new(vm::fields()).schema.block;
        let found = observed(json!({
            "vmgenid": "1", "smbios1": "uuid=2", "meta": "ctime=3", "cores": 1, "memory": "512", "ostype": "other",
            "agent": "0", "vga": "std", "startup": "",
        }));
        let read = decode_vm(&block, &found, &defaults(&block), Extent::Guided);
        for name in block.blocks.keys() {
            assert!(all_blocks(&read, name).is_empty(), "{name}");
        }
        let block = Definition::new(container::fields()).schema.block;
        let found = observed(json!({"arch": "arm64", "rootfs": "local:1/vm-1-disk-0.raw", "memory": 512}));
        let read = container::decode_container(&block, &found, &defaults(&block), Extent::Guided);
        for name in ["cpu", "memory", "features", "console", "startup", "device_passthrough"] {
            assert!(all_blocks(&read, name).is_empty(), "{name}");
        }
    }
}
