//! Operators.

use pve_model::{Marks, Number, Type, Value, ValueKind};

use super::scope::Bindings;
use super::{Evaluated, Evaluator, fault};
use crate::convert::convert;
use crate::syntax::ast::{BinaryExpr, BinaryOperator, UnaryOperator};
use crate::syntax::{Diagnostic, Expr, Span};

impl Evaluator<'_> {
    pub(super) fn unary(&self, operator: UnaryOperator, operand: &Expr, bindings: &Bindings<'_>) -> Evaluated {
        let value = self.value(operand, bindings)?;
        let (ty, sign) = match operator {
            UnaryOperator::Negate => (Type::Number, "-"),
            UnaryOperator::Not => (Type::Bool, "!"),
        };
        let value = operand_value(&value, &ty, sign, operand.span)?;
        let result = match &value.kind {
            ValueKind::Number(number) => Value::number(number.negate()),
            ValueKind::Bool(flag) => Value::bool(!flag),
            _ => unknown(ty),
        };
        Ok(result.with_marks(value.marks))
    }

    pub(super) fn binary(&self, expr: &BinaryExpr, bindings: &Bindings<'_>) -> Evaluated {
        match expr.operator {
            BinaryOperator::And | BinaryOperator::Or => self.logical(expr, bindings),
            BinaryOperator::Equal | BinaryOperator::NotEqual => {
                let (left, right) = (self.value(&expr.left, bindings)?, self.value(&expr.right, bindings)?);
                let equal = equals(&left, &right);
                Ok(match (equal.as_bool(), expr.operator) {
                    (Some(flag), BinaryOperator::NotEqual) => Value::bool(!flag).with_marks(equal.marks),
                    _ => equal,
                })
            }
            _ => self.numeric(expr, bindings),
        }
    }

    /// The right operand is only looked at when the left one leaves the result open.
    fn logical(&self, expr: &BinaryExpr, bindings: &Bindings<'_>) -> Evaluated {
        let decisive = expr.operator == BinaryOperator::Or;
        let sign = symbol(expr.operator);
        let left = operand_value(&self.value(&expr.left, bindings)?, &Type::Bool, sign, expr.left.span)?;
        if left.as_bool() == Some(decisive) {
            return Ok(left);
        }
        let right = operand_value(&self.value(&expr.right, bindings)?, &Type::Bool, sign, expr.right.span)?;
        let marks = left.marks.union(right.marks);
        let result = match (left.as_bool(), right.as_bool()) {
            (_, Some(flag)) if flag == decisive => Value::bool(decisive),
            (Some(_), Some(_)) => Value::bool(!decisive),
            _ => unknown(Type::Bool),
        };
        Ok(result.with_marks(marks))
    }

    fn numeric(&self, expr: &BinaryExpr, bindings: &Bindings<'_>) -> Evaluated {
        let sign = symbol(expr.operator);
        let compares = matches!(
            expr.operator,
            BinaryOperator::Less
                | BinaryOperator::LessOrEqual
                | BinaryOperator::Greater
                | BinaryOperator::GreaterOrEqual
        );
        let (left, right) = (self.value(&expr.left, bindings)?, self.value(&expr.right, bindings)?);
        let left = operand_value(&left, &Type::Number, sign, expr.left.span)?;
        let right = operand_value(&right, &Type::Number, sign, expr.right.span)?;
        let marks = left.marks.union(right.marks);
        let (Some(a), Some(b)) = (left.as_number(), right.as_number()) else {
            return Ok(unknown(if compares { Type::Bool } else { Type::Number }).with_marks(marks));
        };
        if compares {
            return Ok(Value::bool(compare(expr.operator, a, b)).with_marks(marks));
        }
        let result = match expr.operator {
            BinaryOperator::Add => a.add(b),
            BinaryOperator::Subtract => a.subtract(b),
            BinaryOperator::Multiply => a.multiply(b),
            BinaryOperator::Divide => a.divide(b),
            _ => a.remainder(b),
        };
        match result {
            Ok(number) => Ok(Value::number(number).with_marks(marks)),
            Err(error) => {
                let span = expr.left.span.to(expr.right.span);
                fault(span, "This cannot be calculated", format!("{a} {sign} {b}: {error}."))
            }
        }
    }
}

fn compare(operator: BinaryOperator, a: &Number, b: &Number) -> bool {
    match operator {
        BinaryOperator::Less => a < b,
        BinaryOperator::LessOrEqual => a <= b,
        BinaryOperator::Greater => a > b,
        _ => a >= b,
    }
}

