//! Making, changing and destroying VMs.

use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::schema::Block;

use super::cloning::keep_files;
use super::decode::decode_vm;
use super::drive_changes::{DriveChanges, drive_changes, initial_drives};
use super::drives::boot_order;
use super::encode::encode_options;
use super::image_import::{boots_from_import, without_missing};
use super::media::{InTheWay, in_the_way};
use super::option_changes::{changed_options, keep_addresses, keep_uuid, with_uuid};
use super::protection::is_protected_last;
use crate::cluster::{Method, Step, refused};
use crate::guest::{self, Extent, GuestKind, GuestType, Limits, MARKER, surplus_devices, timeout};
use crate::observed::Observed;
use crate::params::Params;
use crate::values::{all_blocks, blank, complete, flag, text, texts};

/// VMs as a type of guests.
pub(crate) struct Vm;

impl GuestType for Vm {
    const KIND: GuestKind = GuestKind::Vm;

    fn decode(schema: &Block, observed: &Observed, guide: &Value) -> Value {
        decode_vm(schema, observed, guide, Extent::Guided)
    }

    fn limits(value: &Value) -> Limits {
        Limits {
            start: timeout(value, "timeout_start_vm"),
            shut_down: timeout(value, "timeout_shutdown_vm"),
            stop: timeout(value, "timeout_stop_vm"),
            reboot: Some(timeout(value, "timeout_reboot")),
            destroy: timeout(value, "timeout_stop_vm"),
        }
    }
}

/// The VM that an action is about.
pub(crate) type Target<'a> = guest::Target<'a, Vm>;

