//! What the API answers when it refuses: the status, the text of the status line, and errors by parameter.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub status: u16,
    /// Status line text; the body's `message` is the same with a newline (PVE dies with one).
    pub reason: String,
    pub errors: BTreeMap<String, String>,
    pub body: Body,
}

/// What is in the body of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// `data`, `message`, `errors`.
    Json,
    /// The reason as text: the HTTP layer refused.
    Text,
    /// Nothing: authentication failed or the method is unknown.
    Empty,
}

impl Failure {
    /// A handler died with `text`: 500.
    pub fn died(text: impl Into<String>) -> Self {
        Failure { status: 500, reason: text.into(), errors: BTreeMap::new(), body: Body::Json }
    }

    /// 403 with PVE's prefix.
    pub fn forbidden(text: &str) -> Self {
        Failure { status: 403, ..Failure::died(format!("Permission check failed ({text})")) }
    }

    /// One bad parameter: 400.
    pub fn parameter(name: &str, text: impl Into<String>) -> Self {
        Failure::parameters(BTreeMap::from([(name.to_owned(), text.into())]))
    }

    /// Bad parameters: 400.
    pub fn parameters(errors: BTreeMap<String, String>) -> Self {
        Failure { status: 400, reason: "Parameter verification failed.".to_owned(), errors, body: Body::Json }
    }

    /// A bad parameter that was found late: 500, with the parameter in the text.
    pub fn nested(prefix: &str, name: &str, text: &str) -> Self {
        Failure::died(format!("{prefix}400 Parameter verification failed.\n{name}: {text}"))
    }

    /// No handler for this method and path: 501.
    pub fn not_implemented(method: &str, path: &str) -> Self {
        Failure { status: 501, ..Failure::died(format!("Method '{method} {path}' not implemented")) }
    }

    /// An answer without a body (401, malformed requests).
    pub fn bare(status: u16, reason: impl Into<String>) -> Self {
        Failure { status, reason: reason.into(), errors: BTreeMap::new(), body: Body::Empty }
    }

    /// An answer with the reason as its body.
    pub fn text(status: u16, reason: impl Into<String>) -> Self {
        Failure { body: Body::Text, ..Failure::bare(status, reason) }
    }

    /// The line with which a task ends that died of it (PVE::Exception, `stringify`; PVE::RESTEnvironment,
    /// `fork_worker`).
    pub fn in_task(&self) -> String {
        if self.errors.is_empty() {
            return self.reason.clone();
        }
        let errors: String = self.errors.iter().map(|(name, text)| format!("{name}: {text}\n")).collect();
        let text = format!("{} {}\n{errors}", self.status, self.reason);
        text.strip_suffix('\n').unwrap_or(&text).replace('\n', " ")
    }

    /// The JSON body.
    pub fn json(&self) -> Value {
        let newline = if matches!(self.status, 424 | 501) { "" } else { "\n" };
        let mut body = json!({ "data": null, "message": format!("{}{newline}", self.reason) });
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        body
    }
}
