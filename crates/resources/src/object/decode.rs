//! Answers as values.

use pve_model::{Type, Value};
use serde_json::{Map, Value as Json, json};

use super::wire::{Field, Form};
use crate::property::{Properties, is_true};

/// What stands for a parameter that the API leaves out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// What the API means by it.
    Meaning,
    /// Nothing of its type, see [`nothing`].
    Nothing,
    /// The default; of what is required, and of lists, nothing of its type; null of anything else.
    Default,
    /// No elements of a set or list; null of anything else.
    Empty,
    /// Null.
    Null,
}

/// Nothing of a type: an empty text, 0, false, no elements; null for maps and objects.
pub(crate) fn nothing(ty: &Type) -> Json {
    match ty {
        Type::String => json!(""),
        Type::Number => json!(0),
        Type::Bool => json!(false),
        Type::List(_) | Type::Set(_) => json!([]),
        _ => Json::Null,
    }
}

/// What an answer says of every attribute that the API tells.
pub(super) fn decode(fields: &[Field], answer: &Json, absent: Absent) -> Map<String, Json> {
    let told = fields.iter().filter(|field| field.wire.read && !field.write_only);
    told.map(|field| (field.name.to_string(), part(field, answer, absent))).collect()
}

fn part(field: &Field, answer: &Json, absent: Absent) -> Json {
    if let Form::Numbered(first) = field.wire.form {
        let elements = (first..).map_while(|number| answer.get(format!("{}{number}", field.param())));
        let elements: Vec<Json> = elements.filter(|text| **text != json!("")).cloned().collect();
        return if elements.is_empty() { left_out(field, absent) } else { Json::Array(elements) };
    }
    if field.wire.form == Form::Flat {
        return Json::Object(decode(&field.inner, answer, absent));
    }
    let found = answer.get(field.param()).filter(|found| !found.is_null());
    let found = match field.wire.key {
        Some(key) => found.and_then(|shared| inside(shared, key)),
        None => found.cloned(),
    };
    found.map_or_else(|| left_out(field, absent), |found| value(field, &found, absent))
}

/// The value of a key of a property string, which some answers have as an object.
fn inside(shared: &Json, key: &str) -> Option<Json> {
    match shared {
        // The value of the default key is written without it.
        Json::String(text) => {
            let pairs = Properties::parse(text);
            let first = ["cputype"].contains(&key).then(|| pairs.first_or(key)).flatten();
            first.or(pairs.get(key)).map(|text| json!(text))
        }
        other => other.get(key).cloned(),
    }
}

fn left_out(field: &Field, absent: Absent) -> Json {
    let json =
        |value: Option<Value>| value.map_or(Json::Null, |value| pve_model::codec::to_plain_json(&value));
    match absent {
        Absent::Meaning => json(field.absent()),
        Absent::Nothing => nothing(&field.ty),
        Absent::Default if field.default.is_some() => json(field.default.clone()),
        Absent::Default if field.required || matches!(field.ty, Type::List(_) | Type::Set(_)) => {
            nothing(&field.ty)
        }
        Absent::Empty if matches!(field.ty, Type::List(_) | Type::Set(_)) => nothing(&field.ty),
        Absent::Default | Absent::Empty | Absent::Null => Json::Null,
    }
}

/// A part of an answer as the type of the attribute wants it.
fn value(field: &Field, found: &Json, absent: Absent) -> Json {
    match field.wire.form {
        Form::Seconds => date(found).map_or_else(|| left_out(field, absent), |date| json!(date)),
        Form::Priorities => priorities(&text(found)),
        Form::Keys => keys(found),
        Form::Lines => {
            let text = text(found);
            // As it was sent, or taken apart.
            let sent =
                crate::base64::decode(text.trim()).filter(|text| text.lines().all(|line| line.contains('=')));
            lines(&sent.unwrap_or(text))
        }
        _ if !field.inner.is_empty() => objects(field, found, absent),
        Form::Joined(separator) => list(found, &[separator]),
        // Some endpoints join what was sent several times.
        Form::Several => match found {
            Json::Array(elements) => elements.iter().flat_map(|element| parts(element, '\0')).collect(),
            other => parts(other, '\0').into_iter().collect(),
        },
        _ => by_type(&field.ty, found),
    }
}

