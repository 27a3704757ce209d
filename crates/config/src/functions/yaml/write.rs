//! The layout of YAML that the reference writes: blocks throughout, texts in double quotes or line by line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pve_model::{Value, ValueKind};

use crate::syntax::with_stack;

/// The column after which a quoted text goes on in the next line, at its next space.
const WIDTH: usize = 80;

/// The longest key, in bytes, that stands in one line with its value.
const LONGEST_KEY: usize = 128;

/// A value that is wholly known, as one document.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    write_node(value, 0, &mut out);
    // A document that is one bare word needs its end marked.
    if matches!(value.kind, ValueKind::Null(_) | ValueKind::Bool(_) | ValueKind::Number(_)) {
        out.push_str("...\n");
    }
    out
}

fn is_block(value: &Value) -> bool {
    let has_parts = |parts: Option<usize>| parts.is_some_and(|count| count > 0);
    has_parts(value.elements().map(<[Value]>::len)) || has_parts(value.entries().map(BTreeMap::len))
}

/// Writes a value whose first line is begun already, and its line break; further lines are indented.
fn write_node(value: &Value, indent: usize, out: &mut String) {
    if let Some(elements) = value.elements().filter(|elements| !elements.is_empty()) {
        for (i, element) in elements.iter().enumerate() {
            pad(if i > 0 { indent } else { 0 }, out);
            out.push_str("- ");
            with_stack(|| write_node(element, indent + 2, out));
        }
        return;
    }
    if let Some(entries) = value.entries().filter(|entries| !entries.is_empty()) {
        for (i, (key, element)) in entries.iter().enumerate() {
            pad(if i > 0 { indent } else { 0 }, out);
            write_entry(key, element, indent, out);
        }
        return;
    }
    match &value.kind {
        // At the top there is no indentation to add to.
        ValueKind::String(text) => return write_text(text, indent.max(2), out),
        ValueKind::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        ValueKind::Number(number) => out.push_str(&number.to_string()),
        ValueKind::Map(..) | ValueKind::Object(_) => out.push_str("{}"),
        ValueKind::List(..) | ValueKind::Set(..) | ValueKind::Tuple(_) => out.push_str("[]"),
        _ => out.push_str("null"),
    }
    out.push('\n');
}

