//! JSON text to values with spans.

use smol_str::SmolStr;

use super::{Property, Value, ValueKind};
use crate::syntax::diagnostic::Diagnostic;
use crate::syntax::parser::{MAX_DEPTH, with_stack};
use crate::syntax::span::{SourceId, Span};

/// Reads a text that is one JSON value.
pub(super) fn read(source: SourceId, text: &str) -> Result<Value, Diagnostic> {
    let mut reader = Reader { source, text, bytes: text.as_bytes(), position: 0, depth: 0 };
    if u32::try_from(text.len()).is_err() {
        return Err(reader.error(0, "File too large", "A configuration file must be smaller than 4 GiB."));
    }
    if text.starts_with('\u{feff}') {
        reader.position = '\u{feff}'.len_utf8();
    }
    let value = reader.value()?;
    reader.skip_spaces();
    if reader.position < text.len() {
        return Err(reader.error(1, "Text after JSON value", "Expected the end of the file here."));
    }
    Ok(value)
}

struct Reader<'a> {
    source: SourceId,
    text: &'a str,
    bytes: &'a [u8],
    position: usize,
    depth: u32,
}

type Read<T> = Result<T, Diagnostic>;

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn span_from(&self, start: usize) -> Span {
        Span::new(self.source, start as u32, self.position as u32)
    }

    /// An error about the next `length` bytes.
    fn error(&self, length: usize, summary: &str, detail: impl Into<String>) -> Diagnostic {
        let end = self.text.ceil_char_boundary(self.position + length);
        let span = Span::new(self.source, self.position as u32, end as u32);
        Diagnostic::error(span, summary, detail)
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    /// Takes the next byte behind spaces if it is this one.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_spaces();
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn value(&mut self) -> Read<Value> {
        self.skip_spaces();
        let start = self.position;
        let kind = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => ValueKind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => ValueKind::Number(self.number()?),
            Some(byte) if byte.is_ascii_alphabetic() => self.keyword()?,
            Some(_) => {
                let detail = "Expected a string, number, object, list, true, false or null here.";
                return Err(self.error(1, "JSON value expected", detail));
            }
            None => {
                return Err(self.error(0, "JSON value expected", "The text ends where a value is expected."));
            }
        };
        Ok(Value { kind, span: self.span_from(start) })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Read<ValueKind>) -> Read<ValueKind> {
        if self.depth >= MAX_DEPTH {
            let detail = format!("Values may be nested at most {MAX_DEPTH} deep.");
            return Err(self.error(1, "Nested too deep", detail));
        }
        self.depth += 1;
        let result = with_stack(|| read(self));
        self.depth -= 1;
        result
    }

    fn object(&mut self) -> Read<ValueKind> {
        let open = self.position;
        self.position += 1;
        let mut properties = Vec::new();
        if self.take(b'}') {
            return Ok(ValueKind::Object(properties));
        }
        loop {
            self.skip_spaces();
            let start = self.position;
            if self.peek() != Some(b'"') {
                return Err(self.fail_in(
                    open,
                    "object",
                    "Expected the name of a property in double quotes here.",
                ));
            }
            let name = self.string()?;
            let name_span = self.span_from(start);
            if !self.take(b':') {
                return Err(self.fail_in(
                    open,
                    "object",
                    "Expected a colon after the name of this property.",
                ));
            }
            let value = self.value()?;
            properties.push(Property { name, name_span, value });
            if self.take(b'}') {
                return Ok(ValueKind::Object(properties));
            }
            if !self.take(b',') {
                return Err(self.fail_in(open, "object", "Expected a comma or \"}\" after this property."));
            }
        }
    }

    fn array(&mut self) -> Read<ValueKind> {
        let open = self.position;
        self.position += 1;
        let mut values = Vec::new();
        if self.take(b']') {
            return Ok(ValueKind::Array(values));
        }
        loop {
            values.push(self.value()?);
            if self.take(b']') {
                return Ok(ValueKind::Array(values));
            }
            if !self.take(b',') {
                return Err(self.fail_in(open, "list", "Expected a comma or \"]\" after this value."));
            }
        }
    }

    /// An error at the next byte, or at what is never closed if the text ends.
    fn fail_in(&self, open: usize, what: &str, detail: &str) -> Diagnostic {
        if self.peek().is_some() {
            return self.error(1, &format!("Invalid JSON {what}"), detail);
        }
        let span = Span::new(self.source, open as u32, open as u32 + 1);
        Diagnostic::error(span, format!("Unclosed JSON {what}"), "The text ends before this is closed.")
    }

    fn keyword(&mut self) -> Read<ValueKind> {
        let rest = &self.text[self.position..];
        let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let kind = match &rest[..length] {
            "true" => ValueKind::Bool(true),
            "false" => ValueKind::Bool(false),
            "null" => ValueKind::Null,
            word => {
                let detail = format!("JSON has no word \"{word}\", only true, false and null.");
                return Err(self.error(length, "JSON value expected", detail));
            }
        };
        self.position += length;
        Ok(kind)
    }

    fn number(&mut self) -> Read<SmolStr> {
        let rest = &self.text[self.position..];
        let length = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E'))
            .count();
        let text = &rest[..length];
        if !is_json_number(text) {
            return Err(self.error(
                length,
                "Invalid JSON number",
                format!("\"{text}\" is not a number in JSON."),
            ));
        }
        self.position += length;
        Ok(SmolStr::new(text))
    }

    /// A string, escapes resolved.
    fn string(&mut self) -> Read<String> {
        let open = self.position;
        self.position += 1;
        let mut result = String::new();
        loop {
            let rest = &self.text[self.position..];
            let plain = rest.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            let Some(plain) = plain else {
                let span = Span::new(self.source, open as u32, self.text.len() as u32);
                return Err(Diagnostic::error(
                    span,
                    "Unclosed JSON string",
                    "The text ends before the closing quote.",
                ));
            };
            result.push_str(&rest[..plain]);
            self.position += plain;
            match rest.as_bytes()[plain] {
                b'"' => {
                    self.position += 1;
                    return Ok(result);
                }
                b'\\' => result.push(self.escape()?),
                _ => {
                    let detail =
                        "Line breaks, tabs and other control characters are written as escapes in JSON.";
                    return Err(self.error(1, "Invalid JSON string", detail));
                }
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let selector = self.bytes.get(self.position + 1).copied();
        let character = match selector {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.error(1, "Invalid JSON escape", "JSON has no such escape.")),
        };
        self.position += 2;
        Ok(character)
    }

    /// `\uNNNN`, or two of them for a character outside of the basic plane; half a pair is U+FFFD.
    fn unicode_escape(&mut self) -> Read<char> {
        let Some(first) = self.code_unit(self.position) else {
            return Err(self.error(2, "Invalid JSON escape", "This escape needs four hexadecimal digits."));
        };
        let pair = (0xd800..0xdc00).contains(&first).then(|| self.code_unit(self.position + 6)).flatten();
        self.position += 6;
        if let Some(second) = pair
            && let Some(Ok(character)) = char::decode_utf16([first, second]).next()
        {
            self.position += 6;
            return Ok(character);
        }
        Ok(char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn code_unit(&self, position: usize) -> Option<u16> {
        let escape = self.text.get(position..position + 6)?;
        let digits = escape.strip_prefix("\\u")?;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
    }
}

fn is_json_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}
