//! Expressions at the edges of functions, operators and conversion. `reference_values.txt` has each with the value and
//! type that OpenTofu 1.12.6 gives it beneath, or `error`.

use pve_config::evaluate::{Resolved, Scope, ScopeError, evaluate};
use pve_config::functions::Context;
use pve_config::syntax::{SourceId, parse_expression};
use pve_model::{Number, Type, Value, ValueKind};

struct Names(Context);

impl Scope for Names {
    fn resolve(&self, root: &str, _steps: &[&str]) -> Result<Resolved, ScopeError> {
        let texts = |values| Value::list(Type::String, values);
        let value = match root {
            "unk" => Value::unknown(Type::String),
            "unkl" => Value::unknown(Type::list(Type::String)),
            "any" => Value::unknown(Type::Dynamic),
            "nuln" => Value::null(Type::Number),
            "sec" => Value::string("s3cret").sensitive(),
            "secl" => texts(vec![Value::string("x"), Value::string("y")]).sensitive(),
            "partl" => texts(vec![Value::string("x"), Value::unknown(Type::String)]),
            _ => return Err(ScopeError { summary: root.into(), detail: root.into(), hint: None }),
        };
        Ok(Resolved { value, consumed: 0 })
    }

    fn functions(&self) -> &Context {
        &self.0
    }
}

fn show(value: &Value) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let join = |parts: Vec<String>| parts.join(",");
    let text = match &value.kind {
        ValueKind::Null(_) => "null".to_string(),
        ValueKind::Unknown(ty, _) => format!("unknown({ty})"),
        ValueKind::Bool(flag) => flag.to_string(),
        ValueKind::Number(number) => Number::to_string(number),
        ValueKind::String(text) => quoted(text),
        ValueKind::List(_, values) | ValueKind::Set(_, values) | ValueKind::Tuple(values) => {
            format!("[{}]", join(values.iter().map(show).collect()))
        }
        ValueKind::Map(_, values) | ValueKind::Object(values) => {
            let entries = values.iter().map(|(key, value)| format!("{}:{}", quoted(key), show(value)));
            format!("{{{}}}", join(entries.collect()))
        }
    };
    if value.marks.is_sensitive() { format!("sensitive({text})") } else { text }
}

#[test]
fn values_are_those_of_the_reference() {
    let scope = Names(Context::new(".", jiff::Timestamp::UNIX_EPOCH));
    let lines: Vec<&str> = include_str!("reference_values.txt").lines().collect();
    let mut differing = Vec::new();
    for case in lines.chunks_exact(2) {
        let (source, expected) = (case[0], case[1].trim_start());
        let parsed = parse_expression(SourceId(0), source);
        assert!(parsed.diagnostics.is_empty(), "{source}: {:?}", parsed.diagnostics);
        let found = match evaluate(&parsed.value.unwrap(), &scope) {
            Ok(value) => format!("{} : {}", show(&value), value.ty()),
            Err(_) => "error".to_string(),
        };
        if found != expected {
            differing.push(format!("{source}\n    {found}\n    expected {expected}"));
        }
    }
    assert_eq!(lines.len() % 2, 0);
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}
