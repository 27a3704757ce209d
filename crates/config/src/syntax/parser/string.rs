//! Text of strings: escapes and normal form C.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{Failed, Parse, Parser};
use crate::syntax::ast::{Identifier, Name};
use crate::syntax::lexer::{Token, TokenKind};

/// The text in Unicode normal form C.
pub(crate) fn normalised(text: &str) -> Name {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Name::new(text)
    } else {
        text.nfc().collect()
    }
}

impl<'a> Parser<'a> {
    /// The text a token of a quoted string stands for.
    pub(super) fn quoted_text(&mut self, token: Token) -> Cow<'a, str> {
        let text = token.text(self.text);
        match text.as_bytes().first() {
            Some(b'$' | b'%') => Cow::Borrowed(template_escape(text)),
            _ if text.as_bytes().contains(&b'\\') => Cow::Owned(self.unescape(text, token.start)),
            _ => Cow::Borrowed(text),
        }
    }

    /// The text a token of a heredoc or whole-text template stands for.
    pub(super) fn raw_text(&self, token: Token) -> Cow<'a, str> {
        Cow::Borrowed(template_escape(token.text(self.text)))
    }

    /// Resolves backslash escapes of `text`, which starts at `offset`.
    fn unescape(&mut self, text: &str, offset: u32) -> String {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(backslash) = rest.find('\\') {
            result.push_str(&rest[..backslash]);
            let escape = &rest[backslash..];
            let start = offset + (text.len() - escape.len()) as u32;
            let (character, length) = match decode_escape(escape) {
                Ok((character, length)) => (Some(character), length),
                Err((detail, length)) => {
                    self.report(self.span(start, start + length as u32), "Invalid escape", detail);
                    (None, length)
                }
            };
            result.extend(character);
            rest = &escape[length..];
        }
        result.push_str(rest);
        result
    }

    /// A quoted string that must not hold template sequences, such as a label.
    pub(super) fn quoted_literal(&mut self) -> Parse<Identifier> {
        let open = self.bump();
        let mut text = String::new();
        loop {
            let token = self.peek();
            match token.kind {
                TokenKind::Text => {
                    self.bump();
                    text.push_str(&self.quoted_text(token));
                }
                TokenKind::CloseQuote => {
                    self.bump();
                    let span = self.span_from(open.start);
                    return Ok(Identifier { name: normalised(&text), span });
                }
                TokenKind::OpenInterpolation | TokenKind::OpenDirective => {
                    let sign = if token.kind == TokenKind::OpenDirective { "%" } else { "$" };
                    let detail = format!(
                        "This string is fixed and cannot hold template sequences. For the characters \
                         themselves, write \"{sign}{sign}{{\"."
                    );
                    return self.fail("Invalid string", detail);
                }
                _ => return Err(Failed),
            }
        }
    }
}

/// `$${` and `%%{` stand for `${` and `%{`; other text for itself.
fn template_escape(text: &str) -> &str {
    if text.starts_with("$${") || text.starts_with("%%{") { &text[1..] } else { text }
}

/// The character of the escape `text` starts with, and the length of the escape; or what is wrong with it.
fn decode_escape(text: &str) -> Result<(char, usize), (String, usize)> {
    let selector = text[1..].chars().next();
    match selector {
        Some('n') => Ok(('\n', 2)),
        Some('r') => Ok(('\r', 2)),
        Some('t') => Ok(('\t', 2)),
        Some('"') => Ok(('"', 2)),
        Some('\\') => Ok(('\\', 2)),
        Some('u') => decode_unicode_escape(text, 4),
        Some('U') => decode_unicode_escape(text, 8),
        Some(other) => {
            let detail = format!(
                "\"\\{other}\" is no escape; there are \\n, \\r, \\t, \\\", \\\\, \\uNNNN and \\UNNNNNNNN. A \
                 backslash itself is written \"\\\\\"."
            );
            Err((detail, 1 + other.len_utf8()))
        }
        None => Err(("A backslash must be followed by the letter of an escape.".to_owned(), 1)),
    }
}

fn decode_unicode_escape(text: &str, digits: usize) -> Result<(char, usize), (String, usize)> {
    let available = text[2..].bytes().take(digits).take_while(u8::is_ascii_hexdigit).count();
    let end = 2 + available;
    if available < digits {
        return Err((format!("This escape needs {digits} hexadecimal digits."), end));
    }
    let code = u32::from_str_radix(&text[2..end], 16).ok();
    match code.and_then(char::from_u32) {
        Some(character) => Ok((character, end)),
        None => Err(("This is not the number of a Unicode character.".to_owned(), end)),
    }
}
