//! What is where a drive is to be: a disk or the cloud-init drive in the place of a CD drive, a medium in that of a disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use pve_executor::ports::ProviderError;
use pve_model::{Path, PathStep, Value};
use serde_json::{Map, Value as Json};

use super::devices::is_cdrom;
use super::requests::options;
use super::slots;
use crate::cluster::{Call, refused};
use crate::known_volumes::volume_of;
use crate::values::text;
use crate::vm::is_media;

/// What would be lost, or taken for something else.
pub(crate) struct InTheWay {
    /// The drive that is to be there.
    pub(crate) path: Path,
    pub(crate) slot: String,
    /// What is there: `local-lvm:vm-100-disk-0, which is no CD drive`.
    pub(crate) has: String,
}

/// What of these options is in the way of a planned drive. Without `prior` they are those of the template.
pub(crate) fn in_the_way(
    prior: Option<&Value>,
    planned: &Value,
    config: &Map<String, Json>,
) -> Option<InTheWay> {
    let now = |slot: &str| config.get(slot).and_then(Json::as_str);
    let since = if prior.is_some() { " now" } else { "" };
    let found = |map: &str, slot: &str, now: &str, what: &str| InTheWay {
        path: Path::attribute(map).child(PathStep::Key(slot.to_string())),
        slot: slot.to_string(),
        has: format!("{}{since}, which is {what}", volume_of(now).unwrap_or_default()),
    };
    let mut cdroms = changed_cdroms(prior, planned).into_iter().filter_map(|slot| {
        let now = now(&slot).filter(|now| !is_cdrom(&slot, now))?;
        let what = if is_media(now) { "the cloud-init drive" } else { "no CD drive" };
        Some(found("cdrom", &slot, now, what))
    });
    cdroms.next().or_else(|| {
        disks(prior, planned).into_iter().find_map(|slot| {
            let now = now(&slot).filter(|now| is_media(now))?;
            Some(found("disk", &slot, now, "a medium and no disk"))
        })
    })
}

fn changed_cdroms(prior: Option<&Value>, planned: &Value) -> BTreeSet<Arc<str>> {
    let before = prior.map(|prior| slots::of(prior, "cdrom")).unwrap_or_default();
    let after = slots::of(planned, "cdrom");
    let all = before.keys().chain(after.keys());
    all.filter(|slot| before.get(*slot) != after.get(*slot)).cloned().collect()
}

/// The slots of disks, except those that a CD drive leaves with the same change.
fn disks(prior: Option<&Value>, planned: &Value) -> Vec<Arc<str>> {
    let left = prior.map(|prior| slots::of(prior, "cdrom")).unwrap_or_default();
    let disks = slots::of(planned, "disk").into_iter();
    let disks = disks.filter(|(slot, disk)| !left.contains_key(slot) && text(disk, "media") != Some("cdrom"));
    disks.map(|(slot, _)| slot).collect()
}

/// Whether any drive is planned that something may be in the way of.
pub(super) fn is_asked(prior: Option<&Value>, planned: &Value) -> bool {
    !changed_cdroms(prior, planned).is_empty() || !disks(prior, planned).is_empty()
}

/// Refuses to lose what is in the way of a drive by now.
pub(super) async fn refuse_in_the_way(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: &Value,
) -> Result<(), ProviderError> {
    if !is_asked(prior, planned) {
        return Ok(());
    }
    match in_the_way(prior, planned, &options(call, planned).await?) {
        Some(InTheWay { slot, has, .. }) => {
            let hint = match prior {
                Some(_) => "nothing was taken out or changed: look at it in the cluster and plan again",
                None => "no drive was changed: take a slot that is free in the template",
            };
            Err(refused(format!("{}: {slot} has {has}", call.object), Some(hint)))
        }
        None => Ok(()),
    }
}
