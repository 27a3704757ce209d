//! `proxmox_virtual_environment_node_firewall`: the firewall settings of a node. Destroying it sets them back to what
//! Proxmox VE does without them.

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::rules::{PlanRequest, PlanResponse};
use pve_model::schema::Block;
use serde_json::json;

use crate::cluster::{ApiError, Call, Cluster};
use crate::definition::{Fields, flag, number, text};
use crate::firewall::options::{Holds, Table, bring, decode, names, place, reset};
use crate::firewall_options::LOG_LEVELS;
use crate::limits;
use crate::observed::{in_words_of, overlay};
use crate::operations::{Operations, Proof};
use crate::registry::Rules;
use crate::values::{self, settle, with};

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_node_firewall", "proxmox_node_firewall"];

const OPTIONS: &Table = &[
    ("enabled", "enable", Holds::Switch(Some(true))),
    ("log_level_forward", "log_level_forward", Holds::Word("nolog")),
    ("log_level_in", "log_level_in", Holds::Word("nolog")),
    ("log_level_out", "log_level_out", Holds::Word("nolog")),
    ("ndp", "ndp", Holds::Switch(Some(true))),
    ("nf_conntrack_max", "nf_conntrack_max", Holds::Count(262144)),
    ("nf_conntrack_tcp_timeout_established", "nf_conntrack_tcp_timeout_established", Holds::Count(432000)),
    ("nftables", "nftables", Holds::Switch(Some(false))),
    ("nosmurfs", "nosmurfs", Holds::Switch(Some(true))),
    ("smurf_log_level", "smurf_log_level", Holds::Word("nolog")),
    ("tcp_flags_log_level", "tcp_flags_log_level", Holds::Word("nolog")),
];

/// The attributes.
pub(crate) fn fields() -> Fields {
    let level = || text().computed().or("nolog").one_of(LOG_LEVELS);
    vec![
        ("enabled", flag().computed().or(true)),
        ("id", text().read_only()),
        ("log_level_forward", level().means("nftables only")),
        ("log_level_in", level()),
        ("log_level_out", level()),
        ("ndp", flag().computed().or(true)),
        ("nf_conntrack_max", number().computed().or(262144).range(32768, i64::MAX)),
        ("nf_conntrack_tcp_timeout_established", number().computed().or(432000).range(7875, i64::MAX)),
        ("nftables", flag().computed().or(false)),
        ("node_name", text().required().replaces().checked(limits::not_empty)),
        ("nosmurfs", flag().computed().or(true)),
        ("smurf_log_level", level()),
        ("tcp_flags_log_level", level()),
    ]
}

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    Rules {
        plan,
        claim: |planned| Some(format!("firewall settings of node {}", values::text(planned, "node_name")?)),
        ..Rules::default()
    }
}

fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let planned = request.prior.map(|prior| settle(prior, request.proposed));
    PlanResponse { planned, ..PlanResponse::default() }
}

/// The operations of the kind.
pub(crate) struct Kind;

fn node(value: &Value) -> &str {
    values::text(value, "node_name").unwrap_or_default()
}

#[async_trait]
impl Operations for Kind {
    async fn read(&self, block: &Block, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
        let mut read = decode(OPTIONS, prior, &cluster.get(&place(prior)).await?);
        read.insert("id".into(), json!(values::text(prior, "node_name")));
        Ok(Some(in_words_of(prior, &overlay(block, prior, read))))
    }

    async fn create(&self, call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
        bring(call, OPTIONS, None, planned, node(planned)).await
    }

    async fn update(&self, call: &Call<'_>, prior: &Value, planned: &Value) -> Result<Value, ProviderError> {
        bring(call, OPTIONS, Some(prior), planned, node(planned)).await
    }

    async fn delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        reset(call, &place(prior), names(OPTIONS)).await
    }

    fn located(&self, base: &Value, id: &str) -> Option<Value> {
        (!id.is_empty() && !id.contains('/')).then(|| with(base, "node_name", Value::string(id)))
    }

    fn shape(&self) -> &'static str {
        "NODE_NAME"
    }

    fn proof(&self) -> Proof {
        Proof::Presence
    }
}
