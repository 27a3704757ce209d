//! Functions on strings.

use pve_model::{Type, Value};
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::Arc;
use unicode_segmentation::UnicodeSegmentation;

use super::Kind::{ListString, Number, String as Text};
use super::{
    FunctionError, Outcome, any_type, bool_type, fail, fail_at, function, list_of_strings, list_string_type,
    parameter, string_type, strings_of, text, whole,
};

const STR: super::Parameter = parameter("str", Text);

pub(super) const FUNCTIONS: &[super::Function] = &[
    function!("upper", [STR], string_type, |a, _| string(text(a, 0).to_uppercase())),
    function!("lower", [STR], string_type, |a, _| string(text(a, 0).to_lowercase())),
    function!("title", [STR], string_type, |a, _| string(title(text(a, 0)))),
    function!("trimspace", [STR], string_type, |a, _| string(text(a, 0).trim())),
    function!("chomp", [STR], string_type, |a, _| string(text(a, 0).trim_end_matches(['\n', '\r']))),
    function!("strrev", [STR], string_type, |a, _| {
        string(text(a, 0).graphemes(true).rev().collect::<String>())
    }),
    function!("trim", [STR, parameter("cutset", Text)], string_type, |a, _| {
        string(text(a, 0).trim_matches(|c| text(a, 1).contains(c)))
    }),
    function!("trimprefix", [STR, parameter("prefix", Text)], string_type, |a, _| {
        string(text(a, 0).strip_prefix(text(a, 1)).unwrap_or(text(a, 0)))
    }),
    function!("trimsuffix", [STR, parameter("suffix", Text)], string_type, |a, _| {
        string(text(a, 0).strip_suffix(text(a, 1)).unwrap_or(text(a, 0)))
    }),
    function!("startswith", [STR.unknown(), parameter("prefix", Text)], bool_type, starts_with),
    function!("endswith", [STR, parameter("suffix", Text)], bool_type, |a, _| {
        Ok(Value::bool(text(a, 0).ends_with(text(a, 1))))
    }),
    function!("strcontains", [STR, parameter("substr", Text)], bool_type, |a, _| {
        Ok(Value::bool(text(a, 0).contains(text(a, 1))))
    }),
    function!(
        "substr",
        [STR, parameter("offset", Number), parameter("length", Number)],
        string_type,
        substring
    ),
    function!("indent", [parameter("spaces", Number), STR], string_type, |a, _| {
        let spaces = usize::try_from(whole(a, 0)?).unwrap_or(0);
        string(text(a, 1).replace('\n', &format!("\n{}", " ".repeat(spaces))))
    }),
    function!("join", [parameter("separator", Text)], ..parameter("lists", ListString), string_type, join),
    function!("split", [parameter("separator", Text), STR], list_string_type, |a, _| {
        let (separator, whole) = (text(a, 0), text(a, 1));
        if separator.is_empty() {
            return Ok(list_of_strings(whole.chars().map(String::from)));
        }
        Ok(list_of_strings(whole.split(separator)))
    }),
    function!(
        "replace",
        [STR, parameter("substring", Text), parameter("replacement", Text)],
        string_type,
        replace
    ),
    function!("regex", [parameter("pattern", Text), parameter("string", Text)], regex_type, regex_one),
    function!("regexall", [parameter("pattern", Text), parameter("string", Text)], any_type, regex_all),
];

pub(super) fn string(text: impl Into<Arc<str>>) -> Outcome {
    Ok(Value::string(text))
}

fn title(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        let starts_word = !(before.is_alphanumeric() || before == '_' || before == '\'');
        if starts_word {
            result.extend(c.to_uppercase())
        } else {
            result.push(c)
        }
        before = c;
    }
    result
}

fn starts_with(arguments: &[Value], _: &super::Context) -> Outcome {
    let wanted = text(arguments, 1);
    if let Some(text) = arguments[0].as_str() {
        return Ok(Value::bool(text.starts_with(wanted)));
    }
    if let pve_model::ValueKind::Unknown(_, Some(refinement)) = &arguments[0].kind
        && let Some(prefix) = &refinement.prefix
    {
        if prefix.starts_with(wanted) {
            return Ok(Value::bool(true));
        }
        if !wanted.starts_with(&**prefix) {
            return Ok(Value::bool(false));
        }
    }
    Ok(Value::unknown(Type::Bool))
}

