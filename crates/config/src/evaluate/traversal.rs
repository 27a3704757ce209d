//! References and the steps behind them.

use pve_model::value::Refinement;
use pve_model::{Type, Value, ValueKind};

use super::collection::{StepError, get_attribute, get_index};
use super::{Evaluated, Frame, split_marks};
use crate::convert::unify;
use crate::syntax::ast::{Expr, ExprKind, Step, Traversal, TraversalStepKind};
use crate::syntax::{Diagnostic, Span};

impl Frame<'_> {
    /// A name alone, or with steps that are attributes.
    pub(super) fn resolve(&self, name: &str, span: Span, steps: &[Step]) -> Evaluated {
        let attributes: Vec<&str> = steps
            .iter()
            .map_while(|step| match step {
                Step::Attribute(name) => Some(name.name.as_str()),
                _ => None,
            })
            .collect();
        if let Some(value) = self.bound(name) {
            return self.steps(value.clone(), steps);
        }
        let end = steps.iter().take(1).fold(span, |span, step| match step {
            Step::Attribute(name) => span.to(name.span),
            _ => span,
        });
        let resolved = self.scope.resolve(name, &attributes).map_err(|error| {
            let fault = Diagnostic::error(end, error.summary, error.detail);
            vec![match error.hint {
                Some(hint) => fault.with_hint(hint),
                None => fault,
            }]
        })?;
        self.steps(resolved.value, steps.get(resolved.consumed..).unwrap_or_default())
    }

    pub(super) fn traversal(&self, source: &Expr, steps: &[Step]) -> Evaluated {
        match &source.kind {
            ExprKind::Variable(name) => self.resolve(name, source.span, steps),
            _ => self.steps(self.evaluate(source)?, steps),
        }
    }

    /// The value behind `steps` on `value`.
    fn steps(&self, value: Value, steps: &[Step]) -> Evaluated {
        let mut value = value;
        for step in steps {
            value = match step {
                Step::Attribute(name) => {
                    get_attribute(&value, &name.name).map_err(|error| report(error, name.span))?
                }
                Step::Index(expr, span) => {
                    let key = self.evaluate(expr)?;
                    get_index(&value, &key)
                        .map_err(|error| self.explain(report(error, *span).swap_remove(0), &[expr]))?
                }
                Step::LegacyIndex(digits, span) => {
                    let key = Value::string(digits.as_str());
                    get_index(&value, &key).map_err(|error| report(error, *span))?
                }
                Step::AttributeSplat(inner, span) | Step::FullSplat(inner, span) => {
                    self.splat(value, inner, *span)?
                }
            };
        }
        Ok(value)
    }

    fn splat(&self, source: Value, steps: &[Step], span: Span) -> Evaluated {
        let (value, marks) = split_marks(source);
        let ty = value.ty();
        let is_sequence = matches!(ty, Type::Tuple(_) | Type::List(_) | Type::Set(_));
        if value.is_null() {
            if is_sequence {
                let detail = "`*` takes the elements of a list, and this is null.";
                return Err(vec![Diagnostic::error(span, "The value is null", detail)]);
            }
            return Ok(Value::tuple(Vec::new()).with_marks(marks));
        }
        if ty == Type::Dynamic {
            return Ok(Value::unknown(Type::Dynamic).with_marks(marks));
        }
        if !is_sequence {
            let may_be_null = match &value.kind {
                ValueKind::Unknown(_, refinement) => !refinement.as_ref().is_some_and(|r| r.not_null),
                _ => false,
            };
            let one = self.steps(value.with_marks(marks), steps)?;
            let result = if may_be_null { Value::unknown(Type::Dynamic) } else { Value::tuple(vec![one]) };
            return Ok(result.with_marks(marks));
        }
        let result = match (&value.kind, &ty) {
            (ValueKind::Unknown(_, refinement), Type::List(element) | Type::Set(element)) => {
                let part = self.steps(Value::unknown((**element).clone()), steps)?;
                let mut known = Refinement { not_null: true, ..Refinement::default() };
                if let (Type::List(_), Some(refinement)) = (&ty, refinement) {
                    known.min_length = refinement.min_length;
                    known.max_length = refinement.max_length;
                }
                Value::unknown_refined(Type::list(part.ty()), known)
            }
            (ValueKind::Unknown(..), Type::Tuple(types)) => {
                let parts = types.iter().map(|ty| self.steps(Value::unknown(ty.clone()), steps));
                Value::tuple(super::gather(parts)?)
            }
            _ => {
                let elements = value.elements().unwrap_or_default();
                let parts = super::gather(elements.iter().map(|element| self.steps(element.clone(), steps)))?;
                match ty.element() {
                    Some(element) => self.list_of(parts, element, steps)?,
                    None => Value::tuple(parts),
                }
            }
        };
        Ok(result.with_marks(marks))
    }

    /// A list of what the steps gave for each element of a list or set.
    fn list_of(&self, parts: Vec<Value>, element: &Type, steps: &[Step]) -> Evaluated {
        let types: Vec<Type> = parts.iter().map(Value::ty).collect();
        let Some(first) = types.first() else {
            let part = self.steps(Value::unknown(element.clone()), steps);
            return Ok(Value::list(part.map_or(Type::Dynamic, |part| part.ty()), Vec::new()));
        };
        if types.iter().all(|ty| ty == first) {
            return Ok(Value::list(first.clone(), parts));
        }
        match unify(&types) {
            Some(common) => {
                let converted: Result<Vec<Value>, _> =
                    parts.iter().map(|part| crate::convert::convert(part, &common)).collect();
                Ok(converted.map_or_else(|_| Value::tuple(parts.clone()), |parts| Value::list(common, parts)))
            }
            None => Ok(Value::tuple(parts)),
        }
    }

    /// The value of a reference, if it has one.
    pub(super) fn value_of(&self, reference: &Traversal) -> Option<Value> {
        let names: Vec<&str> = reference
            .steps
            .iter()
            .map_while(|step| match &step.kind {
                TraversalStepKind::Attribute(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let (value, consumed) = match self.bound(&reference.root.name) {
            Some(value) => (value.clone(), 0),
            None => {
                let resolved = self.scope.resolve(&reference.root.name, &names).ok()?;
                (resolved.value, resolved.consumed)
            }
        };
        reference.steps.get(consumed..)?.iter().try_fold(value, |value, step| match &step.kind {
            TraversalStepKind::Attribute(name) => get_attribute(&value, name).ok(),
            TraversalStepKind::Key(key) => get_index(&value, &Value::string(key.as_str())).ok(),
            TraversalStepKind::Index(index) => get_index(&value, &Value::string(index.as_str())).ok(),
        })
    }
}

fn report(error: StepError, span: Span) -> Vec<Diagnostic> {
    let fault = Diagnostic::error(span, error.summary, error.detail);
    vec![match error.hint {
        Some(hint) => fault.with_hint(hint),
        None => fault,
    }]
}