impl Target<'_> {
    /// Makes the VM from nothing. The marker is its description until it is finished.
    pub(crate) async fn create(&self, planned: &Value, marker: Option<&str>) -> Result<(), ProviderError> {
        let mut params = encode_options(planned, true);
        // With other details given, the API leaves it to the caller to draw a UUID.
        with_uuid(&mut params, || uuid::Uuid::new_v4().to_string());
        params.0.extend(initial_drives(planned).0);
        let boot = boot_order(planned).and_then(|order| without_missing(&order, planned));
        params.0.remove("boot");
        params.put("boot", boot);
        params.put("vmid", Some(self.vmid));
        params.put("pool", text(planned, "pool_id"));
        params.put("description", marker);
        let path = format!("/nodes/{}/qemu", self.node);
        let most = timeout(planned, "timeout_create");
        self.call.step(Step::CREATE, Method::Post, &path, &params, most).await
    }

    /// Brings the VM from `prior` (`None` after a create or clone) to `planned`.
    pub(crate) async fn bring_to(
        &self,
        prior: Option<&Value>,
        planned: &Value,
        cloned: bool,
    ) -> Result<(), ProviderError> {
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
        let mut was_running = observed.running == Some(true);
        if prior.is_none() && cloned {
            self.refuse_unlike(&observed, planned)?;
        }
        let known = self.known(prior, &observed, planned, cloned);
        let mut drives = drive_changes(&observed, known.as_ref(), planned);
        let taken_back = match prior {
            Some(_) => self.take_back(&drives, &observed, planned).await?,
            None => Vec::new(),
        };
        let observed = if taken_back.is_empty() { observed } else { self.look_at_existing().await? };
        if !taken_back.is_empty() {
            drives = drive_changes(&observed, known.as_ref(), planned);
            drives.resend(&observed, planned, &taken_back);
        }
        self.refuse_in_the_way(in_the_way(&observed, prior, planned, &drives))?;
        let lost = drives.leaving().filter(|name| observed.config.contains_key(*name));
        let observed = match self.lift_protection(lost, &observed, planned).await? {
            true => self.look_at_options().await?,
            false => observed,
        };
        // Whatever moves goes faster, and is taken in any case, where nothing uses it.
        let stops = !drives.moves.is_empty() && flag(planned, "started") == Some(false);
        if was_running && (stops || drives.need_a_stop(&observed)) {
            self.shut_down(planned).await?;
            was_running = false;
        }
        let moved = self.move_disks(&drives, (prior, planned), taken_back).await?;
        self.free_media(&drives, planned).await?;
        self.import_images(&drives.imports, planned).await?;
        let growing = drives.sizes_of_changed(&observed);
        self.resize_disks(&growing, planned).await?;
        let is_same = drives.moves.is_empty()
            && drives.imports.is_empty()
            && drives.freed.is_empty()
            && growing.is_empty();
        let observed = if is_same { observed } else { self.look_at_options().await? };
        self.call.refuse_taken_over(&observed)?;
        if let Some(prior) = prior {
            self.refuse_other_volumes((prior, planned), &observed, &moved)?;
        }
        self.configure((prior, known.as_ref()), planned, &drives, &observed).await?;
        self.resize_disks(&drives.sizes, planned).await?;
        self.change_pool(prior, planned).await?;
        if flag(planned, "template") == Some(true) {
            self.let_go(&observed, (prior, planned), &drives).await?;
            if observed.flag("template") != Some(true) {
                if was_running {
                    self.shut_down(planned).await?;
                }
                let most = timeout(planned, "timeout_create");
                self.call
                    .step(Step::TEMPLATE, Method::Post, &self.path("/template"), &Params::default(), most)
                    .await?;
            }
            return Ok(());
        }
        self.change_power(planned, was_running, prior.is_some()).await?;
        // What a running VM holds on to is set aside only now. Whatever else is due does not wait for volumes that a snapshot
        // may hold.
        self.let_go(&observed, (prior, planned), &drives).await
    }

    /// Destroys the volumes that were taken out, and only then puts on the protection that would hold them. One that cannot be
    /// destroyed by now keeps nobody from it.
    async fn let_go(
        &self,
        before: &Observed,
        values: (Option<&Value>, &Value),
        drives: &DriveChanges,
    ) -> Result<(), ProviderError> {
        let destroyed = self.destroy_unused(before, values, drives).await;
        if destroyed.as_ref().is_err_and(|error| error.indeterminate) {
            return destroyed;
        }
        let protected = self.put_on_protection(before, values.1, drives).await;
        destroyed.and(protected)
    }

    /// A drive for media takes no other drive's place.
    fn refuse_in_the_way(&self, found: Option<InTheWay>) -> Result<(), ProviderError> {
        let Some(InTheWay { block, interface, has_it }) = found else { return Ok(()) };
        let drive = if block == "cdrom" { "CD-ROM drive" } else { "cloud-init drive" };
        let message = format!("{}: the {drive} would take {interface}, which has {has_it}", self.call.object);
        Err(refused(message, Some(&*format!("write a free one as interface of its {block} block"))))
    }

    /// Sends the options that differ. The description comes with them, in place of the marker.
    async fn configure(
        &self,
        (prior, known): (Option<&Value>, Option<&Value>),
        planned: &Value,
        drives: &DriveChanges,
        observed: &Observed,
    ) -> Result<(), ProviderError> {
        let (mut set, mut delete) = match known {
            Some(known) => changed_options(known, planned),
            None => {
                let mut set = Params::default();
                set.put("description", text(planned, "description"));
                (set, Default::default())
            }
        };
        let fresh = super::drive_changes::with_current_volumes(observed, &drives.set);
        set.0.extend(fresh.0);
        // That of a template cannot be read: it counts as the one that is planned.
        let password = |value: &Value| encode_options(value, false).0.get("cipassword").cloned();
        if known.is_some() && prior.and_then(password) != password(planned) {
            set.put("cipassword", password(planned));
        }
        if let Some(known) = known {
            keep_files(observed, (known, planned), &mut set, &delete);
        }
        delete.extend(drives.deletions(observed));
        let marked = observed.text("description").is_some_and(|text| text.starts_with(MARKER));
        match text(planned, "description") {
            Some(description) if marked => set.put("description", Some(description)),
            None if marked => {
                delete.insert("description".to_string());
            }
            _ => {}
        }
        if (marked || prior.is_none()) && boots_from_import(planned) {
            set.put("boot", boot_order(planned));
        }
        if is_protected_last(observed, planned, drives) {
            set.0.remove("protection");
        }
        keep_uuid(observed, &mut set, &delete);
        // Devices that are there and that nothing was said of so far, as those of a clone, keep their MAC addresses;
        // sending a device without one draws another.
        let is_drawn = prior.is_some_and(|prior| !all_blocks(prior, "network_device").is_empty());
        let drawn = if is_drawn { planned.clone() } else { blank(planned) };
        keep_addresses(observed, &drawn, &mut set);
        delete.extend(surplus_devices(observed, known, planned, "network_device", &set));
        delete.retain(|name| observed.config.contains_key(name) && !set.0.contains_key(name));
        if set.0.is_empty() && delete.is_empty() {
            return Ok(());
        }
        if !delete.is_empty() {
            set.put("delete", Some(delete.iter().cloned().collect::<Vec<_>>().join(",")));
        }
        set.put("digest", observed.text("digest"));
        let most = timeout(planned, "timeout_create");
        self.call.step(Step::CONFIGURE, Method::Post, &self.path("/config"), &set, most).await?;
        self.restore_boot_order(planned, &set).await
    }

    /// The API adds each new CD-ROM drive to the boot order, whatever order comes with it.
    async fn restore_boot_order(&self, planned: &Value, sent: &Params) -> Result<(), ProviderError> {
        let order = texts(planned, "boot_order");
        let added = super::drives::encode_cdrom(planned).filter(|(name, _)| sent.0.contains_key(name));
        if order.is_empty() || added.is_none_or(|(name, _)| order.contains(&name)) {
            return Ok(());
        }
        let mut params = Params::default();
        params.put("boot", boot_order(planned));
        let most = timeout(planned, "timeout_create");
        self.call
            .step(Step::of("set", "boot order"), Method::Post, &self.path("/config"), &params, most)
            .await
    }

    /// Moves the VM to the planned node.
    pub(crate) async fn migrate(
        &self,
        prior: &Value,
        planned: &Value,
        to: &str,
    ) -> Result<(), ProviderError> {
        let observed = self.look_at_existing().await?;
        self.call.refuse_other(prior, &observed)?;
        self.refuse_other_volumes((prior, planned), &observed, &[])?;
        let running = observed.running == Some(true);
        let mut params = Params::default();
        params.put("target", Some(to));
        params.put_flag("with-local-disks", Some(true));
        params.put_flag("online", running.then_some(true));
        params.put("targetstorage", self.target_storages(prior, planned, to).await);
        let most = timeout(planned, "timeout_migrate");
        self.call.migrate("qemu", self.vmid, &self.path("/migrate"), to, &params, most).await
    }

    /// The values after everything is done: known parts as planned, the others as read.
    pub(crate) async fn finish(&self, planned: &Value) -> Result<Value, ProviderError> {
        // Whether it runs is as planned: its tasks went well.
        let observed = self.look_at_options().await?;
        let mut read = self.decode(&observed, planned);
        if flag(planned, "started") != Some(false) && flag(planned, "template") != Some(true) {
            read = super::agent::with_addresses(self, planned, read).await;
        }
        Ok(complete(planned, &read))
    }

    /// The path of the agent's list of interfaces.
    pub(crate) fn interfaces_path(&self) -> String {
        self.path("/agent/network-get-interfaces")
    }
}
