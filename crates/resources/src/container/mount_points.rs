//! Mount points: what becomes of their volumes.

use std::collections::BTreeSet;

use pve_model::Value;

use super::encode::{encode_mount_point, new_volume};
use crate::guest::match_mount_points;
use crate::observed::Observed;
use crate::params::Params;
use crate::property::Properties;
use crate::values::{all_blocks, text};

/// Whether a mount point keeps its volume: it is the same, or one of the two names only its datastore.
pub(super) fn stays(old: &Value, new: &Value) -> bool {
    let (Some(before), Some(after)) = (text(old, "volume"), text(new, "volume")) else { return false };
    let id = text(old, "path_in_datastore").unwrap_or_default();
    let is_in = |datastore: &str| id.split_once(':').is_some_and(|(name, _)| name == datastore);
    before == after || before == id && is_in(after) || after == id && is_in(before)
}

/// Whether a mount point keeps its volume or takes it along to another datastore.
pub(super) fn keeps_volume(old: &Value, new: &Value) -> bool {
    stays(old, new)
        || !is_of_the_node(old) && text(new, "volume").is_some_and(|volume| !volume.contains([':', '/']))
}

/// Whether a mount point is a directory or a device of the node: it has no volume that could go along.
fn is_of_the_node(point: &Value) -> bool {
    text(point, "volume").is_some_and(|volume| volume.starts_with('/'))
}

/// Whether a running container takes the planned mount points only when it restarts: new ones it takes at once.
pub(super) fn wait_for_restart(before: &[Value], after: &[Value]) -> bool {
    let matches = match_mount_points(before, after);
    let is_gone = (0..before.len()).any(|index| !matches.contains(&Some(index)));
    let is_changed = |(new, old): (&Value, &Option<usize>)| {
        old.map(|old| &before[old]).is_some_and(|old| {
            !keeps_volume(old, new) || encode_mount_point(old, "") != encode_mount_point(new, "")
        })
    };
    is_gone || after.iter().zip(&matches).any(is_changed)
}

/// Whether a volume has other options than those wanted.
pub(super) fn is_other(now: &Properties, wanted: &Properties) -> bool {
    let options = |volume: &Properties| -> BTreeSet<(String, String)> {
        volume.pairs().iter().filter(|(key, _)| key != "size" && key != "volume").cloned().collect()
    };
    options(now) != options(wanted)
}

/// The slot (`mp0`) of a mount point, found by its path.
pub(crate) fn slot_of(observed: &Observed, point: &Value) -> Option<String> {
    let path = text(point, "path")?;
    let names = observed.numbered("mp").into_iter().map(|(_, name)| name);
    names.into_iter().find(|name| {
        observed.text(name).is_some_and(|volume| Properties::parse(&volume).get("mp") == Some(path))
    })
}

/// The slots of mount points that are there, where they were before: other ones may have their paths.
pub(super) fn slots(observed: &Observed, prior: Option<&Value>, planned: &Value) -> Vec<Option<String>> {
    let before = prior.map(|prior| all_blocks(prior, "mount_point")).unwrap_or_default();
    let after = all_blocks(planned, "mount_point");
    let matches = match_mount_points(before, after);
    let known: Vec<Option<String>> = matches.iter().map(|old| slot_of(observed, &before[(*old)?])).collect();
    let elsewhere =
        |point: &Value| slot_of(observed, point).filter(|slot| !known.contains(&Some(slot.clone())));
    after.iter().zip(&known).map(|(point, slot)| slot.clone().or_else(|| elsewhere(point))).collect()
}

/// Mount points that go to another datastore: their slots and the datastores.
pub(super) fn moves(observed: &Observed, prior: Option<&Value>, planned: &Value) -> Vec<(String, String)> {
    let slots = slots(observed, prior, planned);
    let points = all_blocks(planned, "mount_point").iter().zip(slots).filter_map(|(point, slot)| {
        let slot = slot?;
        let wanted = text(point, "volume").filter(|volume| !volume.contains([':', '/']))?;
        let now = observed.text(&slot).filter(|now| !now.starts_with('/'))?;
        let (datastore, _) = now.split_once(':')?;
        (datastore != wanted).then(|| (slot, wanted.to_string()))
    });
    points.collect()
}

/// Adds what has to be set and deleted to come to the planned mount points.
pub(super) fn change_mount_points(
    observed: &Observed,
    (prior, planned): (Option<&Value>, &Value),
    taken_back: &[String],
    set: &mut Params,
    delete: &mut BTreeSet<String>,
) {
    let before = prior.map(|prior| all_blocks(prior, "mount_point")).unwrap_or_default();
    let after = all_blocks(planned, "mount_point");
    let matches = match_mount_points(before, after);
    let mut free = (0..256).map(|index| format!("mp{index}"));
    let slots = slots(observed, prior, planned);
    for ((point, old), slot) in after.iter().zip(&matches).zip(slots) {
        let old = old.map(|old| &before[old]);
        let Some(slot) = slot else {
            let next = free.find(|slot| !observed.config.contains_key(slot));
            set.put(&next.unwrap_or_default(), Some(encode_mount_point(point, &new_volume(point))));
            continue;
        };
        let now = Properties::parse(&observed.text(&slot).unwrap_or_default());
        let present = now.first_or("volume").unwrap_or_default();
        let named = text(point, "volume").filter(|volume| volume.contains([':', '/']));
        if named.is_none() && present.starts_with('/') {
            set.put(&slot, Some(encode_mount_point(point, &new_volume(point))));
            continue;
        }
        let volume = named.unwrap_or(present);
        let options = encode_mount_point(point, volume);
        let differs = match old.filter(|_| !taken_back.contains(&slot)) {
            Some(old) => encode_mount_point(old, volume) != options,
            None => is_other(&now, &options),
        };
        if volume != present || differs {
            let size = now.get("size").filter(|_| volume == present);
            set.put(&slot, Some(options.with("size", size)));
        }
    }
    for (index, old) in before.iter().enumerate() {
        if !matches.contains(&Some(index)) {
            delete.extend(slot_of(observed, old));
        }
    }
}
