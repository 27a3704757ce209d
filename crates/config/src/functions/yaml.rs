//! YAML: written as the reference lays it out, and read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pve_model::value::Refinement;
use pve_model::{Number, Type, Value, ValueKind};
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::FunctionError;
use super::parameter::{Call, Function, Outcome, Returns, any, text};
use super::string::string;
use crate::convert::convert;
use crate::syntax::with_stack;

mod write;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("yamlencode", &[any("value").null().unknown().dynamic()], Returns::Text, encode),
    Function::new("yamldecode", &[text("src")], Returns::Any, decode).may_be_null(),
];

fn encode(call: &Call<'_>) -> Outcome {
    let value = &call.arguments[0];
    if !value.is_wholly_known() {
        return Ok(Value::unknown_refined(
            Type::String,
            Refinement { not_null: true, ..Refinement::default() },
        ));
    }
    string(write::document(value))
}

fn decode(call: &Call<'_>) -> Outcome {
    let mut reader = Reader { parser: Parser::new_from_str(call.text(0)), anchors: HashMap::new(), taken: 0 };
    reader.document().map_err(|message| FunctionError::argument(0, format!("this is no YAML: {message}")))
}

/// Most values that aliases may repeat, so that a small text cannot fill the memory.
const MOST_VALUES: usize = 10_000_000;

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Value, usize)>,
    taken: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        match self.parser.next() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(error.to_string()),
            None => Ok(Event::StreamEnd),
        }
    }

    fn document(&mut self) -> Result<Value, String> {
        let mut event = self.next()?;
        while matches!(event, Event::StreamStart | Event::DocumentStart(_) | Event::Nothing) {
            event = self.next()?;
        }
        if event == Event::StreamEnd {
            return Err("it has no document".into());
        }
        let value = self.node(event)?;
        loop {
            match self.next()? {
                Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => return Ok(value),
                _ => return Err("it has more than one document".into()),
            }
        }
    }

    fn node(&mut self, event: Event<'a>) -> Result<Value, String> {
        with_stack(|| self.node_kind(event))
    }

    fn node_kind(&mut self, event: Event<'a>) -> Result<Value, String> {
        self.taken += 1;
        let before = self.taken;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref())?, anchor),
            Event::SequenceStart(anchor, _) => {
                let mut values = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => values.push(self.node(event)?),
                    }
                }
                (Value::tuple(values), anchor)
            }
            Event::MappingStart(anchor, _) => (self.mapping()?, anchor),
            Event::Alias(anchor) => {
                let (value, size) =
                    self.anchors.get(&anchor).cloned().ok_or("an alias has no anchor before it")?;
                self.taken += size;
                if self.taken > MOST_VALUES {
                    return Err("aliases repeat too much".into());
                }
                return Ok(value);
            }
            _ => return Err("a value is missing".into()),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), self.taken - before + 1));
        }
        Ok(value)
    }

    fn mapping(&mut self) -> Result<Value, String> {
        let (mut entries, mut merged): (BTreeMap<Arc<str>, Value>, Vec<Value>) = Default::default();
        loop {
            let event = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, _) if text == "<<");
            let key = self.node(event)?;
            let event = self.next()?;
            let value = self.node(event)?;
            if merges {
                match value.kind {
                    ValueKind::Tuple(values) => merged.extend(values.iter().cloned()),
                    _ => merged.push(value),
                }
                continue;
            }
            let key = convert(&key, &Type::String).map_err(|error| format!("a key of a mapping: {error}"))?;
            let name = key.as_str().ok_or("a key of a mapping is null")?;
            entries.insert(Arc::from(name), value);
        }
        for value in merged {
            let parts = value.entries().ok_or("<< needs a mapping, or a list of them")?;
            for (key, value) in parts {
                entries.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        Ok(Value::object(entries))
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let quoted = || string(text).map_err(|error| error.message);
    if let Some(tag) = tag {
        let plain = plain_scalar(text);
        let wanted = match tag.suffix.as_str() {
            "str" => return quoted(),
            "int" | "float" => Type::Number,
            "bool" => Type::Bool,
            "null" => return Ok(Value::null(Type::Dynamic)),
            "binary" => return Ok(Value::string(text.split_whitespace().collect::<String>())),
            _ => return Err(format!("the tag {}{} is not known", tag.handle, tag.suffix)),
        };
        return plain
            .filter(|value| value.ty() == wanted)
            .ok_or_else(|| format!("\"{text}\" is not of the type that its tag says"));
    }
    if style != ScalarStyle::Plain {
        return quoted();
    }
    match plain_scalar(text) {
        Some(value) => Ok(value),
        None => quoted(),
    }
}

/// The value of a word without quotes if it is more than text.
fn plain_scalar(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::null(Type::Dynamic)),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Some(Value::bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Some(Value::bool(false));
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Number::from_f64(f64::INFINITY).map(Value::number);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Number::from_f64(f64::NEG_INFINITY).map(Value::number),
        _ => {}
    }
    number(text).map(Value::number).or_else(|| date(text))
}

fn number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let in_radix = |digits: &str, radix| i128::from_str_radix(digits, radix).ok().map(Number::from);
    let unsigned = |digits: &str| digits.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let value = if let Some(digits) = digits.strip_prefix("0x").filter(|digits| unsigned(digits)) {
        in_radix(digits, 16)?
    } else if let Some(digits) = digits.strip_prefix("0o").filter(|digits| unsigned(digits)) {
        in_radix(digits, 8)?
    } else if let Some(digits) = digits.strip_prefix("0b").filter(|digits| unsigned(digits)) {
        in_radix(digits, 2)?
    } else if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
        in_radix(digits, 8)?
    } else {
        let begins = digits.starts_with(|c: char| c.is_ascii_digit())
            || digits.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let padded = if digits.starts_with('.') { format!("0{digits}") } else { digits.to_string() };
        padded.parse::<Number>().ok().filter(|_| begins)?
    };
    Some(if negative { value.negate() } else { value })
}

/// Dates become points in time, as in YAML 1.1.
fn date(text: &str) -> Option<Value> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 10
        && bytes
            .iter()
            .enumerate()
            .all(|(i, b)| if i == 4 || i == 7 { *b == b'-' } else { b.is_ascii_digit() });
    let date: jiff::civil::Date = text.parse().ok().filter(|_| shaped)?;
    Some(Value::string(format!("{date}T00:00:00Z")))
}
