//! `for` expressions.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::{Marks, Type, Value, ValueKind};

use super::{Evaluated, Frame, split_marks};
use crate::convert::{convert, kind_name};
use crate::syntax::Diagnostic;
use crate::syntax::ast::{Expr, ForIntro, ForObject, ForTuple, Name};

type Pairs = Vec<(Value, Value)>;

impl Frame<'_> {
    /// What is iterated over as keys and values, none while that is unknown, and the marks of the whole.
    pub(super) fn collection(&self, intro: &ForIntro) -> Result<(Option<Pairs>, Marks), Vec<Diagnostic>> {
        let expr = &intro.collection;
        let (value, marks) = split_marks(self.evaluate(expr)?);
        let pairs: Option<Pairs> = match &value.kind {
            ValueKind::Null(_) => {
                let detail = "`for` takes a collection, and this is null.";
                let fault = Diagnostic::error(expr.span, "Null cannot be iterated over", detail);
                return Err(self.explain(fault, &[expr]));
            }
            ValueKind::List(_, values) | ValueKind::Tuple(values) => {
                Some(values.iter().enumerate().map(|(i, v)| (Value::number(i as u64), v.clone())).collect())
            }
            ValueKind::Set(_, values) => Some(values.iter().map(|v| (v.clone(), v.clone())).collect()),
            ValueKind::Map(_, values) | ValueKind::Object(values) => {
                Some(values.iter().map(|(k, v)| (Value::string(k.clone()), v.clone())).collect())
            }
            ValueKind::Unknown(ty, _) if !ty.is_primitive() => None,
            _ => {
                let detail = format!(
                    "`for` takes a list, set, map, tuple or object, and this is {}.",
                    kind_name(&value.ty())
                );
                let fault = Diagnostic::error(expr.span, "This cannot be iterated over", detail);
                return Err(self.explain(fault, &[expr]));
            }
        };
        Ok((pairs, marks))
    }

    pub(super) fn names(intro: &ForIntro, key: Value, value: Value) -> Vec<(&Name, Value)> {
        let mut names = vec![(&intro.value.name, value)];
        names.extend(intro.key.as_ref().map(|name| (&name.name, key)));
        names
    }

    /// A condition: true, false or not known, with its marks.
    pub(super) fn condition(&self, expr: &Expr) -> Result<(Option<bool>, Marks), Vec<Diagnostic>> {
        let (value, marks) = split_marks(self.evaluate(expr)?);
        let fault = |reason: String| {
            self.explain(Diagnostic::error(expr.span, "The condition is not a bool", reason), &[expr])
        };
        if value.is_null() {
            return Err(fault("It must be true or false, and it is null.".into()));
        }
        match convert(&value, &Type::Bool) {
            Ok(value) => Ok((value.as_bool(), marks)),
            Err(error) => Err(fault(format!("It must be true or false: {error}."))),
        }
    }

    /// Whether the condition of a `for` keeps the element.
    fn keeps(&self, condition: Option<&Expr>, marks: &mut Marks) -> Result<Option<bool>, Vec<Diagnostic>> {
        let Some(condition) = condition else { return Ok(Some(true)) };
        let (keep, found) = self.condition(condition)?;
        *marks = marks.union(found);
        Ok(keep)
    }

    pub(super) fn for_tuple(&self, expression: &ForTuple) -> Evaluated {
        let (collection, mut marks) = self.collection(&expression.intro)?;
        let Some(pairs) = collection else { return Ok(Value::unknown(Type::Dynamic).with_marks(marks)) };
        let (mut values, mut known, mut faults) = (Vec::with_capacity(pairs.len()), true, Vec::new());
        for (key, value) in pairs {
            let names = Frame::names(&expression.intro, key, value);
            let frame = Frame { scope: self.scope, parent: Some(self), names: &names };
            match frame.keeps(expression.condition.as_ref(), &mut marks) {
                Ok(Some(true)) => match frame.evaluate(&expression.element) {
                    Ok(value) => values.push(value),
                    Err(found) => faults.extend(found),
                },
                Ok(Some(false)) => {}
                Ok(None) => known = false,
                Err(found) => faults.extend(found),
            }
            if faults.len() > MOST_FAULTS {
                break;
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let value = if known { Value::tuple(values) } else { Value::unknown(Type::Dynamic) };
        Ok(value.with_marks(marks))
    }

    pub(super) fn for_object(&self, expression: &ForObject) -> Evaluated {
        let (collection, marks) = self.collection(&expression.intro)?;
        let Some(pairs) = collection else { return Ok(Value::unknown(Type::Dynamic).with_marks(marks)) };
        let mut built = Building { entries: BTreeMap::new(), marks, known: true };
        let mut faults = Vec::new();
        for (key, value) in pairs {
            let names = Frame::names(&expression.intro, key, value);
            let frame = Frame { scope: self.scope, parent: Some(self), names: &names };
            faults.extend(frame.add_entry(expression, &mut built).err().unwrap_or_default());
            if faults.len() > MOST_FAULTS {
                break;
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(built.finish(expression.group))
    }

    fn add_entry(&self, expression: &ForObject, built: &mut Building) -> Result<(), Vec<Diagnostic>> {
        match self.keeps(expression.condition.as_ref(), &mut built.marks)? {
            Some(true) => {}
            Some(false) => return Ok(()),
            None => {
                built.known = false;
                return Ok(());
            }
        }
        let key = self.evaluate(&expression.key)?;
        let key = self.key_of(key, &expression.key, expression.key.span)?;
        built.marks = built.marks.union(key.marks);
        let value = self.evaluate(&expression.value)?;
        let Some(name) = key.as_str() else {
            built.known = false;
            return Ok(());
        };
        let group = built.entries.entry(Arc::from(name)).or_default();
        if !expression.group && !group.is_empty() {
            let shown = if built.marks.is_empty() { format!(" \"{name}\"") } else { String::new() };
            let detail = format!("Two elements give the key{shown}.");
            let fault = Diagnostic::error(expression.key.span, "A key occurs twice", detail)
                .with_hint("Put `...` behind the value to gather the values of equal keys.");
            return Err(self.explain(fault, &[&expression.key]));
        }
        group.push(value);
        Ok(())
    }
}

/// Errors of one `for` after which the rest is not looked at: they tend to be the same.
const MOST_FAULTS: usize = 5;

struct Building {
    entries: BTreeMap<Arc<str>, Vec<Value>>,
    marks: Marks,
    known: bool,
}

impl Building {
    fn finish(self, group: bool) -> Value {
        if !self.known {
            return Value::unknown(Type::Dynamic).with_marks(self.marks);
        }
        let entries = self.entries.into_iter().filter_map(|(key, mut values)| {
            let value = if group { Some(Value::tuple(values)) } else { values.pop() };
            Some((key, value?))
        });
        Value::object(entries.collect()).with_marks(self.marks)
    }
}
