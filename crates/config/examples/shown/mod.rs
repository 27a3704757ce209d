//! Files of cases, and values in the notation of their results.

use std::process::ExitCode;

use pve_model::{Value, ValueKind};

/// One line of a file of cases.
pub struct Case {
    /// Its name.
    pub id: String,
    /// What is evaluated.
    pub source: String,
    result: Option<String>,
    ty: Option<String>,
    error: Option<String>,
}

/// What came of a case.
pub enum Outcome {
    /// A value.
    Value(Value),
    /// An error of a stage: `parse` or `eval`.
    Error(&'static str, String),
    /// There was nothing to evaluate.
    Nothing,
}

/// Runs the cases of the file that the first argument names and prints those that differ.
pub fn run(evaluate: impl Fn(&Case) -> Outcome) -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        println!("a file of cases is needed");
        return ExitCode::FAILURE;
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            println!("{path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut passed, mut failed) = (0, 0);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let Some(case) = read(line) else {
            println!("not a case: {line}");
            failed += 1;
            continue;
        };
        match difference(&case, evaluate(&case)) {
            None => passed += 1,
            Some(found) => {
                failed += 1;
                println!("{}: {} | {found}", case.id, case.source.trim_end());
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(line: &str) -> Option<Case> {
    let json: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| json.get(name).and_then(|value| value.as_str()).map(String::from);
    Some(Case {
        id: text("id")?,
        source: text("source")?,
        result: text("result"),
        ty: text("type"),
        error: text("error"),
    })
}

fn difference(case: &Case, outcome: Outcome) -> Option<String> {
    let (found, ty) = match outcome {
        Outcome::Error(stage, message) => {
            let expected = case.error.as_deref();
            return (expected != Some(stage))
                .then(|| format!("{stage} error: {message} | {:?}", case.result));
        }
        Outcome::Nothing => {
            let expects_none = case.error.is_none() && case.result.as_deref().unwrap_or_default().is_empty();
            return (!expects_none).then(|| "nothing evaluated".to_string());
        }
        Outcome::Value(value) => (show(&value), value.ty().to_string()),
    };
    let right = case.result.as_ref() == Some(&found) && case.ty.as_ref().is_none_or(|wanted| *wanted == ty);
    let expected = case.result.clone().or_else(|| case.error.clone()).unwrap_or_default();
    (!right)
        .then(|| format!("{found} : {ty} | expected {expected} : {}", case.ty.clone().unwrap_or_default()))
}

/// A value in the notation of the cases.
fn show(value: &Value) -> String {
    let text = match &value.kind {
        ValueKind::Null(_) => "null".to_string(),
        ValueKind::Unknown(ty, _) => format!("unknown({ty})"),
        ValueKind::Bool(flag) => flag.to_string(),
        ValueKind::Number(number) => number.to_string(),
        ValueKind::String(text) => serde_json::Value::from(&**text).to_string(),
        ValueKind::List(_, values) | ValueKind::Set(_, values) | ValueKind::Tuple(values) => {
            format!("[{}]", values.iter().map(show).collect::<Vec<_>>().join(","))
        }
        ValueKind::Map(_, values) | ValueKind::Object(values) => {
            let entries = values
                .iter()
                .map(|(key, value)| format!("{}:{}", serde_json::Value::from(&**key), show(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
    };
    if value.marks.is_sensitive() { format!("sensitive({text})") } else { text }
}
