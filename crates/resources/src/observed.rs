//! What the cluster says of a guest, and how it becomes values without showing differences that are none.

use pve_model::codec::decode;
use pve_model::schema::{Block, NestedBlock, Nesting};
use pve_model::{Value, ValueKind};
use serde_json::{Map, Value as Json, json};

use crate::values::{is_unset, same, with};

/// Options by their names.
type Config = Map<String, Json>;

/// A guest as the cluster's list and its own configuration show it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// The node that has it now.
    pub(crate) node: String,
    /// Its id.
    pub(crate) vmid: u32,
    /// Whether it runs; `None` where the cluster does not know yet.
    pub(crate) running: Option<bool>,
    /// The pool it is in.
    pub(crate) pool: Option<String>,
    /// Its configuration, as the API returns it: as it will be after the next start.
    pub(crate) config: Map<String, Json>,
    /// The configuration that it runs with, where that is another one.
    pub(crate) in_force: Option<Map<String, Json>>,
}

/// The two configurations in the rows of `/pending`: that of the next start, and the present one where it differs.
pub(crate) fn from_pending(rows: &Json) -> Option<(Config, Option<Config>)> {
    let (mut next, mut present) = (Map::new(), Map::new());
    let mut waits = false;
    for row in rows.as_array()? {
        let key = row.get("key")?.as_str()?;
        if let Some(value) = row.get("value") {
            present.insert(key.to_string(), value.clone());
        }
        let deleted = row.get("delete").is_some();
        waits |= deleted || row.get("pending").is_some();
        if let Some(value) = row.get("pending").or(row.get("value")).filter(|_| !deleted) {
            next.insert(key.to_string(), value.clone());
        }
    }
    Some((next, waits.then_some(present)))
}

/// The values of a guest, and whether anything of them waits for a reboot. What is as it was wanted and still waits is
/// shown as it is in force, so that it is planned again; `prior` says what was wanted, and whether somebody else sees to
/// the reboot.
pub(crate) fn with_waiting(
    observed: &Observed,
    prior: &Value,
    decode: &dyn Fn(&Observed) -> Value,
) -> (Value, bool) {
    let next = decode(observed);
    let left_to_others = crate::values::flag(prior, "reboot_after_update") == Some(false);
    let Some(config) = observed.in_force.clone().filter(|_| !left_to_others) else { return (next, false) };
    let present = decode(&Observed { config, in_force: None, ..observed.clone() });
    let entries = present.entries().cloned().unwrap_or_default();
    let waits = entries.iter().filter(|(name, part)| match (prior.get(name), next.get(name)) {
        (Some(wanted), Some(next)) => same(wanted, next) && !same(next, part),
        _ => false,
    });
    waits.fold((next.clone(), false), |(value, _), (name, part)| (with(&value, name, part.clone()), true))
}

impl Observed {
    /// An option as text. Numbers and bools are written as the API would.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.config.get(name)? {
            Json::String(text) => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            Json::Bool(value) => Some(u8::from(*value).to_string()),
            _ => None,
        }
    }

    /// An option as text that is not blank: the API reads an empty one back as a space.
    pub(crate) fn written(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.trim().is_empty())
    }

    /// An option as a whole number.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    /// An option as a number.
    pub(crate) fn float(&self, name: &str) -> Option<f64> {
        self.text(name)?.trim().parse().ok()
    }

    /// An option as a bool.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|text| crate::property::is_true(&text))
    }

    /// The names of all options that are `prefix` and a number, in the order of the numbers.
    pub(crate) fn numbered(&self, prefix: &str) -> Vec<(u32, String)> {
        let mut found: Vec<(u32, String)> = self
            .config
            .keys()
            .filter_map(|name| Some((name.strip_prefix(prefix)?.parse().ok()?, name.clone())))
            .collect();
        found.sort();
        found
    }

    /// The tags, sorted as the API has them.
    pub(crate) fn tags(&self) -> Json {
        match self.written("tags") {
            Some(tags) => {
                tags.split([';', ',', ' ']).filter(|tag| !tag.is_empty()).map(|tag| json!(tag)).collect()
            }
            None => Json::Null,
        }
    }
}

