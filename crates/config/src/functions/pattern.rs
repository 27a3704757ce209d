//! Regular expressions and patterns of file names.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::{Type, Value};
use regex::{Captures, Regex};

use super::FunctionError;
use super::parameter::{Call, Function, Outcome, Returns, text};
use super::string::string;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("regex", &[text("pattern"), text("string")], Returns::Of(match_type), regex),
    Function::new("regexall", &[text("pattern"), text("string")], Returns::Of(matches_type), regex_all),
    Function::new("replace", &[text("str"), text("substr"), text("replace")], Returns::Text, replace),
];

fn compile(pattern: &str, index: usize) -> Result<Regex, FunctionError> {
    Regex::new(&translate(pattern)).map_err(|error| {
        let reason = error.to_string();
        let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_string();
        FunctionError::argument(index, format!("this is no regular expression: {last}"))
    })
}

/// RE2's syntax in that of the `regex` crate: there `\d`, `\w`, `\s` and `\b` are for ASCII alone, `\z` is the end, and
/// `\Q...\E` quotes.
fn translate(pattern: &str) -> String {
    let mut result = String::with_capacity(pattern.len());
    let mut characters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('Q') if !in_class => {
                    let mut quoted = String::new();
                    while let Some(c) = characters.next() {
                        if c == '\\' && characters.peek() == Some(&'E') {
                            characters.next();
                            break;
                        }
                        quoted.push(c);
                    }
                    result.push_str(&regex::escape(&quoted));
                }
                Some('d') => result.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('w') => result.push_str(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                Some('s') => result.push_str(if in_class { r"\t\n\f\r " } else { r"[\t\n\f\r ]" }),
                Some('D') => result.push_str("[^0-9]"),
                Some('W') => result.push_str("[^0-9A-Za-z_]"),
                Some('S') => result.push_str(r"[^\t\n\f\r ]"),
                Some('b') if !in_class => result.push_str(r"(?-u:\b)"),
                Some('B') if !in_class => result.push_str(r"\B"),
                Some('C') => result.push('.'),
                Some(other) => {
                    result.push('\\');
                    result.push(other);
                }
                None => result.push('\\'),
            },
            '[' if in_class && characters.peek() == Some(&':') => result.push('['),
            // Inside brackets the crate knows nested classes and set operations; in RE2 these are plain characters.
            '[' if in_class => result.push_str("\\["),
            '&' | '~' if in_class => {
                result.push('\\');
                result.push(c);
            }
            '[' => {
                in_class = true;
                result.push('[');
                if characters.peek() == Some(&'^') {
                    characters.next();
                    result.push('^');
                }
                if characters.peek() == Some(&']') {
                    characters.next();
                    result.push_str("\\]");
                }
            }
            ']' if in_class => {
                in_class =
                    result.ends_with(':') && result.rfind("[:").is_some_and(|at| !result[at..].contains(']'));
                result.push(']');
            }
            '{' if !in_class && !is_repetition(characters.clone()) => result.push_str("\\{"),
            other => result.push(other),
        }
    }
    result
}

/// Whether what follows a brace is a number of times; otherwise RE2 takes the brace for itself.
fn is_repetition(after: impl Iterator<Item = char>) -> bool {
    let text: String = after.take(12).collect();
    let Some((inside, _)) = text.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    !least.is_empty() && least.bytes().chain(most.bytes()).all(|b| b.is_ascii_digit())
}

/// The type of a match: a string, a tuple of groups, or an object of named groups.
fn shape(pattern: &str, index: usize) -> Result<Type, FunctionError> {
    let regex = compile(pattern, index)?;
    let names: Vec<Option<&str>> = regex.capture_names().skip(1).collect();
    let named = names.iter().flatten().count();
    match (names.len(), named) {
        (0, _) => Ok(Type::String),
        (count, 0) => Ok(Type::tuple((0..count).map(|_| Type::String))),
        (count, named) if count == named => {
            Ok(Type::object(names.into_iter().flatten().map(|name| (name, Type::String))))
        }
        _ => Err(FunctionError::argument(index, "groups must be all with names or all without")),
    }
}

