//! `for` expressions.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::{Marks, Type, Value, ValueKind};

use super::scope::Bindings;
use super::{Evaluated, Evaluator, fault, key_text};
use crate::convert::{article, convert};
use crate::syntax::ast::{ForIntro, ForObject, ForTuple};
use crate::syntax::{Diagnostic, Expr};

/// What is iterated over: key and value of each element.
pub(super) enum Elements {
    /// The collection is not known.
    Unknown,
    /// In order of iteration.
    Known(Vec<(Value, Value)>),
}

impl Evaluator<'_> {
    /// The elements of a collection, with the marks of the collection itself.
    pub(super) fn elements(
        &self,
        intro: &ForIntro,
        bindings: &Bindings<'_>,
    ) -> Result<(Elements, Marks), Vec<Diagnostic>> {
        let collection = self.value(&intro.collection, bindings)?;
        let span = intro.collection.span;
        let marks = collection.marks;
        if collection.is_null() {
            return fault(span, "Iteration over null", "The collection is null; it must be a list, set, map or object.");
        }
        if !collection.is_known() {
            let ty = collection.ty();
            if ty.is_primitive() {
                let detail = format!("This is {}; it must be a list, set, map or object.", article(&ty));
                return fault(span, "This cannot be iterated over", detail);
            }
            return Ok((Elements::Unknown, marks));
        }
        let pairs = match &collection.kind {
            ValueKind::List(_, values) | ValueKind::Tuple(values) => {
                values.iter().enumerate().map(|(i, value)| (Value::number(i as u64), value.clone())).collect()
            }
            ValueKind::Set(_, values) => values.iter().map(|value| (value.clone(), value.clone())).collect(),
            ValueKind::Map(_, entries) | ValueKind::Object(entries) => {
                entries.iter().map(|(key, value)| (Value::string(key.clone()), value.clone())).collect()
            }
            _ => {
                let detail =
                    format!("This is {}; it must be a list, set, map or object.", article(&collection.ty()));
                return fault(span, "This cannot be iterated over", detail);
            }
        };
        Ok((Elements::Known(pairs), marks))
    }

    pub(super) fn for_tuple(&self, expr: &ForTuple, bindings: &Bindings<'_>) -> Evaluated {
        let (elements, mut marks) = self.elements(&expr.intro, bindings)?;
        let Elements::Known(pairs) = elements else {
            return Ok(Value::unknown(Type::Dynamic).with_marks(marks));
        };
        let mut values = Vec::with_capacity(pairs.len());
        let mut open = false;
        for (key, value) in &pairs {
            let with_key = bindings.bind_key(expr.intro.key.as_ref().map(|name| name.name.as_str()), key);
            let inner = with_key.bind(&expr.intro.value.name, value);
            let (wanted, found) = self.wanted(expr.condition.as_ref(), &inner)?;
            marks = marks.union(found);
            match wanted {
                Some(false) => continue,
                None => open = true,
                Some(true) => values.push(self.value(&expr.element, &inner)?),
            }
        }
        let value = if open { Value::unknown(Type::Dynamic) } else { Value::tuple(values) };
        Ok(value.with_marks(marks))
    }

    pub(super) fn for_object(&self, expr: &ForObject, bindings: &Bindings<'_>) -> Evaluated {
        let (elements, mut marks) = self.elements(&expr.intro, bindings)?;
        let Elements::Known(pairs) = elements else {
            return Ok(Value::unknown(Type::Dynamic).with_marks(marks));
        };
        let mut entries: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
        let mut open = false;
        for (key, value) in &pairs {
            let with_key = bindings.bind_key(expr.intro.key.as_ref().map(|name| name.name.as_str()), key);
            let inner = with_key.bind(&expr.intro.value.name, value);
            let (wanted, found) = self.wanted(expr.condition.as_ref(), &inner)?;
            marks = marks.union(found);
            match wanted {
                Some(false) => continue,
                None => {
                    open = true;
                    continue;
                }
                Some(true) => {}
            }
            let (name, found) = key_text(&self.value(&expr.key, &inner)?, expr.key.span)?;
            marks = marks.union(found);
            let value = self.value(&expr.value, &inner)?;
            let Some(name) = name else {
                open = true;
                continue;
            };
            let values = entries.entry(name.clone()).or_default();
            if !expr.group && !values.is_empty() {
                let shown = if found.is_sensitive() { "(sensitive)" } else { &*name };
                let detail = format!("Two elements have the key \"{shown}\".");
                let hint = "Add `...` after the value to gather the values of equal keys in a list.";
                return Err(vec![Diagnostic::error(expr.key.span, "Duplicate object key", detail).with_hint(hint)]);
            }
            values.push(value);
        }
        if open {
            return Ok(Value::unknown(Type::Dynamic).with_marks(marks));
        }
        let object = entries.into_iter().filter_map(|(name, mut values)| {
            let value = if expr.group { Value::tuple(values) } else { values.pop()? };
            Some((name, value))
        });
        Ok(Value::object(object.collect()).with_marks(marks))
    }

    /// Whether an element is kept; `None` when that is not known.
    fn wanted(
        &self,
        condition: Option<&Expr>,
        bindings: &Bindings<'_>,
    ) -> Result<(Option<bool>, Marks), Vec<Diagnostic>> {
        let Some(condition) = condition else { return Ok((Some(true), Marks::NONE)) };
        let value = self.value(condition, bindings)?;
        if value.is_null() {
            return fault(condition.span, "The condition is null", "`if` needs true or false.");
        }
        let value = convert(&value, &Type::Bool).map_err(|error| {
            let detail = format!("`if` needs true or false: {error}.");
            vec![Diagnostic::error(condition.span, "This is no condition", detail)]
        })?;
        Ok((value.as_bool(), value.marks))
    }
}

impl<'b> Bindings<'b> {
    /// Binds the key if it has a name; else a name that no expression can have.
    pub(super) fn bind_key(&'b self, name: Option<&'b str>, key: &'b Value) -> Bindings<'b> {
        self.bind(name.unwrap_or(""), key)
    }
}
