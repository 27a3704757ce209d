//! What virtual machines do beyond their options, however they were made.

use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::rules::Problem;
use serde_json::{Map, Value as Json};

use super::checks::{validate_cpu, validate_slots};
use super::cloning::{self, clone_source};
use super::devices::{bring_devices, cdroms, keep_to, read_devices};
use super::in_the_way::refuse_in_the_way;
use super::requests::{make_template, migrate, most, power, refuse_protected, stop};
use crate::cluster::Call;
use crate::object::{Hooks, Planning};
use crate::params::Params;
use crate::values::flag;

/// How machines of a kind come to be.
pub(super) enum Machine {
    /// From its own options: `proxmox_vm`.
    Made,
    /// From another one, which also has its devices: `proxmox_cloned_vm`.
    Cloned,
}

impl Machine {
    /// Maps of devices by slot whose entries are read.
    fn maps(&self) -> &'static [&'static str] {
        match self {
            Machine::Made => &["cdrom"],
            Machine::Cloned => &["cdrom", "disk", "network"],
        }
    }
}

#[async_trait]
impl Hooks for Machine {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = validate_cpu(config);
        problems.extend(validate_slots(config));
        problems
    }

    fn plan(&self, planning: &mut Planning<'_>) {
        if let Machine::Cloned = self {
            cloning::plan(planning);
        }
    }

    async fn before(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<(), ProviderError> {
        match (self, prior) {
            (_, Some(prior)) => {
                migrate(call, prior, planned).await?;
                refuse_in_the_way(call, Some(prior), planned).await
            }
            (Machine::Cloned, None) => {
                clone_source(call, planned).await?;
                refuse_in_the_way(call, None, planned).await
            }
            (Machine::Made, None) => Ok(()),
        }
    }

    async fn before_delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        refuse_protected(call, prior).await?;
        stop(call, prior).await
    }

    fn limit(&self, operation: &str, value: &Value) -> Duration {
        most(value, operation)
    }

    fn params(&self, params: &mut Params, prior: Option<&Value>, planned: &Value) {
        if let Machine::Cloned = self {
            // It has its id already.
            params.0.remove("vmid");
        }
        cdroms(params, prior, planned);
    }

    async fn after(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        call.cluster.forget_guests().await;
        match (self, prior, planned) {
            (Machine::Made, None, Some(planned)) if flag(planned, "template") == Some(true) => {
                make_template(call, planned).await
            }
            (Machine::Cloned, prior, Some(planned)) => {
                bring_devices(call, prior, planned).await?;
                power(call, planned).await?;
                call.cluster.forget_guests().await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn reads(&self, name: &str) -> bool {
        self.maps().contains(&name) || (matches!(self, Machine::Cloned) && name == "started")
    }

    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        keep_to(prior, read);
        for name in self.maps() {
            read.insert((*name).to_string(), read_devices(prior, answer, name));
        }
        if let (Machine::Cloned, Some(running)) = (self, answer.get("running")) {
            read.insert("started".into(), running.clone());
        }
    }
}
