//! Tables of firewall options: attribute, option of the API, and what is in effect without it.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{Call, Method, Step};
use crate::params::Params;
use crate::property::is_true;
use crate::values::{flag, int, is_unset, text};

/// What an option holds, with what is in effect without it, if there is any such value.
#[derive(Clone, Copy)]
pub(crate) enum Holds {
    /// On or off.
    Switch(Option<bool>),
    /// A word.
    Word(&'static str),
    /// A number.
    Count(i64),
}

/// Attribute, option of the API, and what it holds.
pub(crate) type Table = [(&'static str, &'static str, Holds)];

/// The options that a value states.
pub(crate) fn encode(table: &Table, value: &Value) -> Params {
    let mut params = Params::default();
    for (attribute, option, holds) in table {
        match holds {
            Holds::Switch(_) => params.put_flag(option, flag(value, attribute)),
            Holds::Word(_) => params.put(option, text(value, attribute)),
            Holds::Count(_) => params.put(option, int(value, attribute)),
        }
    }
    params
}

/// The attributes of the options that are set. One that was never set and has no default stays unset.
pub(crate) fn decode(table: &Table, prior: &Value, options: &Json) -> Map<String, Json> {
    let mut read = Map::new();
    for (attribute, option, holds) in table {
        let found = match options.get(option) {
            Some(Json::String(text)) => Some(text.clone()),
            Some(Json::Number(number)) => Some(number.to_string()),
            Some(Json::Bool(on)) => Some(u8::from(*on).to_string()),
            _ => None,
        };
        let value = match (holds, found) {
            (Holds::Switch(absent), found) => {
                let known = prior.get(attribute).is_some_and(|value| !is_unset(value));
                let found = found.map(|text| is_true(&text));
                json!(found.or(absent.filter(|_| known)))
            }
            (Holds::Word(absent), found) => json!(found.unwrap_or((*absent).to_string())),
            (Holds::Count(absent), found) => {
                json!(found.and_then(|text| text.parse().ok()).unwrap_or(*absent))
            }
        };
        read.insert((*attribute).to_string(), value);
    }
    read
}

/// Sets the options at `path`. Those that are no longer stated go back to what the cluster does without them.
pub(crate) async fn write(
    call: &Call<'_>,
    path: &str,
    before: Option<Params>,
    mut wanted: Params,
) -> Result<(), ProviderError> {
    let (_, delete) = wanted.since(&before.unwrap_or_default());
    if !delete.is_empty() {
        wanted.put("delete", Some(delete.into_iter().collect::<Vec<_>>().join(",")));
    }
    call.step(Step::of("set", "options"), Method::Put, path, &wanted, Duration::from_secs(60)).await
}

/// Takes the named options at `path` back.
pub(crate) async fn reset(
    call: &Call<'_>,
    path: &str,
    names: impl Iterator<Item = &'static str>,
) -> Result<(), ProviderError> {
    let options = match call.cluster.get(path).await {
        Ok(options) => options,
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(call.failed(Step::READ, &error)),
    };
    let set: Vec<&str> = names.filter(|name| options.get(name).is_some()).collect();
    if set.is_empty() {
        return Ok(());
    }
    let mut params = Params::default();
    params.put("delete", Some(set.join(",")));
    call.step(Step::of("reset", "options"), Method::Put, path, &params, Duration::from_secs(60)).await
}
