//! Tuples and objects written out.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::{Marks, Type, Value};

use super::{Evaluated, Frame, gather, split_marks};
use crate::convert::convert;
use crate::syntax::ast::{Expr, ExprKind, ObjectItem, ObjectKey};
use crate::syntax::{Diagnostic, Span};

impl Frame<'_> {
    pub(super) fn tuple(&self, items: &[Expr]) -> Evaluated {
        gather(items.iter().map(|item| self.evaluate(item))).map(Value::tuple)
    }

    pub(super) fn object(&self, items: &[ObjectItem]) -> Evaluated {
        let (mut entries, mut marks, mut known) = (BTreeMap::new(), Marks::NONE, true);
        let mut faults = Vec::new();
        for item in items {
            let key = self.object_key(&item.key);
            let value = self.evaluate(&item.value);
            match (key, value) {
                (Ok(key), Ok(value)) => {
                    marks = marks.union(key.marks);
                    match key.as_str() {
                        Some(name) => drop(entries.insert(Arc::from(name), value)),
                        None => known = false,
                    }
                }
                (key, value) => {
                    faults.extend(key.err().unwrap_or_default());
                    faults.extend(value.err().unwrap_or_default());
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let value = if known { Value::object(entries) } else { Value::unknown(Type::Dynamic) };
        Ok(value.with_marks(marks))
    }

    fn object_key(&self, key: &ObjectKey) -> Evaluated {
        match key {
            ObjectKey::Name(name) => Ok(Value::string(name.name.as_str())),
            ObjectKey::Expression(expr) => {
                if matches!(&expr.kind, ExprKind::Traversal(source, _) if matches!(source.kind, ExprKind::Variable(_)))
                {
                    let detail = "A reference as a key can be meant as its value or as text.";
                    return Err(vec![
                        Diagnostic::error(expr.span, "The key is ambiguous", detail)
                            .with_hint("Put it in parentheses for its value, or in quotes for the text."),
                    ]);
                }
                let value = self.evaluate(expr)?;
                self.key_of(value, expr, expr.span)
            }
        }
    }

    /// A value as the key of an object: a string, or unknown.
    pub(super) fn key_of(&self, value: Value, expr: &Expr, span: Span) -> Evaluated {
        let (plain, marks) = split_marks(value);
        if plain.is_null() {
            let fault = Diagnostic::error(span, "The key is null", "A key of an object must be a string.");
            return Err(self.explain(fault, &[expr]));
        }
        match convert(&plain, &Type::String) {
            Ok(key) => Ok(key.with_marks(marks)),
            Err(error) => {
                let detail = format!("It cannot be used as a key: {error}.");
                Err(self.explain(Diagnostic::error(span, "The key is not a string", detail), &[expr]))
            }
        }
    }
}
