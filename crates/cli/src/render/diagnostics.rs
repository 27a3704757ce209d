//! Diagnostics with the source they are about.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use pve_config::syntax::{Diagnostic, Severity, SourceMap, Span};
use serde_json::{Value as Json, json};

use super::paint::Paint;
use crate::secrets::is_hidden;

/// Lines of source around a span that the renderer is handed: it looks at no more of a large file.
const CONTEXT_LINES: usize = 3;

/// All diagnostics, each once, errors last so that they stand above the prompt.
pub fn render_diagnostics(diagnostics: &[Diagnostic], sources: &SourceMap, paint: Paint) -> String {
    let mut sorted = distinct(diagnostics);
    sorted.sort_by_key(|diagnostic| diagnostic.severity);
    sorted.iter().map(|diagnostic| render_one(diagnostic, sources, paint)).collect::<Vec<_>>().join("\n")
}

/// Each diagnostic once: what is wrong with a text is found again for every instance and element that it is about.
pub fn distinct(diagnostics: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut kept: Vec<&Diagnostic> = Vec::new();
    for diagnostic in diagnostics {
        if !kept.contains(&diagnostic) {
            kept.push(diagnostic);
        }
    }
    kept
}

fn render_one(diagnostic: &Diagnostic, sources: &SourceMap, paint: Paint) -> String {
    let mut text = title(diagnostic.severity, &diagnostic.summary, paint);
    text.push_str(&excerpt(diagnostic, sources, paint));
    if !diagnostic.detail.is_empty() {
        text.push_str(&format!("{}\n", paint.prose(diagnostic.detail.trim_end())));
    }
    text.push_str(&hint_line(diagnostic.hint.as_deref(), paint));
    text
}

/// What is wrong, in the first line of everything that is told about it.
pub fn title(severity: Severity, summary: &str, paint: Paint) -> String {
    let word = match severity {
        Severity::Error => paint.red("Error:"),
        Severity::Warning => paint.yellow("Warning:"),
    };
    format!("{}\n", paint.prose(&format!("{word} {summary}")))
}

/// What to do about it, in the last line.
pub fn hint_line(hint: Option<&str>, paint: Paint) -> String {
    let line = |hint: &str| format!("{}\n", paint.prose(&format!("{} {hint}", paint.cyan("Hint:"))));
    hint.map(line).unwrap_or_default()
}

/// The lines of source that it is about; of a secret, where they are.
fn excerpt(diagnostic: &Diagnostic, sources: &SourceMap, paint: Paint) -> String {
    if diagnostic.span.is_some_and(|span| is_hidden(sources, span)) {
        let place = diagnostic.span.and_then(|span| sources.place(span));
        return place
            .map(|(name, line, column)| format!(" --> {name}:{line}:{column}\n"))
            .unwrap_or_default();
    }
    let at = |span, label| Some((Window::around(span, sources)?, label));
    let primary = diagnostic.span.and_then(|span| at(span, None));
    let related = diagnostic.related.iter().filter(|(span, _)| !is_hidden(sources, *span));
    let related = related.filter_map(|(span, what)| at(*span, Some(what.as_str())));
    let windows: Vec<_> = primary.into_iter().chain(related).collect();
    if windows.is_empty() {
        return String::new();
    }
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let snippets = windows.iter().map(|(window, label)| {
        let kind = if label.is_none() { AnnotationKind::Primary } else { AnnotationKind::Context };
        window.snippet(kind, *label)
    });
    let group = Group::with_level(level).elements(snippets);
    let renderer = if paint.is_enabled() { Renderer::styled() } else { Renderer::plain() };
    let renderer = match paint.width() {
        Some(width) => renderer.term_width(width),
        None => renderer,
    };
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
    distinct(diagnostics)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_a_title_its_source_details_and_a_hint() {
        let mut sources = SourceMap::default();
        let source = sources.add("main.tf", "a = 1\nb = x.y\n");
        let span = Span { source, start: 10, end: 13 };
        let error =
            Diagnostic::error(span, "Nothing is called x", "There is no x here.").with_hint("Write a.");
        let rendered = render_diagnostics(&[error.clone(), error], &sources, Paint::plain());
        assert_eq!(
            rendered,
            "Error: Nothing is called x\n --> main.tf:2:5\n  |\n2 | b = x.y\n  |     ^^^\nThere is no x here.\nHint: Write a.\n"
        );
    }
}
