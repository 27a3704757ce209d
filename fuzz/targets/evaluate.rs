//! Expressions with all functions, and conversion of what they give.

#![no_main]

use std::io;
use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use pve_config::convert::convert;
use pve_config::evaluate::{Resolved, Scope, ScopeError, evaluate};
use pve_config::functions::{Context, Files};
use pve_config::syntax::{SourceId, parse_expression};
use pve_model::{Type, Value};

struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn exists(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

struct Names(Context);

impl Scope for Names {
    fn resolve(&self, root: &str, _: &[&str]) -> Result<Resolved, ScopeError> {
        let texts = |texts: &[&str]| {
            Value::list(Type::String, texts.iter().map(|text| Value::string(*text)).collect())
        };
        let value = match root {
            "u" => Value::unknown(Type::String),
            "a" => Value::unknown(Type::Dynamic),
            "n" => Value::null(Type::Number),
            "l" => texts(&["x", "y"]),
            "s" => texts(&["x"]).sensitive(),
            "o" => Value::object([("a".into(), Value::number(1)), ("b".into(), Value::string("é"))].into()),
            _ => return Err(ScopeError { summary: root.into(), detail: String::new(), hint: None }),
        };
        Ok(Resolved { value, consumed: 0 })
    }

    fn functions(&self) -> &Context {
        &self.0
    }
}

fuzz_target!(|text: &str| {
    let Some(expr) = parse_expression(SourceId(0), text).value else { return };
    let mut functions = Context::new("/", jiff::Timestamp::UNIX_EPOCH);
    functions.files = Arc::new(NoFiles);
    if let Ok(value) = evaluate(&expr, &Names(functions)) {
        for ty in [Type::String, Type::list(Type::Dynamic), Type::set(Type::String), Type::map(Type::Number)] {
            let _ = convert(&value, &ty);
        }
    }
});
