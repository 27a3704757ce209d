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

/// How many characters are to be added, left out, replaced, or swapped with the next one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
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