fn write_entry(key: &str, element: &Value, indent: usize, out: &mut String) {
    if key.len() > LONGEST_KEY || key.contains(is_break) {
        out.push_str("? ");
        write_text(key, indent + 2, out);
        pad(indent, out);
        out.push_str(": ");
        with_stack(|| write_node(element, indent + 2, out));
        return;
    }
    quote(key, None, out);
    out.push(':');
    if !is_block(element) {
        out.push(' ');
        return write_node(element, indent + 2, out);
    }
    out.push('\n');
    // A list stands at the level of its key.
    let inner = if element.elements().is_some() { indent } else { indent + 2 };
    pad(inner, out);
    with_stack(|| write_node(element, inner, out));
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn write_text(text: &str, indent: usize, out: &mut String) {
    if text.contains('\n') && fits_literal(text) {
        return write_literal(text, indent, out);
    }
    quote(text, Some(indent), out);
    out.push('\n');
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The reference takes characters beyond the basic plane for unprintable.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Whether a text can be written line by line: no spaces at the ends of lines, nothing that needs an escape.
fn fits_literal(text: &str) -> bool {
    !text.contains(" \n") && !text.ends_with(' ') && text.chars().all(is_printable)
}

/// The indicator tells how many line breaks end the text, and the indentation where the first line hides it.
fn write_literal(text: &str, indent: usize, out: &mut String) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let body = text.trim_end_matches('\n');
    let breaks = text.len() - body.len();
    match breaks {
        0 => out.push('-'),
        1 if !body.is_empty() => {}
        _ => out.push('+'),
    }
    out.push('\n');
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// Writes a text in double quotes. With an indentation for further lines a long one is folded at spaces; a space that
/// follows the fold is then escaped, so that it is read as part of the text.
fn quote(text: &str, fold: Option<usize>, out: &mut String) {
    let line = out.rfind('\n').map_or(0, |end| end + 1);
    let mut column = out[line..].chars().count() + 1;
    out.push('"');
    let mut after_space = false;
    for (at, c) in text.char_indices() {
        let start = out.len();
        let within = at > 0 && at + 1 < text.len();
        match fold {
            Some(indent) if c == ' ' && !after_space && within && column > WIDTH => {
                out.push('\n');
                pad(indent, out);
                out.push_str(if text[at + 1..].starts_with(' ') { "\\" } else { "" });
                column = out.len() - start - 1;
            }
            _ => {
                write_character(c, out);
                column += out[start..].chars().count();
            }
        }
        after_space = c == ' ';
    }
    out.push('"');
}

fn write_character(c: char, out: &mut String) {
    let escape = match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\0' => "\\0",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        '\r' => "\\r",
        '\u{1b}' => "\\e",
        '\u{85}' => "\\N",
        '\u{2028}' => "\\L",
        '\u{2029}' => "\\P",
        other if is_printable(other) => return out.push(other),
        other => {
            let code = u32::from(other);
            let _ = match code {
                0..=0xff => write!(out, "\\x{code:02X}"),
                0x100..=0xffff => write!(out, "\\u{code:04X}"),
                _ => write!(out, "\\U{code:08X}"),
            };
            return;
        }
    };
    out.push_str(escape);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(entries: &[(&str, Value)]) -> Value {
        Value::object(entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
    }

    // What is expected in these tests is what OpenTofu 1.12.6 writes.

    #[test]
    fn long_texts_are_folded_at_spaces_after_column_80() {
        let words = "word ".repeat(20);
        let value = object(&[("a", object(&[("b", Value::tuple(vec![Value::string(words.trim())]))]))]);
        let expected = "\"a\":\n  \"b\":\n  - \"word word word word word word word word word word word word word \
                        word word word\n    word word word word\"\n";
        assert_eq!(document(&value), expected);
        let (exactly, one_more) = ("a".repeat(79), "a".repeat(80));
        assert_eq!(document(&Value::string(format!("{exactly} b"))), format!("\"{exactly} b\"\n"));
        assert_eq!(document(&Value::string(format!("{one_more} b"))), format!("\"{one_more}\n  b\"\n"));
    }

    #[test]
    fn a_space_after_a_fold_is_escaped_and_one_at_the_end_is_no_place_to_fold() {
        let long = "a".repeat(90);
        assert_eq!(document(&Value::string(format!("{long}   x y"))), format!("\"{long}\n  \\  x y\"\n"));
        assert_eq!(document(&Value::string(format!("{long} "))), format!("\"{long} \"\n"));
        assert_eq!(document(&Value::string(format!("{long} \t x"))), format!("\"{long}\n  \\t x\"\n"));
    }

    #[test]
    fn escapes_count_in_the_column_as_they_are_written() {
        let emoji = "\u{1f600}é\"";
        let line = ["\\U0001F600é\\\""; 6].join(" ");
        let expected = format!("\"{line}\n  {}\"\n", ["\\U0001F600é\\\""; 2].join(" "));
        assert_eq!(document(&Value::string([emoji; 8].join(" "))), expected);
    }

    #[test]
    fn long_keys_and_those_of_several_lines_stand_alone() {
        let (short, long) = ("a".repeat(128), "a".repeat(129));
        let list = || Value::tuple(vec![Value::number(1), Value::number(2)]);
        assert_eq!(document(&object(&[(&short, list())])), format!("\"{short}\":\n- 1\n- 2\n"));
        assert_eq!(document(&object(&[(&long, list())])), format!("? \"{long}\"\n: - 1\n  - 2\n"));
        let inner = object(&[("c\n", object(&[("x", Value::number(1))]))]);
        assert_eq!(document(&object(&[(" a\nb", inner)])), "? |2-\n   a\n  b\n: ? |\n    c\n  : \"x\": 1\n");
        assert_eq!(document(&object(&[("a\rb", Value::string("x"))])), "? \"a\\rb\"\n: \"x\"\n");
    }

    #[test]
    fn characters_beyond_the_basic_plane_are_escaped_even_in_texts_of_several_lines() {
        assert_eq!(document(&Value::string("x \u{1f600}\n y")), "\"x \\U0001F600\\n y\"\n");
    }
}
