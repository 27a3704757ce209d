//! The text of a resource block for a configured value: what [`super::decode_body`] reads back.

use pve_model::schema::{Attribute, Block, Nesting};
use pve_model::{Path, Type, Value, ValueKind};

use crate::syntax::{SourceId, format};

/// How wide a list may be that stands in one line.
const WIDEST_LIST: usize = 80;

/// A resource block in canonical layout, with what `config` sets. Secrets are never written: each attribute that could have
/// one is null, with a comment that says why, as is what is required and has no value. Changes of what is `ignored` are
/// none.
pub fn write_resource(
    (kind, name): (&str, &str),
    provider: Option<&str>,
    schema: &Block,
    config: &Value,
    ignored: &[Path],
) -> String {
    let provider = provider.map(|provider| format!("provider = {provider}\n")).unwrap_or_default();
    let (kind, name) = (quote(kind), quote(name));
    let mut text = format!("resource {kind} {name} {{\n{provider}{}", body(schema, config));
    if !ignored.is_empty() {
        let ignored: Vec<String> = ignored.iter().map(Path::to_string).collect();
        text.push_str(&format!("\nlifecycle {{\nignore_changes = {}\n}}\n", list(&ignored)));
    }
    text.push_str("}\n");
    // Text that cannot be read is not laid out, and whoever loads it is told where.
    format(SourceId(0), &text).unwrap_or(text)
}

fn body(schema: &Block, config: &Value) -> String {
    let mut text = String::new();
    for (name, attribute) in schema.attributes.iter().filter(|(_, attribute)| is_settable(attribute)) {
        match config.get(name).filter(|value| value.is_known() && !value.is_null()) {
            _ if is_secret(attribute) => text.push_str(&format!("{name} = null # sensitive\n")),
            Some(value) => text.push_str(&format!("{name} = {}\n", expression(value, &attribute.ty))),
            None if attribute.required => text.push_str(&format!("{name} = null # required\n")),
            None => {}
        }
    }
    for (name, nested) in &schema.blocks {
        let value = config.get(name).filter(|value| value.is_known() && !value.is_null());
        let blocks = match (nested.nesting, value) {
            (_, None) => &[],
            (Nesting::Single, Some(value)) => std::slice::from_ref(value),
            (_, Some(value)) => value.elements().unwrap_or_default(),
        };
        for block in blocks {
            let apart = if text.is_empty() { "" } else { "\n" };
            let inner = body(&nested.block, block);
            let inner = if inner.is_empty() { inner } else { format!("\n{inner}") };
            text.push_str(&format!("{apart}{name} {{{inner}}}\n"));
        }
    }
    text
}

fn is_settable(attribute: &Attribute) -> bool {
    attribute.required || attribute.optional
}

/// Whether what an attribute says must not be in a file.
pub fn is_secret(attribute: &Attribute) -> bool {
    attribute.sensitive || attribute.write_only
}

/// A value as an expression. What is optional and null in an object of this type is left out.
pub fn expression(value: &Value, ty: &Type) -> String {
    match &value.kind {
        ValueKind::Null(_) | ValueKind::Unknown(..) => "null".into(),
        ValueKind::Bool(value) => value.to_string(),
        ValueKind::Number(number) => number.to_string(),
        ValueKind::String(text) => quote(text),
        ValueKind::List(_, elements) | ValueKind::Set(_, elements) | ValueKind::Tuple(elements) => {
            let written = elements.iter().enumerate().map(|(place, element)| {
                let ty = match ty {
                    Type::List(inner) | Type::Set(inner) => inner,
                    Type::Tuple(inner) => inner.get(place).unwrap_or(&Type::Dynamic),
                    _ => &Type::Dynamic,
                };
                expression(element, ty)
            });
            list(&written.collect::<Vec<_>>())
        }
        ValueKind::Map(_, entries) | ValueKind::Object(entries) => {
            let mut text = String::new();
            for (key, part) in entries.iter() {
                let (inner, optional) = match ty {
                    Type::Map(inner) => (&**inner, false),
                    Type::Object(attributes) => attributes
                        .get(key)
                        .map_or((&Type::Dynamic, false), |attribute| (&attribute.ty, attribute.optional)),
                    _ => (&Type::Dynamic, false),
                };
                if !(optional && part.is_null()) {
                    text.push_str(&format!("{} = {}\n", name_or_text(key), expression(part, inner)));
                }
            }
            if text.is_empty() { "{}".into() } else { format!("{{\n{text}}}") }
        }
    }
}

fn list(elements: &[String]) -> String {
    let line = elements.join(", ");
    if line.chars().count() <= WIDEST_LIST && !line.contains('\n') {
        return format!("[{line}]");
    }
    let lines: String = elements.iter().map(|element| format!("{element},\n")).collect();
    format!("[\n{lines}]")
}

