//! Tables of firewall options: attribute, option of the API, and what is in effect without it.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{Call, Method, Step, if_there};
use crate::params::Params;
use crate::property::is_true;
use crate::values::{blank, complete, flag, int, is_unset, text, with};

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

/// The options of a table by name.
pub(crate) fn names(table: &'static Table) -> impl Iterator<Item = &'static str> {
    table.iter().map(|(_, option, _)| *option)
}

/// The path of an owner's options.
pub(crate) fn place(value: &Value) -> String {
    format!("{}/options", super::path(value))
}

/// Brings the options of an owner from `prior`, if any were set, to `planned`, and answers with what is there then.
pub(crate) async fn bring(
    call: &Call<'_>,
    table: &Table,
    prior: Option<&Value>,
    planned: &Value,
    id: &str,
) -> Result<Value, ProviderError> {
    let before = prior.map(|prior| encode(table, prior));
    write(call, &place(planned), before, encode(table, planned)).await?;
    Ok(complete(planned, &with(&blank(planned), "id", Value::string(id))))
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
    let options = if_there(call.cluster.get(path).await).map_err(|error| call.failed(Step::READ, &error))?;
    let Some(options) = options else { return Ok(()) };
    let set: Vec<&str> = names.filter(|name| options.get(name).is_some()).collect();
    if set.is_empty() {
        return Ok(());
    }
    let mut params = Params::default();
    params.put("delete", Some(set.join(",")));
    call.step(Step::of("reset", "options"), Method::Put, path, &params, Duration::from_secs(60)).await
}
