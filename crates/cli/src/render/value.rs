//! Values as they are written in a configuration; sensitive ones never.

use pve_model::{Value, ValueKind};

/// Stands for a value that must not be shown.
pub const SENSITIVE: &str = "(sensitive value)";
/// Stands for a value that only apply can tell.
pub const UNKNOWN: &str = "(known after apply)";

/// The value over as many lines as it needs; lines after the first are indented by `indent` spaces.
pub fn render_value(value: &Value, indent: usize) -> String {
    if value.marks.is_sensitive() {
        return SENSITIVE.to_string();
    }
    let pad = " ".repeat(indent + 4);
    let close = " ".repeat(indent);
    match &value.kind {
        ValueKind::Null(_) => "null".into(),
        ValueKind::Unknown(..) => UNKNOWN.into(),
        ValueKind::Bool(value) => value.to_string(),
        ValueKind::Number(number) => number.to_string(),
        ValueKind::String(text) => render_string(text, indent),
        ValueKind::List(_, elements) | ValueKind::Set(_, elements) | ValueKind::Tuple(elements) => {
            if elements.is_empty() {
                return "[]".into();
            }
            let lines: String = elements
                .iter()
                .map(|element| format!("{pad}{},\n", render_value(element, indent + 4)))
                .collect();
            format!("[\n{lines}{close}]")
        }
        ValueKind::Map(_, entries) | ValueKind::Object(entries) => {
            if entries.is_empty() {
                return "{}".into();
            }
            let width = entries.keys().map(|key| render_key(key).chars().count()).max().unwrap_or(0);
            let lines: String = entries
                .iter()
                .map(|(key, element)| {
                    format!("{pad}{:<width$} = {}\n", render_key(key), render_value(element, indent + 4))
                })
                .collect();
            format!("{{\n{lines}{close}}}")
        }
    }
}

/// A name as it is, any other key quoted.
pub fn render_key(key: &str) -> String {
    let plain = key.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if plain { key.to_string() } else { quote(key) }
}

fn render_string(text: &str, indent: usize) -> String {
    if !text.trim_end_matches('\n').contains('\n') {
        return quote(text);
    }
    let pad = " ".repeat(indent + 4);
    let lines: String = text
        .lines()
        .map(|line| if line.is_empty() { "\n".into() } else { format!("{pad}{}\n", printable(line)) })
        .collect();
    format!("<<-EOT\n{lines}{}EOT", " ".repeat(indent))
}

/// A string in quotes, with control characters and template signs escaped so that a terminal cannot be steered.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push_str(&printable(c.encode_utf8(&mut [0; 4]))),
        }
    }
    quoted.push('"');
    quoted.replace("${", "$${").replace("%{", "%%{")
}

/// A line with control characters escaped, all but tabs.
pub fn printable(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        if c.is_control() && c != '\t' {
            text.push_str(&format!("\\u{:04x}", c as u32));
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use pve_model::Type;

    use super::*;

    #[test]
    fn values_read_as_configuration() {
        assert_eq!(render_value(&Value::string("a\"b${x}\u{1b}"), 0), "\"a\\\"b$${x}\\u001b\"");
        assert_eq!(render_value(&Value::string("a").sensitive(), 0), SENSITIVE);
        assert_eq!(render_value(&Value::unknown(Type::Bool), 0), UNKNOWN);
        assert_eq!(
            render_value(&Value::list(Type::Number, vec![Value::number(1), Value::number(2)]), 2),
            "[\n      1,\n      2,\n  ]"
        );
        assert_eq!(render_value(&Value::string("a\nb\n"), 0), "<<-EOT\n    a\n    b\nEOT");
    }
}
