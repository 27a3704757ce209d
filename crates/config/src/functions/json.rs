//! JSON text to values and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::{Number, Type, Value, ValueKind};
use unicode_normalization::UnicodeNormalization;

/// Deepest nesting that is read.
const DEEPEST: usize = 10_000;

/// Reads a text that is one JSON value. Arrays become tuples, objects objects.
pub(super) fn decode(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, position: 0, depth: 0 };
    let value = reader.value()?;
    reader.skip_spaces();
    if reader.position < text.len() { Err(reader.fault("the end")) } else { Ok(value) }
}

struct Reader<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip_spaces();
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn fault(&self, expected: &str) -> String {
        format!("this is no JSON: {expected} is expected at byte {}", self.position)
    }

    fn value(&mut self) -> Result<Value, String> {
        self.skip_spaces();
        match self.peek() {
            Some(b'{' | b'[') => {
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err("the JSON is nested too deep".into());
                }
                let result = crate::syntax::with_stack(|| self.nested());
                self.depth -= 1;
                result
            }
            Some(b'"') => Ok(Value::string(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, value) in [
                    ("true", Value::bool(true)),
                    ("false", Value::bool(false)),
                    ("null", Value::null(Type::Dynamic)),
                ] {
                    if self.text[self.position..].starts_with(word) {
                        self.position += word.len();
                        return Ok(value);
                    }
                }
                Err(self.fault("a value"))
            }
        }
    }

    fn nested(&mut self) -> Result<Value, String> {
        if self.take(b'[') {
            let mut values = Vec::new();
            if self.take(b']') {
                return Ok(Value::tuple(values));
            }
            loop {
                values.push(self.value()?);
                if self.take(b']') {
                    return Ok(Value::tuple(values));
                }
                if !self.take(b',') {
                    return Err(self.fault("a comma or ]"));
                }
            }
        }
        self.take(b'{');
        let mut values = BTreeMap::new();
        if self.take(b'}') {
            return Ok(Value::object(values));
        }
        loop {
            self.skip_spaces();
            if self.peek() != Some(b'"') {
                return Err(self.fault("a property name"));
            }
            let name = self.string()?;
            if !self.take(b':') {
                return Err(self.fault("a colon"));
            }
            values.insert(Arc::from(name), self.value()?);
            if self.take(b'}') {
                return Ok(Value::object(values));
            }
            if !self.take(b',') {
                return Err(self.fault("a comma or }"));
            }
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let rest = &self.text[self.position..];
        let end =
            rest.find(|c: char| !matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-')).unwrap_or(rest.len());
        let text = &rest[..end];
        let digits = text.strip_prefix('-').unwrap_or(text);
        let has_leading_zero =
            digits.strip_prefix('0').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let is_cut_short =
            text.ends_with(['.', 'e', 'E', '+', '-']) || digits.contains(".e") || digits.contains(".E");
        let well_formed = !has_leading_zero && !is_cut_short;
        let number = text.parse::<Number>().ok().filter(|_| well_formed);
        let number = number.ok_or_else(|| self.fault("a number"))?;
        self.position += end;
        Ok(Value::number(number))
    }

    fn string(&mut self) -> Result<String, String> {
        self.position += 1;
        let mut result = String::new();
        loop {
            let rest = &self.text[self.position..];
            let Some(end) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') else {
                return Err(self.fault("a closing quote"));
            };
            result.push_str(&rest[..end]);
            self.position += end + 1;
            match rest.as_bytes()[end] {
                b'"' => return Ok(if result.is_ascii() { result } else { result.nfc().collect() }),
                b'\\' => result.push(self.escape()?),
                _ => return Err(self.fault("an escape instead of a control character")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let escape = self.peek().ok_or_else(|| self.fault("an escape"))?;
        self.position += 1;
        Ok(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.code_unit()?;
                if (0xd800..0xdc00).contains(&first) && self.text[self.position..].starts_with("\\u") {
                    let at = self.position;
                    self.position += 2;
                    let second = self.code_unit()?;
                    let pair = char::decode_utf16([first, second]).next().and_then(Result::ok);
                    if pair.is_none() {
                        self.position = at;
                    }
                    pair.unwrap_or('\u{fffd}')
                } else {
                    char::from_u32(u32::from(first)).unwrap_or('\u{fffd}')
                }
            }
            _ => return Err(self.fault("an escape")),
        })
    }

    fn code_unit(&mut self) -> Result<u16, String> {
        let digits = self.text.get(self.position..self.position + 4);
        let unit = digits
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.fault("four hexadecimal digits"))?;
        self.position += 4;
        Ok(unit)
    }
}

/// Writes a wholly known value as JSON.
pub(super) fn encode(value: &Value, out: &mut String) {
    match &value.kind {
        ValueKind::Null(_) | ValueKind::Unknown(..) => out.push_str("null"),
        ValueKind::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        ValueKind::Number(number) => out.push_str(&number.to_string()),
        ValueKind::String(text) => quote(text, out),
        ValueKind::List(_, values) | ValueKind::Set(_, values) | ValueKind::Tuple(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                encode(value, out);
            }
            out.push(']');
        }
        ValueKind::Map(_, values) | ValueKind::Object(values) => {
            out.push('{');
            for (i, (key, value)) in values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                quote(key, out);
                out.push(':');
                encode(value, out);
            }
            out.push('}');
        }
    }
}

/// Also escapes what could end a script element in HTML, as the reference does.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
