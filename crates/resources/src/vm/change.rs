//! The steps of a change of a VM, in their order: volumes are destroyed last (decision 14).

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
use super::drive_changes::{DriveChanges, drive_changes};
use super::media::{InTheWay, in_the_way};
use crate::cluster::{Method, Step, refused};
use crate::guest::timeout;
use crate::observed::Observed;
use crate::params::Params;
use crate::values::flag;

/// A change on its way.
pub(super) struct Change<'v> {
    /// `None` after a create or clone.
    pub(super) prior: Option<&'v Value>,
    pub(super) planned: &'v Value,
    /// What is known of the VM beforehand; `None` of one that was made from nothing.
    pub(super) known: Option<Value>,
    /// The VM as it was seen last.
    pub(super) observed: Observed,
    /// What becomes of its drives.
    pub(super) drives: DriveChanges,
    /// Whether it runs.
    pub(super) runs: bool,
}

impl Target<'_> {
    /// Brings the VM from `prior` (`None` after a create or clone) to `planned`.
    pub(crate) async fn bring_to(
        &self,
        prior: Option<&Value>,
        planned: &Value,
        cloned: bool,
    ) -> Result<(), ProviderError> {
        let mut change = self.look_for_change(prior, planned, cloned).await?;
        let taken_back = self.take_back_for(&mut change).await?;
        self.refuse_in_the_way(in_the_way(&change.observed, prior, planned, &change.drives))?;
        self.make_way(&mut change).await?;
        self.prepare_drives(&mut change, taken_back).await?;
        self.configure(&change).await?;
        self.resize_disks(&change.drives.sizes, planned).await?;
        self.change_pool(prior, planned).await?;
        if flag(planned, "template") == Some(true) {
            self.let_go(&change).await?;
            return self.become_template(&change).await;
        }
        self.change_power(planned, change.runs, prior.is_some()).await?;
        // What a running VM holds on to is set aside only now. Whatever else is due does not wait for volumes that a snapshot
        // may hold.
        self.let_go(&change).await
    }

    /// Looks at the VM, and refuses one that is another than was planned for.
    async fn look_for_change<'v>(
        &self,
        prior: Option<&'v Value>,
        planned: &'v Value,
        cloned: bool,
    ) -> Result<Change<'v>, ProviderError> {
        // A guest that was just made does not run.
        let observed = match prior {
            Some(_) => self.look_at_existing().await?,
            None => self.look_at_options().await?,
        };
        if let Some(prior) = prior {
            self.call.refuse_other(prior, &observed)?;
            self.refuse_other_volumes((prior, planned), &observed, &[])?;
        }
        self.call.refuse_taken_over(&observed)?;
        let observed = self.wake(observed, planned).await?;
        if prior.is_none() && cloned {
            self.refuse_unlike(&observed, planned)?;
        }
        let known = self.known(prior, &observed, planned, cloned);
        let drives = drive_changes(&observed, known.as_ref(), planned);
        let runs = observed.running == Some(true);
        Ok(Change { prior, planned, known, observed, drives, runs })
    }

    /// Takes back what waits for a reboot in the way of the change. Returns the slots.
    async fn take_back_for(&self, change: &mut Change<'_>) -> Result<Vec<String>, ProviderError> {
        if change.prior.is_none() {
            return Ok(Vec::new());
        }
        let planned = change.planned;
        let taken_back = self.take_back(&change.drives, &change.observed, planned).await?;
        if !taken_back.is_empty() {
            change.observed = self.look_at_existing().await?;
            change.drives = drive_changes(&change.observed, change.known.as_ref(), planned);
            change.drives.resend(&change.observed, planned, &taken_back);
        }
        Ok(taken_back)
    }

    /// Takes the protection off, and shuts the VM down, where drives need it.
    async fn make_way(&self, change: &mut Change<'_>) -> Result<(), ProviderError> {
        let planned = change.planned;
        let lost = change.drives.leaving().filter(|name| change.observed.config.contains_key(*name));
        if self.lift_protection(lost, &change.observed, planned).await? {
            change.observed = self.look_at_options().await?;
        }
        // Whatever moves goes faster, and is taken in any case, where nothing uses it.
        let stops = !change.drives.moves.is_empty() && flag(planned, "started") == Some(false);
        if change.runs && (stops || change.drives.need_a_stop(&change.observed)) {
            self.shut_down(planned).await?;
            change.runs = false;
        }
        Ok(())
    }

    /// What of drives goes by requests of its own, and a look at what is there behind it.
    async fn prepare_drives(
        &self,
        change: &mut Change<'_>,
        taken_back: Vec<String>,
    ) -> Result<(), ProviderError> {
        let (prior, planned, drives) = (change.prior, change.planned, &change.drives);
        let moved = self.move_disks(drives, (prior, planned), taken_back).await?;
        self.free_media(drives, planned).await?;
        self.import_images(&drives.imports, planned).await?;
        let growing = drives.sizes_of_changed(&change.observed);
        self.resize_disks(&growing, planned).await?;
        let is_same = drives.moves.is_empty()
            && drives.imports.is_empty()
            && drives.freed.is_empty()
            && growing.is_empty();
        if !is_same {
            change.observed = self.look_at_options().await?;
        }
        self.call.refuse_taken_over(&change.observed)?;
        prior.map_or(Ok(()), |prior| self.refuse_other_volumes((prior, planned), &change.observed, &moved))
    }

    async fn become_template(&self, change: &Change<'_>) -> Result<(), ProviderError> {
        if change.observed.flag("template") == Some(true) {
            return Ok(());
        }
        if change.runs {
            self.shut_down(change.planned).await?;
        }
        let most = timeout(change.planned, "timeout_create");
        let (path, params) = (self.path("/template"), Params::default());
        self.call.step(Step::TEMPLATE, Method::Post, &path, &params, most).await
    }

    /// Destroys the volumes that were taken out, and only then puts on the protection that would hold them. One that cannot be
    /// destroyed by now keeps nobody from it.
    async fn let_go(&self, change: &Change<'_>) -> Result<(), ProviderError> {
        let Change { prior, planned, observed, drives, .. } = change;
        let destroyed = self.destroy_unused(observed, (*prior, planned), drives).await;
        if destroyed.as_ref().is_err_and(|error| error.indeterminate) {
            return destroyed;
        }
        let protected = self.put_on_protection(observed, planned, drives).await;
        destroyed.and(protected)
    }

    /// A drive for media takes no other drive's place.
    fn refuse_in_the_way(&self, found: Option<InTheWay>) -> Result<(), ProviderError> {
        let Some(InTheWay { block, interface, has_it }) = found else { return Ok(()) };
        let drive = if block == "cdrom" { "CD-ROM drive" } else { "cloud-init drive" };
        let message = format!("{}: the {drive} would take {interface}, which has {has_it}", self.call.object);
        Err(refused(message, Some(&*format!("write a free one as interface of its {block} block"))))
    }
}
