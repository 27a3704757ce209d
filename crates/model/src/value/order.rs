//! The order in which the reference goes through a set.

use std::cmp::Ordering;

use super::{Value, ValueKind};
use crate::path::PathStep;

/// Sorts by [`compare_for_set`], and makes each key once.
pub(super) fn sort_for_set(values: &mut Vec<Value>) {
    let has_keys = |value: &Value| {
        !matches!(value.kind, ValueKind::String(_) | ValueKind::Number(_) | ValueKind::Bool(_))
    };
    if !values.iter().any(has_keys) {
        values.sort_by(compare_for_set);
        return;
    }
    let mut keyed: Vec<(u8, String, Value)> =
        values.drain(..).map(|value| (rank(&value), order_key(&value), value)).collect();
    keyed.sort_by(|(rank_a, key_a, a), (rank_b, key_b, b)| {
        rank_a.cmp(rank_b).then_with(|| key_a.cmp(key_b)).then_with(|| structure(a, b))
    });
    values.extend(keyed.into_iter().map(|(_, _, value)| value));
}

fn rank(value: &Value) -> u8 {
    match value.kind {
        ValueKind::Unknown(..) => 1,
        ValueKind::Null(_) => 2,
        _ => 0,
    }
}

/// The order of iteration of a set: strings by bytes, numbers by size, false before true, then unknown values, null
/// last. Of other values, that of `order_key`.
pub fn compare_for_set(a: &Value, b: &Value) -> Ordering {
    match (&a.kind, &b.kind) {
        (ValueKind::String(x), ValueKind::String(y)) => x.cmp(y),
        (ValueKind::Number(x), ValueKind::Number(y)) => x.cmp(y),
        (ValueKind::Bool(x), ValueKind::Bool(y)) => x.cmp(y),
        _ => {
            rank(a).cmp(&rank(b)).then_with(|| order_key(a).cmp(&order_key(b))).then_with(|| structure(a, b))
        }
    }
}

/// The text that the reference orders values with parts by, which it makes for its hash.
fn order_key(value: &Value) -> String {
    fn write(value: &Value, out: &mut String) {
        let between = |out: &mut String, open: char, close: char| {
            out.push(open);
            for (step, child) in value.children() {
                if let (ValueKind::Map(..), PathStep::Key(key)) = (&value.kind, &step) {
                    write_quoted(key, out);
                    out.push(':');
                }
                write(child, out);
                out.push(';');
            }
            out.push(close);
        };
        match &value.kind {
            ValueKind::Unknown(..) => out.push('?'),
            ValueKind::Null(_) => out.push('~'),
            ValueKind::Bool(flag) => out.push(if *flag { 'T' } else { 'F' }),
            ValueKind::Number(number) => out.push_str(&number.to_short_text()),
            ValueKind::String(text) => write_quoted(text, out),
            ValueKind::List(..) | ValueKind::Set(..) => between(out, '[', ']'),
            ValueKind::Map(..) => between(out, '{', '}'),
            ValueKind::Tuple(_) | ValueKind::Object(_) => between(out, '<', '>'),
        }
    }
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Tells values apart whose texts are the same.
fn structure(a: &Value, b: &Value) -> Ordering {
    let (mut left, mut right) = (a.children(), b.children());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((_, x)), Some((_, y))) => {
                let order = compare_for_set(x, y);
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}
