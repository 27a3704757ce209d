//! Strings.

use pve_model::value::Refinement;
use pve_model::{Type, Value};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use super::FunctionError;
use super::parameter::{Call, Function, Kind, Outcome, Parameter, Returns, number, text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("upper", &[text("str")], Returns::Text, |c| {
        string(c.text(0).chars().map(upper).collect::<String>())
    }),
    Function::new("lower", &[text("str")], Returns::Text, |c| string(lower(c.text(0)))),
    Function::new("title", &[text("str")], Returns::Text, |c| string(title(c.text(0)))),
    Function::new("strrev", &[text("str")], Returns::Text, |c| {
        string(c.text(0).graphemes(true).rev().collect::<String>())
    }),
    Function::new("chomp", &[text("str")], Returns::Text, |c| {
        string(c.text(0).trim_end_matches(['\r', '\n']))
    }),
    Function::new("trimspace", &[text("str")], Returns::Text, |c| string(c.text(0).trim())),
    Function::new("trim", &[text("str"), text("cutset")], Returns::Text, |c| {
        string(c.text(0).trim_matches(|ch| c.text(1).contains(ch)))
    }),
    Function::new("trimprefix", &[text("str"), text("prefix")], Returns::Text, |c| {
        string(c.text(0).strip_prefix(c.text(1)).unwrap_or(c.text(0)))
    }),
    Function::new("trimsuffix", &[text("str"), text("suffix")], Returns::Text, |c| {
        string(c.text(0).strip_suffix(c.text(1)).unwrap_or(c.text(0)))
    }),
    Function::new("startswith", &[text("str").unknown(), text("prefix")], Returns::Flag, starts_with),
    Function::new("endswith", &[text("str"), text("suffix")], Returns::Flag, |c| {
        Ok(Value::bool(c.text(0).ends_with(c.text(1))))
    }),
    Function::new("strcontains", &[text("str"), text("substr")], Returns::Flag, |c| {
        Ok(Value::bool(c.text(0).contains(c.text(1))))
    }),
    Function::new("substr", &[text("str"), number("offset"), number("length")], Returns::Text, substr),
    Function::new("indent", &[number("spaces"), text("str")], Returns::Text, indent),
    Function::new("join", &[text("separator").unknown()], Returns::Text, join)
        .and_more(Parameter::new("lists", Kind::Texts).unknown().marked()),
    Function::new("split", &[text("separator"), text("str")], Returns::Texts, split),
];

/// A string as a result, normalised.
pub(super) fn string(text: impl AsRef<str>) -> Outcome {
    let text = text.as_ref();
    Ok(if text.is_ascii() { Value::string(text) } else { Value::string(text.nfc().collect::<String>()) })
}

/// Each character by itself: a final sigma is no special case.
fn lower(text: &str) -> String {
    text.chars().map(|c| one(c.to_lowercase()).unwrap_or(if c == 'İ' { 'i' } else { c })).collect()
}

/// The one character that stands for `c` in upper case; ß and ligatures have none.
fn upper(c: char) -> char {
    one(c.to_uppercase()).unwrap_or_else(|| with_iota(c))
}

/// As `upper`; of the letters that are two in one, such as ǆ, only the first.
fn title_case(c: char) -> char {
    match c {
        'Ǆ' | 'ǅ' | 'ǆ' => 'ǅ',
        'Ǉ' | 'ǈ' | 'ǉ' => 'ǈ',
        'Ǌ' | 'ǋ' | 'ǌ' => 'ǋ',
        'Ǳ' | 'ǲ' | 'ǳ' => 'ǲ',
        _ => upper(c),
    }
}

fn one(mut characters: impl Iterator<Item = char>) -> Option<char> {
    characters.next().filter(|_| characters.next().is_none())
}

/// Greek letters with an iota beneath have capitals of their own, which the long form of upper case does not use.
fn with_iota(c: char) -> char {
    let code = u32::from(c);
    let offset = match code {
        0x1f80..=0x1faf if code % 16 < 8 => 8,
        0x1fb3 | 0x1fc3 | 0x1ff3 => 9,
        _ => 0,
    };
    char::from_u32(code + offset).unwrap_or(c)
}

fn title(text: &str) -> String {
    let mut starts_word = true;
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        if starts_word {
            result.push(title_case(c));
        } else {
            result.push(c);
        }
        starts_word = !(c.is_alphanumeric() || c == '_' || (c > '\u{7f}' && !c.is_whitespace()));
    }
    result
}

fn starts_with(call: &Call<'_>) -> Outcome {
    use pve_model::ValueKind;
    let prefix = call.text(1);
    if let ValueKind::Unknown(_, refinement) = &call.arguments[0].kind {
        let known = refinement.as_ref().and_then(|refinement| refinement.prefix.as_deref());
        if let Some(known) = known {
            if known.starts_with(prefix) {
                return Ok(Value::bool(true));
            }
            if !prefix.starts_with(known) {
                return Ok(Value::bool(false));
            }
        }
        return Ok(Value::unknown(Type::Bool));
    }
    Ok(Value::bool(call.text(0).starts_with(prefix)))
}

fn substr(call: &Call<'_>) -> Outcome {
    let clusters: Vec<&str> = call.text(0).graphemes(true).collect();
    let (offset, length) = (call.whole(1)?, call.whole(2)?);
    let total = i64::try_from(clusters.len()).unwrap_or(i64::MAX);
    let start = if offset < 0 { (total + offset).max(0) } else { offset.min(total) };
    // From the end, no length is all that is left.
    let end = if length < 0 || (length == 0 && offset < 0) {
        total
    } else {
        start.saturating_add(length).min(total)
    };
    let part = clusters.iter().take(end as usize).skip(start as usize).copied().collect::<String>();
    string(part)
}

fn indent(call: &Call<'_>) -> Outcome {
    let spaces = call.whole(0)?;
    let spaces = usize::try_from(spaces)
        .ok()
        .filter(|spaces| *spaces <= 1 << 20)
        .ok_or_else(|| FunctionError::argument(0, "a number from 0 to 1048576 is required"))?;
    string(call.text(1).replace('\n', &format!("\n{}", " ".repeat(spaces))))
}

fn join(call: &Call<'_>) -> Outcome {
    let mut marks = pve_model::Marks::NONE;
    let mut parts = Vec::new();
    let mut unknown = !call.arguments[0].is_known();
    if call.arguments.len() < 2 {
        return Err(FunctionError::new("at least two arguments are required"));
    }
    for (index, list) in call.arguments.iter().enumerate().skip(1) {
        marks = marks.union(list.marks_deep());
        unknown |= !list.is_wholly_known();
        for (place, element) in list.elements().unwrap_or_default().iter().enumerate() {
            if element.is_null() && call.arguments[0].is_known() {
                return Err(FunctionError::argument(
                    index,
                    format!("element {place} is null; it cannot be joined"),
                ));
            }
            parts.extend(element.as_str());
        }
    }
    if unknown {
        return Ok(Value::unknown_refined(
            Type::String,
            Refinement { not_null: true, ..Refinement::default() },
        )
        .with_marks(marks));
    }
    Ok(string(parts.join(call.text(0)))?.with_marks(marks))
}

fn split(call: &Call<'_>) -> Outcome {
    let (separator, text) = (call.text(0), call.text(1));
    let parts: Vec<Value> = if separator.is_empty() {
        text.chars().map(|c| Value::string(c.to_string())).collect()
    } else {
        text.split(separator).map(Value::string).collect()
    };
    Ok(Value::list(Type::String, parts))
}
