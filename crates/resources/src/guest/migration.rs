//! Where the volumes of a guest go that migrates.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::Value;
use serde_json::Value as Json;

use super::{CLOUD_INIT_FILES, GuestType, Target, match_mount_points};
use crate::values::{all_blocks, block, text};

/// The datastores of the volumes that stay, before and after.
fn places(prior: &Value, planned: &Value) -> Vec<(String, String)> {
    let mut pairs: Vec<(&Value, &Value, &str)> = Vec::new();
    for name in ["efi_disk", "tpm_state", "initialization"] {
        pairs.extend(
            block(prior, name).zip(block(planned, name)).map(|(old, new)| (old, new, "datastore_id")),
        );
    }
    let (before, after) = (all_blocks(prior, "mount_point"), all_blocks(planned, "mount_point"));
    for (new, old) in after.iter().zip(match_mount_points(before, after)) {
        pairs.extend(old.map(|old| (&before[old], new, "volume")));
    }
    for old in all_blocks(prior, "disk") {
        let same = |new: &&Value| text(new, "interface") == text(old, "interface");
        pairs.extend(all_blocks(planned, "disk").iter().find(same).map(|new| (old, new, "datastore_id")));
    }
    let datastore = |value: &Value, name: &str| {
        let name = text(value, name).filter(|name| !name.is_empty() && !name.starts_with('/'))?;
        name.split(':').next().map(str::to_string)
    };
    let datastores =
        |(old, new, name): &(&Value, &Value, &str)| datastore(old, name).zip(datastore(new, name));
    pairs.iter().filter_map(datastores).collect()
}

/// The datastores that the other node does not have and whose volumes all go to one other: `old:new,...`.
fn mapped(places: &[(String, String)], has: impl Fn(&str) -> bool) -> Option<String> {
    let mut goals: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (old, new) in places {
        goals.entry(old).or_default().insert(new);
    }
    let pairs =
        goals.into_iter().filter_map(|(old, goals)| match goals.into_iter().collect::<Vec<_>>()[..] {
            [new] if new != old && !has(old) => Some(format!("{old}:{new}")),
            _ => None,
        });
    let pairs: Vec<String> = pairs.collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

impl<G: GuestType> Target<'_, G> {
    /// What a migration is told of datastores that the other node does not have, where the same change has the volumes
    /// elsewhere. `None` where nothing needs it, or the node does not tell what it has.
    pub(crate) async fn target_storages(&self, prior: &Value, planned: &Value, to: &str) -> Option<String> {
        if places(prior, planned).iter().all(|(old, new)| old == new) {
            return None;
        }
        let list = self.call.cluster.get(&format!("/nodes/{to}/storage")).await.ok()?;
        storages_left_behind(prior, planned, list.as_array()?)
    }
}

/// The files that a guest names stay behind: Proxmox VE migrates disks, and neither snippets nor images.
pub(crate) fn files_of_node(prior: &Value, planned: &Value, to: &str) -> Option<String> {
    let named = |value: &Value| -> Vec<String> {
        let initialization = block(value, "initialization");
        let cloud_init = CLOUD_INIT_FILES.iter().filter_map(|name| text(initialization?, name));
        let cdrom = block(value, "cdrom").and_then(|cdrom| text(cdrom, "file_id"));
        let files = text(value, "hook_script_file_id").into_iter().chain(cloud_init).chain(cdrom);
        files.filter(|file| file.contains(':')).map(str::to_string).collect()
    };
    let files: BTreeSet<String> = named(prior).into_iter().chain(named(planned)).collect();
    let files: Vec<String> = files.into_iter().collect();
    (!files.is_empty()).then(|| {
        format!("{to} has to have what stays behind where its datastore is not shared: {}", files.join(", "))
    })
}

/// The datastores of a guest that another node, of which these are the datastores, does not have, with those that are planned
/// in their stead: `old:new,...`.
pub(crate) fn storages_left_behind(prior: &Value, planned: &Value, there: &[Json]) -> Option<String> {
    let is_of = |entry: &Json, name: &str| entry["storage"] == name && entry["enabled"].as_i64() != Some(0);
    mapped(&places(prior, planned), |name| there.iter().any(|entry| is_of(entry, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_datastores_that_are_left_behind_as_a_whole_are_mapped() {
        let pair = |old: &str, new: &str| (old.to_string(), new.to_string());
        let has = |name: &str| name == "nfs";
        let mapped = |places: &[(String, String)]| mapped(places, has);
        assert_eq!(mapped(&[pair("a", "b"), pair("a", "b"), pair("nfs", "b")]).as_deref(), Some("a:b"));
        assert_eq!(mapped(&[pair("a", "b"), pair("c", "nfs")]).as_deref(), Some("a:b,c:nfs"));
        assert_eq!(mapped(&[pair("a", "b"), pair("a", "c")]), None);
        assert_eq!(mapped(&[pair("a", "a")]), None);
    }
}
