//! Making, changing and destroying VMs.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::decode::{Extent, decode_vm};
use super::drive_changes::{DriveChanges, drive_changes, initial_drives};
use super::drives::boot_order;
use super::encode::encode_options;
use super::image_import::{boots_from_import, without_missing};
use super::option_changes::{changed_options, keep_addresses, keep_uuid, surplus_devices, with_uuid};
use crate::cluster::{Call, Method, Step, refused};
use crate::observed::Observed;
use crate::params::Params;
use crate::provider::identity::refuse_other;
use crate::registry::Kind;
use crate::values::{all_blocks, blank, complete, flag, int, text, texts};

/// The VM that an action is about.
pub(crate) struct Target<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) kind: &'a Kind,
    pub(crate) node: String,
    pub(crate) vmid: u32,
    /// What told it from another one with its id when it was known last.
    pub(crate) identity: Option<String>,
}

/// The configured limit of an operation, in seconds.
pub(crate) fn timeout(value: &Value, name: &str) -> Duration {
    Duration::from_secs(int(value, name).and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(1800))
}

impl Target<'_> {
    pub(super) fn path(&self, rest: &str) -> String {
        format!("/nodes/{}/qemu/{}{rest}", self.node, self.vmid)
    }

    /// The VM as it is now.
    pub(crate) async fn look(&self) -> Result<Option<Observed>, ProviderError> {
        let looked = self.call.cluster.look("qemu", self.vmid, &self.node).await;
        looked.map_err(|error| self.call.failed(Step::READ, &error))
    }

    async fn look_at_existing(&self) -> Result<Observed, ProviderError> {
        self.look().await?.ok_or_else(|| self.gone())
    }

    /// Its options only: half the requests.
    pub(super) async fn look_at_options(&self) -> Result<Observed, ProviderError> {
        let looked = self.call.cluster.look_at_options("qemu", self.vmid, &self.node).await;
        looked.map_err(|error| self.call.failed(Step::READ, &error))?.ok_or_else(|| self.gone())
    }

    fn gone(&self) -> ProviderError {
        refused(format!("{} is gone", self.call.object), Some("plan again"))
    }

    fn refuse_other(&self, prior: &Value, observed: &Observed) -> Result<(), ProviderError> {
        refuse_other(&self.call, (prior, self.identity.as_deref()), (&self.decode(observed, prior), observed))
    }

    /// The values of the VM as it is now, in the words of the plan.
    pub(crate) async fn read(&self, planned: &Value) -> Result<Value, ProviderError> {
        let mut observed = self.look_at_existing().await?;
        observed.pool = text(planned, "pool_id").map(str::to_string);
        Ok(self.decode(&observed, planned))
    }

    fn decode(&self, observed: &Observed, planned: &Value) -> Value {
        decode_vm(self.kind.block(), observed, &blank(planned), Extent::Guided)
    }

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

    /// Makes the VM as a clone.
    pub(crate) async fn clone_from(
        &self,
        planned: &Value,
        clone: &Value,
        marker: Option<&str>,
    ) -> Result<(), ProviderError> {
        let source = int(clone, "vm_id").unwrap_or_default();
        let source_node = match text(clone, "node_name") {
            Some(node) => node.to_string(),
            None => self.find_source(source).await?,
        };
        let full = flag(clone, "full") != Some(false);
        let mut params = Params::default();
        params.put("newid", Some(self.vmid));
        params.put("name", text(planned, "name"));
        params.put("pool", text(planned, "pool_id"));
        params.put("description", marker);
        params.put_flag("full", Some(full));
        params.put("target", (source_node != self.node).then_some(&self.node));
        params.put("storage", text(clone, "datastore_id").filter(|_| full));
        let path = format!("/nodes/{source_node}/qemu/{source}/clone");
        let most = timeout(planned, "timeout_clone");
        match self.try_to_clone(&path, &params, most, int(clone, "retries").unwrap_or(1)).await {
            Err(error) if needs_shared_storage(&error) => {
                // The clone is made beside its template and then moved with its disks.
                params.0.remove("target");
                self.call.step(Step::CLONE, Method::Post, &path, &params, most).await?;
                let path = format!("/nodes/{source_node}/qemu/{}/migrate", self.vmid);
                let mut params = Params::default();
                params.put("target", Some(&self.node));
                params.put_flag("with-local-disks", Some(true));
                let most = timeout(planned, "timeout_migrate");
                self.call.migrate("qemu", self.vmid, &path, &self.node, &params, most).await
            }
            done => done,
        }
    }

    /// Clones, and once more where the template was busy: as often as `retries` says.
    async fn try_to_clone(
        &self,
        path: &str,
        params: &Params,
        most: Duration,
        retries: i64,
    ) -> Result<(), ProviderError> {
        let mut left = retries.max(1);
        loop {
            left -= 1;
            match self.call.step(Step::CLONE, Method::Post, path, params, most).await {
                Err(error) if left > 0 && is_busy(&error) && self.look().await?.is_none() => {
                    self.call.progress.status("the template is busy; cloning it once more");
                }
                done => return done,
            }
        }
    }

    /// The node of the template: where the list has it, else the VM's own.
    async fn find_source(&self, source: i64) -> Result<String, ProviderError> {
        let cluster = self.call.cluster;
        for fresh in [false, true] {
            let guests = match fresh {
                false => cluster.known_guests().await,
                true => {
                    cluster.forget_guests().await;
                    cluster.guests().await
                }
            };
            let guests =
                guests.map_err(|error| self.call.failed(Step::of("find", "the template"), &error))?;
            if let Some(guest) = guests.iter().find(|guest| i64::from(guest.vmid) == source) {
                return Ok(guest.node.clone());
            }
        }
        Ok(self.node.clone())
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
            self.refuse_other(prior, &observed)?;
        }
        let was_running = observed.running == Some(true);
        if prior.is_none() && cloned {
            self.refuse_smaller(&observed, planned)?;
        }
        let drives = drive_changes(&observed, prior, planned);
        self.move_disks(&drives, planned).await?;
        self.import_images(&drives.imports, planned).await?;
        let is_same = drives.moves.is_empty() && drives.imports.is_empty();
        let observed = if is_same { observed } else { self.look_at_options().await? };
        self.configure(prior, planned, cloned, &drives, &observed).await?;
        self.resize_disks(&drives, planned).await?;
        self.change_pool(prior, planned).await?;
        if flag(planned, "template") == Some(true) {
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
        if was_running {
            // What a running VM holds on to is set aside only now.
            self.destroy_unused(&observed, &drives).await?;
        }
        Ok(())
    }

    /// A disk of the template does not become smaller in its clone.
    fn refuse_smaller(&self, observed: &Observed, planned: &Value) -> Result<(), ProviderError> {
        for disk in all_blocks(planned, "disk") {
            let (Some(interface), Some(size)) = (text(disk, "interface"), int(disk, "size")) else {
                continue;
            };
            let now = observed.text(interface).map(|drive| crate::property::Properties::parse(&drive));
            let now = now.as_ref().and_then(|now| now.get("size")).and_then(crate::size::in_gibibytes);
            if let Some(now) = now.filter(|now| *now > size) {
                let message = format!(
                    "clone {}: its template's {interface} is {now}G, and a clone of it cannot have {size}G",
                    self.call.object
                );
                return Err(refused(
                    message,
                    Some("disks only grow: set a size that is at least the template's"),
                ));
            }
        }
        Ok(())
    }

    async fn move_disks(&self, drives: &DriveChanges, planned: &Value) -> Result<(), ProviderError> {
        for moved in &drives.moves {
            let mut params = Params::default();
            params.put("disk", Some(&moved.interface));
            params.put("storage", Some(&moved.datastore));
            params.put("format", moved.format.as_deref());
            params.put_flag("delete", Some(true));
            let step = Step::of("move", &moved.interface);
            let most = timeout(planned, "timeout_move_disk");
            self.call.step(step, Method::Post, &self.path("/move_disk"), &params, most).await?;
        }
        Ok(())
    }

    /// Sends the options that differ. The description comes with them, in place of the marker.
    async fn configure(
        &self,
        prior: Option<&Value>,
        planned: &Value,
        cloned: bool,
        drives: &DriveChanges,
        observed: &Observed,
    ) -> Result<(), ProviderError> {
        let (mut set, mut delete) = match prior {
            Some(prior) => changed_options(prior, planned),
            // A clone begins as its template: what is stated is brought about, the rest stays.
            None if cloned => changed_options(&self.decode(observed, planned), planned),
            None => {
                let mut set = Params::default();
                set.put("description", text(planned, "description"));
                (set, Default::default())
            }
        };
        let fresh = super::drive_changes::with_current_volumes(observed, &drives.set);
        set.0.extend(fresh.0);
        if cloned && prior.is_none() {
            set.put("cipassword", encode_options(planned, false).0.get("cipassword"));
        }
        delete.extend(drives.delete.iter().cloned());
        let marked = observed.text("description").is_some_and(|text| text.starts_with(super::decode::MARKER));
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
        keep_uuid(observed, &mut set, &delete);
        // A clone's devices get their MAC addresses from the clone; sending a device without one draws another.
        let drawn = if prior.is_none() { blank(planned) } else { planned.clone() };
        keep_addresses(observed, &drawn, &mut set);
        delete.extend(surplus_devices(observed, prior, planned, "network_device", &set));
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
        self.restore_boot_order(planned, &set).await?;
        self.destroy_unused(observed, drives).await
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

    /// Destroys the volumes of disks that were taken out: the API only sets them aside.
    async fn destroy_unused(&self, before: &Observed, drives: &DriveChanges) -> Result<(), ProviderError> {
        let volume = |drive: String| drive.split(',').next().unwrap_or_default().to_string();
        let volumes: Vec<String> =
            drives.delete.union(&drives.renewed).filter_map(|name| before.text(name)).map(volume).collect();
        if volumes.is_empty() {
            return Ok(());
        }
        let now = self.look_at_options().await?;
        let unused = now.numbered("unused").into_iter().map(|(_, name)| name);
        let unused: Vec<String> = unused
            .filter(|name| now.text(name).is_some_and(|drive| volumes.contains(&volume(drive))))
            .collect();
        if unused.is_empty() {
            return Ok(());
        }
        let mut params = Params::default();
        params.put("delete", Some(unused.join(",")));
        let most = Duration::from_secs(600);
        self.call.step(Step::of("destroy", "disks"), Method::Post, &self.path("/config"), &params, most).await
    }

    async fn resize_disks(&self, drives: &DriveChanges, planned: &Value) -> Result<(), ProviderError> {
        if drives.sizes.is_empty() {
            return Ok(());
        }
        let observed = self.look_at_options().await?;
        for (interface, size) in &drives.sizes {
            let bytes = |text: &str| crate::size::parse_size(text);
            let drive = observed.text(interface).map(|drive| crate::property::Properties::parse(&drive));
            let now = drive.as_ref().and_then(|drive| drive.get("size")).and_then(bytes);
            let wanted = format!("{size}G");
            if now.is_some() && now >= bytes(&wanted) {
                continue;
            }
            let mut params = Params::default();
            params.put("disk", Some(interface));
            params.put("size", Some(wanted));
            let step = Step::of("resize", interface);
            let most = timeout(planned, "timeout_create");
            self.call.step(step, Method::Put, &self.path("/resize"), &params, most).await?;
        }
        Ok(())
    }

    async fn change_pool(&self, prior: Option<&Value>, planned: &Value) -> Result<(), ProviderError> {
        let Some(prior) = prior else { return Ok(()) };
        crate::pools::change_pool(&self.call, self.vmid, text(prior, "pool_id"), text(planned, "pool_id"))
            .await
    }

    /// Destroys the VM.
    pub(crate) async fn delete(&self, prior: &Value) -> Result<(), ProviderError> {
        let Some(observed) = self.look().await? else { return Ok(()) };
        self.refuse_other(prior, &observed)?;
        if observed.flag("protection") == Some(true) {
            let message = format!("destroy {}: it is protected", self.call.object);
            return Err(refused(message, Some(super::UNPROTECT)));
        }
        if observed.running == Some(true) {
            if flag(prior, "stop_on_destroy") == Some(true) {
                let most = timeout(prior, "timeout_stop_vm");
                self.call
                    .step(Step::STOP, Method::Post, &self.path("/status/stop"), &Params::default(), most)
                    .await?;
            } else {
                self.shut_down(prior).await?;
            }
        }
        let mut params = Params::default();
        params.put_flag("purge", Some(flag(prior, "purge_on_destroy") != Some(false)));
        let unreferenced = flag(prior, "delete_unreferenced_disks_on_destroy") != Some(false);
        params.put_flag("destroy-unreferenced-disks", Some(unreferenced));
        let most = timeout(prior, "timeout_stop_vm");
        self.call.step(Step::DESTROY, Method::Delete, &self.path(""), &params, most).await
    }

    /// Moves the VM to the planned node. Returns the target there.
    pub(crate) async fn migrate(
        &self,
        prior: &Value,
        planned: &Value,
        to: &str,
    ) -> Result<(), ProviderError> {
        let observed = self.look_at_existing().await?;
        self.refuse_other(prior, &observed)?;
        let running = observed.running == Some(true);
        let mut params = Params::default();
        params.put("target", Some(to));
        params.put_flag("with-local-disks", Some(true));
        params.put_flag("online", running.then_some(true));
        let most = timeout(planned, "timeout_migrate");
        self.call.migrate("qemu", self.vmid, &self.path("/migrate"), to, &params, most).await
    }

    /// The values after everything is done: known parts as planned, the others as read.
    pub(crate) async fn finish(&self, planned: &Value) -> Result<Value, ProviderError> {
        // Whether it runs is as planned: its tasks went well.
        let mut observed = self.look_at_options().await?;
        observed.pool = text(planned, "pool_id").map(str::to_string);
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

/// The task failed for reasons that pass: another clone held the template or its storage.
pub(crate) fn is_busy(error: &ProviderError) -> bool {
    let texts = ["got timeout", "lock", "timeout", "busy"];
    !error.indeterminate && texts.iter().any(|text| error.message.contains(text))
}

/// A clone on another node was refused because its disks are on storage that only the template's node has.
fn needs_shared_storage(error: &ProviderError) -> bool {
    !error.indeterminate
        && ["non-shared storage", "uses local storage"].iter().any(|text| error.message.contains(text))
}
