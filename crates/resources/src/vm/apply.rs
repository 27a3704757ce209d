//! Making, changing and destroying VMs.

use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::schema::Block;

use super::change::Change;
use super::cloning::keep_files;
use super::decode::decode_vm;
use super::drive_changes::{initial_drives, with_current_volumes};
use super::drives::boot_order;
use super::encode::encode_options;
use super::image_import::{boots_from_import, without_missing};
use super::option_changes::{changed_options, keep_addresses, keep_uuid, with_uuid};
use super::protection::is_protected_last;
use crate::cluster::{Method, Step};
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

    /// Sends the options that differ. The description comes with them, in place of the marker.
    pub(super) async fn configure(&self, change: &Change<'_>) -> Result<(), ProviderError> {
        let Change { prior, planned, known, observed, drives, .. } = change;
        let (prior, planned, known) = (*prior, *planned, known.as_ref());
        let (mut set, mut delete) = match known {
            Some(known) => changed_options(known, planned),
            None => {
                let mut set = Params::default();
                set.put("description", text(planned, "description"));
                (set, Default::default())
            }
        };
        let fresh = with_current_volumes(observed, &drives.set);
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
