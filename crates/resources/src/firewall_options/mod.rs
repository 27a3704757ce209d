//! `proxmox_virtual_environment_firewall_options`: the firewall switches of a VM or container.

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::rules::{PlanRequest, PlanResponse, Problem};
use pve_model::schema::Block;
use pve_model::{Path, Value};
use serde_json::json;

use crate::cluster::{ApiError, Call, Cluster, if_there};
use crate::definition::{Fields, flag, number, problem, text};
use crate::firewall::options::{Holds, Table, bring, decode, names, place, reset};
use crate::firewall::{id, moves, owner, owner_of, part_of_guest};
use crate::observed::{in_words_of, overlay};
use crate::operations::{Operations, Proof};
use crate::registry::Rules;
use crate::values::{settle, with_unknown};

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_firewall_options"];

/// The levels that the firewall logs at.
pub(crate) const LOG_LEVELS: &[&str] =
    &["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog"];

/// What becomes of packets that no rule is about.
pub(crate) const POLICIES: &[&str] = &["ACCEPT", "REJECT", "DROP"];

const OPTIONS: &Table = &[
    ("dhcp", "dhcp", Holds::Switch(Some(true))),
    ("enabled", "enable", Holds::Switch(Some(false))),
    ("ipfilter", "ipfilter", Holds::Switch(Some(false))),
    ("macfilter", "macfilter", Holds::Switch(Some(true))),
    ("ndp", "ndp", Holds::Switch(Some(true))),
    ("radv", "radv", Holds::Switch(Some(false))),
    ("input_policy", "policy_in", Holds::Word("DROP")),
    ("log_level_in", "log_level_in", Holds::Word("nolog")),
    ("log_level_out", "log_level_out", Holds::Word("nolog")),
    ("output_policy", "policy_out", Holds::Word("ACCEPT")),
];

/// The attributes.
pub(crate) fn fields() -> Fields {
    vec![
        ("container_id", number().range(100, 2147483647)),
        ("dhcp", flag().or(false)),
        ("enabled", flag().or(false)),
        ("id", text().read_only()),
        ("input_policy", text().or("DROP").one_of(POLICIES)),
        ("ipfilter", flag()),
        ("log_level_in", text().or("nolog").one_of(LOG_LEVELS)),
        ("log_level_out", text().or("nolog").one_of(LOG_LEVELS)),
        ("macfilter", flag().or(true)),
        ("ndp", flag().or(false)),
        ("node_name", text().required()),
        ("output_policy", text().or("ACCEPT").one_of(POLICIES)),
        ("radv", flag().or(true)),
        ("vm_id", number().range(100, 2147483647)),
    ]
}

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    let claim = |planned: &Value| Some(format!("firewall options of {}", owner(planned)?));
    Rules { validate, plan, claim, part_of: part_of_guest, ..Rules::default() }
}

fn validate(config: &Value) -> Vec<Problem> {
    let unset = |name: &str| config.get(name).is_none_or(Value::is_null);
    if unset("vm_id") == unset("container_id") {
        let detail = "set exactly one of vm_id and container_id";
        return vec![problem(Path::default(), "Whose firewall?", detail)];
    }
    Vec::new()
}

fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let Some(prior) = request.prior else { return PlanResponse::default() };
    let planned = settle(prior, request.proposed);
    let replace = moves(prior, &planned);
    let planned = if id(prior) == id(&planned) { planned } else { with_unknown(&planned, "id") };
    PlanResponse { planned: Some(planned), replace, ..PlanResponse::default() }
}

/// The operations of the kind.
pub(crate) struct Kind;

#[async_trait]
impl Operations for Kind {
    /// `None` when the guest is gone.
    async fn read(&self, block: &Block, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
        let Some(options) = if_there(cluster.get(&place(prior)).await)? else { return Ok(None) };
        let mut read = decode(OPTIONS, prior, &options);
        read.insert("id".into(), json!(id(prior)));
        Ok(Some(in_words_of(prior, &overlay(block, prior, read))))
    }

    async fn create(&self, call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
        bring(call, OPTIONS, None, planned, &id(planned)).await
    }

    async fn update(&self, call: &Call<'_>, prior: &Value, planned: &Value) -> Result<Value, ProviderError> {
        bring(call, OPTIONS, Some(prior), planned, &id(planned)).await
    }

    async fn delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        reset(call, &place(prior), names(OPTIONS)).await
    }

    fn located(&self, base: &Value, id: &str) -> Option<Value> {
        owner_of(base, id)
    }

    fn shape(&self) -> &'static str {
        "vm/NODE/VMID or container/NODE/VMID"
    }

    fn proof(&self) -> Proof {
        Proof::Presence
    }
}
