//! JSON, Base64, URLs, CSV, compression and character sets.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pve_model::value::Refinement;
use pve_model::{Type, Value};

use super::character_sets::CharacterSet;
use super::parameter::{Call, Function, Outcome, Returns, any, text};
use super::string::string;
use super::{FunctionError, json};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("jsonencode", &[any("val").null().unknown().dynamic()], Returns::Text, json_encode),
    Function::new("jsondecode", &[text("str")], Returns::Any, |c| {
        json::decode(c.text(0)).map_err(|message| FunctionError::argument(0, message))
    })
    .may_be_null(),
    Function::new("base64encode", &[text("str")], Returns::Text, |c| {
        Ok(Value::string(BASE64_STANDARD.encode(c.text(0))))
    }),
    Function::new("base64decode", &[text("str")], Returns::Text, |c| as_text(from_base64(c)?)),
    Function::new("base64gzip", &[text("str")], Returns::Text, compress),
    Function::new("base64gunzip", &[text("str")], Returns::Text, decompress),
    Function::new("urlencode", &[text("str")], Returns::Text, |c| string(url_encode(c.text(0)))),
    Function::new("urldecode", &[text("str")], Returns::Text, url_decode),
    Function::new("csvdecode", &[text("str")], Returns::Any, csv_decode),
    Function::new("textencodebase64", &[text("string"), text("encoding")], Returns::Text, text_encode),
    Function::new("textdecodebase64", &[text("source"), text("encoding")], Returns::Text, text_decode),
];

fn json_encode(call: &Call<'_>) -> Outcome {
    let value = &call.arguments[0];
    if !value.is_wholly_known() {
        let prefix = match value.ty() {
            _ if !value.is_known() => None,
            Type::Object(_) | Type::Map(_) => Some(Arc::from("{")),
            Type::Tuple(_) | Type::List(_) | Type::Set(_) => Some(Arc::from("[")),
            _ => None,
        };
        let refinement = Refinement { not_null: true, prefix, ..Refinement::default() };
        return Ok(Value::unknown_refined(Type::String, refinement));
    }
    if has_infinity(value) {
        return Err(FunctionError::argument(0, "JSON has no infinite numbers"));
    }
    let mut out = String::new();
    json::encode(value, &mut out);
    Ok(Value::string(out))
}

fn has_infinity(value: &Value) -> bool {
    value
        .as_number()
        .is_some_and(|number| number.to_f64().is_infinite() && number.to_string().ends_with("Inf"))
        || value.children().any(|(_, part)| has_infinity(part))
}

fn from_base64(call: &Call<'_>) -> Result<Vec<u8>, FunctionError> {
    let text: String = call.text(0).chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    BASE64_STANDARD
        .decode(text)
        .map_err(|error| FunctionError::argument(0, format!("this is no Base64: {error}")))
}

fn as_text(bytes: Vec<u8>) -> Outcome {
    let text = String::from_utf8(bytes)
        .map_err(|_| FunctionError::argument(0, "the decoded bytes are not UTF-8, and so no string"))?;
    string(text)
}

fn compress(call: &Call<'_>) -> Outcome {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let written = encoder.write_all(call.text(0).as_bytes()).and_then(|()| encoder.finish());
    written
        .map(|bytes| Value::string(BASE64_STANDARD.encode(bytes)))
        .map_err(|error| FunctionError::new(error.to_string()))
}

/// Most bytes that are decompressed.
const MOST_BYTES: u64 = 256 << 20;

fn decompress(call: &Call<'_>) -> Outcome {
    let bytes = from_base64(call)?;
    let mut text = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(&bytes[..]).take(MOST_BYTES + 1);
    decoder
        .read_to_end(&mut text)
        .map_err(|error| FunctionError::argument(0, format!("this is no gzip data: {error}")))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(FunctionError::argument(0, "the data has more than 256 MiB"));
    }
    as_text(text)
}

fn url_encode(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                result.push(char::from(byte))
            }
            b' ' => result.push('+'),
            other => result.push_str(&format!("%{other:02X}")),
        }
    }
    result
}

fn url_decode(call: &Call<'_>) -> Outcome {
    let bytes = call.text(0).as_bytes();
    let mut result = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'+' => result.push(b' '),
            b'%' => {
                let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
                let byte = digits
                    .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                    .ok_or_else(|| {
                        FunctionError::argument(0, format!("% without two hexadecimal digits at byte {at}"))
                    })?;
                result.push(byte);
                at += 2;
            }
            other => result.push(other),
        }
        at += 1;
    }
    string(String::from_utf8_lossy(&result))
}

/// The line of a quote where none can be: within a cell that is not quoted, or a closing one with text behind it.
fn stray_quote(text: &str) -> Option<usize> {
    let (mut line, mut quoted, mut at_start) = (1, false, true);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        line += usize::from(c == '\n');
        match c {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => {}
            '"' if quoted => {
                quoted = false;
                if characters.peek().is_some_and(|next| !matches!(next, ',' | '\r' | '\n')) {
                    return Some(line);
                }
            }
            '"' if at_start => quoted = true,
            '"' => return Some(line),
            _ => {}
        }
        at_start = !quoted && matches!(c, ',' | '\n');
    }
    quoted.then_some(line)
}

fn csv_decode(call: &Call<'_>) -> Outcome {
    if let Some(line) = stray_quote(call.text(0)) {
        let message = format!("this is no CSV: a quote is out of place in line {line}");
        return Err(FunctionError::argument(0, message));
    }
    let fault = |error: csv::Error| FunctionError::argument(0, format!("this is no CSV: {error}"));
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(call.text(0).as_bytes());
    let mut records = reader.records();
    let headers: Vec<Arc<str>> = match records.next() {
        Some(record) => record.map_err(fault)?.iter().map(Arc::from).collect(),
        None => return Err(FunctionError::argument(0, "the line of column names is missing")),
    };
    let mut unique = headers.clone();
    unique.sort();
    if let Some(pair) = unique.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(FunctionError::argument(0, format!("the column name \"{}\" occurs twice", pair[0])));
    }
    let mut rows = Vec::new();
    for record in records {
        let record = record.map_err(fault)?;
        let cells = headers.iter().cloned().zip(record.iter().map(Value::string));
        rows.push(Value::object(cells.collect::<BTreeMap<_, _>>()));
    }
    let ty = Type::object(headers.into_iter().map(|name| (name, Type::String)));
    Ok(Value::list(ty, rows))
}

fn character_set(call: &Call<'_>) -> Result<&'static CharacterSet, FunctionError> {
    let name = call.text(1);
    CharacterSet::find(name)
        .ok_or_else(|| FunctionError::argument(1, format!("\"{name}\" is no known character set")))
}

fn text_encode(call: &Call<'_>) -> Outcome {
    let set = character_set(call)?;
    let bytes = set
        .encode(call.text(0))
        .ok_or_else(|| FunctionError::argument(0, format!("{} has not all of its characters", set.name())))?;
    Ok(Value::string(BASE64_STANDARD.encode(bytes)))
}

fn text_decode(call: &Call<'_>) -> Outcome {
    let set = character_set(call)?;
    let text = set
        .decode(&from_base64(call)?)
        .ok_or_else(|| FunctionError::argument(0, format!("the bytes are no text in {}", set.name())))?;
    string(text)
}
