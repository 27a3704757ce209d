//! Requests about the volumes of disks: moving, growing and destroying them.

use std::collections::BTreeMap;
use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
use super::decode_devices::is_media;
use super::drive_changes::DriveChanges;
use crate::cluster::{Method, Step};
use crate::guest::timeout;
use crate::known_volumes::{SMALL_DRIVES, volume_of, volumes_of_vm};
use crate::observed::Observed;
use crate::params::Params;
use crate::resizing::{Place, is_smaller};
use crate::values::{all_blocks, block, text};

impl Target<'_> {
    /// Moves disks that are planned on another datastore. Returns their slots, and those that had a change taken back before.
    pub(super) async fn move_disks(
        &self,
        drives: &DriveChanges,
        (prior, planned): (Option<&Value>, &Value),
        taken_back: Vec<String>,
    ) -> Result<Vec<String>, ProviderError> {
        let mut done = taken_back;
        for moved in &drives.moves {
            let format = (moved.format.as_deref(), "file_format");
            let to = (&*self.node, &*moved.datastore);
            self.call.refuse_ignored_format(to, &moved.interface, format).await?;
            let observed = self.look_at_options().await?;
            self.call.refuse_taken_over(&observed)?;
            if let Some(prior) = prior {
                self.refuse_other_volumes((prior, planned), &observed, &done)?;
            }
            let mut params = Params::default();
            params.put("disk", Some(&moved.interface));
            params.put("storage", Some(&moved.datastore));
            params.put("format", moved.format.as_deref());
            params.put_flag("delete", Some(true));
            params.put("digest", observed.text("digest"));
            let step = Step::of("move", &moved.interface);
            let most = timeout(planned, "timeout_move_disk");
            self.call.step(step, Method::Post, &self.path("/move_disk"), &params, most).await?;
            done.push(moved.interface.clone());
        }
        Ok(done)
    }

    /// Takes out the drives for media that others replace, where they still are.
    pub(super) async fn free_media(
        &self,
        drives: &DriveChanges,
        planned: &Value,
    ) -> Result<(), ProviderError> {
        if drives.freed.is_empty() {
            return Ok(());
        }
        let observed = self.look_at_options().await?;
        self.call.refuse_taken_over(&observed)?;
        let is_still = |name: &&String| observed.text(name).is_some_and(|drive| is_media(&drive));
        let names: Vec<&str> = drives.freed.iter().filter(is_still).map(String::as_str).collect();
        if names.is_empty() {
            return Ok(());
        }
        let names = names.join(",");
        let mut params = Params::default();
        params.put("delete", Some(&*names));
        params.put("digest", observed.text("digest"));
        let most = timeout(planned, "timeout_create");
        self.call.step(Step::of("take out", &names), Method::Post, &self.path("/config"), &params, most).await
    }

    /// Grows disks whose lines say less than these sizes, in gibibytes.
    pub(super) async fn resize_disks(
        &self,
        sizes: &BTreeMap<String, i64>,
        planned: &Value,
    ) -> Result<(), ProviderError> {
        if sizes.is_empty() {
            return Ok(());
        }
        let observed = self.look_at_options().await?;
        let place = Place { kind: "qemu", vmid: self.vmid, node: &self.node };
        for (interface, size) in sizes {
            let size = format!("{size}G");
            if is_smaller(&observed, interface, &size) != Some(false) {
                self.call.grow(&place, interface, &size, timeout(planned, "timeout_create")).await?;
            }
        }
        Ok(())
    }

    /// The volumes that a change takes out: those that were known of the VM, not what is found where they were. Only a VM that
    /// this action made has no known ones, and after a migration they may be called differently.
    fn lost_volumes(
        &self,
        before: &Observed,
        (prior, planned): (Option<&Value>, &Value),
        drives: &DriveChanges,
    ) -> Vec<String> {
        let at = |name: &str| {
            let drive = before.text(name).filter(|drive| !is_media(drive));
            drive.and_then(|drive| volume_of(&drive))
        };
        let Some(prior) = prior else {
            let small = SMALL_DRIVES.iter().map(|(_, slot)| *slot);
            let gone = small.filter(|slot| drives.delete.contains(*slot) || drives.renewed.contains(*slot));
            return gone.filter_map(at).collect();
        };
        let stays = |slot: &str| {
            let small = SMALL_DRIVES.iter().any(|(name, at)| *at == slot && block(planned, name).is_some());
            small || all_blocks(planned, "disk").iter().any(|disk| text(disk, "interface") == Some(slot))
        };
        let is_migrated = Step::MIGRATE.is_in(&self.call.done());
        let known = volumes_of_vm(prior, self.call.identity.as_deref()).into_iter();
        let gone = known.filter(|(slot, _)| drives.renewed.contains(slot) || !stays(slot));
        gone.map(|(slot, volume)| at(&slot).filter(|_| is_migrated).unwrap_or(volume)).collect()
    }

    /// Destroys the volumes of disks that were taken out: the API only sets them aside. A slot that was empty already lost
    /// its volume to a change that broke off, or loses it with the reboot that this one comes with.
    pub(super) async fn destroy_unused(
        &self,
        before: &Observed,
        values: (Option<&Value>, &Value),
        drives: &DriveChanges,
    ) -> Result<(), ProviderError> {
        let volumes = self.lost_volumes(before, values, drives);
        if volumes.is_empty() {
            return Ok(());
        }
        let now = self.look_at_options().await?;
        let is_lost = |name: &String| {
            let volume = now.text(name).and_then(|drive| volume_of(&drive));
            volume.is_some_and(|volume| volumes.contains(&volume))
        };
        let unused = now.numbered("unused").into_iter().map(|(_, name)| name);
        let unused: Vec<String> = unused.filter(is_lost).collect();
        if unused.is_empty() {
            return Ok(());
        }
        let mut params = Params::default();
        params.put("delete", Some(unused.join(",")));
        params.put("digest", now.text("digest"));
        let most = Duration::from_secs(600);
        self.call.step(Step::of("destroy", "disks"), Method::Post, &self.path("/config"), &params, most).await
    }
}
