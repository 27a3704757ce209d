//! Values as parameters.

use std::collections::BTreeMap;

use pve_model::{Type, Value, ValueKind};

use super::template::plain;
use super::wire::{Field, Form};
use crate::params::Params;
use crate::property::Properties;
use crate::values::flag;

/// Stands between the values of a parameter that is sent several times.
pub(crate) const SEVERAL: &str = "\u{1f}";

/// The parameters of a value, those that are sent when it is made or when it is changed.
pub(crate) fn encode(fields: &[Field], value: &Value, making: bool) -> Params {
    let mut params = Params::default();
    let mut shared = BTreeMap::new();
    gather(fields, value, making, &mut params, &mut shared);
    for (name, pairs) in shared.into_iter().filter(|(_, pairs)| !pairs.is_empty()) {
        params.put(name, Some(pairs));
    }
    params
}

fn gather<'f>(
    fields: &'f [Field],
    value: &Value,
    making: bool,
    params: &mut Params,
    shared: &mut BTreeMap<&'f str, Properties>,
) {
    for field in fields {
        let sent = if making { field.wire.create } else { field.wire.update };
        let Some(part) = value.get(field.name).filter(|_| sent && !field.fixed) else { continue };
        match (field.wire.key, field.wire.form) {
            (Some(key), _) => {
                let pairs = shared.entry(field.param()).or_default();
                *pairs = std::mem::take(pairs).with(key, text_of(field, part));
            }
            (None, Form::Flat) => gather(&field.inner, part, making, params, shared),
            (None, Form::Numbered(first)) => {
                let elements = part.elements().unwrap_or_default().iter().filter_map(plain);
                for (number, text) in (first..).zip(elements) {
                    params.put(&format!("{}{number}", field.param()), Some(text));
                }
            }
            _ => params.put(field.param(), text_of(field, part)),
        }
    }
}

/// The text of one value. `None` when there is nothing to say.
fn text_of(field: &Field, part: &Value) -> Option<String> {
    if part.is_null() || !part.is_known() {
        return None;
    }
    match (field.wire.form, &part.kind) {
        (Form::Switch, ValueKind::Bool(false)) => None,
        (Form::Seconds, ValueKind::String(text)) => Some(seconds(text)?.to_string()),
        (Form::Priorities, ValueKind::Map(_, entries)) => {
            let nodes = entries.iter().map(|(name, priority)| match plain(priority) {
                Some(priority) => format!("{name}:{priority}"),
                None => name.to_string(),
            });
            some(nodes.collect::<Vec<_>>().join(","))
        }
        (Form::Lines, ValueKind::Map(_, entries)) => {
            let lines =
                entries.iter().map(|(name, value)| format!("{name}={}\n", plain(value).unwrap_or_default()));
            Some(crate::base64::encode(&lines.collect::<String>())).filter(|text| !text.is_empty())
        }
        (_, ValueKind::Map(_, entries)) => {
            let pairs =
                entries.iter().map(|(name, value)| format!("{name}={}", plain(value).unwrap_or_default()));
            some(pairs.collect::<Vec<_>>().join(","))
        }
        // Where everything in it is false, that is said.
        (_, ValueKind::Object(_)) => some(properties(&field.inner, part, false).to_string())
            .or_else(|| some(properties(&field.inner, part, true).to_string())),
        (form, ValueKind::List(_, elements) | ValueKind::Set(_, elements)) => {
            let texts: Vec<String> = match field.inner.is_empty() {
                true => elements.iter().filter_map(plain).collect(),
                false => {
                    elements.iter().map(|part| properties(&field.inner, part, false).to_string()).collect()
                }
            };
            some(texts.join(&match form {
                Form::Joined(separator) => separator.to_string(),
                Form::Several => SEVERAL.to_string(),
                _ if field.inner.is_empty() => ",".to_string(),
                _ => SEVERAL.to_string(),
            }))
        }
        _ => plain(part),
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// An object as a property string, with what is false anyway where all is to be said.
fn properties(fields: &[Field], value: &Value, all: bool) -> Properties {
    fields.iter().filter(|field| !field.fixed && field.wire.create).fold(
        Properties::default(),
        |pairs, field| {
            let text = match (&field.ty, flag(value, field.name)) {
                (Type::Bool, Some(false)) if !all && field.absent() == Some(Value::bool(false)) => None,
                _ => value.get(field.name).and_then(|part| text_of(field, part)),
            };
            pairs.with(field.param(), text)
        },
    )
}

/// The seconds of a date.
pub(super) fn seconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}