fn by_type(ty: &Type, found: &Json) -> Json {
    match ty {
        Type::Bool => json!(truth(found)),
        Type::Number => number(found),
        Type::String => json!(text(found)),
        Type::List(_) | Type::Set(_) => list(found, &[',', ';', ' ']),
        Type::Map(_) => match found {
            Json::Object(entries) => entries
                .iter()
                .map(|(key, value)| (key.clone(), json!(text(value))))
                .collect::<Map<_, _>>()
                .into(),
            _ => {
                let pairs = Properties::parse(&text(found));
                pairs
                    .pairs()
                    .iter()
                    .map(|(key, value)| (key.clone(), json!(value)))
                    .collect::<Map<_, _>>()
                    .into()
            }
        },
        _ => found.clone(),
    }
}

fn objects(field: &Field, found: &Json, absent: Absent) -> Json {
    let one = |found: &Json| {
        let answer = match found {
            Json::String(text) => {
                let mut pairs = Properties::parse(text);
                // As above: of a display, a generator of random numbers.
                for key in ["type", "source"] {
                    if field.inner.iter().any(|inner| inner.param() == key) && pairs.get(key).is_none() {
                        pairs = Properties::default().with(key, pairs.first_or(key)).joined(&pairs);
                    }
                }
                Json::Object(pairs.pairs().iter().map(|(key, value)| (key.clone(), json!(value))).collect())
            }
            other => other.clone(),
        };
        Json::Object(decode(&field.inner, &answer, absent))
    };
    match (&field.ty, found) {
        (Type::List(_) | Type::Set(_), Json::Array(elements)) => elements.iter().map(one).collect(),
        (Type::List(_) | Type::Set(_), single) => json!([one(single)]),
        (_, Json::Array(elements)) => elements.first().map_or(Json::Null, one),
        (_, single) => one(single),
    }
}

fn truth(found: &Json) -> bool {
    match found {
        Json::Bool(value) => *value,
        Json::Number(number) => number.as_f64() != Some(0.0),
        other => is_true(&text(other)),
    }
}

fn number(found: &Json) -> Json {
    let text = text(found);
    let text = text.trim();
    text.parse::<i64>()
        .map(|number| json!(number))
        .or_else(|_| text.parse::<f64>().map(|number| json!(number)))
        .unwrap_or(Json::Null)
}

fn text(found: &Json) -> String {
    match found {
        Json::String(text) => text.clone(),
        Json::Bool(value) => u8::from(*value).to_string(),
        other => other.to_string(),
    }
}

fn list(found: &Json, separators: &[char]) -> Json {
    match found {
        Json::Array(elements) => elements.iter().map(|element| json!(text(element))).collect(),
        other => text(other)
            .split(separators)
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| json!(part))
            .collect(),
    }
}

fn parts(found: &Json, separator: char) -> Vec<Json> {
    text(found).split(separator).filter(|part| !part.is_empty()).map(|part| json!(part)).collect()
}

fn keys(found: &Json) -> Json {
    match found {
        Json::Object(entries) => {
            entries.iter().filter(|(_, on)| truth(on)).map(|(name, _)| json!(name)).collect()
        }
        other => list(other, &[',', ' ']),
    }
}

fn lines(text: &str) -> Json {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Json::Object(pairs.map(|(name, value)| (name.to_string(), json!(value))).collect())
}

fn priorities(text: &str) -> Json {
    let nodes = text.split(',').map(str::trim).filter(|node| !node.is_empty());
    let entries = nodes.map(|node| match node.split_once(':') {
        Some((name, priority)) => {
            (name.to_string(), priority.parse::<i64>().map_or(Json::Null, |number| json!(number)))
        }
        None => (node.to_string(), Json::Null),
    });
    Json::Object(entries.collect())
}

/// The date of a number of seconds. `None` for 0, which stands for no date.
fn date(found: &Json) -> Option<String> {
    let seconds = number(found).as_i64().filter(|seconds| *seconds != 0)?;
    Some(jiff::Timestamp::from_second(seconds).ok()?.to_string())
}

/// The value as its attribute would be read where nothing is written.
pub(super) fn canonical(field: &Field, value: &Value) -> Value {
    let unset = crate::values::is_unset(value);
    match (unset, field.absent()) {
        (true, Some(absent)) => absent,
        (true, None) => Value::null(field.ty.clone()),
        _ => value.clone(),
    }
}
