//! A session of `pve console`: expressions to texts, and when an expression is complete.

use pve_config::evaluate::{Resolved, Scope, ScopeError, evaluate};
use pve_config::functions::{Context, FunctionError};
use pve_config::syntax::ast::FunctionCall;
use pve_config::syntax::{Diagnostic, Expr, ExprKind, SourceMap, parse_expression};
use pve_model::{ModulePath, Value};
use pve_planner::evaluation::Evaluation;
use pve_planner::scope::{ModuleScope, Repetition};
use serde_json::{Value as Json, json};

use crate::failure::Failure;
use crate::render::literal::{render_literal, render_type};
use crate::terraform_json::{known_parts, sensitive_parts};

/// What a line meant.
pub enum Reply {
    /// A result to print.
    Text(String),
    /// There was nothing to evaluate.
    Nothing,
    /// The session is over.
    Exit,
}

/// Says what the console takes.
const HELP: &str = "\
Type an expression of the configuration language to see its value, for instance:

  var.name
  [for key, guest in local.guests : key if guest.cores > 2]
  cidrhost(\"10.0.0.0/24\", 5)
  type(local.guests)

An open bracket continues on the next line. `exit` or Ctrl-D ends the session.";

/// A configuration and a state that expressions are evaluated in.
pub struct Session<'a> {
    evaluation: &'a Evaluation<'a>,
    sources: &'a SourceMap,
    json: bool,
}

impl<'a> Session<'a> {
    /// A session that prints values as Terraform does, or as JSON.
    pub fn new(evaluation: &'a Evaluation<'a>, sources: &'a SourceMap, json: bool) -> Session<'a> {
        Session { evaluation, sources, json }
    }

    /// Evaluates what was entered.
    ///
    /// # Errors
    /// When it is no expression, or has no value.
    pub fn handle(&self, text: &str) -> Result<Reply, Failure> {
        match text.trim() {
            "" => return Ok(Reply::Nothing),
            "exit" => return Ok(Reply::Exit),
            "help" => return Ok(Reply::Text(HELP.into())),
            _ => {}
        }
        let mut sources = self.sources.clone();
        let source = sources.add("<console-input>", text);
        let parsed = parse_expression(source, text);
        let result = match parsed.value {
            Some(expr) if !parsed.diagnostics.iter().any(Diagnostic::is_error) => self.answer(&expr),
            _ => Err(parsed.diagnostics),
        };
        match result {
            Ok(text) => Ok(Reply::Text(text)),
            Err(diagnostics) => Err(Failure::Diagnosed { diagnostics, sources }),
        }
    }

    fn answer(&self, expr: &Expr) -> Result<String, Vec<Diagnostic>> {
        let mut inner = expr;
        while let ExprKind::Parenthesised(within) | ExprKind::TemplateWrap(within) = &inner.kind {
            inner = within;
        }
        match &inner.kind {
            ExprKind::FunctionCall(call) if &*call.name == "type" => {
                let value = self.evaluate(only_argument(call, inner)?)?;
                let ty = value.ty();
                Ok(if self.json {
                    json!({"format_version": "1.0", "type": ty.to_json()}).to_string()
                } else {
                    render_type(&ty)
                })
            }
            _ => {
                let value = self.evaluate(expr)?;
                Ok(if self.json { value_json(&value).to_string() } else { render_literal(&value, 0) })
            }
        }
    }

    fn evaluate(&self, expr: &Expr) -> Result<Value, Vec<Diagnostic>> {
        let root = &self.evaluation.inputs.configuration.root;
        let scope = self.evaluation.scope(root, &ModulePath::root(), &Repetition::Single, None);
        match scope {
            Some(scope) => evaluate(expr, &ConsoleScope(scope)),
            None => Ok(pve_planner::scope::unevaluated()),
        }
    }
}

/// A value with its type. What is sensitive or unknown is null, and said so beside it.
fn value_json(value: &Value) -> Json {
    let shown = value.transform(&mut |_, part: Value| {
        if part.marks.is_sensitive() { Value::null(part.ty()) } else { part }
    });
    json!({
        "format_version": "1.0",
        "type": value.ty().to_json(),
        "value": known_parts(&shown),
        "known": value.is_wholly_known(),
        "sensitive": sensitive_parts(value),
    })
}

fn only_argument<'e>(call: &'e FunctionCall, expr: &Expr) -> Result<&'e Expr, Vec<Diagnostic>> {
    match call.arguments.as_slice() {
        [argument] if !call.expand_final => Ok(argument),
        _ => {
            let detail = format!("type() takes one expression, and here are {}.", call.arguments.len());
            Err(vec![Diagnostic::error(expr.span, "type() takes one argument", detail)])
        }
    }
}

/// The root module's names, and `type`, which is refused inside of other expressions: a type is no value.
struct ConsoleScope<'a>(ModuleScope<'a>);

impl Scope for ConsoleScope<'_> {
    fn resolve(&self, root: &str, steps: &[&str]) -> Result<Resolved, ScopeError> {
        self.0.resolve(root, steps)
    }

    fn functions(&self) -> &Context {
        self.0.functions()
    }

    fn call_provided(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, FunctionError>> {
        if name == "type" {
            return Some(Err(FunctionError::new("a type is no value: type() can only stand alone")));
        }
        self.0.call_provided(name, arguments)
    }
}

/// Whether an expression wants another line: a bracket is open, a heredoc has not ended, or the line ends with a
/// backslash.
pub fn wants_more(text: &str) -> bool {
    if text.ends_with('\\') {
        return true;
    }
    let mut open: Vec<char> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let marker = scan_line(line, &mut open);
        if let Some(marker) = marker
            && !lines.any(|line| line.trim() == marker)
        {
            return true;
        }
        // Texts in quotes end with their line.
        while open.last() == Some(&'"') {
            open.pop();
        }
    }
    !open.is_empty()
}

/// Takes in the brackets of a line; the marker of a heredoc that it begins.
fn scan_line(line: &str, open: &mut Vec<char>) -> Option<String> {
    let characters: Vec<char> = line.chars().collect();
    let mut at = 0;
    while let Some(&c) = characters.get(at) {
        let next = characters.get(at + 1).copied();
        at += 1;
        if open.last() == Some(&'"') {
            match (c, next) {
                ('\\', _) => at += 1,
                ('"', _) => drop(open.pop()),
                ('$' | '%', Some(same)) if same == c => at += 1,
                ('$' | '%', Some('{')) => {
                    open.push('{');
                    at += 1;
                }
                _ => {}
            }
            continue;
        }
        match (c, next) {
            ('#', _) | ('/', Some('/')) => return None,
            ('"' | '(' | '[' | '{', _) => open.push(c),
            (')' | ']' | '}', _) => drop(open.pop()),
            ('<', Some('<')) => {
                let marker: String = characters[at + 1..].iter().collect();
                return Some(marker.trim_start_matches('-').trim().to_string());
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::wants_more;

    #[test]
    fn open_brackets_and_heredocs_want_more() {
        for text in ["[", "{ a = [1,", "f(\n1", "\"${[1", "<<EOT\na", "1 + \\", "{\n a = \"}\"\n"] {
            assert!(wants_more(text), "{text}");
        }
    }

    #[test]
    fn what_is_complete_or_cannot_become_so_wants_no_more() {
        for text in
            ["1", "[1]", "\"[\"", "\"$${\"", "\"${[1][0]}\"", "[1] # (", "<<EOT\na\nEOT", "]", "\"a", "a < b"]
        {
            assert!(!wants_more(text), "{text}");
        }
    }
}
