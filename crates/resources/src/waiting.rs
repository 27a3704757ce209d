//! What a guest has until its next start, and another thing after it. A volume whose line waits is not given up yet: the
//! change is taken back where the volume is to stay, to move or to grow. A line that waits goes on to name the old volume
//! after a move, so that the next start would exchange the volume for nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::rules::Extra;
use serde_json::{Map, Value as Json};

use crate::cluster::{Call, Method, Step};
use crate::known_volumes::volume_of;
use crate::observed::{Observed, from_pending};
use crate::params::Params;
use crate::property::Properties;

impl Observed {
    /// The guest as it is until its next start, where it is another one after that.
    pub(crate) fn until_start(&self) -> Option<Observed> {
        let config = self.in_force.clone()?;
        Some(Observed { config, in_force: None, ..self.clone() })
    }

    /// Whether a slot has something until the next start that it has not after it, or not like that.
    pub(crate) fn changes_with_start(&self, slot: &str) -> bool {
        let present = self.in_force.as_ref().and_then(|present| present.get(slot));
        present.is_some() && present != self.config.get(slot)
    }
}

impl Call<'_> {
    /// The guest at this path, with what waits for its next start.
    pub(crate) async fn look_at_waiting(&self, path: &str) -> Result<Observed, ProviderError> {
        let rows = self.cluster.get(&format!("{path}/pending")).await;
        let rows = rows.map_err(|error| self.failed(Step::of("read", "pending changes"), &error))?;
        let (config, in_force) = from_pending(&rows).unwrap_or_default();
        Ok(Observed { config, in_force, ..Observed::default() })
    }

    /// Takes back what waits in these slots, if any, of the guest at this path (`revert` of PVE::API2::Qemu and PVE::API2::LXC,
    /// `update_vm`).
    pub(crate) async fn take_back(
        &self,
        path: &str,
        slots: &[String],
        seen: &Observed,
        most: Duration,
    ) -> Result<(), ProviderError> {
        if slots.is_empty() {
            return Ok(());
        }
        let slots = slots.join(",");
        let mut params = Params::default();
        params.put("revert", Some(&slots));
        params.put("digest", seen.text("digest"));
        let step = Step::of("take back", &slots);
        self.step(step, Method::Put, &format!("{path}/config"), &params, most).await
    }
}

/// The options that a running guest has otherwise than it will have them after its next start.
pub(crate) fn waits(observed: &Observed) -> Vec<String> {
    let Some(present) = &observed.in_force else { return Vec::new() };
    let names: BTreeSet<&String> = present.keys().chain(observed.config.keys()).collect();
    let changed = names.into_iter().filter(|name| present.get(*name) != observed.config.get(*name));
    let said = changed.map(|name| match (present.get(name), observed.config.get(name)) {
        // Other values may be secrets.
        (Some(before), Some(after)) if is_number(before) && is_number(after) => {
            format!("{name} ({} -> {})", plain(before), plain(after))
        }
        _ => match volumes_that_change(observed, name) {
            Some((before, after)) => {
                format!("{name} ({before} -> {})", after.as_deref().unwrap_or("nothing"))
            }
            None => name.clone(),
        },
    });
    said.collect()
}

/// The volume that a slot has until the next start, and that after it, where it is another one or none.
fn volumes_that_change(observed: &Observed, slot: &str) -> Option<(String, Option<String>)> {
    let volume = |config: &Map<String, Json>| volume_in(slot, config.get(slot)?.as_str()?);
    let (before, after) = (volume(observed.in_force.as_ref()?)?, volume(&observed.config));
    (after.as_ref() != Some(&before)).then_some((before, after))
}

/// The volume of an option that has one.
fn volume_in(slot: &str, option: &str) -> Option<String> {
    const DRIVES: &[&str] = &["efidisk", "ide", "mp", "rootfs", "sata", "scsi", "tpmstate", "virtio"];
    let is_drive = DRIVES.contains(&slot.trim_end_matches(|letter: char| letter.is_ascii_digit()));
    let is_medium = Properties::parse(option).get("media") == Some("cdrom");
    volume_of(option).filter(|volume| is_drive && !is_medium && volume.contains(':'))
}

/// The volumes whose slots have nothing any more after the next start. Those of containers are known by their paths.
pub(crate) fn leaving(observed: &Observed) -> Vec<Extra> {
    let Some(present) = observed.until_start() else { return Vec::new() };
    let is_mounted = |path: &str| {
        observed.numbered("mp").iter().any(|(_, slot)| {
            observed.text(slot).is_some_and(|point| Properties::parse(&point).get("mp") == Some(path))
        })
    };
    let leaving = present.config.keys().filter_map(|slot| {
        let option = present.text(slot)?;
        let volume = volume_in(slot, &option)?;
        let path = Properties::parse(&option).get("mp").map(str::to_string);
        let stays = match &path {
            Some(path) => is_mounted(path),
            None => observed.config.contains_key(slot),
        };
        let key = path.unwrap_or_else(|| slot.clone());
        (!stays).then(|| Extra { slot: slot.clone(), key, said: volume })
    });
    leaving.collect()
}

/// That a removal is taken back.
pub(crate) fn taken_back_in_words(leaving: &Extra) -> String {
    let Extra { slot, key, said } = leaving;
    let at = if slot == key { String::new() } else { format!(" at {key}") };
    format!(
        "{slot}: {said}{at} was taken out, which waits for a reboot; that is taken back, and no other volume is made"
    )
}

fn is_number(value: &Json) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| text.parse::<f64>().is_ok())
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}
