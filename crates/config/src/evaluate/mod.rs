//! Evaluates expressions.

mod access;
mod collection;
mod operators;
mod scope;
mod template;

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::{Marks, Type, Value};

pub use scope::{Resolved, Scope, ScopeError};

use crate::convert::{convert, unify};
use crate::functions;
use crate::syntax::ast::{ConditionalExpr, FunctionCall, Literal, ObjectItem, ObjectKey, Step};
use crate::syntax::{Diagnostic, Expr, ExprKind, Span, with_stack};
use scope::Bindings;

/// The outcome of an evaluation; diagnostics are errors.
pub type Evaluated = Result<Value, Vec<Diagnostic>>;

/// The value of an expression.
///
/// # Errors
/// With what is wrong and where.
pub fn evaluate(expr: &Expr, scope: &dyn Scope) -> Evaluated {
    Evaluator { scope }.value(expr, &Bindings::Empty)
}

pub(crate) struct Evaluator<'s> {
    scope: &'s dyn Scope,
}

pub(crate) fn fault<T>(
    span: Span,
    summary: impl Into<String>,
    detail: impl Into<String>,
) -> Result<T, Vec<Diagnostic>> {
    Err(vec![Diagnostic::error(span, summary, detail)])
}

impl Evaluator<'_> {
    fn value(&self, expr: &Expr, bindings: &Bindings<'_>) -> Evaluated {
        with_stack(|| self.value_of_kind(expr, bindings))
    }

    fn value_of_kind(&self, expr: &Expr, bindings: &Bindings<'_>) -> Evaluated {
        match &expr.kind {
            ExprKind::Literal(literal) => literal_value(literal, expr.span),
            ExprKind::Template(parts) => self.template(parts, expr.span, bindings),
            ExprKind::TemplateWrap(inner) | ExprKind::Parenthesised(inner) => self.value(inner, bindings),
            ExprKind::Variable(name) => self.reference(name, &[], expr.span, bindings),
            ExprKind::Traversal(base, steps) => match &base.kind {
                ExprKind::Variable(name) => self.reference(name, steps, base.span, bindings),
                _ => {
                    let base_value = self.value(base, bindings)?;
                    self.steps(base_value, steps, base.span, bindings)
                }
            },
            ExprKind::FunctionCall(call) => self.call(call, expr.span, bindings),
            ExprKind::Unary(operator, operand) => self.unary(*operator, operand, bindings),
            ExprKind::Binary(binary) => self.binary(binary, bindings),
            ExprKind::Conditional(conditional) => self.conditional(conditional, expr.span, bindings),
            ExprKind::Tuple(elements) => {
                let mut values = Vec::with_capacity(elements.len());
                let mut found = Vec::new();
                for element in elements {
                    match self.value(element, bindings) {
                        Ok(value) => values.push(value),
                        Err(errors) => found.extend(errors),
                    }
                }
                if found.is_empty() { Ok(Value::tuple(values)) } else { Err(found) }
            }
            ExprKind::Object(items) => self.object(items, bindings),
            ExprKind::ForTuple(expression) => self.for_tuple(expression, bindings),
            ExprKind::ForObject(expression) => self.for_object(expression, bindings),
        }
    }

    /// A name with steps: the scope says how many steps its value stands for.
    fn reference(&self, root: &str, steps: &[Step], span: Span, bindings: &Bindings<'_>) -> Evaluated {
        if let Some(value) = bindings.get(root) {
            return self.steps(value.clone(), steps, span, bindings);
        }
        let names: Vec<&str> = steps
            .iter()
            .map_while(|step| match step {
                Step::Attribute(name) => Some(name.name.as_str()),
                _ => None,
            })
            .collect();
        match self.scope.resolve(root, &names) {
            Ok(Resolved { value, consumed }) => {
                let span = steps[..consumed.min(steps.len())]
                    .iter()
                    .fold(span, |span, step| match step {
                        Step::Attribute(name) => span.to(name.span),
                        _ => span,
                    });
                self.steps(value, &steps[consumed.min(steps.len())..], span, bindings)
            }
            Err(error) => {
                let end = steps.iter().take(2).fold(span, |span, step| match step {
                    Step::Attribute(name) => span.to(name.span),
                    _ => span,
                });
                let mut diagnostic = Diagnostic::error(end, error.summary, error.detail);
                diagnostic.hint = error.hint;
                Err(vec![diagnostic])
            }
        }
    }

    fn object(&self, items: &[ObjectItem], bindings: &Bindings<'_>) -> Evaluated {
        let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        let mut marks = Marks::NONE;
        let mut found = Vec::new();
        let mut unknown = false;
        for item in items {
            let value = self.value(&item.value, bindings);
            match (self.object_key(&item.key, bindings), value) {
                (Ok((Some(key), key_marks)), Ok(value)) => {
                    marks = marks.union(key_marks);
                    entries.insert(key, value);
                }
                (Ok((None, key_marks)), Ok(_)) => {
                    marks = marks.union(key_marks);
                    unknown = true;
                }
                (key, value) => {
                    found.extend(key.err().unwrap_or_default());
                    found.extend(value.err().unwrap_or_default());
                }
            }
        }
        if !found.is_empty() {
            return Err(found);
        }
        let value = if unknown { Value::unknown(Type::Dynamic) } else { Value::object(entries) };
        Ok(value.with_marks(marks))
    }

    /// The key, `None` when it is not known, with its marks.
    fn object_key(
        &self,
        key: &ObjectKey,
        bindings: &Bindings<'_>,
    ) -> Result<(Option<Arc<str>>, Marks), Vec<Diagnostic>> {
        let expr = match key {
            ObjectKey::Name(name) => return Ok((Some(Arc::from(name.name.as_str())), Marks::NONE)),
            ObjectKey::Expression(expr) => expr,
        };
        if let ExprKind::Traversal(base, _) = &expr.kind
            && let ExprKind::Variable(_) = base.kind
        {
            let detail = "A key with a dot in it can be a reference or a text.";
            let fault = Diagnostic::error(expr.span, "This key is ambiguous", detail);
            return Err(vec![fault.with_hint("Put a reference in parentheses, and a text in quotes.")]);
        }
        let value = self.value(expr, bindings)?;
        key_text(&value, expr.span)
    }

    fn conditional(&self, expr: &ConditionalExpr, span: Span, bindings: &Bindings<'_>) -> Evaluated {
        let condition = self.value(&expr.condition, bindings)?;
        let marks = condition.marks;
        if condition.is_null() {
            return fault(expr.condition.span, "The condition is null", "A condition must be true or false.");
        }
        let condition = convert(&condition, &Type::Bool).map_err(|error| {
            let detail = format!("A condition must be true or false: {error}.");
            vec![Diagnostic::error(expr.condition.span, "This is no condition", detail)]
        })?;
        let if_true = self.value(&expr.if_true, bindings);
        let if_false = self.value(&expr.if_false, bindings);
        // The branch that is not taken may be wrong: `x != null ? x.y : "none"` is how people write.
        let (if_true, if_false) = match (condition.as_bool(), if_true, if_false) {
            (_, Ok(a), Ok(b)) => (a, b),
            (Some(true), Ok(a), Err(_)) => return Ok(a.with_marks(marks)),
            (Some(false), Err(_), Ok(b)) => return Ok(b.with_marks(marks)),
            (_, a, b) => {
                let mut found = a.err().unwrap_or_default();
                found.extend(b.err().unwrap_or_default());
                return Err(found);
            }
        };
        let ty = common_type(&if_true, &if_false).ok_or_else(|| {
            let detail = format!(
                "Both results must be of one type, but one is {} and the other {}.",
                crate::convert::article(&if_true.ty()),
                crate::convert::article(&if_false.ty())
            );
            vec![Diagnostic::error(span, "The results of this condition have different types", detail)]
        })?;
        let Some(taken) = condition.as_bool() else {
            let not_null = |value: &Value| {
                !value.is_null()
                    && match &value.kind {
                        pve_model::ValueKind::Unknown(_, refinement) => {
                            refinement.as_ref().is_some_and(|refinement| refinement.not_null)
                        }
                        _ => true,
                    }
            };
            let marks = marks.union(if_true.marks).union(if_false.marks);
            let value = if not_null(&if_true) && not_null(&if_false) {
                let refinement = pve_model::value::Refinement { not_null: true, ..Default::default() };
                Value::unknown_refined(ty, refinement)
            } else {
                Value::unknown(ty)
            };
            return Ok(value.with_marks(marks));
        };
        let (value, at) =
            if taken { (if_true, expr.if_true.span) } else { (if_false, expr.if_false.span) };
        let converted = convert(&value, &ty).map_err(|error| {
            vec![Diagnostic::error(at, "This result has the wrong type", format!("{error}."))]
        })?;
        Ok(converted.with_marks(marks))
    }

    fn call(&self, call: &FunctionCall, span: Span, bindings: &Bindings<'_>) -> Evaluated {
        let name = call.name.strip_prefix("core::").unwrap_or(&call.name);
        if matches!(name, "try" | "can") {
            return self.attempt(name, call, bindings);
        }
        if !self.scope.functions().has(name) {
            let detail = format!("There is no function named \"{}\".", call.name);
            let mut diagnostic = Diagnostic::error(call.name_span, "Unknown function", detail);
            diagnostic.hint =
                scope::closest(name, functions::names()).map(|near| format!("Did you mean {near}()?"));
            return Err(vec![diagnostic]);
        }
        let mut arguments = Vec::with_capacity(call.arguments.len());
        let mut spans = Vec::with_capacity(call.arguments.len());
        for (i, argument) in call.arguments.iter().enumerate() {
            let value = self.value(argument, bindings)?;
            if !(call.expand_final && i + 1 == call.arguments.len()) {
                arguments.push(value);
                spans.push(argument.span);
                continue;
            }
            if !value.is_known() {
                return Ok(Value::unknown(Type::Dynamic).with_marks(value.marks));
            }
            let Some(elements) = value.elements().filter(|_| !value.is_null()) else {
                let detail = "What stands before `...` must be a list, set or tuple.";
                return fault(argument.span, "These are no arguments", detail);
            };
            for element in elements {
                arguments.push(element.clone().with_marks(value.marks));
                spans.push(argument.span);
            }
        }
        functions::call(name, &arguments, self.scope.functions()).map_err(|error| {
            let at = error.argument.and_then(|argument| spans.get(argument)).copied().unwrap_or(span);
            let detail = format!("{}(): {}.", call.name, error.message);
            vec![Diagnostic::error(at, "A function call failed", detail)]
        })
    }

    /// `try` and `can` see errors of their arguments as values.
    fn attempt(&self, name: &str, call: &FunctionCall, bindings: &Bindings<'_>) -> Evaluated {
        if call.arguments.is_empty() || (name == "can" && call.arguments.len() != 1) {
            let detail = format!("{name}() needs {}.", if name == "can" { "one argument" } else { "an argument" });
            return fault(call.arguments_span, "Wrong number of arguments", detail);
        }
        let mut reasons = Vec::new();
        for argument in &call.arguments {
            match self.value(argument, bindings) {
                Ok(value) if name == "can" => {
                    let known = value.is_wholly_known() || value.is_known();
                    return Ok(if known { Value::bool(true) } else { Value::unknown(Type::Bool) });
                }
                Ok(value) => return Ok(value),
                Err(_) if name == "can" => return Ok(Value::bool(false)),
                Err(found) => reasons.extend(found.into_iter().map(|reason| reason.detail)),
            }
        }
        let detail = format!("No argument could be evaluated: {}", reasons.join(" "));
        fault(call.name_span, "try() has nothing to return", detail)
    }
}

