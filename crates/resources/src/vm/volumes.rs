//! Requests about the volumes of disks: moving, growing and destroying them.

use std::collections::BTreeMap;
use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
use super::drive_changes::DriveChanges;
use crate::cluster::{Method, Step};
use crate::guest::timeout;
use crate::known_volumes::{volume_of, volumes_of_vm};
use crate::observed::Observed;
use crate::params::Params;
use crate::resizing::{Place, is_smaller};

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
                self.call.refuse_other_volumes((prior, planned), &observed, &done)?;
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

    /// Takes out the cloud-init drive that another one replaces.
    pub(super) async fn free_cloud_init(
        &self,
        drives: &DriveChanges,
        planned: &Value,
    ) -> Result<(), ProviderError> {
        let Some(interface) = &drives.freed else { return Ok(()) };
        self.refuse_taken_over().await?;
        let mut params = Params::default();
        params.put("delete", Some(interface));
        let most = timeout(planned, "timeout_create");
        let step = Step::of("take out", interface);
        self.call.step(step, Method::Post, &self.path("/config"), &params, most).await
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

    /// Destroys the volumes of disks that were taken out: the API only sets them aside. A slot that was empty already lost
    /// its volume to a change that broke off, or loses it with the reboot that this one comes with.
    pub(super) async fn destroy_unused(
        &self,
        before: &Observed,
        prior: Option<&Value>,
        drives: &DriveChanges,
    ) -> Result<(), ProviderError> {
        let identity = self.call.identity.as_deref();
        let known = prior.map(|prior| volumes_of_vm(prior, identity)).unwrap_or_default();
        let at = |observed: &Observed, name: &str| observed.text(name).and_then(|drive| volume_of(&drive));
        let gone = drives.delete.union(&drives.renewed);
        let volumes: Vec<String> =
            gone.filter_map(|name| at(before, name).or_else(|| known.get(name).cloned())).collect();
        if volumes.is_empty() {
            return Ok(());
        }
        let now = self.look_at_options().await?;
        let unused = now.numbered("unused").into_iter().map(|(_, name)| name);
        let unused: Vec<String> =
            unused.filter(|name| at(&now, name).is_some_and(|volume| volumes.contains(&volume))).collect();
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
