//! What VMs and containers have in common: both are guests of a node, share one space of ids and are asked for, stopped
//! and destroyed by the same requests. An attribute that a kind does not have reads as not set.

mod cloning;
mod kind;
mod marker;
mod migration;
mod mount_points;
mod network;
mod options;
mod power;
mod protection;

use std::marker::PhantomData;
use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::schema::Block;

pub(crate) use cloning::{Cloning, Unlike, with_inherited};
pub(crate) use kind::GuestKind;
pub(crate) use marker::{MARKER, TAKEN_OVER, is_put_by_a_run};
pub(crate) use migration::{files_of_node, storages_left_behind};
pub(crate) use mount_points::match_mount_points;
pub(crate) use network::{decode_ip_config, device_mac, draws_address, encode_ip_config, surplus_devices};
pub(crate) use options::{decode_startup, key_lines};
pub(crate) use power::Limits;
pub(crate) use protection::{UNPROTECT_FIRST, is_set_aside};

use crate::cluster::{Call, Method, Step, refused};
use crate::observed::Observed;
use crate::params::Params;
use crate::registry::Kind;
use crate::values::{blank, flag, int, text};

/// The files of a cloud-init block. A container has none.
pub(crate) const CLOUD_INIT_FILES: [&str; 4] =
    ["meta_data_file_id", "network_data_file_id", "user_data_file_id", "vendor_data_file_id"];

/// How much of what is there is taken in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Only blocks that the guide has, and those that somebody set where it has none.
    Guided,
    /// Everything, to import it.
    Everything,
}

/// What tells VMs and containers apart where both are treated alike.
pub(crate) trait GuestType {
    /// Which of the two it is.
    const KIND: GuestKind;

    /// The values of such a guest. `guide` has what cannot be read, and decides which blocks are looked at.
    fn decode(schema: &Block, observed: &Observed, guide: &Value) -> Value;

    /// How long it may take to start, stop or destroy such a guest.
    fn limits(value: &Value) -> Limits;
}

/// The guest that an action is about.
pub(crate) struct Target<'a, G> {
    pub(crate) call: Call<'a>,
    pub(crate) kind: &'a Kind,
    pub(crate) node: String,
    pub(crate) vmid: u32,
    guest_type: PhantomData<G>,
}

impl<'a, G: GuestType> Target<'a, G> {
    pub(crate) fn new(call: Call<'a>, kind: &'a Kind, node: String, vmid: u32) -> Target<'a, G> {
        Target { call, kind, node, vmid, guest_type: PhantomData }
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/nodes/{}/{}/{}{rest}", self.node, G::KIND.api(), self.vmid)
    }

    /// The guest as it is now.
    pub(crate) async fn look(&self) -> Result<Option<Observed>, ProviderError> {
        self.call.look(G::KIND.api(), self.vmid, &self.node).await
    }

    pub(crate) async fn look_at_existing(&self) -> Result<Observed, ProviderError> {
        self.call.existing(self.look().await?)
    }

    /// Its options only: half the requests.
    pub(crate) async fn look_at_options(&self) -> Result<Observed, ProviderError> {
        self.call.existing(self.call.look_at_options(G::KIND.api(), self.vmid, &self.node).await?)
    }

    /// Before each request about a guest that is being made: it may have been taken over during the one before.
    pub(crate) async fn refuse_taken_over(&self) -> Result<(), ProviderError> {
        match self.call.marker {
            Some(_) => self.call.refuse_taken_over(&self.look_at_options().await?),
            None => Ok(()),
        }
    }

    /// The values of the guest as it is now, in the words of the plan.
    pub(crate) async fn read(&self, planned: &Value) -> Result<Value, ProviderError> {
        Ok(self.decode(&self.look_at_existing().await?, planned))
    }

    /// What was seen as values, in the words of the plan. Neither way of looking tells the pool: it is as planned.
    pub(crate) fn decode(&self, observed: &Observed, planned: &Value) -> Value {
        let observed = Observed { pool: text(planned, "pool_id").map(str::to_string), ..observed.clone() };
        G::decode(self.kind.block(), &observed, &blank(planned))
    }

    /// Brings the guest to the planned pool. One that is being made is in its pool from the beginning.
    pub(crate) async fn change_pool(
        &self,
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<(), ProviderError> {
        let Some(prior) = prior else { return Ok(()) };
        let (from, to) = (text(prior, "pool_id"), text(planned, "pool_id"));
        crate::pools::change_pool(&self.call, self.vmid, from, to).await
    }

    /// Destroys the guest. One that is gone already is no error.
    pub(crate) async fn delete(&self, prior: &Value) -> Result<(), ProviderError> {
        let Some(observed) = self.look().await? else { return Ok(()) };
        self.call.refuse_other(prior, &observed)?;
        self.refuse_to_destroy_others(prior, &observed)?;
        if observed.flag("protection") == Some(true) {
            let message = format!("destroy {}: it is protected", self.call.object);
            return Err(refused(message, Some(UNPROTECT)));
        }
        if observed.running == Some(true) {
            self.stop_to_destroy(prior).await?;
        }
        let mut params = Params::default();
        params.put_flag("purge", Some(flag(prior, "purge_on_destroy") != Some(false)));
        let unreferenced = flag(prior, "delete_unreferenced_disks_on_destroy") != Some(false);
        params.put_flag("destroy-unreferenced-disks", Some(unreferenced));
        let most = G::limits(prior).destroy;
        self.call.step(Step::DESTROY, Method::Delete, &self.path(""), &params, most).await
    }
}

/// The configured limit of an operation, in seconds.
pub(crate) fn timeout(value: &Value, name: &str) -> Duration {
    Duration::from_secs(int(value, name).and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(1800))
}

/// VMs and containers share one space of ids in a cluster.
pub(crate) fn claim_guest(planned: &Value) -> Option<String> {
    int(planned, "vm_id").map(guest_claim)
}

/// How the claim of an id is written.
pub(crate) fn guest_claim(id: i64) -> String {
    format!("vm {id}")
}

/// The claim of the guest whose id this text is.
pub(crate) fn guest_claim_of(text: &str) -> Option<String> {
    text.parse().ok().map(guest_claim)
}

/// A guest with `protection` is not destroyed by Proxmox VE.
pub(crate) fn guest_protection(present: &Value) -> Option<&'static str> {
    (flag(present, "protection") == Some(true)).then_some(UNPROTECT)
}

/// How a protected guest comes to be destroyed.
const UNPROTECT: &str = "Set protection = false and apply that first, with everything else of it as it was; then it can be destroyed.";
