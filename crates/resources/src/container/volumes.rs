//! The volumes of a container: moving and growing them, and their options.

use std::collections::BTreeSet;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
use super::encode::encode_root_disk;
use super::mount_points::{change_mount_points, is_other, moves, slots};
use crate::cluster::{Method, Step};
use crate::guest::timeout;
use crate::known_volumes::volume_of;
use crate::observed::Observed;
use crate::params::Params;
use crate::property::Properties;
use crate::resizing::{Place, is_smaller};
use crate::values::{all_blocks, block, int, text};

impl Target<'_> {
    /// Moves volumes that are planned on another datastore. A running container is shut down before: the API refuses to move
    /// what it uses (`PVE::API2::LXC`, `move_volume`). Returns the slots of what was
    /// moved, and of what had a change taken back before.
    pub(super) async fn move_volumes(
        &self,
        prior: Option<&Value>,
        planned: &Value,
        was_running: bool,
        taken_back: &[String],
    ) -> Result<Vec<String>, ProviderError> {
        let observed = self.look_at_options().await?;
        let root = root_move(&observed, planned).map(|datastore| ("rootfs".to_string(), datastore));
        let moves: Vec<_> = root.into_iter().chain(moves(&observed, prior, planned)).collect();
        if !moves.is_empty() && was_running {
            self.shut_down(planned).await?;
        }
        let mut done = taken_back.to_vec();
        for (slot, datastore) in moves {
            let observed = self.look_at_options().await?;
            self.call.refuse_taken_over(&observed)?;
            if let Some(prior) = prior {
                self.refuse_other_volumes((prior, planned), &observed, &done)?;
            }
            self.move_volume(planned, (&slot, &datastore), &observed).await?;
            done.push(slot);
        }
        Ok(done)
    }

    async fn move_volume(
        &self,
        planned: &Value,
        (slot, datastore): (&str, &str),
        observed: &Observed,
    ) -> Result<(), ProviderError> {
        let mut params = Params::default();
        params.put("volume", Some(slot));
        params.put("storage", Some(datastore));
        params.put_flag("delete", Some(true));
        params.put("digest", observed.text("digest"));
        let most = timeout(planned, "timeout_update");
        let step = Step::of("move", slot);
        self.call.step(step, Method::Post, &self.path("/move_volume"), &params, most).await
    }

    /// Grows volumes whose lines say less than planned. `prior` tells where mount points are that are yet to change.
    pub(super) async fn grow_volumes(
        &self,
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<(), ProviderError> {
        let place = Place { kind: "lxc", vmid: self.vmid, node: &self.node };
        for (slot, size) in growing(&self.look_at_options().await?, prior, planned) {
            self.call.grow(&place, &slot, &size, timeout(planned, "timeout_update")).await?;
        }
        Ok(())
    }
}

/// The slots whose volumes move or grow, and keep their content.
pub(super) fn changed_slots(observed: &Observed, prior: &Value, planned: &Value) -> Vec<String> {
    let root = root_move(observed, planned).map(|_| "rootfs".to_string());
    let moved = moves(observed, Some(prior), planned).into_iter().map(|(slot, _)| slot);
    let grown = growing(observed, Some(prior), planned).into_iter().map(|(slot, _)| slot);
    root.into_iter().chain(moved).chain(grown).collect()
}

/// The slots of volumes that are there, stay and are smaller than planned, with their planned sizes.
fn growing(observed: &Observed, prior: Option<&Value>, planned: &Value) -> Vec<(String, String)> {
    let root = block(planned, "disk").and_then(|disk| int(disk, "size")).filter(|size| *size > 0);
    let root = root.map(|size| ("rootfs".to_string(), format!("{size}G")));
    let points = all_blocks(planned, "mount_point").iter().zip(slots(observed, prior, planned));
    let points = points.filter_map(|(point, slot)| {
        let slot = slot?;
        let now = observed.text(&slot).and_then(|option| volume_of(&option));
        let named = text(point, "volume").filter(|volume| volume.contains([':', '/']));
        let stays = named.is_none_or(|named| now.as_deref() == Some(named));
        Some((slot, text(point, "size").filter(|_| stays)?.to_string()))
    });
    let all = root.into_iter().chain(points);
    all.filter(|(slot, size)| is_smaller(observed, slot, size) == Some(true)).collect()
}

/// The datastore to which the root disk goes, if it goes to another.
fn root_move(observed: &Observed, planned: &Value) -> Option<String> {
    let wanted = text(block(planned, "disk")?, "datastore_id")?;
    let root = observed.text("rootfs").unwrap_or_default();
    (root.split(':').next() != Some(wanted)).then(|| wanted.to_string())
}

/// What becomes of the root disk's options and the mount points.
pub(super) fn change_volumes(
    observed: &Observed,
    (prior, planned): (Option<&Value>, &Value),
    taken_back: &[String],
    set: &mut Params,
    delete: &mut BTreeSet<String>,
) {
    let root = observed.text("rootfs").map(|root| Properties::parse(&root));
    if let (Some(root), Some(disk)) = (root, block(planned, "disk")) {
        let volume = root.first_or("volume").unwrap_or_default();
        let options = encode_root_disk(disk, volume);
        let is_known = taken_back.iter().all(|slot| slot != "rootfs");
        let before = prior
            .and_then(|prior| block(prior, "disk"))
            .filter(|_| is_known)
            .map(|disk| encode_root_disk(disk, volume));
        if before.map_or_else(|| is_other(&root, &options), |before| before != options) {
            set.put("rootfs", Some(options.with("size", root.get("size"))));
        }
    }
    change_mount_points(observed, (prior, planned), taken_back, set, delete);
}
