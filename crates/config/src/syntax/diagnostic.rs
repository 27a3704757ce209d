//! What is wrong, where, and what to do about it.

use super::span::Span;

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth telling; the run goes on.
    Warning,
    /// The configuration cannot be used.
    Error,
}

/// One finding about a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// What is wrong, in a few words and without a full stop.
    pub summary: String,
    /// What is wrong, in sentences.
    pub detail: String,
    /// The text at fault; none for findings about no text, such as a missing variable.
    pub span: Option<Span>,
    /// Other places that matter, each with what it is.
    pub related: Vec<(Span, String)>,
    /// What the user can do.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error about the text at `span`.
    pub fn error(span: Span, summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            summary: summary.into(),
            detail: detail.into(),
            span: Some(span),
            related: Vec::new(),
            hint: None,
        }
    }

    /// A warning about the text at `span`.
    pub fn warning(span: Span, summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, summary, detail) }
    }

    /// An error about no text in particular.
    pub fn error_without_span(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { span: None, ..Self::error(Span::default(), summary, detail) }
    }

    /// A warning about no text in particular.
    pub fn warning_without_span(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error_without_span(summary, detail) }
    }

    /// Adds another place that matters.
    #[must_use]
    pub fn with_related(mut self, span: Span, what: impl Into<String>) -> Self {
        self.related.push((span, what.into()));
        self
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
