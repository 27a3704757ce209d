//! An object as configured, as running, or the difference of the two (PVE::Network::SDN, `pending_config`).

use serde_json::{Map, Value, json};

use super::running;
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::schema::{self, Keys, Kind};
use crate::sections::{File, digest, typed};
use crate::state::Options;

/// Adds fields that are read from others; for subnets.
pub(super) type Derive = fn(&str, &Options, &mut Map<String, Value>);

/// No such fields.
pub(super) fn plain(_: &str, _: &Options, _: &mut Map<String, Value>) {}

/// A value as it is read back.
pub(super) fn value(keys: Option<&'static Keys>, name: &str, text: &str) -> Value {
    let list =
        keys.and_then(|keys| schema::lookup(keys, name)).is_some_and(|property| property.kind == Kind::Array);
    if !list {
        return typed(keys, name, text);
    }
    let items = text.split('\0').filter(|item| !item.is_empty());
    if name == "interfaces" {
        return items.map(|item| json!(item)).collect();
    }
    let parts = |item: &str| -> Value {
        item.split(',')
            .filter_map(|part| part.split_once('='))
            .map(|(key, text)| (key.to_owned(), json!(text)))
            .collect()
    };
    items.map(parts).collect()
}

fn row(file: &File, id: &str, options: &Options) -> Map<String, Value> {
    let keys = schema::endpoint("POST", file.schema);
    let mut row: Map<String, Value> = options
        .iter()
        .filter(|(key, _)| !file.secrets.contains(&key.as_str()))
        .map(|(key, text)| (key.clone(), value(keys, key, text)))
        .collect();
    row.insert(file.id.to_owned(), json!(id));
    row
}

/// The difference between what runs and what is configured.
fn pending(file: &File, id: &str, present: Option<&Options>, runs: Option<&Options>) -> Map<String, Value> {
    let keys = schema::endpoint("POST", file.schema);
    let mut result = Map::from_iter([(file.id.to_owned(), json!(id)), ("digest".to_owned(), Value::Null)]);
    let mut changes = Map::new();
    let mut state = match (present, runs) {
        (None, Some(_)) => Some("deleted"),
        (Some(_), None) => Some("new"),
        _ => None,
    };
    for (key, text) in runs.into_iter().flatten() {
        result.insert(key.clone(), value(keys, key, text));
        let Some(present) = present else { continue };
        if !present.contains_key(key) {
            changes.insert(key.clone(), json!("deleted"));
            state = state.or(Some("changed"));
        }
    }
    for (key, text) in present.into_iter().flatten() {
        if matches!(key.as_str(), "type" | "vnet") {
            result.insert(key.clone(), value(keys, key, text));
        } else if runs.and_then(|runs| runs.get(key)) != Some(text) {
            changes.insert(key.clone(), value(keys, key, text));
            state = state.or(Some("changed"));
        }
    }
    if let Some(state) = state {
        result.insert("state".to_owned(), json!(state));
        result.insert("pending".to_owned(), Value::Object(changes));
    }
    result
}

/// One object in the view that the call asks for; `None` if it is not in it.
pub(super) fn shown(request: &Request<'_>, file: &File, id: &str, derive: Derive) -> Option<Value> {
    let (present, runs) = (file.sections(request.state).get(id), running(request.state, file.name).get(id));
    let (mut found, options) = if request.flag("pending") {
        (pending(file, id, present, runs), present.or(runs)?)
    } else if request.flag("running") {
        let mut row = row(file, id, runs?);
        row.insert("digest".to_owned(), Value::Null);
        (row, runs?)
    } else {
        let mut row = row(file, id, present?);
        row.insert("digest".to_owned(), json!(digest(file.sections(request.state))));
        (row, present?)
    };
    derive(id, options, &mut found);
    Some(Value::Object(found))
}

/// The objects of a view that `wanted` lets through.
pub(super) fn list(
    request: &Request<'_>,
    file: &File,
    derive: Derive,
    wanted: impl Fn(&str, &Options) -> bool,
) -> Answer {
    let (present, runs) = (file.sections(request.state), running(request.state, file.name));
    let mut ids: Vec<(&String, &Options)> = present.iter().collect();
    ids.extend(runs.iter().filter(|(id, _)| !present.contains_key(*id)));
    let kept = ids.into_iter().filter(|(id, options)| wanted(id, options));
    Ok(kept.filter_map(|(id, _)| shown(request, file, id, derive)).collect())
}

/// One configured object; what is deleted is not there, even as long as it runs.
pub(super) fn read(request: &Request<'_>, file: &File, id: &str, derive: Derive) -> Answer {
    if !file.sections(request.state).contains_key(id) {
        return Err(file.missing("", id));
    }
    shown(request, file, id, derive).ok_or_else(|| file.missing("", id))
}

/// Refuses a change by anybody but who holds the lock.
pub(super) fn check_lock(request: &Request<'_>, prefix: &str) -> Result<(), Failure> {
    match &request.state.sdn.lock {
        Some(lock) if request.get("lock-token") != Some(lock) => {
            let text = "invalid lock token provided! at /usr/share/perl5/PVE/Network/SDN.pm line 291.";
            Err(Failure::died(format!("{prefix}{text}")))
        }
        _ => Ok(()),
    }
}
