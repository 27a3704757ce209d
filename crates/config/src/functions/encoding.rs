//! JSON, Base64, URL and CSV.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pve_model::{Type, Value, ValueKind, codec};

use super::Kind::{Any, String as Text};
use super::strings::string;
use super::{FunctionError, Outcome, any_type, fail, fail_at, function, parameter, string_type, text};

const STR: super::Parameter = parameter("str", Text);

pub(super) const FUNCTIONS: &[super::Function] = &[
    function!("jsonencode", [parameter("val", Any).null().unknown()], string_type, |a, _| {
        if a[0].is_wholly_known() { string(json_text(&a[0])) } else { Ok(Value::unknown(Type::String)) }
    }),
    function!("jsondecode", [STR], any_type, |a, _| match serde_json::from_str(text(a, 0)) {
        Ok(json) => Ok(codec::from_plain_json(&json)),
        Err(error) => fail_at(0, format!("this is no JSON: {error}")),
    }),
    function!("base64encode", [STR], string_type, |a, _| string(STANDARD.encode(text(a, 0)))),
    function!("base64decode", [STR], string_type, |a, _| {
        let bytes = decode_base64(text(a, 0))?;
        match String::from_utf8(bytes) {
            Ok(text) => string(text),
            Err(_) => fail_at(0, "the decoded bytes are no UTF-8 text"),
        }
    }),
    function!("base64gzip", [STR], string_type, |a, _| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let written = encoder.write_all(text(a, 0).as_bytes()).and_then(|()| encoder.finish());
        match written {
            Ok(bytes) => string(STANDARD.encode(bytes)),
            Err(error) => fail(error.to_string()),
        }
    }),
    function!("base64gunzip", [STR], string_type, |a, _| {
        let bytes = decode_base64(text(a, 0))?;
        let mut result = String::new();
        match flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut result) {
            Ok(_) => string(result),
            Err(error) => fail_at(0, format!("the decoded bytes are no gzip: {error}")),
        }
    }),
    function!(
        "textencodebase64",
        [parameter("string", Text), parameter("encoding", Text)],
        string_type,
        |a, _| {
            let encoding = encoding(text(a, 1))?;
            let whole = text(a, 0);
            let bytes = match encoding.name() {
                "UTF-16LE" => whole.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                "UTF-16BE" => whole.encode_utf16().flat_map(u16::to_be_bytes).collect(),
                _ => {
                    let (bytes, _, lossy) = encoding.encode(whole);
                    if lossy {
                        return fail_at(
                            0,
                            format!("the text has characters that {} cannot show", encoding.name()),
                        );
                    }
                    bytes.into_owned()
                }
            };
            string(STANDARD.encode(bytes))
        }
    ),
    function!(
        "textdecodebase64",
        [parameter("source", Text), parameter("encoding", Text)],
        string_type,
        |a, _| {
            let bytes = decode_base64(text(a, 0))?;
            let (decoded, lossy) = encoding(text(a, 1))?.decode_without_bom_handling(&bytes);
            if lossy {
                fail_at(0, "the bytes are no text in this encoding")
            } else {
                string(decoded.into_owned())
            }
        }
    ),
    function!("urlencode", [STR], string_type, |a, _| {
        let mut encoded = String::new();
        for byte in text(a, 0).bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    encoded.push(char::from(byte))
                }
                b' ' => encoded.push('+'),
                other => drop(write!(encoded, "%{other:02X}")),
            }
        }
        string(encoded)
    }),
    function!("urldecode", [STR], string_type, |a, _| url_decode(text(a, 0))),
    function!("csvdecode", [STR], any_type, csv_decode),
];

fn encoding(name: &str) -> Result<&'static encoding_rs::Encoding, FunctionError> {
    match encoding_rs::Encoding::for_label(name.as_bytes()) {
        Some(encoding) => Ok(encoding),
        None => fail_at(1, format!("{name:?} is no known encoding")),
    }
}

fn decode_base64(text: &str) -> Result<Vec<u8>, FunctionError> {
    STANDARD
        .decode(text.replace(['\n', '\r'], ""))
        .or_else(|error| fail_at(0, format!("this is no Base64: {error}")))
}

fn url_decode(encoded: &str) -> Outcome {
    let mut bytes = Vec::new();
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let pair = [rest.next().unwrap_or(b'?'), rest.next().unwrap_or(b'?')];
                let digits =
                    std::str::from_utf8(&pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
                match digits {
                    Some(byte) => bytes.push(byte),
                    None => return fail_at(0, "a `%` is not followed by two hexadecimal digits"),
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map(Value::string).or_else(|_| fail_at(0, "the decoded bytes are no UTF-8 text"))
}

/// JSON without spaces, keys sorted, `<`, `>` and `&` escaped as the reference does.
pub(super) fn json_text(value: &Value) -> String {
    let mut text = String::new();
    write_json(value, &mut text);
    text
}

fn write_json(value: &Value, out: &mut String) {
    match &value.kind {
        ValueKind::Null(_) | ValueKind::Unknown(..) => out.push_str("null"),
        ValueKind::Bool(flag) => drop(write!(out, "{flag}")),
        ValueKind::Number(number) => drop(write!(out, "{number}")),
        ValueKind::String(text) => write_json_string(text, out),
        ValueKind::List(_, values) | ValueKind::Set(_, values) | ValueKind::Tuple(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json(value, out);
            }
            out.push(']');
        }
        ValueKind::Map(_, entries) | ValueKind::Object(entries) => {
            out.push('{');
            for (i, (key, value)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json_string(key, out);
                out.push(':');
                write_json(value, out);
            }
            out.push('}');
        }
    }
}

fn write_json_string(text: &str, out: &mut String) {
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
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => drop(write!(out, "\\u{:04x}", c as u32)),
            c if (c as u32) < 0x20 => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn csv_decode(arguments: &[Value], _: &super::Context) -> Outcome {
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(text(arguments, 0).as_bytes());
    let headers = reader.headers().cloned().or_else(|error| fail_at(0, error.to_string()))?;
    let mut names: Vec<&str> = headers.iter().collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return fail_at(0, format!("two columns are named {:?}", pair[0]));
    }
    let ty = Type::object(headers.iter().map(|name| (name, Type::String)));
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.or_else(|error| fail_at(0, error.to_string()))?;
        let entries: BTreeMap<Arc<str>, Value> = headers
            .iter()
            .zip(record.iter())
            .map(|(name, cell)| (Arc::from(name), Value::string(cell)))
            .collect();
        rows.push(Value::object(entries));
    }
    Ok(Value::list(ty, rows))
}
