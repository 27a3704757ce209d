//! What is planned of an object: defaults inside of it, sameness of what is written differently, secrets that the API
//! does not tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::rules::{PlanRequest, PlanResponse};
use pve_model::{Value, ValueKind};

use super::decode::canonical;
use super::engine::Engine;
use super::hooks::Planning;
use super::template;
use super::wire::Field;
use crate::values::{changed, same, with, with_unknown};

impl Engine {
    /// The rules of the kind when it is planned.
    pub(crate) fn plan(&self, request: PlanRequest<'_>) -> PlanResponse {
        let PlanRequest { prior, config, proposed } = request;
        let mut planned = with_defaults(&self.fields, proposed);
        for field in self.fields.iter().filter(|field| field.write_only) {
            planned = with(&planned, field.name, Value::null(field.ty.clone()));
        }
        if let Some(prior) = prior {
            planned = settled(&self.fields, prior, &planned);
            // What it was made with is not known of what was imported; that is no reason to make it anew.
            for field in self.fields.iter().filter(|field| !field.wire.read && self.replaces(field.name)) {
                let unknown = prior.get(field.name).is_some_and(Value::is_null);
                if unknown && !template::names(self.identity()).contains(&field.name) {
                    planned = with(&planned, field.name, Value::null(field.ty.clone()));
                }
            }
            if template::names(self.object.id).iter().any(|name| differ(prior, &planned, name)) {
                planned = with_unknown(&planned, "id");
            }
            if !changed(prior, &planned).is_empty() {
                for field in self.fields.iter().filter(|field| field.wire.follows) {
                    let configured = config.get(field.name).is_some_and(|value| !value.is_null());
                    if !configured {
                        planned = with_unknown(&planned, field.name);
                    }
                }
            }
        }
        let mut planning =
            Planning { prior, config, planned, replace: Vec::new(), notes: Vec::new(), problems: Vec::new() };
        self.object.hooks.plan(&mut planning);
        let Planning { planned, replace, notes, problems, .. } = planning;
        PlanResponse { planned: Some(planned), replace, notes, problems }
    }

    /// What was imported, with what the API does not tell taken from the configuration. Of a guest, what is not configured
    /// is somebody else's.
    pub(crate) fn adopted(&self, imported: &Value, config: &Value) -> Value {
        let named = template::names(self.identity());
        let mine = self.fields.iter().filter(|field| !named.contains(&field.name) && !field.write_only);
        let adopted = mine.fold(imported.clone(), |value, field| {
            let (Some(found), Some(wanted)) = (value.get(field.name), config.get(field.name)) else {
                return value;
            };
            let is_told = field.wire.read || self.object.hooks.reads(field.name);
            if !is_told && !wanted.is_null() && wanted.is_wholly_known() {
                return with(&value, field.name, wanted.clone());
            }
            if self.object.guest && is_told && !self.is_open(field.name) {
                return with(&value, field.name, kept_to(found, wanted));
            }
            value
        });
        self.object.hooks.adopted(adopted, config)
    }

    /// Something that may exist only once. What the cluster does not keep, such as an act, may be asked for repeatedly.
    pub(crate) fn claim(&self, planned: &Value) -> Option<String> {
        if self.object.guest {
            return crate::values::int(planned, "id").map(crate::guest::guest_claim);
        }
        let template = if self.object.import.is_empty() { self.object.id } else { self.object.import };
        if template.is_empty() {
            return None;
        }
        Some(format!("{} {}", self.object.what, template::fill(template, planned)?))
    }
}

/// What was found, without the parts that are not wanted.
fn kept_to(found: &Value, wanted: &Value) -> Value {
    let kept = |name: &Arc<str>, part: &Value| match wanted.get(name) {
        Some(wanted) => kept_to(part, wanted),
        None => part.clone(),
    };
    match (&found.kind, &wanted.kind) {
        (_, ValueKind::Null(_)) => Value::null(found.ty()),
        (ValueKind::Map(ty, parts), ValueKind::Map(..)) => {
            let parts = parts.iter().filter(|(name, _)| wanted.get(name).is_some());
            Value::map(ty.clone(), parts.map(|(name, part)| (name.clone(), kept(name, part))).collect())
        }
        (ValueKind::Object(parts), ValueKind::Object(_)) => {
            Value::object(parts.iter().map(|(name, part)| (name.clone(), kept(name, part))).collect())
        }
        _ => found.clone(),
    }
}

fn differ(prior: &Value, planned: &Value, name: &str) -> bool {
    match (prior.get(name), planned.get(name)) {
        (Some(before), Some(after)) => !same(before, after),
        _ => false,
    }
}

