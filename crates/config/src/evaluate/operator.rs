//! Operators.

use pve_model::value::Refinement;
use pve_model::{Marks, Number, Type, Value};

use super::{Evaluated, Frame, equality, split_marks};
use crate::convert::convert;
use crate::syntax::ast::{BinaryExpr, BinaryOperator as Op, Expr, UnaryOperator};
use crate::syntax::{Diagnostic, Span};

/// Unknown, and certainly not null, as results of operators are.
pub(super) fn unknown_not_null(ty: Type) -> Value {
    Value::unknown_refined(ty, Refinement { not_null: true, ..Refinement::default() })
}

/// Why a side of `&&` or `||` is no bool.
enum Fault {
    NoValue(Vec<Diagnostic>),
    WrongType(Vec<Diagnostic>),
}

impl Fault {
    fn into_faults(self) -> Vec<Diagnostic> {
        match self {
            Fault::NoValue(faults) | Fault::WrongType(faults) => faults,
        }
    }
}

impl Frame<'_> {
    pub(super) fn unary(&self, operator: UnaryOperator, operand: &Expr) -> Evaluated {
        let ty = match operator {
            UnaryOperator::Negate => Type::Number,
            UnaryOperator::Not => Type::Bool,
        };
        let (value, marks) = self.operand(operand, &ty)?;
        let result = match operator {
            UnaryOperator::Negate => value.as_number().map(|number| Value::number(number.negate())),
            UnaryOperator::Not => value.as_bool().map(|flag| Value::bool(!flag)),
        };
        Ok(result.unwrap_or_else(|| unknown_not_null(ty)).with_marks(marks))
    }

    pub(super) fn binary(&self, binary: &BinaryExpr) -> Evaluated {
        match binary.operator {
            Op::Or => self.logical(binary, true),
            Op::And => self.logical(binary, false),
            Op::Equal | Op::NotEqual => {
                let (left, right) = self.both(self.evaluate(&binary.left), self.evaluate(&binary.right))?;
                let marks = left.marks_deep().union(right.marks_deep());
                let equal = equality::compare(&left, &right);
                let result = equal.map(|equal| Value::bool(equal == (binary.operator == Op::Equal)));
                Ok(result.unwrap_or_else(|| unknown_not_null(Type::Bool)).with_marks(marks))
            }
            _ => self.arithmetic(binary),
        }
    }

    fn both<T>(
        &self,
        left: Result<T, Vec<Diagnostic>>,
        right: Result<T, Vec<Diagnostic>>,
    ) -> Result<(T, T), Vec<Diagnostic>> {
        match (left, right) {
            (Ok(left), Ok(right)) => Ok((left, right)),
            (left, right) => {
                let mut faults = left.err().unwrap_or_default();
                faults.extend(right.err().unwrap_or_default());
                Err(faults)
            }
        }
    }

    /// An operand converted to what the operator takes, without marks.
    fn operand(&self, expr: &Expr, ty: &Type) -> Result<(Value, Marks), Vec<Diagnostic>> {
        let (value, marks) = split_marks(self.evaluate(expr)?);
        let wanted = if *ty == Type::Bool { "a bool" } else { "a number" };
        if value.is_null() {
            let detail = format!("This operator takes {wanted}, and this is null.");
            return Err(self.explain(Diagnostic::error(expr.span, "The operand is null", detail), &[expr]));
        }
        match convert(&value, ty) {
            Ok(value) => Ok((value, marks)),
            Err(error) => {
                let detail = format!("This operator takes {wanted}: {error}.");
                Err(self
                    .explain(Diagnostic::error(expr.span, "The operand has the wrong type", detail), &[expr]))
            }
        }
    }

    /// `||` (decided by a true) and `&&` (decided by a false). A side that decides hides what is wrong with the other,
    /// unless that has the wrong type. Null decides `&&`, as the reference has it.
    fn logical(&self, binary: &BinaryExpr, decisive: bool) -> Evaluated {
        let (left, right) = (self.logical_operand(&binary.left), self.logical_operand(&binary.right));
        let mismatches: Vec<Diagnostic> = [&left, &right]
            .into_iter()
            .filter_map(|side| match side {
                Err(Fault::WrongType(faults)) => Some(faults.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        if !mismatches.is_empty() {
            return Err(mismatches);
        }
        let sides = [left.map_err(Fault::into_faults), right.map_err(Fault::into_faults)];
        let marks = sides.iter().flatten().fold(Marks::NONE, |marks, (_, side)| marks.union(*side));
        let decides = |value: &Value| value.as_bool() == Some(decisive) || (value.is_null() && !decisive);
        if sides.iter().flatten().any(|(value, _)| decides(value)) {
            return Ok(Value::bool(decisive).with_marks(marks));
        }
        let [left, right] = sides;
        let is_open =
            |side: &Result<(Value, Marks), _>| side.as_ref().is_ok_and(|(value, _)| !value.is_known());
        if is_open(&left) && right.as_ref().is_err() {
            return Ok(unknown_not_null(Type::Bool).with_marks(marks));
        }
        let ((left, _), (right, _)) = self.both(left, right)?;
        if !left.is_known() || !right.is_known() {
            return Ok(unknown_not_null(Type::Bool).with_marks(marks));
        }
        for (value, expr) in [(&left, &binary.left), (&right, &binary.right)] {
            if value.is_null() {
                let detail = "This operator takes a bool, and this is null.";
                return Err(
                    self.explain(Diagnostic::error(expr.span, "The operand is null", detail), &[expr])
                );
            }
        }
        Ok(Value::bool(!decisive).with_marks(marks))
    }

    /// A bool, unknown or null.
    fn logical_operand(&self, expr: &Expr) -> Result<(Value, Marks), Fault> {
        let (value, marks) = split_marks(self.evaluate(expr).map_err(Fault::NoValue)?);
        match convert(&value, &Type::Bool) {
            Ok(value) => Ok((value, marks)),
            Err(error) => {
                let detail = format!("This operator takes a bool: {error}.");
                let fault = Diagnostic::error(expr.span, "The operand has the wrong type", detail);
                Err(Fault::WrongType(self.explain(fault, &[expr])))
            }
        }
    }

    fn arithmetic(&self, binary: &BinaryExpr) -> Evaluated {
        let left = self.operand(&binary.left, &Type::Number);
        let right = self.operand(&binary.right, &Type::Number);
        let ((left, left_marks), (right, right_marks)) = self.both(left, right)?;
        let marks = left_marks.union(right_marks);
        let is_comparison =
            matches!(binary.operator, Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual);
        let (Some(a), Some(b)) = (left.as_number(), right.as_number()) else {
            let ty = if is_comparison { Type::Bool } else { Type::Number };
            return Ok(unknown_not_null(ty).with_marks(marks));
        };
        let result = calculate(binary.operator, a, b).map_err(|reason| {
            let span: Span = binary.left.span.to(binary.right.span);
            let fault = Diagnostic::error(span, "The operation has no result", reason);
            self.explain(fault, &[&binary.left, &binary.right])
        })?;
        Ok(result.with_marks(marks))
    }
}

fn calculate(operator: Op, a: &Number, b: &Number) -> Result<Value, String> {
    let number = |result: Result<Number, pve_model::number::ArithmeticError>| {
        result.map(Value::number).map_err(|error| format!("Of {a} and {b}, {error}."))
    };
    match operator {
        Op::Less => Ok(Value::bool(a < b)),
        Op::LessOrEqual => Ok(Value::bool(a <= b)),
        Op::Greater => Ok(Value::bool(a > b)),
        Op::GreaterOrEqual => Ok(Value::bool(a >= b)),
        Op::Add => number(a.add(b)),
        Op::Subtract => number(a.subtract(b)),
        Op::Multiply => number(a.multiply(b)),
        Op::Divide if b.is_zero() && a.is_zero() => Err("Zero divided by zero is no number.".into()),
        Op::Divide => number(a.divide(b)),
        // As the reference has it.
        Op::Modulo if b.is_zero() => Ok(Value::number(a.clone())),
        Op::Modulo => number(a.remainder(b)),
        _ => Err("This operator is not arithmetic.".into()),
    }
}
