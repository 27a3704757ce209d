//! What is planned for the cloud-init drive of a VM and what is told by it.

use pve_model::rules::{PlanRequest, Problem};
use pve_model::{Type, Value};

use super::super::drives::{DEFAULT_CLOUD_INIT, is_inherited, other_drive_at};
use super::super::validate::used_twice;
use crate::guest::CLOUD_INIT_FILES;
use crate::values::{all_blocks, block, is_unset, text, with, with_each_block, with_unknown};

/// Files that are not named are none of the configuration's, whatever a template has: they may go away with their resource.
pub(super) fn without_unnamed_files(config: &Value, planned: Value) -> Value {
    let Some(config) = block(config, "initialization") else { return planned };
    let unnamed = CLOUD_INIT_FILES.iter().filter(|name| config.get(name).is_some_and(Value::is_null));
    unnamed.fold(planned, |planned, name| {
        with_each_block(&planned, "initialization", |block| with(block, name, Value::null(Type::String)))
    })
}

/// A cloud-init drive without an interface of its own would come to where another drive is. That of a clone may be
/// elsewhere, which is for the cluster to tell (`preflight`).
pub(super) fn taken_by_default(planned: &Value) -> Vec<Problem> {
    let initialization = block(planned, "initialization");
    let is_open = initialization.and_then(|block| block.get("interface")).is_some_and(Value::is_null);
    let taken = other_drive_at(planned, DEFAULT_CLOUD_INIT).filter(|_| is_open && !is_inherited(planned));
    taken.map(|has_it| used_twice("initialization", DEFAULT_CLOUD_INIT, has_it)).into_iter().collect()
}

/// A cloud-init drive on another datastore may have another format.
pub(super) fn plan_initialization(request: PlanRequest<'_>, prior: &Value, planned: &Value) -> Vec<Value> {
    let before = block(prior, "initialization");
    let is_new_to_clone = before.is_none() && !all_blocks(prior, "clone").is_empty();
    let planned = match before.is_some() || is_new_to_clone {
        true => without_unnamed_files(request.config, planned.clone()),
        false => planned.clone(),
    };
    let mut blocks = all_blocks(&planned, "initialization").to_vec();
    let free = |name: &str| {
        block(request.config, "initialization").and_then(|block| block.get(name)).is_some_and(Value::is_null)
    };
    // The drive stays where it is; a state of the reference names that even where the configuration does not. Where
    // neither does, it is at the default interface, but for that of a clone.
    let at_default =
        |interface: &Value| interface.is_null() || interface.as_str() == Some(DEFAULT_CLOUD_INIT);
    // It gives way to a drive that comes to where it is.
    let stays = |interface: &Value| {
        interface.as_str().is_none_or(|interface| other_drive_at(&planned, interface).is_none())
    };
    if let Some(first) = blocks.first_mut()
        && let Some(interface) = before.and_then(|before| before.get("interface"))
        && stays(interface)
        && (free("interface")
            || !is_inherited(prior)
                && at_default(interface)
                && first.get("interface").is_some_and(at_default))
    {
        *first = with(first, "interface", interface.clone());
    }
    // A state of the reference has empty texts for files that are not named.
    let empty = CLOUD_INIT_FILES.iter().filter_map(|name| {
        let old = before?.get(name).filter(|old| is_unset(old))?;
        Some((*name, old.clone()))
    });
    for (name, old) in empty {
        if let Some(first) = blocks.first_mut().filter(|first| first.get(name).is_some_and(is_unset)) {
            *first = with(first, name, old);
        }
    }
    let before = before.and_then(|before| text(before, "datastore_id"));
    if let Some(first) = blocks.first_mut()
        && text(first, "datastore_id") != before
        && free("file_format")
    {
        *first = with_unknown(first, "file_format");
    }
    blocks
}
