//! What a protected container does not let change.

use pve_model::Value;

use super::encode::{encode_mount_point, encode_root_disk};
use super::mount_points::keeps_volume;
use crate::guest::match_mount_points;
use crate::values::{all_blocks, block, text};

/// The volumes of a container that a change takes away, adds or gives other options, which Proxmox VE refuses while the
/// container is protected (PVE::LXC::Config, `update_pct_config`). They may move and grow.
pub(crate) fn held_by_protection(prior: &Value, planned: &Value) -> Vec<String> {
    let (before, after) = (all_blocks(prior, "mount_point"), all_blocks(planned, "mount_point"));
    let matches = match_mount_points(before, after);
    let gone = (0..before.len()).filter(|index| !matches.contains(&Some(*index))).map(|index| &before[index]);
    let is_sent = |(new, old): &(&Value, &Option<usize>)| {
        old.is_none_or(|old| {
            let old = &before[old];
            !keeps_volume(old, new) || encode_mount_point(old, "") != encode_mount_point(new, "")
        })
    };
    let sent = after.iter().zip(&matches).filter(is_sent).map(|(new, _)| new);
    let points = gone.chain(sent).filter_map(|point| text(point, "path"));
    let root = |value: &Value| block(value, "disk").map(|disk| encode_root_disk(disk, ""));
    let other_root = root(prior).is_some_and(|old| root(planned).is_some_and(|new| old != new));
    let root = other_root.then(|| "the root disk".to_string());
    let mut held: Vec<String> = points.map(|path| format!("mount point {path}")).chain(root).collect();
    held.dedup();
    held
}
