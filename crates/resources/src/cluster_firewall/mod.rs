//! `proxmox_virtual_environment_cluster_firewall`: the firewall settings of the cluster. Where it departs from the
//! reference: destroying it sets them back to what Proxmox VE does without them (which switches the firewall off);
//! a `removed` block with `destroy = false` leaves them.

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::rules::{PlanRequest, PlanResponse};
use pve_model::schema::Block;
use serde_json::{Value as Json, json};

use crate::cluster::{ApiError, Call, Cluster};
use crate::definition::{Fields, blocks, flag, number, text};
use crate::firewall::options::{Holds, Table, decode, encode, names, reset, write};
use crate::firewall_options::POLICIES;
use crate::observed::{in_words_of, overlay};
use crate::operations::{Operations, Proof};
use crate::params::Params;
use crate::property::Properties;
use crate::registry::Rules;
use crate::values::{self, blank, complete, settle, with};

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_cluster_firewall"];

const PATH: &str = "/cluster/firewall/options";

const ID: &str = "cluster-firewall";

const OPTIONS: &Table = &[
    ("ebtables", "ebtables", Holds::Switch(Some(true))),
    ("enabled", "enable", Holds::Switch(Some(false))),
    ("forward_policy", "policy_forward", Holds::Word("ACCEPT")),
    ("input_policy", "policy_in", Holds::Word("DROP")),
    ("output_policy", "policy_out", Holds::Word("ACCEPT")),
];

/// The attributes.
pub(crate) fn fields() -> Fields {
    let limit = vec![
        ("burst", number().or(5)),
        ("enabled", flag().or(true)),
        ("rate", text().or("1/second").checked(rate)),
    ];
    vec![
        ("ebtables", flag()),
        ("enabled", flag()),
        ("forward_policy", text().or("ACCEPT").one_of(&["ACCEPT", "DROP"])),
        ("id", text().read_only()),
        ("input_policy", text().or("DROP").one_of(POLICIES)),
        ("log_ratelimit", blocks(limit).most(1)),
        ("output_policy", text().or("ACCEPT").one_of(POLICIES)),
    ]
}

/// `1/second`
fn rate(text: &str) -> Option<String> {
    let good = text.split_once('/').is_some_and(|(count, unit)| {
        count.parse::<u32>().is_ok_and(|count| count > 0)
            && ["second", "minute", "hour", "day"].contains(&unit)
    });
    (!good).then(|| format!("{text:?} is no rate such as 1/second (or minute, hour, day)"))
}

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    Rules { plan, claim: |_| Some("firewall settings of the cluster".to_string()), ..Rules::default() }
}

fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let planned = request.prior.map(|prior| settle(prior, request.proposed));
    PlanResponse { planned, ..PlanResponse::default() }
}

fn encode_all(value: &Value) -> Params {
    let mut params = encode(OPTIONS, value);
    let limit = values::block(value, "log_ratelimit").map(|limit| {
        Properties::default()
            .with_flag("enable", Some(values::flag(limit, "enabled") != Some(false)))
            .with("burst", values::int(limit, "burst"))
            .with("rate", values::text(limit, "rate"))
    });
    params.put("log_ratelimit", limit);
    params
}

/// The operations of the kind.
pub(crate) struct Kind;

impl Kind {
    async fn set(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<Value, ProviderError> {
        write(call, PATH, prior.map(encode_all), encode_all(planned)).await?;
        Ok(complete(planned, &with(&blank(planned), "id", Value::string(ID))))
    }
}

#[async_trait]
impl Operations for Kind {
    async fn read(&self, block: &Block, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
        let options = cluster.get(PATH).await?;
        let mut read = decode(OPTIONS, prior, &options);
        read.insert("id".into(), json!(ID));
        let limit = options.get("log_ratelimit").and_then(Json::as_str).map(Properties::parse);
        let limit = limit.map(|limit| {
            json!({
                "enabled": limit.first_or("enable").is_none_or(crate::property::is_true),
                "burst": limit.get("burst").and_then(|burst| burst.parse::<i64>().ok()).unwrap_or(5),
                "rate": limit.get("rate").unwrap_or("1/second"),
            })
        });
        read.insert("log_ratelimit".into(), limit.into_iter().collect());
        Ok(Some(in_words_of(prior, &overlay(block, prior, read))))
    }

    async fn create(&self, call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
        self.set(call, None, planned).await
    }

    async fn update(&self, call: &Call<'_>, prior: &Value, planned: &Value) -> Result<Value, ProviderError> {
        self.set(call, Some(prior), planned).await
    }

    async fn delete(&self, call: &Call<'_>, _: &Value) -> Result<(), ProviderError> {
        reset(call, PATH, names(OPTIONS).chain(["log_ratelimit"])).await
    }

    fn located(&self, base: &Value, _: &str) -> Option<Value> {
        Some(base.clone())
    }

    fn shape(&self) -> &'static str {
        "any text"
    }

    fn proof(&self) -> Proof {
        Proof::Presence
    }
}
