//! YAML: `yamlencode` in the reference's layout, `yamldecode` by a library.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use pve_model::{Type, Value, ValueKind};
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};

use super::Kind::{Any, String as Text};
use super::strings::string;
use super::{Outcome, any_type, fail_at, function, parameter, string_type, text};

pub(super) const FUNCTIONS: &[super::Function] = &[
    function!("yamlencode", [parameter("value", Any).null().unknown()], string_type, |a, _| {
        if !a[0].is_wholly_known() {
            return Ok(Value::unknown(Type::String));
        }
        let mut out = String::new();
        write_node(&a[0], 0, false, &mut out);
        if !out.ends_with('\n') {
            out.push('\n');
        }
        string(out)
    }),
    function!("yamldecode", [parameter("src", Text)], any_type, |a, _| {
        let documents =
            Yaml::load_from_str(text(a, 0)).or_else(|e| fail_at(0, format!("this is no YAML: {e}")))?;
        match &documents[..] {
            [] => Ok(Value::null(Type::Dynamic)),
            [one] => from_yaml(one),
            _ => fail_at(0, "there must be one document, not several"),
        }
    }),
];

/// Block style, strings in double quotes, keys quoted and sorted, two spaces a level, lists at the level of their key.
fn write_node(value: &Value, indent: usize, in_list: bool, out: &mut String) {
    let pad = " ".repeat(indent);
    match &value.kind {
        ValueKind::List(_, values) | ValueKind::Set(_, values) | ValueKind::Tuple(values)
            if !values.is_empty() =>
        {
            for (i, element) in values.iter().enumerate() {
                if i > 0 || !in_list {
                    out.push_str(&pad);
                }
                out.push_str("- ");
                write_node(element, indent + 2, true, out);
                newline(out);
            }
        }
        ValueKind::Map(_, entries) | ValueKind::Object(entries) if !entries.is_empty() => {
            for (i, (key, element)) in entries.iter().enumerate() {
                if i > 0 || !in_list {
                    out.push_str(&pad);
                }
                let _ = write!(out, "{}:", super::encoding::json_text(&Value::string(key.clone())));
                let nested_list = element.elements().is_some_and(|elements| !elements.is_empty());
                let nested_map = element.entries().is_some_and(|entries| !entries.is_empty());
                if nested_list {
                    out.push('\n');
                    write_node(element, indent, false, out);
                } else if nested_map {
                    out.push('\n');
                    write_node(element, indent + 2, false, out);
                } else {
                    out.push(' ');
                    write_node(element, indent + 2, false, out);
                }
                newline(out);
            }
        }
        ValueKind::List(..) | ValueKind::Set(..) | ValueKind::Tuple(_) => out.push_str("[]"),
        ValueKind::Map(..) | ValueKind::Object(_) => out.push_str("{}"),
        ValueKind::String(text) if text.contains('\n') && is_plain_text(text) => {
            write_literal(text, indent, out)
        }
        _ => out.push_str(&super::encoding::json_text(value)),
    }
}

fn newline(out: &mut String) {
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

fn is_plain_text(text: &str) -> bool {
    !text.starts_with([' ', '\n', '\t']) && text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control())
}

/// A literal block keeps lines as they are; its indicator says how many newlines end it.
fn write_literal(text: &str, indent: usize, out: &mut String) {
    let trimmed = text.trim_end_matches('\n');
    out.push_str(match text.len() - trimmed.len() {
        0 => "|-\n",
        1 => "|\n",
        _ => "|+\n",
    });
    let body = text.strip_suffix('\n').unwrap_or(text);
    for line in body.split('\n') {
        if !line.is_empty() {
            let _ = write!(out, "{}{line}", " ".repeat(indent));
        }
        out.push('\n');
    }
}

fn from_yaml(node: &Yaml<'_>) -> Outcome {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::null(Type::Dynamic),
        Yaml::Value(Scalar::Boolean(flag)) => Value::bool(*flag),
        Yaml::Value(Scalar::Integer(number)) => Value::number(*number),
        Yaml::Value(Scalar::FloatingPoint(number)) => {
            match pve_model::Number::from_f64(number.into_inner()) {
                Some(number) => Value::number(number.to_string().parse().unwrap_or(number)),
                None => return fail_at(0, "a number is not a number"),
            }
        }
        Yaml::Value(Scalar::String(text)) => Value::string(&**text),
        Yaml::Sequence(elements) => {
            Value::tuple(elements.iter().map(from_yaml).collect::<Result<Vec<_>, _>>()?)
        }
        Yaml::Mapping(entries) => {
            let mut object: BTreeMap<Arc<str>, Value> = BTreeMap::new();
            for (key, value) in entries {
                let key = crate::convert::convert(&from_yaml(key)?, &Type::String)
                    .or_else(|error| fail_at(0, format!("a key is no string: {error}")))?;
                let name = key.as_str().unwrap_or("null");
                object.insert(Arc::from(name), from_yaml(value)?);
            }
            Value::object(object)
        }
        Yaml::Tagged(_, inner) => from_yaml(inner)?,
        _ => return fail_at(0, "this part of YAML is not supported"),
    })
}