/// The value with the defaults of what is inside of objects that are assigned.
fn with_defaults(fields: &[Field], value: &Value) -> Value {
    let Some(entries) = value.entries() else { return value.clone() };
    let mut entries: BTreeMap<Arc<str>, Value> = entries.clone();
    for field in fields.iter().filter(|field| !field.inner.is_empty()) {
        let Some(part) = entries.get(field.name).filter(|part| part.is_known() && !part.is_null()) else {
            continue;
        };
        let inside = |value: &Value| filled(&field.inner, value);
        let part = match &part.kind {
            ValueKind::List(ty, elements) => Value::list(ty.clone(), elements.iter().map(inside).collect()),
            ValueKind::Set(ty, elements) => Value::set(ty.clone(), elements.iter().map(inside).collect()),
            ValueKind::Map(ty, entries) => Value::map(
                ty.clone(),
                entries.iter().map(|(name, part)| (name.clone(), inside(part))).collect(),
            ),
            _ => inside(part),
        }
        .with_marks(part.marks);
        entries.insert(Arc::from(field.name), part);
    }
    Value::object(entries).with_marks(value.marks)
}

fn filled(fields: &[Field], value: &Value) -> Value {
    fields.iter().fold(value.clone(), |value, field| match (&field.default, value.get(field.name)) {
        (Some(default), Some(part)) if part.is_null() => with(&value, field.name, default.clone()),
        _ => value,
    })
}

/// The later value, in the words of the earlier wherever both mean the same.
pub(super) fn settled(fields: &[Field], prior: &Value, later: &Value) -> Value {
    let mut value = later.clone();
    for field in fields {
        let (Some(before), Some(after)) = (prior.get(field.name), later.get(field.name)) else { continue };
        // Nobody wrote what is only read: what the cluster says is new.
        if field.fixed && before.is_null() {
            continue;
        }
        if after.is_known() && means_the_same(field, before, after) {
            value = with(&value, field.name, before.clone().with_marks(after.marks));
        }
    }
    value
}

fn means_the_same(field: &Field, before: &Value, after: &Value) -> bool {
    if same(before, after) {
        return true;
    }
    match (&before.kind, &after.kind) {
        // The cluster does not keep an object without anything in it.
        (ValueKind::Object(_), ValueKind::Null(_)) => is_empty(field, before),
        (ValueKind::Null(_), ValueKind::Object(_)) => is_empty(field, after),
        (ValueKind::String(before), ValueKind::String(after)) => match field.wire.same {
            Some(same) => same(before, after),
            None => before.trim_end() == after.trim_end(),
        },
        (ValueKind::Object(_), ValueKind::Object(_)) if !field.inner.is_empty() => {
            field.inner.iter().all(|inner| pairwise(inner, before, after))
        }
        (
            ValueKind::List(_, befores) | ValueKind::Set(_, befores),
            ValueKind::List(_, afters) | ValueKind::Set(_, afters),
        ) => {
            let inside = |before: &Value, after: &Value| match field.inner.is_empty() {
                true => match (field.wire.same, before.as_str(), after.as_str()) {
                    (Some(same), Some(before), Some(after)) => same(before, after),
                    _ => same(before, after),
                },
                false => field.inner.iter().all(|inner| pairwise(inner, before, after)),
            };
            // Two texts of a set may be one to the cluster, and come in another order.
            if let (ValueKind::Set(..), true, Some(_)) =
                (&before.kind, field.inner.is_empty(), field.wire.same)
            {
                let are_in = |some: &[Value], others: &[Value]| {
                    some.iter().all(|one| others.iter().any(|other| inside(one, other)))
                };
                return are_in(befores, afters) && are_in(afters, befores);
            }
            befores.len() == afters.len() && befores.iter().zip(afters.iter()).all(|(b, a)| inside(b, a))
        }
        // The types of values that were read and of those that were written differ in what may be left out.
        (ValueKind::Map(_, befores), ValueKind::Map(_, afters)) if !field.inner.is_empty() => {
            let inside = |before: &Value, after: &Value| {
                field.inner.iter().all(|inner| pairwise(inner, before, after))
            };
            befores.keys().eq(afters.keys())
                && befores.values().zip(afters.values()).all(|(b, a)| inside(b, a))
        }
        _ => same(&canonical(field, before), &canonical(field, after)),
    }
}

/// Whether nothing is said inside of an object.
fn is_empty(field: &Field, object: &Value) -> bool {
    !field.inner.is_empty()
        && field
            .inner
            .iter()
            .all(|inner| object.get(inner.name).is_none_or(|part| part.is_known() && part.is_null()))
}

fn pairwise(field: &Field, before: &Value, after: &Value) -> bool {
    match (before.get(field.name), after.get(field.name)) {
        (Some(before), Some(after)) => !after.is_known() || means_the_same(field, before, after),
        _ => true,
    }
}
