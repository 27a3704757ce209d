//! `condition ? if_true : if_false`

use pve_model::value::Refinement;
use pve_model::{Type, Value, ValueKind};

use super::{Evaluated, Frame, split_marks};
use crate::convert::{convert, kind_name, unify};
use crate::syntax::ast::ConditionalExpr;
use crate::syntax::{Diagnostic, Span};

impl Frame<'_> {
    pub(super) fn conditional(&self, conditional: &ConditionalExpr, span: Span) -> Evaluated {
        let (if_true, if_false) = (self.evaluate(&conditional.if_true), self.evaluate(&conditional.if_false));
        // An error in a branch makes that branch's type unknown; it is reported only if the branch is taken.
        let type_of = |branch: &Evaluated| branch.as_ref().map_or(Type::Dynamic, Value::ty);
        let is_bare_null =
            |branch: &Evaluated| matches!(branch, Ok(v) if v.kind == ValueKind::Null(Type::Dynamic));
        let common = match (is_bare_null(&if_true), is_bare_null(&if_false)) {
            (true, _) => Some(type_of(&if_false)),
            (_, true) => Some(type_of(&if_true)),
            _ => match (type_of(&if_true), type_of(&if_false)) {
                (Type::Dynamic, _) | (_, Type::Dynamic) => Some(Type::Dynamic),
                (a, b) => unify(&[a, b]),
            },
        };
        let Some(common) = common else {
            let detail = format!(
                "Both results must have one type, and they are {} and {}.",
                kind_name(&type_of(&if_true)),
                kind_name(&type_of(&if_false))
            );
            let fault = Diagnostic::error(span, "The results of the condition have different types", detail);
            return Err(self.explain(fault, &[&conditional.if_true, &conditional.if_false]));
        };
        let (condition, marks) = split_marks(self.evaluate(&conditional.condition)?);
        let at = conditional.condition.span;
        if condition.is_null() {
            let fault = Diagnostic::error(at, "The condition is null", "It must be true or false.");
            return Err(self.explain(fault, &[&conditional.condition]));
        }
        if !condition.is_known() {
            let branch = |branch: Evaluated| branch.unwrap_or_else(|_| Value::unknown(Type::Dynamic));
            let (a, b) = (branch(if_true), branch(if_false));
            return Ok(either(&a, &b, common).with_marks(marks.union(a.marks).union(b.marks)));
        }
        let condition = convert(&condition, &Type::Bool).map_err(|error| {
            let detail = format!("It must be true or false: {error}.");
            self.explain(
                Diagnostic::error(at, "The condition is not a bool", detail),
                &[&conditional.condition],
            )
        })?;
        let holds = condition.as_bool().unwrap_or_default();
        let both =
            [&if_true, &if_false].into_iter().flatten().fold(marks, |all, value| all.union(value.marks));
        let (taken, expr) =
            if holds { (if_true?, &conditional.if_true) } else { (if_false?, &conditional.if_false) };
        let result = convert(&taken, &common).map_err(|error| {
            let detail = format!("It cannot be converted to the type of both results: {error}.");
            self.explain(Diagnostic::error(expr.span, "The result has the wrong type", detail), &[expr])
        })?;
        Ok(result.with_marks(both))
    }
}

/// Longest list whose unknown elements are there one by one.
const MOST_PLACES: u64 = 100_000;

/// One of two values while it is not known which.
fn either(a: &Value, b: &Value, common: Type) -> Value {
    if a.is_null() && b.is_null() {
        return Value::null(common);
    }
    if let (Some(x), Some(y)) = (a.as_number(), b.as_number())
        && x == y
    {
        return Value::number(y.clone());
    }
    let not_null = [a, b].iter().all(|value| match &value.kind {
        ValueKind::Null(_) => false,
        ValueKind::Unknown(_, known) => known.as_ref().is_some_and(|known| known.not_null),
        _ => true,
    });
    let mut refinement = Refinement { not_null, ..Refinement::default() };
    if common == Type::Dynamic {
        return Value::unknown(common);
    }
    let lengths = |value: &Value| match &value.kind {
        ValueKind::List(_, values) => Some(values.len() as u64),
        ValueKind::Map(_, values) => Some(values.len() as u64),
        _ => None,
    };
    if let (true, Some(x), Some(y)) = (refinement.not_null, lengths(a), lengths(b)) {
        if x == y && x <= MOST_PLACES && matches!(a.kind, ValueKind::List(..)) {
            let place = Value::unknown(common.element().cloned().unwrap_or(Type::Dynamic));
            return Value::list(place.ty(), vec![place; x as usize]);
        }
        refinement.min_length = Some(x.min(y));
        refinement.max_length = Some(x.max(y));
    }
    Value::unknown_refined(common, refinement)
}