/// The type of a condition's result. A null without a type takes the other's.
fn common_type(if_true: &Value, if_false: &Value) -> Option<Type> {
    let untyped_null = |value: &Value| value.is_null() && value.ty() == Type::Dynamic;
    if untyped_null(if_true) {
        return Some(if_false.ty());
    }
    if untyped_null(if_false) {
        return Some(if_true.ty());
    }
    unify(&[if_true.ty(), if_false.ty()])
}

/// A value as a key: `None` when it is not known.
fn key_text(value: &Value, span: Span) -> Result<(Option<Arc<str>>, Marks), Vec<Diagnostic>> {
    let marks = value.marks;
    if value.is_null() {
        return fault(span, "A key is null", "A key must be a string.");
    }
    if !value.is_known() {
        return Ok((None, marks));
    }
    match convert(value, &Type::String) {
        Ok(text) => Ok((text.as_str().map(Arc::from), marks)),
        Err(error) => fault(span, "This is no key", format!("A key must be a string: {error}.")),
    }
}

fn literal_value(literal: &Literal, span: Span) -> Evaluated {
    Ok(match literal {
        Literal::Null => Value::null(Type::Dynamic),
        Literal::Bool(value) => Value::bool(*value),
        Literal::String(text) => Value::string(text.as_str()),
        Literal::Number(text) => match text.parse::<pve_model::Number>() {
            Ok(number) => Value::number(number),
            Err(error) => return fault(span, "This is no number", error.to_string()),
        },
    })
}
