//! Evaluates the cases of a file and tells which differ: bodies whose attribute `r` is asked for.

#[path = "../shown/mod.rs"]
mod shown;

use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use pve_config::evaluate::{Resolved, Scope, ScopeError, evaluate};
use pve_config::functions::{Context, FunctionError, call};
use pve_config::syntax::{Diagnostic, SourceId, parse_body};
use pve_model::{Number, Type, Value};

struct Names(Context);

impl Scope for Names {
    fn resolve(&self, root: &str, _steps: &[&str]) -> Result<Resolved, ScopeError> {
        let text = |text: &str| Value::string(text);
        let object = |parts: Vec<(&str, Value)>| {
            Value::object(parts.into_iter().map(|(name, value)| (Arc::from(name), value)).collect())
        };
        let value = match root {
            "nul" => Value::null(Type::Dynamic),
            "list" => Value::list(Type::String, vec![text("a"), text("b")]),
            "objs" => Value::tuple(vec![
                object(vec![("n", text("x")), ("l", Value::tuple(vec![Value::number(1)]))]),
                object(vec![("n", text("y")), ("l", Value::tuple(vec![Value::number(2)]))]),
            ]),
            "obj" => object(vec![("a", Value::number(1)), ("b", Value::number(2)), ("n", text("z"))]),
            "unk" => Value::unknown(Type::String),
            "sec" => text("s").sensitive(),
            "s" => text("str"),
            "n" => Value::number(Number::from(3)),
            "t" => Value::bool(true),
            _ => {
                let detail = "The scope of the cases has no such name.".into();
                return Err(ScopeError { summary: format!("There is no \"{root}\""), detail, hint: None });
            }
        };
        Ok(Resolved { value, consumed: 0 })
    }

    fn functions(&self) -> &Context {
        &self.0
    }

    fn call_provided(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, FunctionError>> {
        match name {
            "strlen" => Some(call("length", arguments, &self.0)),
            // The cases are of a language without the namespace of OpenTofu.
            _ if name.starts_with("core::") => Some(Err(FunctionError::new("there are no namespaces"))),
            _ => None,
        }
    }
}

fn main() -> ExitCode {
    let scope = Names(Context::new(".", Timestamp::UNIX_EPOCH));
    shown::run(|case| {
        let parsed = parse_body(SourceId(0), &case.source);
        if let Some(fault) = parsed.diagnostics.iter().find(|fault| fault.is_error()) {
            return shown::Outcome::Error("parse", describe(fault));
        }
        match parsed.value.attribute("r") {
            None => shown::Outcome::Nothing,
            Some(attribute) => match evaluate(&attribute.expr, &scope) {
                Ok(value) => shown::Outcome::Value(value),
                Err(faults) => {
                    shown::Outcome::Error("eval", faults.first().map(describe).unwrap_or_default())
                }
            },
        }
    })
}

fn describe(fault: &Diagnostic) -> String {
    format!("{}: {}", fault.summary, fault.detail)
}
