//! Where text came from: sources, byte spans, lines and columns.

use std::sync::Arc;

use super::diagnostic::Diagnostic;

/// Index of a source in its [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SourceId(pub u32);

/// A range of bytes in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The source the offsets count in.
    pub source: SourceId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// A span of `start..end` in `source`.
    pub fn new(source: SourceId, start: u32, end: u32) -> Self {
        Self { source, start, end }
    }

    /// The smallest span that holds both; both must be of one source.
    pub fn to(self, other: Span) -> Span {
        Span { source: self.source, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether the span holds no byte.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The bytes of `text` the span covers, or an empty string if it does not fit `text`.
    pub fn slice(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or("")
    }
}

/// One piece of configuration text and the name users know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// File name as shown in diagnostics, relative to where the user stands.
    pub name: String,
    /// The whole text, as read.
    pub text: Arc<str>,
}

impl Source {
    /// Line and column of a byte offset, both counted from 1; columns count characters.
    pub fn line_column(&self, offset: u32) -> (usize, usize) {
        let mut end = (offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}

/// All sources of one run; spans point into it.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    sources: Vec<Source>,
    hidden: Vec<Span>,
}

impl SourceMap {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a source and returns the id its spans carry.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        let id = SourceId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX));
        self.sources.push(Source { name: name.into(), text: text.into() });
        id
    }

    /// Adds what was read from a file. Bytes that are not UTF-8 are replaced and the first is reported.
    pub fn add_bytes(&mut self, name: impl Into<String>, bytes: Vec<u8>) -> (SourceId, Option<Diagnostic>) {
        let error = match String::from_utf8(bytes) {
            Ok(text) => return (self.add(name, text), None),
            Err(error) => error,
        };
        let start = error.utf8_error().valid_up_to() as u32;
        let id = self.add(name, String::from_utf8_lossy(error.as_bytes()).into_owned());
        let span = Span::new(id, start, start + char::REPLACEMENT_CHARACTER.len_utf8() as u32);
        let detail = "Configuration files are UTF-8 text; this byte is not. Save the file in this encoding.";
        (id, Some(Diagnostic::error(span, "Invalid character encoding", detail)))
    }

    /// The source with this id, if the map made it.
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(id.0 as usize)
    }

    /// The name of a span's source, and the line and column where it begins.
    pub fn place(&self, span: Span) -> Option<(&str, usize, usize)> {
        let source = self.get(span.source)?;
        let (line, column) = source.line_column(span.start);
        Some((&source.name, line, column))
    }

    /// The text a span covers, or an empty string for a span of another map.
    pub fn slice(&self, span: Span) -> &str {
        self.get(span.source).map_or("", |source| span.slice(&source.text))
    }

    /// From now on the lines of these spans are never shown: a secret is written there.
    pub fn hide(&mut self, spans: impl IntoIterator<Item = Span>) {
        self.hidden.extend(spans);
    }

    /// Whether something hidden stands on a line of this span.
    pub fn is_hidden(&self, span: Span) -> bool {
        let Some(source) = self.get(span.source) else { return false };
        let text = source.text.as_bytes();
        let at = |offset: u32| (offset as usize).min(text.len());
        let start = text[..at(span.start)].iter().rposition(|byte| *byte == b'\n').map_or(0, |line| line + 1);
        let end = at(span.end.max(span.start));
        let end = text[end..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |line| end + line);
        let overlaps = |hidden: &Span| {
            hidden.source == span.source && (hidden.start as usize) <= end && start <= hidden.end as usize
        };
        self.hidden.iter().any(overlaps)
    }

    /// All sources with their ids, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        self.sources.iter().enumerate().map(|(index, source)| (SourceId(index as u32), source))
    }
}
