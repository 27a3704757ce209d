//! Guests that are imported by a configuration that clones them. What a clone has from its template without being asked for
//! is the template's business: the record of one that was imported is that of one that was made so.

use pve_model::Value;
use pve_model::schema::Block;

use crate::guest::GuestKind;
use crate::observed::defaults;
use crate::values::{all_blocks, is_unset, text, with, with_elements};
use crate::vm::without_unasked;

/// Attributes that a clone has from its template where the configuration says nothing of them.
pub(crate) const INHERITED: &[&str] = &[
    "description",
    "environment_variables",
    "hook_script_file_id",
    "kvm_arguments",
    "machine",
    "name",
    "tags",
];

/// Blocks of which a clone may have more than are configured, and what tells them apart.
const KEYED: &[(&str, &str)] = &[("disk", "interface"), ("mount_point", "path")];

/// An imported guest with the origin that its configuration states, and of what only its template tells nothing.
pub(crate) fn adopted_clone(kind: GuestKind, schema: &Block, imported: &Value, config: &Value) -> Value {
    let (Some(origin), [stated, ..]) = (schema.blocks.get("clone"), all_blocks(config, "clone")) else {
        return imported.clone();
    };
    let by_default = defaults(&origin.block);
    let stated =
        stated.entries().into_iter().flatten().filter(|(_, part)| part.is_known() && !part.is_null());
    let stated = stated.fold(by_default, |clone, (name, part)| with(&clone, name, part.clone()));
    let mut value = with_elements(imported, "clone", vec![stated]);
    let unasked = defaults(schema);
    for name in INHERITED {
        if let (Some(configured), Some(default)) = (config.get(name), unasked.get(name))
            && is_unset(configured)
        {
            value = with(&value, name, default.clone());
        }
    }
    for name in schema.blocks.keys().map(|name| &**name) {
        if config.get(name).is_some_and(is_unset) {
            value = with_elements(&value, name, Vec::new());
        }
    }
    for (name, key) in KEYED {
        let configured = all_blocks(config, name);
        let is_configured = |found: &&Value| {
            configured.iter().any(|block| text(block, key).is_none() || text(block, key) == text(found, key))
        };
        let found = all_blocks(&value, name).iter().filter(is_configured).cloned().collect();
        value = with_elements(&value, name, found);
    }
    without_inherited_initialization(kind, &value, config)
}

/// What a guest is told when it starts may be its template's; the addresses of a container belong to interfaces that its
/// template may have.
fn without_inherited_initialization(kind: GuestKind, value: &Value, config: &Value) -> Value {
    let (Some(configured), [found, rest @ ..]) =
        (all_blocks(config, "initialization").first(), all_blocks(value, "initialization"))
    else {
        return value.clone();
    };
    // That of a VM is for cloud-init, and has more that may be its template's.
    if kind == GuestKind::Vm {
        return without_unasked(config, value);
    }
    if !configured.get("ip_config").is_some_and(is_unset) {
        return value.clone();
    }
    let first = with_elements(found, "ip_config", Vec::new());
    with_elements(value, "initialization", std::iter::once(first).chain(rest.iter().cloned()).collect())
}