/// Offsets count grapheme clusters; a negative one counts from the end, a length of -1 goes to the end.
fn substring(arguments: &[Value], _: &super::Context) -> Outcome {
    let clusters: Vec<&str> = text(arguments, 0).graphemes(true).collect();
    let (offset, length) = (whole(arguments, 1)?, whole(arguments, 2)?);
    let count = clusters.len() as i64;
    let start = if offset < 0 { (offset + count).max(0) } else { offset.min(count) };
    let end = if length < 0 { count } else { start.saturating_add(length).min(count) };
    string(clusters[start as usize..end as usize].concat())
}

fn join(arguments: &[Value], _: &super::Context) -> Outcome {
    if arguments.len() < 2 {
        return fail("at least one list is needed");
    }
    let mut parts = Vec::new();
    for (i, list) in arguments.iter().enumerate().skip(1) {
        let elements = list.elements().unwrap_or_default();
        if elements.iter().any(|element| !element.is_known()) {
            return Ok(Value::unknown(Type::String));
        }
        match strings_of(list) {
            Some(texts) => parts.extend(texts.into_iter().map(String::from)),
            None => return fail_at(i, "the list must not contain null"),
        }
    }
    string(parts.join(text(arguments, 0)))
}

fn replace(arguments: &[Value], _: &super::Context) -> Outcome {
    let (whole, wanted, replacement) = (text(arguments, 0), text(arguments, 1), text(arguments, 2));
    match wanted.strip_prefix('/').and_then(|pattern| pattern.strip_suffix('/')) {
        Some(pattern) => {
            let pattern = compile(pattern, 1)?;
            string(pattern.replace_all(whole, braced(replacement).as_str()).into_owned())
        }
        None => string(whole.replace(wanted, replacement)),
    }
}

/// `$1x` names a group `1x` in both syntaxes; what differs is nothing but `\`, which stands for itself.
fn braced(replacement: &str) -> String {
    replacement.to_string()
}

pub(super) fn compile(pattern: &str, argument: usize) -> Result<Regex, FunctionError> {
    Regex::new(pattern).map_err(|error| FunctionError {
        argument: Some(argument),
        message: format!(
            "the pattern is no regular expression: {}",
            error.to_string().lines().last().unwrap_or("")
        ),
    })
}

fn regex_type(arguments: &[Value]) -> Type {
    let pattern = arguments.first().and_then(Value::as_str).and_then(|pattern| Regex::new(pattern).ok());
    pattern.map_or(Type::Dynamic, |pattern| match_type(&pattern))
}

fn match_type(pattern: &Regex) -> Type {
    let names: Vec<&str> = pattern.capture_names().flatten().collect();
    if !names.is_empty() {
        return Type::object(names.into_iter().map(|name| (name, Type::String)));
    }
    match pattern.captures_len() - 1 {
        0 => Type::String,
        groups => Type::tuple(std::iter::repeat_n(Type::String, groups)),
    }
}

fn match_value(pattern: &Regex, captures: &regex::Captures<'_>) -> Result<Value, FunctionError> {
    let part = |found: Option<regex::Match<'_>>| match found {
        Some(found) => Value::string(found.as_str()),
        None => Value::null(Type::String),
    };
    let names: Vec<Option<&str>> = pattern.capture_names().skip(1).collect();
    let named = names.iter().filter(|name| name.is_some()).count();
    if named > 0 && named < names.len() {
        return fail_at(0, "either all groups have names or none");
    }
    if named > 0 {
        let entries: BTreeMap<Arc<str>, Value> =
            names.iter().flatten().map(|name| (Arc::from(*name), part(captures.name(name)))).collect();
        return Ok(Value::object(entries));
    }
    if names.is_empty() {
        return Ok(part(captures.get(0)));
    }
    Ok(Value::tuple((1..captures.len()).map(|i| part(captures.get(i))).collect()))
}

fn regex_one(arguments: &[Value], _: &super::Context) -> Outcome {
    let pattern = compile(text(arguments, 0), 0)?;
    match pattern.captures(text(arguments, 1)) {
        Some(captures) => match_value(&pattern, &captures),
        None => fail("the pattern did not match any part of the string"),
    }
}

fn regex_all(arguments: &[Value], _: &super::Context) -> Outcome {
    let pattern = compile(text(arguments, 0), 0)?;
    let found = pattern
        .captures_iter(text(arguments, 1))
        .map(|captures| match_value(&pattern, &captures))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Value::list(match_type(&pattern), found))
}