/// A value with every default, null where there is none, and no blocks.
pub(crate) fn defaults(block: &Block) -> Value {
    let attributes = block.attributes.iter().map(|(name, attribute)| {
        let value = attribute.default.clone().unwrap_or_else(|| Value::null(attribute.ty.clone()));
        (name.clone(), value)
    });
    let blocks = block.blocks.iter().map(|(name, nested)| (name.clone(), gathered(nested, vec![])));
    Value::object(attributes.chain(blocks).collect())
}

/// `base` with the parts that were read put over it. Blocks are put over the blocks of `base` in order; where those
/// end, over the defaults. An attribute of JSON null becomes null.
pub(crate) fn overlay(block: &Block, base: &Value, read: Map<String, Json>) -> Value {
    let mut value = base.clone();
    for (name, json) in read {
        if let Some(attribute) = block.attributes.get(name.as_str()) {
            if let Ok(part) = decode(&json, &attribute.ty) {
                value = with(&value, &name, part);
            }
        } else if let Some(nested) = block.blocks.get(name.as_str()) {
            let before = base.get(&name).filter(|before| !before.is_null());
            let before = match nested.nesting {
                Nesting::Single => before.map(std::slice::from_ref),
                _ => before.and_then(Value::elements),
            };
            value = with(&value, &name, overlay_blocks(nested, before.unwrap_or_default(), json));
        }
    }
    value
}

/// All blocks of a kind together.
fn gathered(nested: &NestedBlock, blocks: Vec<Value>) -> Value {
    match nested.nesting {
        Nesting::Single => {
            blocks.into_iter().next().unwrap_or_else(|| Value::null(nested.block.implied_type()))
        }
        Nesting::Set => Value::set(nested.block.implied_type(), blocks),
        Nesting::List => Value::list(nested.block.implied_type(), blocks),
    }
}

fn overlay_blocks(nested: &NestedBlock, before: &[Value], json: Json) -> Value {
    let parts = match (json, nested.nesting) {
        (Json::Array(parts), _) => parts,
        (part @ Json::Object(_), Nesting::Single) => vec![part],
        (_, Nesting::Single) => Vec::new(),
        _ => return gathered(nested, before.to_vec()),
    };
    let parts = parts.into_iter().enumerate().map(|(index, part)| {
        let base = before.get(index).filter(|base| !base.is_null()).cloned();
        let base = base.unwrap_or_else(|| defaults(&nested.block));
        match part {
            Json::Object(part) => overlay(&nested.block, &base, part),
            _ => base,
        }
    });
    gathered(nested, parts.collect())
}

/// What was read, in the words of `guide` wherever both mean the same; marks stay as they were.
pub(crate) fn in_words_of(guide: &Value, read: &Value) -> Value {
    if same(guide, read) || (is_unset(guide) && is_unset(read) && guide.is_known()) {
        return guide.clone();
    }
    let kind = match (&guide.kind, &read.kind) {
        (ValueKind::String(before), ValueKind::String(now)) if before.trim_end() == now.trim_end() => {
            return guide.clone();
        }
        (ValueKind::Object(before), ValueKind::Object(now)) => {
            let parts = now.iter().map(|(name, part)| {
                let part = before.get(name).map_or_else(|| part.clone(), |before| in_words_of(before, part));
                (name.clone(), part)
            });
            ValueKind::Object(std::sync::Arc::new(parts.collect()))
        }
        (ValueKind::List(_, before), ValueKind::List(ty, now)) => {
            let parts = now.iter().enumerate().map(|(index, part)| match before.get(index) {
                Some(before) => in_words_of(before, part),
                None => part.clone(),
            });
            ValueKind::List(ty.clone(), std::sync::Arc::new(parts.collect()))
        }
        _ => read.kind.clone(),
    };
    Value { kind, marks: guide.marks }
}
