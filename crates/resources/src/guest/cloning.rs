//! Making clones, and what of them their templates settle.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::{Path, Value};

use super::GuestKind;
use crate::adoption::INHERITED;
use crate::cluster::{Call, Method, Step, refused};
use crate::params::Params;
use crate::values::{all_blocks, is_unset, with};

/// Something that a template has otherwise than its clone is to have it, and that cannot be changed.
pub(crate) struct Unlike {
    /// Where it is planned.
    pub(crate) path: Path,
    /// What it is, for instance `scsi0`.
    pub(crate) name: String,
    pub(crate) has: String,
    pub(crate) wants: String,
    pub(crate) hint: &'static str,
}

impl Unlike {
    /// The refusal to make such a clone.
    pub(crate) fn refusal(self, object: &str) -> ProviderError {
        let Unlike { name, has, wants, hint, .. } = self;
        let message =
            format!("clone {object}: its template's {name} is {has}, and a clone of it cannot have {wants}");
        refused(message, Some(hint))
    }
}

/// A clone that is to be made.
pub(crate) struct Cloning<'a> {
    pub(crate) kind: GuestKind,
    pub(crate) template: i64,
    /// The template's node.
    pub(crate) from: &'a str,
    pub(crate) vmid: u32,
    /// Its own node.
    pub(crate) to: &'a str,
    /// How often it is tried while the template is busy.
    pub(crate) attempts: i64,
    pub(crate) most: Duration,
    pub(crate) most_to_migrate: Duration,
}

impl Cloning<'_> {
    /// Makes it, with what is asked of it beside its id and place. Where its disks are on storage that only the template's
    /// node has it is made there and then moved with them.
    pub(crate) async fn make(&self, call: &Call<'_>, mut params: Params) -> Result<(), ProviderError> {
        params.put("newid", Some(self.vmid));
        params.put("target", (self.from != self.to).then_some(self.to));
        match self.clone_template(call, &params).await {
            Err(error) if needs_shared_storage(&error) => {
                params.0.remove("target");
                self.clone_template(call, &params).await?;
                self.migrate(call).await
            }
            done => done,
        }
    }

    /// Clones, and once more where the template was busy.
    async fn clone_template(&self, call: &Call<'_>, params: &Params) -> Result<(), ProviderError> {
        let path = format!("/nodes/{}/{}/{}/clone", self.from, self.kind.api(), self.template);
        for _ in 1..self.attempts {
            match call.step(Step::CLONE, Method::Post, &path, params, self.most).await {
                Err(error) if is_busy(&error) && !self.is_there(call).await? => {
                    call.progress.status("the template is busy; cloning it once more");
                }
                done => return done,
            }
        }
        call.step(Step::CLONE, Method::Post, &path, params, self.most).await
    }

    async fn is_there(&self, call: &Call<'_>) -> Result<bool, ProviderError> {
        let found = call.cluster.locate(self.kind.api(), self.vmid, self.to).await;
        Ok(found.map_err(|error| call.failed(Step::FIND, &error))?.is_some())
    }

    async fn migrate(&self, call: &Call<'_>) -> Result<(), ProviderError> {
        let kind = self.kind.api();
        let path = format!("/nodes/{}/{kind}/{}/migrate", self.from, self.vmid);
        let mut params = Params::default();
        params.put("target", Some(self.to));
        // A container's volumes go with it in any case.
        params.put_flag("with-local-disks", (self.kind == GuestKind::Vm).then_some(true));
        call.migrate(kind, self.vmid, &path, self.to, &params, self.most_to_migrate).await
    }
}

/// A clone on another node was refused because its disks are on storage that only the template's node has.
fn needs_shared_storage(error: &ProviderError) -> bool {
    !error.indeterminate
        && ["non-shared storage", "uses local storage"].iter().any(|text| error.message.contains(text))
}

/// The task failed for reasons that pass: another clone held the template or its storage.
fn is_busy(error: &ProviderError) -> bool {
    let words = ["lock", "locked", "timeout", "busy"];
    let mut said = error.message.split(|sign: char| !sign.is_ascii_alphanumeric());
    !error.indeterminate && said.any(|word| words.contains(&word))
}

/// What is known of a guest before a change, with what a clone has from its template where the configuration said nothing of
/// it so far: `read` is the guest in the words of the plan.
pub(crate) fn with_inherited(prior: &Value, read: &Value) -> Value {
    if all_blocks(prior, "clone").is_empty() {
        return prior.clone();
    }
    let is_block =
        |part: &Value| part.elements().is_some_and(|all| all.iter().all(|one| one.entries().is_some()));
    let parts = read.entries().into_iter().flatten().filter(|(name, part)| {
        let is_inherited = !is_unset(part) && (is_block(part) || INHERITED.contains(&&***name));
        is_inherited && prior.get(name).is_none_or(is_unset)
    });
    parts.fold(prior.clone(), |known, (name, part)| with(&known, name, part.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_busy_where_it_is_locked_and_not_where_a_block_device_is_missing() {
        for (message, busy) in [
            ("can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout", true),
            ("VM is locked (clone)", true),
            ("cannot clone pool/base: dataset is busy", true),
            ("no such block device /dev/pve/base-9000-disk-0", false),
            ("cannot unlock LUKS device: wrong key", false),
        ] {
            assert_eq!(is_busy(&refused(message.to_string(), None)), busy, "{message}");
        }
    }
}
