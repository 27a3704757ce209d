//! Evaluates the cases of a file and tells which differ: single expressions over all functions.

#[path = "../shown/mod.rs"]
mod shown;

use std::process::ExitCode;

use pve_config::evaluate::{Resolved, Scope, ScopeError, evaluate};
use pve_config::functions::Context;
use pve_config::syntax::{Diagnostic, SourceId, parse_expression};
use pve_model::{Type, Value};

struct Names(Context);

impl Scope for Names {
    fn resolve(&self, root: &str, _steps: &[&str]) -> Result<Resolved, ScopeError> {
        let text = |text: &str| Value::string(text);
        let texts = |values| Value::list(Type::String, values);
        let unknown = || Value::unknown(Type::String);
        let value = match root {
            "unk" => unknown(),
            "unkn" => Value::unknown(Type::Number),
            "unkl" => Value::unknown(Type::list(Type::String)),
            "any" => Value::unknown(Type::Dynamic),
            "nuls" => Value::null(Type::String),
            "nuln" => Value::null(Type::Number),
            "null_" => Value::null(Type::list(Type::String)),
            "sec" => text("s3cret").sensitive(),
            "secl" => texts(vec![text("x"), text("y")]).sensitive(),
            "secin" => texts(vec![text("x"), text("y").sensitive()]),
            "partl" => texts(vec![text("x"), unknown()]),
            "partm" => Value::map(
                Type::String,
                [("a".into(), text("x")), ("b".into(), unknown())].into_iter().collect(),
            ),
            "obj" => Value::object(
                [("a".into(), Value::number(1)), ("b".into(), text("two")), ("c".into(), Value::bool(true))]
                    .into_iter()
                    .collect(),
            ),
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
}

fn main() -> ExitCode {
    let folder = std::env::args().nth(2).unwrap_or_default();
    let plan_timestamp = jiff::Timestamp::constant(1_767_323_045, 0);
    let scope = Names(Context::new(folder, plan_timestamp));
    shown::run(|case| {
        let parsed = parse_expression(SourceId(0), &case.source);
        if let Some(fault) = parsed.diagnostics.iter().find(|fault| fault.is_error()) {
            return shown::Outcome::Error("eval", describe(fault));
        }
        match parsed.value.map(|expr| evaluate(&expr, &scope)) {
            None => shown::Outcome::Nothing,
            Some(Ok(value)) => shown::Outcome::Value(value),
            Some(Err(faults)) => {
                shown::Outcome::Error("eval", faults.first().map(describe).unwrap_or_default())
            }
        }
    })
}

fn describe(fault: &Diagnostic) -> String {
    format!("{}: {}", fault.summary, fault.detail)
}
