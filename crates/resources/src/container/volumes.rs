//! The volumes of a container: moving and growing them, and their options.

use std::collections::BTreeSet;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
use super::encode::encode_root_disk;
use super::mount_points::{change_mount_points, is_other, moves, slot_of};
use crate::cluster::{Method, Step};
use crate::guest::timeout;
use crate::observed::Observed;
use crate::params::Params;
use crate::property::Properties;
use crate::size::parse_size;
use crate::values::{all_blocks, block, int, text};

impl Target<'_> {
    /// Moves volumes that are planned on another datastore. A running container is shut down before: the API refuses to move
    /// what it uses (`PVE::API2::LXC`, `move_volume`). Returns the slots of what was moved.
    pub(super) async fn move_volumes(
        &self,
        prior: Option<&Value>,
        planned: &Value,
        was_running: bool,
    ) -> Result<Vec<String>, ProviderError> {
        let observed = self.look_at_options().await?;
        let root = root_move(&observed, planned).map(|datastore| ("rootfs".to_string(), datastore));
        let moves: Vec<_> = root.into_iter().chain(moves(&observed, prior, planned)).collect();
        if !moves.is_empty() && was_running {
            self.shut_down(planned).await?;
        }
        let mut done = Vec::new();
        for (slot, datastore) in moves {
            let observed = self.look_at_options().await?;
            self.call.refuse_taken_over(&observed)?;
            if let Some(prior) = prior {
                self.call.refuse_other_volumes((prior, planned), &observed, &done)?;
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

    /// Grows volumes that are smaller than planned.
    pub(super) async fn resize_volumes(&self, planned: &Value) -> Result<(), ProviderError> {
        let observed = self.look_at_options().await?;
        let mut wanted = Vec::new();
        if let Some(size) = block(planned, "disk").and_then(|disk| int(disk, "size")).filter(|size| *size > 0)
        {
            wanted.push(("rootfs".to_string(), format!("{size}G")));
        }
        for point in all_blocks(planned, "mount_point") {
            if let (Some(slot), Some(size)) = (slot_of(&observed, point), text(point, "size")) {
                wanted.push((slot, size.to_string()));
            }
        }
        for (slot, size) in wanted {
            let now = observed.text(&slot).map(|volume| Properties::parse(&volume));
            let now = now.as_ref().and_then(|now| now.get("size")).and_then(parse_size);
            if now.is_none() || now >= parse_size(&size) {
                continue;
            }
            let mut params = Params::default();
            params.put("disk", Some(&slot));
            params.put("size", Some(size));
            let step = Step::of("resize", &slot);
            let most = timeout(planned, "timeout_update");
            self.call.step(step, Method::Put, &self.path("/resize"), &params, most).await?;
        }
        Ok(())
    }
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
    prior: Option<&Value>,
    planned: &Value,
    set: &mut Params,
    delete: &mut BTreeSet<String>,
) {
    let root = observed.text("rootfs").map(|root| Properties::parse(&root));
    if let (Some(root), Some(disk)) = (root, block(planned, "disk")) {
        let volume = root.first_or("volume").unwrap_or_default();
        let options = encode_root_disk(disk, volume);
        let before = prior.and_then(|prior| block(prior, "disk")).map(|disk| encode_root_disk(disk, volume));
        if before.map_or_else(|| is_other(&root, &options), |before| before != options) {
            set.put("rootfs", Some(options.with("size", root.get("size"))));
        }
    }
    change_mount_points(observed, prior, planned, set, delete);
}
