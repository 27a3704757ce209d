//! The lexer inside strings, heredocs and whole-text templates.

use super::{Context, Heredoc, Lexer, TokenKind};
use crate::syntax::diagnostic::Diagnostic;
use crate::syntax::span::Span;

impl Lexer<'_> {
    /// One token of a quoted string.
    pub(super) fn quoted(&mut self, open: usize) {
        match self.byte(0) {
            b'"' => {
                self.contexts.pop();
                self.take(TokenKind::CloseQuote, 1);
            }
            b'\n' | b'\r' => {
                let detail = "A quoted string must end on the line it starts on. Write a line break as \\n, or use a \
                              heredoc such as <<EOT.";
                self.report(open, self.position, "Unclosed string", detail);
                // Closing it here confines the fault to this line.
                self.contexts.pop();
                self.push(TokenKind::CloseQuote, self.position);
                if self.byte(0) == b'\r' && self.byte(1) != b'\n' {
                    self.position += 1;
                }
            }
            b'$' | b'%' => self.template_sign(),
            _ => {
                let start = self.position;
                self.skip_quoted_text();
                self.push(TokenKind::Text, start);
            }
        }
    }

    fn skip_quoted_text(&mut self) {
        loop {
            match self.bytes.get(self.position) {
                None | Some(b'"' | b'\n' | b'\r' | b'$' | b'%') => return,
                Some(b'\\') => {
                    self.position += 1;
                    if !matches!(self.bytes.get(self.position), None | Some(b'\n' | b'\r')) {
                        self.position += 1;
                    }
                }
                Some(_) => self.position += 1,
            }
        }
    }

    /// `${`, `%{`, their escapes, or a lone sign.
    fn template_sign(&mut self) {
        let sign = self.byte(0);
        if self.byte(1) == sign && self.byte(2) == b'{' {
            let length = if self.byte(3) == b'~' { 4 } else { 3 };
            return self.take(TokenKind::Text, length);
        }
        if self.byte(1) != b'{' {
            return self.take(TokenKind::Text, 1);
        }
        let kind = if sign == b'$' { TokenKind::OpenInterpolation } else { TokenKind::OpenDirective };
        let length = if self.byte(2) == b'~' { 3 } else { 2 };
        self.take(kind, length);
        self.braces += 1;
        self.contexts.push(Context::Sequence(self.braces));
    }

    /// Enters a heredoc if its opener is whole: word and line ending directly behind `<<` or `<<-`.
    pub(super) fn open_heredoc(&mut self) -> bool {
        let start = self.position;
        let marker_start = start + if self.byte(2) == b'-' { 3 } else { 2 };
        let Some(rest) = self.text.get(marker_start..) else { return false };
        let Some(marker) = identifier_prefix(rest) else { return false };
        let marker_end = marker_start + marker.len();
        let line_end = match self.bytes.get(marker_end..) {
            Some([b'\n', ..]) => 1,
            Some([b'\r', b'\n', ..]) => 2,
            _ => return false,
        };
        self.take(TokenKind::OpenHeredoc, marker_end + line_end - start);
        let heredoc = Heredoc { open: start, marker_start, marker_end, line_start: true };
        self.contexts.push(Context::Heredoc(heredoc));
        true
    }

    /// One token of a heredoc, or its end.
    pub(super) fn heredoc(&mut self, heredoc: Heredoc) {
        let start = self.position;
        if matches!(self.byte(0), b'$' | b'%') {
            self.set_line_start(false);
            return self.template_sign();
        }
        let length = self.bytes[start..].iter().position(|byte| matches!(byte, b'$' | b'%' | b'\n' | b'\r'));
        self.position = length.map_or(self.bytes.len(), |length| start + length);
        let line_end = match (self.byte(0), self.byte(1)) {
            (b'\n', _) => 1,
            (b'\r', b'\n') => 2,
            (b'\r', _) => return self.invalid(1),
            _ => {
                self.set_line_start(false);
                return self.push(TokenKind::Text, start);
            }
        };
        let marker = self.text.get(heredoc.marker_start..heredoc.marker_end);
        let line = self.text.get(start..self.position).map(str::trim);
        if heredoc.line_start && line == marker {
            self.contexts.pop();
            self.push(TokenKind::CloseHeredoc, start);
            return self.take(TokenKind::Newline, line_end);
        }
        self.set_line_start(true);
        self.position += line_end;
        self.push(TokenKind::Text, start);
    }

    fn set_line_start(&mut self, value: bool) {
        if let Some(Context::Heredoc(heredoc)) = self.contexts.last_mut() {
            heredoc.line_start = value;
        }
    }

    pub(super) fn report_open_heredoc(&mut self, heredoc: Heredoc) {
        let marker = self.text.get(heredoc.marker_start..heredoc.marker_end).unwrap_or("");
        let span = Span::new(self.source, heredoc.open as u32, heredoc.marker_end as u32);
        let detail = format!(
            "The text ends before the closing line of this heredoc: a line, with its line ending, that holds \
             nothing but {marker}."
        );
        self.diagnostics.push(Diagnostic::error(span, "Unclosed heredoc", detail));
    }

    /// One token of a template that is the whole text.
    pub(super) fn bare(&mut self) {
        if matches!(self.byte(0), b'$' | b'%') {
            return self.template_sign();
        }
        let start = self.position;
        let length = self.bytes[start..].iter().position(|byte| matches!(byte, b'$' | b'%' | b'\n'));
        self.position = length.map_or(self.bytes.len(), |length| start + length);
        if self.byte(0) == b'\n' {
            self.position += 1;
        }
        self.push(TokenKind::Text, start);
    }
}

/// The identifier `text` starts with.
pub(crate) fn identifier_prefix(text: &str) -> Option<&str> {
    let mut characters = text.char_indices();
    let (_, first) = characters.next()?;
    if first != '_' && !unicode_ident::is_xid_start(first) {
        return None;
    }
    let end = characters
        .find(|(_, character)| *character != '-' && !unicode_ident::is_xid_continue(*character))
        .map_or(text.len(), |(index, _)| index);
    text.get(..end)
}
