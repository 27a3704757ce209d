//! Firewall options in the API.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::schema::Block;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{ApiError, Call, Cluster, Method};
use crate::firewall_rules::{id, path};
use crate::observed::{in_words_of, overlay};
use crate::params::Params;
use crate::property::is_true;
use crate::values::{blank, complete, flag, is_unset, text, with};

/// Attribute, option of the API, and what is in effect without it.
const FLAGS: &[(&str, &str, bool)] = &[
    ("dhcp", "dhcp", true),
    ("enabled", "enable", false),
    ("ipfilter", "ipfilter", false),
    ("macfilter", "macfilter", true),
    ("ndp", "ndp", true),
    ("radv", "radv", false),
];

/// Attribute, option of the API, and what is in effect without it.
const WORDS: &[(&str, &str, &str)] = &[
    ("input_policy", "policy_in", "DROP"),
    ("log_level_in", "log_level_in", "nolog"),
    ("log_level_out", "log_level_out", "nolog"),
    ("output_policy", "policy_out", "ACCEPT"),
];

fn encode(value: &Value) -> Params {
    let mut params = Params::default();
    for (attribute, option, _) in FLAGS {
        params.put_flag(option, flag(value, attribute));
    }
    for (attribute, option, _) in WORDS {
        params.put(option, text(value, attribute));
    }
    params
}

/// Reads the options. `None` when the guest is gone.
pub(crate) async fn read(block: &Block, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
    let options = match cluster.get(&format!("{}/options", path(prior))).await {
        Ok(options) => options,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = |name: &str| match options.get(name) {
        Some(Json::String(text)) => Some(text.clone()),
        Some(Json::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let mut read = Map::new();
    read.insert("id".into(), json!(id(prior)));
    for (attribute, option, absent) in FLAGS {
        let found = text(option).map(|text| is_true(&text));
        // An option that was never set and has no default stays unset.
        if found.is_some() || !prior.get(attribute).is_none_or(is_unset) {
            read.insert((*attribute).into(), json!(found.unwrap_or(*absent)));
        }
    }
    for (attribute, option, absent) in WORDS {
        read.insert((*attribute).into(), json!(text(option).unwrap_or((*absent).to_string())));
    }
    Ok(Some(in_words_of(prior, &overlay(block, prior, read))))
}

/// Sets the options. Those that are no longer configured go back to what the cluster does without them.
pub(crate) async fn write(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: &Value,
) -> Result<Value, ProviderError> {
    let mut params = encode(planned);
    if let Some(prior) = prior {
        let (_, delete) = params.since(&encode(prior));
        if !delete.is_empty() {
            params.put("delete", Some(delete.into_iter().collect::<Vec<_>>().join(",")));
        }
    }
    let path = format!("{}/options", path(planned));
    call.step("set options", Method::Put, &path, &params, Duration::from_secs(60)).await?;
    Ok(complete(planned, &with(&blank(planned), "id", Value::string(id(planned)))))
}

/// Takes every option back.
pub(crate) async fn delete(call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
    let options = match call.cluster.get(&format!("{}/options", path(prior))).await {
        Ok(options) => options,
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(call.failed("read", &error)),
    };
    let names = FLAGS.iter().map(|(_, option, _)| *option).chain(WORDS.iter().map(|(_, option, _)| *option));
    let set: Vec<&str> = names.filter(|name| options.get(name).is_some()).collect();
    if set.is_empty() {
        return Ok(());
    }
    let mut params = Params::default();
    params.put("delete", Some(set.join(",")));
    let path = format!("{}/options", path(prior));
    call.step("reset options", Method::Put, &path, &params, Duration::from_secs(60)).await
}
