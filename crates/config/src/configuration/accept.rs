//! The values that variables take, and what conditions say.

use pve_model::{Type, Value};

use super::{Condition, Variable};
use crate::convert::convert;
use crate::evaluate::{Scope, evaluate};
use crate::syntax::{Diagnostic, Span};

impl Variable {
    /// The value that the variable has when `value` is given: converted, defaults filled in, marked.
    ///
    /// # Errors
    /// When the value does not fit.
    pub fn accept(&self, value: Value, span: Option<Span>) -> Result<Value, Vec<Diagnostic>> {
        let fault = |summary: String, detail: String| {
            let diagnostic = match span {
                Some(span) => Diagnostic::error(span, summary, detail),
                None => Diagnostic::error_without_span(summary, detail),
            };
            vec![diagnostic.with_related(self.span, "the variable is declared here")]
        };
        let value = match (&self.default, value.is_null(), self.nullable) {
            (Some(default), true, false) => default.clone(),
            (None, true, false) => {
                let detail = format!("Variable \"{}\" must not be null.", self.name);
                return Err(fault("A variable is null".into(), detail));
            }
            _ => value,
        };
        let value = self.constraint.apply(&value).map_err(|error| {
            let detail = format!("The value of variable \"{}\" does not fit its type: {error}.", self.name);
            fault(format!("Wrong value for variable \"{}\"", self.name), detail)
        })?;
        Ok(self.marked(value))
    }

    /// The value that the variable has when none is given: its default, marked.
    pub fn absent(&self) -> Option<Value> {
        self.default.clone().map(|default| self.marked(default))
    }

    pub(super) fn marked(&self, value: Value) -> Value {
        let value = if self.sensitive { value.sensitive() } else { value };
        if self.ephemeral { value.with_marks(pve_model::Marks::EPHEMERAL) } else { value }
    }

    /// The conditions that are not met, in a scope in which the variable has its value.
    pub fn validate(&self, scope: &dyn Scope) -> Vec<Diagnostic> {
        self.validations.iter().filter_map(|condition| condition.check(scope)).collect()
    }
}

impl Condition {
    /// What is said when the condition is not met. An unknown condition says nothing.
    pub fn check(&self, scope: &dyn Scope) -> Option<Diagnostic> {
        let value = match evaluate(&self.condition, scope) {
            Ok(value) => value,
            Err(mut found) => return (!found.is_empty()).then(|| found.remove(0)),
        };
        if !value.is_known() {
            return None;
        }
        let met = convert(&value, &Type::Bool).ok().and_then(|value| value.as_bool());
        if met == Some(true) {
            return None;
        }
        let message = match evaluate(&self.message, scope) {
            Ok(message) if message.marks_deep().is_sensitive() => {
                "The error message is sensitive and cannot be shown.".to_string()
            }
            Ok(message) => message.as_str().unwrap_or("The condition is not met.").trim().to_string(),
            Err(_) => "The condition is not met, and its error message cannot be evaluated.".to_string(),
        };
        let summary =
            if met.is_none() { "This condition is neither true nor false" } else { "A condition is not met" };
        Some(Diagnostic::error(self.condition.span, summary, message))
    }
}