fn match_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    match arguments[0].as_str() {
        Some(pattern) => shape(pattern, 0),
        None => Ok(Type::Dynamic),
    }
}

fn matches_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    match arguments[0].as_str() {
        Some(pattern) => shape(pattern, 0).map(Type::list),
        None => Ok(Type::list(Type::Dynamic)),
    }
}

fn value_of(regex: &Regex, captures: &Captures<'_>, ty: &Type) -> Value {
    let group = |index: usize| match captures.get(index) {
        Some(found) => Value::string(found.as_str()),
        None => Value::null(Type::String),
    };
    match ty {
        Type::Tuple(types) => Value::tuple((1..=types.len()).map(group).collect()),
        Type::Object(_) => {
            let named =
                regex.capture_names().enumerate().filter_map(|(i, name)| Some((Arc::from(name?), group(i))));
            Value::object(named.collect::<BTreeMap<_, _>>())
        }
        _ => group(0),
    }
}

fn regex(call: &Call<'_>) -> Outcome {
    let regex = compile(call.text(0), 0)?;
    match regex.captures(call.text(1)) {
        Some(captures) => Ok(value_of(&regex, &captures, call.ty)),
        None => Err(FunctionError::argument(1, "the pattern does not match the string")),
    }
}

fn regex_all(call: &Call<'_>) -> Outcome {
    let regex = compile(call.text(0), 0)?;
    let element = call.ty.element().cloned().unwrap_or(Type::String);
    let found =
        regex.captures_iter(call.text(1)).map(|captures| value_of(&regex, &captures, &element)).collect();
    Ok(Value::list(element, found))
}

fn replace(call: &Call<'_>) -> Outcome {
    let (text, wanted, replacement) = (call.text(0), call.text(1), call.text(2));
    let inner = wanted.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    let Some(pattern) = inner.filter(|_| wanted.len() > 1) else {
        return string(text.replace(wanted, replacement));
    };
    let regex = compile(pattern, 1)?;
    string(regex.replace_all(text, replacement))
}

/// A pattern with `*`, `**`, `?`, `[...]` and `{a,b}` for paths relative to a folder.
pub(super) fn from_glob(glob: &str) -> Option<Regex> {
    let mut pattern = String::from("^(?s)");
    let mut rest = glob.strip_prefix("./").unwrap_or(glob);
    let mut depth = 0;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => {
                if let Some(after) = rest.strip_prefix("*/") {
                    pattern.push_str("(?:[^/]+/)*");
                    rest = after;
                } else if let Some(after) = rest.strip_prefix('*') {
                    pattern.push_str(".*");
                    rest = after;
                } else {
                    pattern.push_str("[^/]*");
                }
            }
            '?' => pattern.push_str("[^/]"),
            '{' => {
                depth += 1;
                pattern.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                pattern.push(')');
            }
            ',' if depth > 0 => pattern.push('|'),
            '[' => {
                let end = rest.find(']').filter(|end| *end > 0)?;
                let (negated, class) = match rest[..end].strip_prefix(['^', '!']) {
                    Some(class) => ("^", class),
                    None => ("", &rest[..end]),
                };
                let class = class.replace('\\', "\\\\").replace('[', "\\[").replace("&&", "&\\&");
                pattern.push_str(&format!("[{negated}{class}]"));
                rest = &rest[end + 1..];
            }
            '\\' => {
                let quoted = rest.chars().next()?;
                rest = &rest[quoted.len_utf8()..];
                pattern.push_str(&regex::escape(&quoted.to_string()));
            }
            other => pattern.push_str(&regex::escape(&other.to_string())),
        }
    }
    if depth > 0 {
        return None;
    }
    pattern.push('$');
    Regex::new(&pattern).ok()
}
