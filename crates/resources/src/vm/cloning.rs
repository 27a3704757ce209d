//! Making VMs from templates.

use std::collections::BTreeSet;

use pve_executor::ports::ProviderError;
use pve_model::{Path, PathStep, Value};

use super::apply::Target;
use super::drives::encode_cloud_init;
use super::encode::encode_options;
use super::media::present_cloud_init;
use crate::cluster::Step;
use crate::guest::{CLOUD_INIT_FILES, Cloning, GuestKind, Unlike, timeout, with_inherited};
use crate::observed::Observed;
use crate::params::Params;
use crate::property::Properties;
use crate::size::in_gibibytes;
use crate::values::{all_blocks, block, flag, int, is_unset, text, with, with_elements};

impl Target<'_> {
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
        params.put("name", text(planned, "name"));
        params.put("pool", text(planned, "pool_id"));
        params.put("description", marker);
        params.put_flag("full", Some(full));
        params.put("storage", text(clone, "datastore_id").filter(|_| full));
        let cloning = Cloning {
            kind: GuestKind::Vm,
            template: source,
            from: &source_node,
            vmid: self.vmid,
            to: &self.node,
            attempts: int(clone, "retries").unwrap_or(1),
            most: timeout(planned, "timeout_clone"),
            most_to_migrate: timeout(planned, "timeout_migrate"),
        };
        cloning.make(&self.call, params).await
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

    /// What is known of the VM before it is changed. A clone begins as its template: what is stated is brought about, the
    /// rest stays.
    pub(super) fn known(
        &self,
        prior: Option<&Value>,
        observed: &Observed,
        planned: &Value,
        cloned: bool,
    ) -> Option<Value> {
        let mut observed = observed.clone();
        // Without a drive the options of cloud-init say nothing; with the new one those of the template will.
        if present_cloud_init(&observed).is_none()
            && let Some((interface, drive)) = encode_cloud_init(planned)
        {
            observed.config.entry(interface).or_insert(drive.to_string().into());
        }
        match prior {
            Some(prior) => Some(with_inherited(prior, &self.decode(&observed, planned))),
            None => cloned.then(|| self.decode(&observed, planned)),
        }
    }

    /// What the template has and cannot be changed in its clone.
    pub(super) fn refuse_unlike(&self, observed: &Observed, planned: &Value) -> Result<(), ProviderError> {
        let Some(unlike) = unlike_template(observed, planned).into_iter().next() else { return Ok(()) };
        Err(unlike.refusal(&self.call.object))
    }
}

/// What of a clone cannot be as it is planned: disks only grow, and firmware keeps its form.
pub(crate) fn unlike_template(template: &Observed, planned: &Value) -> Vec<Unlike> {
    let drive = |name: &str| template.text(name).map(|drive| Properties::parse(&drive));
    let path = |block: &str, index: usize, part: &str| {
        let block = Path::attribute(block).child(PathStep::Index(index as u64));
        block.child(PathStep::Attribute(part.to_string()))
    };
    let disks = all_blocks(planned, "disk").iter().enumerate().filter_map(|(index, disk)| {
        let (interface, size) = (text(disk, "interface")?, int(disk, "size")?);
        let has = drive(interface).as_ref().and_then(|drive| drive.get("size")).and_then(in_gibibytes)?;
        let hint = "disks only grow: set a size that is at least the template's";
        let (path, name) = (path("disk", index, "size"), interface.to_string());
        let (has, wants) = (has > size).then(|| (format!("{has}G"), format!("{size}G")))?;
        Some(Unlike { path, name, has, wants, hint })
    });
    let firmware = [
        ("efi_disk", "efidisk0", "type", "efitype", "2m", "an EFI disk keeps the type that it is made with"),
        (
            "tpm_state",
            "tpmstate0",
            "version",
            "version",
            "v1.2",
            "a TPM state keeps the version that it is made with",
        ),
    ];
    let firmware = firmware.into_iter().filter_map(|(name, slot, part, key, default, hint)| {
        let wants = text(block(planned, name)?, part)?.to_string();
        let has = drive(slot)?.get(key).unwrap_or(default).to_string();
        (has != wants).then(|| Unlike { path: path(name, 0, part), name: slot.to_string(), has, wants, hint })
    });
    disks.chain(firmware).collect()
}

/// What was read of a clone, without what its template has of cloud-init and `asked` says nothing of: the user's name,
/// password and keys, servers and domain, files, and the addresses of more devices are its business each by itself.
pub(crate) fn without_unasked(asked: &Value, read: &Value) -> Value {
    let (Some(asked), Some(found)) = (block(asked, "initialization"), block(read, "initialization")) else {
        return read.clone();
    };
    let mut kept = with_unset_of(asked, found, &CLOUD_INIT_FILES);
    for (name, parts) in
        [("dns", &["domain", "servers"][..]), ("user_account", &["keys", "password", "username"])]
    {
        let found = all_blocks(&kept, name).iter();
        let asked = all_blocks(asked, name).iter();
        let blocks = found.zip(asked).map(|(found, asked)| with_unset_of(asked, found, parts));
        kept = with_elements(&kept, name, blocks.collect());
    }
    let addresses = all_blocks(&kept, "ip_config").iter().take(all_blocks(asked, "ip_config").len());
    kept = with_elements(&kept, "ip_config", addresses.cloned().collect());
    with_elements(read, "initialization", vec![kept])
}

/// `found` with those of its parts unset that are so in `asked`.
fn with_unset_of(asked: &Value, found: &Value, parts: &[&str]) -> Value {
    let unset = parts.iter().filter_map(|name| Some((name, asked.get(name).filter(|part| is_unset(part))?)));
    unset.fold(found.clone(), |found, (name, part)| with(&found, name, part.clone()))
}

/// Keeps the files of cloud-init that a clone has from its template beside those of the configuration: one option names them
/// all.
pub(super) fn keep_files(
    observed: &Observed,
    (known, planned): (&Value, &Value),
    set: &mut Params,
    delete: &BTreeSet<String>,
) {
    let is_touched = set.0.contains_key("cicustom") || delete.contains("cicustom");
    if all_blocks(planned, "clone").is_empty() || block(planned, "initialization").is_none() || !is_touched {
        return;
    }
    let files =
        |value: &Value| encode_options(value, false).0.get("cicustom").map(|files| Properties::parse(files));
    let (before, mut wanted) = (files(known).unwrap_or_default(), files(planned).unwrap_or_default());
    let now = Properties::parse(&observed.text("cicustom").unwrap_or_default());
    for key in ["meta", "network", "user", "vendor"] {
        if before.get(key).is_none() && wanted.get(key).is_none() {
            wanted = wanted.with(key, now.get(key));
        }
    }
    set.put("cicustom", (!wanted.is_empty()).then_some(wanted));
}
