//! What errors say beside what is wrong: near names, and the values involved.

use pve_model::{Value, ValueKind};

/// The name that differs from `wanted` least, if it is near enough to be a slip.
pub fn closest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (distance(wanted, name), name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Longest string that is shown whole.
const SHOWN_CHARACTERS: usize = 60;

/// What a value is, in words that follow its name.
pub fn describe(value: &Value) -> String {
    if value.marks.is_ephemeral() || value.marks_deep().is_sensitive() {
        return "is sensitive".into();
    }
    let count = |n: usize| format!("{n} element{}", if n == 1 { "" } else { "s" });
    match &value.kind {
        ValueKind::Null(_) => "is null".into(),
        ValueKind::Unknown(ty, _) => format!("is {ty}, known only after apply"),
        ValueKind::Bool(flag) => format!("is {flag}"),
        ValueKind::Number(number) => format!("is {number}"),
        ValueKind::String(text) if text.chars().count() > SHOWN_CHARACTERS => {
            format!("is a string of {} characters", text.chars().count())
        }
        ValueKind::String(text) => format!("is {text:?}"),
        ValueKind::List(ty, values) => format!("is a list of {ty} with {}", count(values.len())),
        ValueKind::Set(ty, values) => format!("is a set of {ty} with {}", count(values.len())),
        ValueKind::Map(ty, values) => format!("is a map of {ty} with {}", count(values.len())),
        ValueKind::Tuple(values) => format!("is a tuple with {}", count(values.len())),
        ValueKind::Object(values) if values.is_empty() => "is an object without attributes".into(),
        ValueKind::Object(values) => {
            let names: Vec<&str> = values.keys().take(8).map(|name| &**name).collect();
            let more = if values.len() > names.len() { ", ..." } else { "" };
            format!("is an object with {}{more}", names.join(", "))
        }
    }
}
