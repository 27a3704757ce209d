//! Values and types as Terraform's console prints them: expressions that give the value again, where there are any.

use pve_model::{Type, Value, ValueKind};

use super::value::{SENSITIVE, UNKNOWN};

/// Stands for a value that is never stored.
const EPHEMERAL: &str = "(ephemeral value)";

/// The value. Lines after the first are indented by `indent` spaces.
pub fn render_literal(value: &Value, indent: usize) -> String {
    if !value.is_known() {
        return UNKNOWN.into();
    }
    if value.marks.is_sensitive() {
        return SENSITIVE.into();
    }
    if value.marks.is_ephemeral() {
        return EPHEMERAL.into();
    }
    match &value.kind {
        ValueKind::Null(ty) => null_of(ty),
        ValueKind::Unknown(..) => UNKNOWN.into(),
        ValueKind::Bool(value) => value.to_string(),
        ValueKind::Number(number) => number.to_string(),
        ValueKind::String(text) => string(text, indent),
        ValueKind::Tuple(elements) => sequence(elements, indent),
        ValueKind::List(_, elements) => format!("tolist({})", sequence(elements, indent)),
        ValueKind::Set(_, elements) => format!("toset({})", sequence(elements, indent)),
        ValueKind::Object(entries) => mapping(entries.iter(), indent),
        ValueKind::Map(_, entries) => format!("tomap({})", mapping(entries.iter(), indent)),
    }
}

fn null_of(ty: &Type) -> String {
    match ty {
        Type::Dynamic => "null".into(),
        Type::Bool => "tobool(null)".into(),
        Type::Number => "tonumber(null)".into(),
        Type::String => "tostring(null)".into(),
        Type::List(element) => format!("tolist(null) /* of {} */", friendly(element)),
        Type::Set(element) => format!("toset(null) /* of {} */", friendly(element)),
        Type::Map(element) => format!("tomap(null) /* of {} */", friendly(element)),
        Type::Tuple(_) | Type::Object(_) => format!("null /* {} */", friendly(ty)),
    }
}

/// A type in words, as errors of the language name it.
fn friendly(ty: &Type) -> String {
    match ty {
        Type::Dynamic => "dynamic".into(),
        Type::Bool => "bool".into(),
        Type::Number => "number".into(),
        Type::String => "string".into(),
        Type::List(element) => format!("list of {}", friendly(element)),
        Type::Set(element) => format!("set of {}", friendly(element)),
        Type::Map(element) => format!("map of {}", friendly(element)),
        Type::Tuple(_) => "tuple".into(),
        Type::Object(_) => "object".into(),
    }
}

fn sequence(elements: &[Value], indent: usize) -> String {
    if elements.is_empty() {
        return "[]".into();
    }
    let pad = " ".repeat(indent + 2);
    let lines: String =
        elements.iter().map(|element| format!("{pad}{},\n", render_literal(element, indent + 2))).collect();
    format!("[\n{lines}{}]", " ".repeat(indent))
}

fn mapping<'a>(
    entries: impl ExactSizeIterator<Item = (&'a std::sync::Arc<str>, &'a Value)>,
    indent: usize,
) -> String {
    if entries.len() == 0 {
        return "{}".into();
    }
    let pad = " ".repeat(indent + 2);
    let lines: String = entries
        .map(|(key, element)| {
            format!("{pad}{} = {}\n", string(key, indent + 2), render_literal(element, indent + 2))
        })
        .collect();
    format!("{{\n{lines}{}}}", " ".repeat(indent))
}

fn string(text: &str, indent: usize) -> String {
    if text.contains('\n') { heredoc(text, indent) } else { quoted(text) }
}

/// A text over several lines; its end marker is none of its lines.
fn heredoc(text: &str, indent: usize) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut marker = String::from("EOT");
    while lines.iter().any(|line| line.trim() == marker) {
        marker.push('_');
    }
    let (operator, pad) = if indent == 0 { ("<<", String::new()) } else { ("<<-", " ".repeat(indent)) };
    let body: String = lines.iter().map(|line| format!("{pad}{line}\n")).collect();
    format!("{operator}{marker}\n{body}{pad}{marker}")
}

/// A text in quotes, with whatever does not print escaped as Go escapes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            c if c < ' ' || c == '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if prints(c) => quoted.push(c),
            c if u32::from(c) < 0x10000 => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a character shows. The standard library tells by escaping; a combining mark it escapes only at the start of a
/// text, so that a letter stands before.
fn prints(c: char) -> bool {
    let text: String = ['a', c].iter().collect();
    text.escape_debug().count() == 2 || c == '\''
}

/// The type as the console's `type()` prints it.
pub fn render_type(ty: &Type) -> String {
    type_at(ty, 0)
}

fn type_at(ty: &Type, indent: usize) -> String {
    let collection = |word: &str, element: &Type| {
        if matches!(element, Type::Tuple(_) | Type::Object(_)) {
            let inner = type_at(element, indent + 1);
            format!("{word}(\n{}{inner},\n{})", pad(indent + 1), pad(indent))
        } else {
            format!("{word}({})", type_at(element, indent))
        }
    };
    match ty {
        Type::Dynamic => "dynamic".into(),
        Type::Bool => "bool".into(),
        Type::Number => "number".into(),
        Type::String => "string".into(),
        Type::List(element) => collection("list", element),
        Type::Set(element) => collection("set", element),
        Type::Map(element) => collection("map", element),
        Type::Tuple(elements) if elements.is_empty() => "tuple([])".into(),
        Type::Tuple(elements) => {
            let lines: String = elements
                .iter()
                .map(|element| format!("{}{},\n", pad(indent + 1), type_at(element, indent + 1)))
                .collect();
            format!("tuple([\n{lines}{}])", pad(indent))
        }
        Type::Object(attributes) if attributes.is_empty() => "object({})".into(),
        Type::Object(attributes) => {
            let lines: String = attributes
                .iter()
                .map(|(name, a)| format!("{}{name}: {},\n", pad(indent + 1), type_at(&a.ty, indent + 1)))
                .collect();
            format!("object({{\n{lines}{}}})", pad(indent))
        }
    }
}

fn pad(indent: usize) -> String {
    "    ".repeat(indent)
}
