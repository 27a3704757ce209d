//! What a configuration may not say whatever the cluster has.

use pve_model::rules::Problem;
use pve_model::{Path, PathStep, Value};

use super::slots;
use crate::definition::problem;
use crate::limits;

/// Devices are named by slots.
pub(super) fn validate_slots(config: &Value) -> Vec<Problem> {
    type Limit = fn(&str) -> Option<String>;
    let maps: [(&str, Limit); 3] = [
        ("cdrom", limits::media_interface),
        ("disk", limits::disk_interface),
        ("network", limits::network_slot),
    ];
    let slots = maps.into_iter().flat_map(|(name, limit)| {
        slots::of(config, name).into_keys().filter_map(move |slot| {
            let path = Path::attribute(name).child(PathStep::Key(slot.to_string()));
            limit(&slot).map(|detail| problem(path, "No such slot", detail))
        })
    });
    slots.chain(two_in_a_slot(config)).collect()
}

/// A slot has one drive.
fn two_in_a_slot(config: &Value) -> Vec<Problem> {
    let cdroms = slots::of(config, "cdrom");
    let both = slots::of(config, "disk").into_keys().filter(|slot| cdroms.contains_key(slot));
    let told = both.map(|slot| {
        let path = Path::attribute("disk").child(PathStep::Key(slot.to_string()));
        problem(path, "Two drives in a slot", format!("cdrom has {slot}, too: give one of them another slot"))
    });
    told.collect()
}

/// Flags are a part of the option that begins with the type.
pub(super) fn validate_cpu(config: &Value) -> Vec<Problem> {
    let Some(cpu) = config.get("cpu").filter(|cpu| cpu.is_known() && !cpu.is_null()) else {
        return Vec::new();
    };
    let unset = |name: &str| cpu.get(name).is_none_or(Value::is_null);
    if unset("flags") || !unset("type") {
        return Vec::new();
    }
    let path = Path::attribute("cpu").child(PathStep::Attribute("flags".to_string()));
    vec![problem(path, "Flags of which CPU?", "cpu.flags needs cpu.type beside it")]
}
