//! Calls of functions. `try` and `can` are here because they see errors of their arguments.

use pve_model::{Marks, Type, Value, ValueKind};

use super::suggestion::closest;
use super::{Evaluated, Frame, gather, split_marks};
use crate::functions;
use crate::syntax::ast::{Expr, FunctionCall};
use crate::syntax::{Diagnostic, Span};

impl Frame<'_> {
    pub(super) fn call(&self, call: &FunctionCall, span: Span) -> Evaluated {
        let name = call.name.strip_prefix("core::").unwrap_or(&call.name);
        match name {
            "try" => return self.call_try(call, span),
            "can" => return self.call_can(call, span),
            _ => {}
        }
        let context = self.scope.functions();
        let arguments = self.arguments(call);
        let is_foreign = call.name.contains("::") && self.scope.call_provided(&call.name, &[]).is_some();
        if is_foreign || !context.is_offered(name) {
            return self.call_provided(call, span, arguments);
        }
        let Some(arguments) = arguments? else { return Ok(Value::unknown(Type::Dynamic)) };
        functions::call(name, &arguments, context).map_err(|error| self.call_fault(call, span, error))
    }

    /// A function that is not the language's own.
    fn call_provided(
        &self,
        call: &FunctionCall,
        span: Span,
        arguments: Result<Option<Vec<Value>>, Vec<Diagnostic>>,
    ) -> Evaluated {
        let given = arguments.as_ref().ok().and_then(Option::as_deref).unwrap_or_default();
        if let Some(result) = self.scope.call_provided(&call.name, given) {
            return match arguments? {
                Some(_) => result.map_err(|error| self.call_fault(call, span, error)),
                None => Ok(Value::unknown(Type::Dynamic)),
            };
        }
        let detail = format!("No function is called \"{}\".", call.name);
        let fault =
            Diagnostic::error(call.name_span, format!("There is no function \"{}\"", call.name), detail);
        Err(vec![match closest(&call.name, functions::names()) {
            Some(near) => fault.with_hint(format!("Did you mean {near}()?")),
            None => fault,
        }])
    }

    fn call_fault(
        &self,
        call: &FunctionCall,
        span: Span,
        error: functions::FunctionError,
    ) -> Vec<Diagnostic> {
        let last = call.arguments.len().saturating_sub(1);
        let argument = error.argument.and_then(|index| call.arguments.get(index.min(last)));
        let at = argument.map_or(span, |argument| argument.span);
        let message = error.message.trim_end_matches('.');
        let summary = match error.argument {
            Some(_) => format!("An argument of {}() is wrong", call.name),
            None => format!("{}() failed", call.name),
        };
        let exprs: Vec<&Expr> =
            argument.map_or_else(|| call.arguments.iter().collect(), |argument| vec![argument]);
        self.explain(Diagnostic::error(at, summary, format!("{}: {message}.", call.name)), &exprs)
    }

    /// The arguments, with a final `...` spread; none while what is spread is unknown.
    fn arguments(&self, call: &FunctionCall) -> Result<Option<Vec<Value>>, Vec<Diagnostic>> {
        let mut values = gather(call.arguments.iter().map(|argument| self.evaluate(argument)))?;
        if !call.expand_final {
            return Ok(Some(values));
        }
        let (Some(spread), Some(expr)) = (values.pop(), call.arguments.last()) else {
            return Ok(Some(values));
        };
        let (spread, marks) = split_marks(spread);
        match &spread.kind {
            ValueKind::List(_, elements) | ValueKind::Set(_, elements) | ValueKind::Tuple(elements) => {
                values.extend(elements.iter().map(|element| element.clone().with_marks(marks)));
                Ok(Some(values))
            }
            ValueKind::Unknown(Type::Dynamic | Type::List(_) | Type::Set(_) | Type::Tuple(_), _) => Ok(None),
            _ => {
                let detail = "Only a list, set or tuple that is not null can be spread with `...`.";
                let fault = Diagnostic::error(expr.span, "This cannot be spread into arguments", detail);
                Err(self.explain(fault, &[expr]))
            }
        }
    }

    fn call_try(&self, call: &FunctionCall, span: Span) -> Evaluated {
        let mut faults = Vec::new();
        for argument in &call.arguments {
            match self.evaluate(argument) {
                // Once it is known it may turn out to be an error, so nothing can be said of its type either.
                Ok(value) if !value.is_wholly_known() => {
                    return Ok(Value::unknown(Type::Dynamic).with_marks(Marks::NONE));
                }
                Ok(value) => return Ok(value),
                Err(found) => faults.extend(found),
            }
        }
        let detail = match faults.is_empty() {
            true => "It takes at least one argument.".to_string(),
            false => {
                let reasons: Vec<String> =
                    faults.iter().map(|fault| format!("\n- {}: {}", fault.summary, fault.detail)).collect();
                format!("All its arguments fail:{}", reasons.concat())
            }
        };
        Err(vec![Diagnostic::error(span, "try() has no result", detail)])
    }

    fn call_can(&self, call: &FunctionCall, span: Span) -> Evaluated {
        let [argument] = &call.arguments[..] else {
            return Err(vec![Diagnostic::error(
                span,
                "can() takes one argument",
                "It tells whether it has a value.",
            )]);
        };
        Ok(match self.evaluate(argument) {
            Ok(value) if !value.is_wholly_known() => Value::unknown(Type::Bool),
            Ok(_) => Value::bool(true),
            Err(_) => Value::bool(false),
        })
    }
}
