//! Diagnostics with the source they are about.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use pve_config::syntax::{Diagnostic, Severity, SourceMap, Span};
use serde_json::{Value as Json, json};

use super::paint::Paint;

/// Lines of source around a span that the renderer is handed: it looks at no more of a large file.
const CONTEXT_LINES: usize = 3;

/// All diagnostics, errors last so that they stand above the prompt.
pub fn render_diagnostics(diagnostics: &[Diagnostic], sources: &SourceMap, paint: Paint) -> String {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| diagnostic.severity);
    sorted.iter().map(|diagnostic| render_one(diagnostic, sources, paint)).collect::<Vec<_>>().join("\n")
}

fn render_one(diagnostic: &Diagnostic, sources: &SourceMap, paint: Paint) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let window = diagnostic.span.and_then(|span| Window::around(span, sources));
    let mut group = Group::with_title(level.primary_title(diagnostic.summary.as_str()));
    if let Some(window) = &window {
        group = group.element(window.snippet(AnnotationKind::Primary, None));
    }
    let related: Vec<(Window<'_>, &str)> = diagnostic
        .related
        .iter()
        .filter_map(|(span, what)| Some((Window::around(*span, sources)?, what.as_str())))
        .collect();
    for (window, what) in &related {
        group = group.element(window.snippet(AnnotationKind::Context, Some(what)));
    }
    if !diagnostic.detail.is_empty() {
        group = group.element(Level::NOTE.no_name().message(diagnostic.detail.as_str()));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    let renderer = if paint.is_enabled() { Renderer::styled() } else { Renderer::plain() };
    format!("{}\n", renderer.render(&[group]))
}

/// Some lines of a source and a span within them.
struct Window<'a> {
    name: &'a str,
    text: &'a str,
    first_line: usize,
    start: usize,
    end: usize,
}

impl<'a> Window<'a> {
    fn around(span: Span, sources: &'a SourceMap) -> Option<Window<'a>> {
        let source = sources.get(span.source)?;
        let text: &str = &source.text;
        let (start, end) = (span.start as usize, (span.end as usize).min(text.len()));
        if start > text.len() || !text.is_char_boundary(start) || !text.is_char_boundary(end) {
            return None;
        }
        let mut from = text[..start].rfind('\n').map_or(0, |at| at + 1);
        for _ in 1..CONTEXT_LINES {
            from = text[..from.saturating_sub(1)].rfind('\n').map_or(0, |at| at + 1);
        }
        let mut to = end.max(start);
        for _ in 0..CONTEXT_LINES {
            to = text[to..].find('\n').map_or(text.len(), |at| to + at + 1);
        }
        let first_line = text[..from].bytes().filter(|byte| *byte == b'\n').count() + 1;
        // An empty span at the end of the text still wants one column to point at.
        let end = end.max(start) - from;
        Some(Window { name: &source.name, text: &text[from..to], first_line, start: start - from, end })
    }

    fn snippet(
        &self,
        kind: AnnotationKind,
        label: Option<&'a str>,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let annotation = kind.span(self.start..self.end).label(label);
        Snippet::source(self.text).path(self.name).line_start(self.first_line).annotation(annotation)
    }
}

/// Diagnostics as Terraform's `validate -json` has them.
pub fn diagnostics_json(diagnostics: &[Diagnostic], sources: &SourceMap) -> Json {
    let position = |source: &pve_config::syntax::Source, offset: u32| {
        let (line, column) = source.line_column(offset);
        json!({"line": line, "column": column, "byte": offset})
    };
    diagnostics
        .iter()
        .map(|diagnostic| {
            let severity = if diagnostic.is_error() { "error" } else { "warning" };
            let mut entry =
                json!({"severity": severity, "summary": diagnostic.summary, "detail": diagnostic.detail});
            if let Some(hint) = &diagnostic.hint {
                entry["hint"] = json!(hint);
            }
            if let Some((span, source)) =
                diagnostic.span.and_then(|span| Some((span, sources.get(span.source)?)))
            {
                entry["range"] = json!({
                    "filename": source.name,
                    "start": position(source, span.start),
                    "end": position(source, span.end),
                });
            }
            entry
        })
        .collect()
}
