//! Mount points: which is which before and after a change. A VM has none.

use pve_model::Value;

use crate::values::text;

/// For each mount point the one that it was before: that with the volume that it names, else that with its path, else the
/// one in its place if its volume stays, or whose path another one has taken.
pub(crate) fn match_mount_points(before: &[Value], after: &[Value]) -> Vec<Option<usize>> {
    let path = |point: &Value| text(point, "path").map(str::to_string);
    let at_its_path = |old: &Value, new: &Value| path(old) == path(new);
    let has_its_volume = |old: &Value, new: &Value| names_volume_of(old, new);
    let fits =
        |old: &Value, new: &Value| ["volume", "size"].iter().all(|name| text(old, name) == text(new, name));
    let is_displaced = |old: &Value| after.iter().any(|new| at_its_path(old, new));
    type Rule<'r> = &'r dyn Fn((usize, &Value), (usize, &Value)) -> bool;
    let rules: [Rule<'_>; 5] = [
        &|(_, old), (_, new)| has_its_volume(old, new) && at_its_path(old, new),
        &|(_, old), (_, new)| has_its_volume(old, new),
        &|(_, old), (_, new)| at_its_path(old, new),
        &|(from, old), (to, new)| from == to && fits(old, new),
        &|(_, old), (_, new)| is_displaced(old) && fits(old, new),
    ];
    let mut matches: Vec<Option<usize>> = vec![None; after.len()];
    for rule in rules {
        for (to, new) in after.iter().enumerate() {
            if matches[to].is_none() {
                let mut olds = before.iter().enumerate();
                let old = olds.find(|old| !matches.contains(&Some(old.0)) && rule(*old, (to, new)));
                matches[to] = old.map(|(from, _)| from);
            }
        }
    }
    matches
}

/// Whether a mount point is planned to have the volume that the other one has, or names it. A directory of the node may be
/// mounted at many paths.
fn names_volume_of(old: &Value, new: &Value) -> bool {
    let id = |name: &str| text(new, name).filter(|id| id.contains(':') && !id.starts_with('/'));
    let named = id("path_in_datastore").or_else(|| id("volume"));
    named.is_some_and(|named| {
        ["path_in_datastore", "volume"].iter().any(|name| text(old, name) == Some(named))
    })
}