fn symbol(operator: BinaryOperator) -> &'static str {
    match operator {
        BinaryOperator::Or => "||",
        BinaryOperator::And => "&&",
        BinaryOperator::Equal => "==",
        BinaryOperator::NotEqual => "!=",
        BinaryOperator::Less => "<",
        BinaryOperator::LessOrEqual => "<=",
        BinaryOperator::Greater => ">",
        BinaryOperator::GreaterOrEqual => ">=",
        BinaryOperator::Add => "+",
        BinaryOperator::Subtract => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::Modulo => "%",
    }
}

/// The operand in the type that the operator works on; never null.
fn operand_value(value: &Value, ty: &Type, sign: &str, span: Span) -> Evaluated {
    let need = if *ty == Type::Number { "a number" } else { "true or false" };
    if value.is_null() {
        return fault(span, "An operand is null", format!("`{sign}` needs {need}."));
    }
    convert(value, ty).map_err(|error| {
        vec![Diagnostic::error(span, "An operand has the wrong type", format!("`{sign}` needs {need}: {error}."))]
    })
}

fn unknown(ty: Type) -> Value {
    let refinement = pve_model::value::Refinement { not_null: true, ..Default::default() };
    Value::unknown_refined(ty, refinement)
}

/// Whether two values are equal: unknown where that is open. Values of different types are not equal.
pub(crate) fn equals(left: &Value, right: &Value) -> Value {
    let ((a, left_marks), (b, right_marks)) = (left.unmark_deep(), right.unmark_deep());
    let marks: Marks = left_marks.union(right_marks);
    let result = match equal(&a, &b) {
        Some(flag) => Value::bool(flag),
        None => unknown(Type::Bool),
    };
    result.with_marks(marks)
}

fn never_null(value: &Value) -> bool {
    match &value.kind {
        ValueKind::Unknown(_, refinement) => refinement.as_ref().is_some_and(|refinement| refinement.not_null),
        ValueKind::Null(_) => false,
        _ => true,
    }
}

/// `None` where it depends on what is not known.
fn equal(a: &Value, b: &Value) -> Option<bool> {
    match (a.is_null(), b.is_null()) {
        (true, true) => return Some(true),
        (true, false) => return if never_null(b) { Some(false) } else { None },
        (false, true) => return if never_null(a) { Some(false) } else { None },
        (false, false) => {}
    }
    let (ty_a, ty_b) = (a.ty(), b.ty());
    if ty_a.is_wholly_known() && ty_b.is_wholly_known() && ty_a != ty_b {
        return Some(false);
    }
    if !a.is_known() || !b.is_known() {
        return known_prefix_differs(a, b).then_some(false);
    }
    match (&a.kind, &b.kind) {
        (ValueKind::Bool(x), ValueKind::Bool(y)) => Some(x == y),
        (ValueKind::Number(x), ValueKind::Number(y)) => Some(x == y),
        (ValueKind::String(x), ValueKind::String(y)) => Some(x == y),
        (ValueKind::Set(_, x), ValueKind::Set(_, y)) => {
            if a.is_wholly_known() && b.is_wholly_known() { Some(x == y) } else { None }
        }
        (
            ValueKind::List(_, x) | ValueKind::Tuple(x),
            ValueKind::List(_, y) | ValueKind::Tuple(y),
        ) => {
            if x.len() != y.len() {
                return Some(false);
            }
            all_equal(x.iter().zip(y.iter()))
        }
        (ValueKind::Map(_, x) | ValueKind::Object(x), ValueKind::Map(_, y) | ValueKind::Object(y)) => {
            if !x.keys().eq(y.keys()) {
                return Some(false);
            }
            all_equal(x.values().zip(y.values()))
        }
        _ => Some(false),
    }
}

fn all_equal<'v>(pairs: impl Iterator<Item = (&'v Value, &'v Value)>) -> Option<bool> {
    let mut open = false;
    for (a, b) in pairs {
        match equal(a, b) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => open = true,
        }
    }
    if open { None } else { Some(true) }
}

/// An unknown string whose beginning is known differs from a string that begins otherwise.
fn known_prefix_differs(a: &Value, b: &Value) -> bool {
    let prefix = |value: &Value| match &value.kind {
        ValueKind::Unknown(_, Some(refinement)) => refinement.prefix.clone(),
        _ => None,
    };
    match (prefix(a), b.as_str(), prefix(b), a.as_str()) {
        (Some(prefix), Some(text), _, _) | (_, _, Some(prefix), Some(text)) => !text.starts_with(&*prefix),
        _ => false,
    }
}