fn name_or_text(key: &str) -> String {
    let begins = key.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let is_name = begins && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    // The words of the language are no keys, and `for` begins an expression.
    let is_word = matches!(key, "for" | "true" | "false" | "null" | "if");
    if is_name && !is_word { key.to_string() } else { quote(key) }
}

/// A string in quotes that stands for exactly this text.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // A sign that is doubled is itself; behind another one it would not be plain which two belong together.
            '$' | '%' if rest.peek() == Some(&'{') && before != Some(c) => quoted.extend([c, c]),
            '$' | '%' if rest.peek() == Some(&'{') => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
        before = Some(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use pve_model::types::AttributeType;

    use super::*;
    use crate::evaluate::{Resolved, Scope, ScopeError, evaluate};
    use crate::functions::Context;
    use crate::syntax::parse_expression;

    struct Nothing(Context);

    impl Scope for Nothing {
        fn resolve(&self, _: &str, _: &[&str]) -> Result<Resolved, ScopeError> {
            panic!("nothing is referred to")
        }

        fn functions(&self) -> &Context {
            &self.0
        }
    }

    fn read(text: &str) -> Value {
        let parsed = parse_expression(SourceId(0), text);
        assert!(parsed.diagnostics.is_empty(), "{text}: {:?}", parsed.diagnostics);
        evaluate(&parsed.value.unwrap(), &Nothing(Context::new(".", jiff::Timestamp::UNIX_EPOCH))).unwrap()
    }

    #[test]
    fn every_text_is_read_back_as_it_was() {
        let signs =
            ["$", "%", "{", "}", "\\", "\"", "\n", "\r", "\t", "\u{1b}", "\u{7f}", "~", "é", "a", "u"];
        // All texts of up to four signs.
        let mut texts = vec![String::new()];
        for from in [0, 1, 1 + 15, 1 + 15 + 15 * 15] {
            let longer = texts[from..].iter().flat_map(|text| signs.map(|sign| format!("{text}{sign}")));
            let longer: Vec<String> = longer.collect();
            texts.extend(longer);
        }
        assert!(texts.len() > 50_000);
        for text in texts {
            assert_eq!(read(&quote(&text)), Value::string(text.clone()), "{}", quote(&text));
        }
    }

    #[test]
    fn keys_are_read_back_as_they_were() {
        for key in ["a", "keep-last", "for", "if", "true", "null", "10de:2684", "", "a b", "${x}", "é"] {
            let map = Value::map(Type::String, BTreeMap::from([(key.into(), Value::string("x"))]));
            let text = expression(&map, &Type::map(Type::String));
            assert_eq!(read(&text).get(key), Some(&Value::string("x")), "{text}");
        }
    }

    fn attribute(ty: Type) -> Attribute {
        Attribute { ty, optional: true, ..Attribute::default() }
    }

    #[test]
    fn a_block_is_laid_out_and_tells_no_secret() {
        let ignored = Path::attribute("password");
        let mut schema = Block::default();
        let mut add = |name: &str, attribute: Attribute| schema.attributes.insert(name.into(), attribute);
        add("name", Attribute { required: true, ..attribute(Type::String) });
        add("node", Attribute { required: true, ..attribute(Type::String) });
        add("made", Attribute { optional: false, computed: true, ..attribute(Type::String) });
        add("password", Attribute { sensitive: true, ..attribute(Type::String) });
        add("tags", attribute(Type::list(Type::String)));
        let part = |ty, optional| AttributeType { ty, optional };
        let limits = BTreeMap::from([
            (Arc::from("lower"), part(Type::Number, true)),
            (Arc::from("upper"), part(Type::Number, true)),
        ]);
        add("limits", attribute(Type::Object(Arc::new(limits))));
        let limits = Value::object(BTreeMap::from([
            ("lower".into(), Value::number(1)),
            ("upper".into(), Value::null(Type::Number)),
        ]));
        let config = Value::object(BTreeMap::from([
            ("name".into(), Value::string("a")),
            ("node".into(), Value::null(Type::String)),
            ("made".into(), Value::string("by itself")),
            ("password".into(), Value::string("hunter2")),
            ("tags".into(), Value::list(Type::String, vec![Value::string("a"), Value::string("b")])),
            ("limits".into(), limits),
        ]));
        let expected = "\
resource \"kind\" \"one\" {
  provider = other.place
  limits = {
    lower = 1
  }
  name     = \"a\"
  node     = null # required
  password = null # sensitive
  tags     = [\"a\", \"b\"]

  lifecycle {
    ignore_changes = [password]
  }
}
";
        let text = write_resource(("kind", "one"), Some("other.place"), &schema, &config, &[ignored]);
        assert_eq!(text, expected);
    }
}
