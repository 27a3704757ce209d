//! What of the newer machines only `root@pam` itself may set, as `vm::root_options` has it of the others.

use pve_model::{Path, PathStep, Value};

use super::slots;
use crate::values::text;

/// Attributes whose options no privilege is for, or that name a path of the node in a new drive.
const OPTIONS: &[(&str, &str)] =
    &[("cpu", "affinity"), ("cpu", "architecture"), ("memory", "hugepages"), ("memory", "keep_hugepages")];

/// The places of a change that only root may make. What is not known yet is not looked at.
pub(crate) fn only_for_root(prior: Option<&Value>, planned: &Value) -> Vec<Path> {
    let part = |value: &Value, (name, part): (&str, &str)| -> Option<Value> {
        value.get(name)?.get(part).filter(|part| part.is_known() && !part.is_null()).cloned()
    };
    let is_changed = |at: &&(&str, &str)| {
        let whole = planned.get(at.0);
        let is_open = |it: Option<&Value>| it.is_some_and(|it| !it.is_known());
        let is_unknown = is_open(whole) || is_open(whole.and_then(|whole| whole.get(at.1)));
        !is_unknown && prior.and_then(|prior| part(prior, **at)) != part(planned, **at)
    };
    let options = OPTIONS.iter().filter(is_changed);
    let options = options.map(|(name, part)| inside(Path::attribute(*name), part));
    options.chain(drives_by_path(prior, planned)).collect()
}

/// Drives by a path of the node in slots that had none so far (PVE::Storage, `check_volume_access`).
fn drives_by_path(prior: Option<&Value>, planned: &Value) -> Vec<Path> {
    let named = |drive: &Value, name: &str| {
        text(drive, name).filter(|path| path.starts_with('/')).map(str::to_string)
    };
    let places = [("cdrom", "file_id"), ("disk", "file"), ("disk", "import_from")];
    let found = places.into_iter().flat_map(|(map, name)| {
        let before = prior.map(|prior| slots::of(prior, map)).unwrap_or_default();
        let drives = slots::of(planned, map).into_iter().filter(move |(slot, drive)| {
            let old = before.get(slot);
            let is_sent =
                old.is_none() || map == "cdrom" && old.and_then(|old| named(old, name)) != named(drive, name);
            is_sent && named(drive, name).is_some()
        });
        drives.map(move |(slot, _)| inside(Path::attribute(map).child(PathStep::Key(slot.to_string())), name))
    });
    found.collect()
}

fn inside(path: Path, name: &str) -> Path {
    path.child(PathStep::Attribute(name.into()))
}
