//! The body of a block as a value, told by a schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::schema::{Attribute as AttributeSchema, Block as BlockSchema, NestedBlock, Nesting};
use pve_model::types::AttributeType;
use pve_model::{Marks, Path, PathStep, Type, Value, ValueKind};

use crate::convert::convert;
use crate::evaluate::{Resolved, Scope, ScopeError, closest, evaluate};
use crate::functions::Context;
use crate::syntax::ast::Literal;
use crate::syntax::{Attribute, Block, Body, Diagnostic, Expr, ExprKind, Item, Span};

/// The value of a body: an object with everything that the schema has. Absent attributes and single blocks are null,
/// absent lists of blocks are empty.
pub fn decode_body(body: &Body, schema: &BlockSchema, scope: &dyn Scope) -> (Value, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let value = decode(body, schema, scope, &mut found);
    (value, found)
}

fn decode(body: &Body, schema: &BlockSchema, scope: &dyn Scope, found: &mut Vec<Diagnostic>) -> Value {
    report_unknown(body, schema, found);
    let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    for (name, attribute) in &schema.attributes {
        let value = match body.attribute(name) {
            Some(written) => decode_attribute(written, attribute, scope, found),
            None => {
                if attribute.required {
                    let detail = format!("The argument `{name}` is required.");
                    found.push(Diagnostic::error(body.span, "An argument is missing", detail));
                }
                Value::null(attribute.ty.clone())
            }
        };
        entries.insert(name.clone(), value);
    }
    for (name, nested) in &schema.blocks {
        entries.insert(name.clone(), decode_blocks(name, body, nested, scope, found));
    }
    Value::object(entries)
}

fn decode_attribute(
    written: &Attribute,
    schema: &AttributeSchema,
    scope: &dyn Scope,
    found: &mut Vec<Diagnostic>,
) -> Value {
    let value = match evaluate(&written.expr, scope) {
        Ok(value) => value,
        Err(errors) => {
            found.extend(errors);
            return Value::unknown(schema.ty.clone());
        }
    };
    if schema.required && value.is_null() {
        let detail = format!("The argument `{}` is required, and its value is null.", written.name);
        found.push(Diagnostic::error(written.expr.span, "A required argument is null", detail));
    }
    if schema.computed && !schema.optional && !schema.required && !value.is_null() {
        let detail = format!("`{}` is set by the provider and cannot be configured.", written.name);
        found.push(Diagnostic::error(written.name_span, "This argument cannot be set", detail));
    }
    if let Some(instead) = schema.deprecated.filter(|_| !value.is_null()) {
        let detail = format!("`{}` is deprecated. {instead}", written.name);
        found.push(Diagnostic::warning(written.name_span, "A deprecated argument", detail));
    }
    convert(&value, &schema.ty).unwrap_or_else(|error| {
        let detail = format!("`{}`: {error}.", written.name);
        found.push(Diagnostic::error(written.expr.span, "An argument has the wrong type", detail));
        Value::unknown(schema.ty.clone())
    })
}

fn report_unknown(body: &Body, schema: &BlockSchema, found: &mut Vec<Diagnostic>) {
    let names = || schema.attributes.keys().chain(schema.blocks.keys()).map(|name| &**name);
    for item in &body.items {
        let (name, span, is_block) = match item {
            Item::Attribute(attribute) => (attribute.name.as_str(), attribute.name_span, false),
            Item::Block(block) if block.block_type == "dynamic" => match block.labels.first() {
                Some(label) => (label.name.as_str(), label.span, true),
                None => ("dynamic", block.type_span, true),
            },
            Item::Block(block) => (block.block_type.as_str(), block.type_span, true),
        };
        let known = if is_block {
            schema.blocks.contains_key(name)
        } else {
            schema.attributes.contains_key(name) || schema.blocks.contains_key(name)
        };
        if known {
            continue;
        }
        let is_attribute = is_block && schema.attributes.contains_key(name);
        let (summary, detail) = if is_attribute {
            (
                "This is an argument, not a block",
                format!("`{name}` is set with an equals sign: `{name} = ...`."),
            )
        } else if is_block {
            ("Unsupported block", format!("Blocks of type \"{name}\" are not expected here."))
        } else {
            ("Unsupported argument", format!("An argument named \"{name}\" is not expected here."))
        };
        let mut diagnostic = Diagnostic::error(span, summary, detail);
        if !is_attribute {
            // What is written as a block is no attribute, however near its name.
            let near = match is_block {
                true => {
                    let blocks = || schema.blocks.keys().map(|name| &**name);
                    closest(name, blocks()).or_else(|| of_same_word(name, blocks()))
                }
                false => closest(name, names()),
            };
            diagnostic.hint = near.map(|near| format!("Did you mean \"{near}\"?"));
        }
        found.push(diagnostic);
    }
}

/// The one name that begins with the same word: `network_device` for `network_interface`.
fn of_same_word<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let word = wanted.split_once('_')?.0;
    let mut like = names.filter(|name| name.split_once('_').is_some_and(|(first, _)| first == word));
    let (first, second) = (like.next(), like.next());
    first.filter(|_| second.is_none())
}

fn decode_blocks(
    name: &str,
    body: &Body,
    nested: &NestedBlock,
    scope: &dyn Scope,
    found: &mut Vec<Diagnostic>,
) -> Value {
    let inner = nested.block.implied_type();
    let mut values = Vec::new();
    let mut unknown = false;
    let mut last: Option<Span> = None;
    if let Some(attribute) = body.attribute(name) {
        match blocks_from_attribute(attribute, &inner, scope) {
            Ok(Some(listed)) => values.extend(listed),
            Ok(None) => unknown = true,
            Err(errors) => found.extend(errors),
        }
        last = Some(attribute.name_span);
    }
    for block in body.blocks() {
        if block.block_type == name {
            values.push(decode(&block.body, &nested.block, scope, found));
            last = Some(block.header_span);
        } else if block.block_type == "dynamic"
            && block.labels.first().is_some_and(|label| label.name == name)
        {
            last = Some(block.header_span);
            match decode_dynamic(block, &nested.block, scope, found) {
                Some(generated) => values.extend(generated),
                None => unknown = true,
            }
        }
    }
    let span = last.unwrap_or(body.span);
    if !unknown {
        check_count(name, values.len() as u64, nested, span, found);
    }
    match nested.nesting {
        Nesting::Single if unknown => Value::unknown(inner),
        Nesting::Single => values.into_iter().next().unwrap_or_else(|| Value::null(inner)),
        Nesting::List if unknown => Value::unknown(Type::list(inner)),
        Nesting::List => Value::list(inner, values),
        Nesting::Set if unknown => Value::unknown(Type::set(inner)),
        Nesting::Set => Value::set(inner, values),
    }
}

fn check_count(name: &str, count: u64, nested: &NestedBlock, span: Span, found: &mut Vec<Diagnostic>) {
    let most = if nested.nesting == Nesting::Single { 1 } else { nested.max_items };
    if count < nested.min_items {
        let detail = format!("At least {} \"{name}\" block(s) needed, {count} found.", nested.min_items);
        found.push(Diagnostic::error(span, "A block is missing", detail));
    } else if most > 0 && count > most {
        let detail = format!("At most {most} \"{name}\" block(s) allowed, {count} found.");
        found.push(Diagnostic::error(span, "Too many blocks", detail));
    }
}

/// Blocks that are written as an argument with a list of objects. `None` when the list is not known.
fn blocks_from_attribute(
    attribute: &Attribute,
    inner: &Type,
    scope: &dyn Scope,
) -> Result<Option<Vec<Value>>, Vec<Diagnostic>> {
    let value = evaluate(&attribute.expr, scope)?;
    if !value.is_known() {
        return Ok(None);
    }
    if value.is_null() {
        return Ok(Some(Vec::new()));
    }
    let elements = match value.elements() {
        Some(elements) => elements.to_vec(),
        None => vec![value.clone()],
    };
    let lenient = all_optional(inner);
    let converted = elements.iter().map(|element| {
        convert(element, &lenient).and_then(|element| convert(&element, inner)).map_err(|error| {
            let detail = format!("`{}`: {error}.", attribute.name);
            vec![Diagnostic::error(attribute.expr.span, "An argument has the wrong type", detail)]
        })
    });
    converted.collect::<Result<Vec<_>, _>>().map(Some)
}

fn all_optional(ty: &Type) -> Type {
    match ty {
        Type::Object(attributes) => Type::Object(Arc::new(
            attributes
                .iter()
                .map(|(name, a)| (name.clone(), AttributeType { ty: all_optional(&a.ty), optional: true }))
                .collect(),
        )),
        Type::List(t) => Type::list(all_optional(t)),
        Type::Set(t) => Type::set(all_optional(t)),
        other => other.clone(),
    }
}

/// Names inside a `dynamic` block: its iterator over those outside.
struct Iteration<'a> {
    outer: &'a dyn Scope,
    name: &'a str,
    value: Value,
}

impl Scope for Iteration<'_> {
    fn resolve(&self, root: &str, steps: &[&str]) -> Result<Resolved, ScopeError> {
        if root == self.name {
            return Ok(Resolved { value: self.value.clone(), consumed: 0 });
        }
        self.outer.resolve(root, steps)
    }

    fn functions(&self) -> &Context {
        self.outer.functions()
    }
}

/// The blocks that a `dynamic` block stands for; `None` when that is not known.
fn decode_dynamic(
    block: &Block,
    schema: &BlockSchema,
    scope: &dyn Scope,
    found: &mut Vec<Diagnostic>,
) -> Option<Vec<Value>> {
    refuse_parts(block, found);
    let missing = |what: &str| {
        let detail = format!("A `dynamic` block needs {what}.");
        Diagnostic::error(block.header_span, "A dynamic block is not complete", detail)
    };
    let (Some(for_each), Some(content)) =
        (block.body.attribute("for_each"), block.body.blocks_of("content").next())
    else {
        found.push(missing("`for_each` and a `content` block"));
        return Some(Vec::new());
    };
    let iterator = iterator_name(block).unwrap_or_default();
    let name = iterator.as_str();
    let collection = match evaluate(&for_each.expr, scope) {
        Ok(collection) => collection,
        Err(errors) => {
            found.extend(errors);
            return Some(Vec::new());
        }
    };
    if !collection.is_known() {
        return None;
    }
    let Some(pairs) = pairs(&collection) else {
        found.push(not_iterable(&for_each.expr, &collection));
        return Some(Vec::new());
    };
    let mut values = Vec::new();
    for (key, value) in pairs {
        let each = BTreeMap::from([(Arc::from("key"), key), (Arc::from("value"), value)]);
        let inner = Iteration { outer: scope, name, value: Value::object(each) };
        let before = found.len();
        let decoded = decode(&content.body, schema, &inner, found);
        values.push(mark_written(decoded, &content.body, collection.marks));
        // What is wrong in one iteration is wrong in most: once is enough.
        if found[before..].iter().any(Diagnostic::is_error) {
            break;
        }
    }
    Some(values)
}

/// A generated block tells what it was generated from by what is written in it, not by being there: its arguments take
/// the marks, blocks within it do not. So does the reference.
fn mark_written(block: Value, content: &Body, marks: Marks) -> Value {
    let ValueKind::Object(parts) = block.kind else { return block };
    let mark = |(name, part): (&Arc<str>, &Value)| {
        let written = content.attribute(name).is_some();
        (name.clone(), if written { part.clone().with_marks(marks) } else { part.clone() })
    };
    Value { kind: ValueKind::Object(Arc::new(parts.iter().map(mark).collect())), marks: block.marks }
}

/// The name that a `dynamic` block binds: its `iterator`, which is a string in the JSON form, else its label.
pub(super) fn iterator_name(block: &Block) -> Option<String> {
    match block.body.attribute("iterator").map(|iterator| &iterator.expr) {
        None => block.labels.first().map(|label| label.name.to_string()),
        Some(Expr { kind: ExprKind::Variable(name), .. }) => Some(name.to_string()),
        Some(Expr { kind: ExprKind::Literal(Literal::String(name)), .. }) => Some(name.to_string()),
        Some(_) => None,
    }
}

/// No block here has labels, so that a `dynamic` block has none to give.
fn refuse_parts(block: &Block, found: &mut Vec<Diagnostic>) {
    for item in &block.body.items {
        let (name, span, known) = match item {
            Item::Attribute(attribute) => {
                (&attribute.name, attribute.name_span, ["for_each", "iterator"].contains(&&*attribute.name))
            }
            Item::Block(inner) => (&inner.block_type, inner.type_span, inner.block_type == "content"),
        };
        if name == "labels" {
            let label = block.labels.first().map(|label| label.name.as_str()).unwrap_or_default();
            let detail = format!("Blocks of type \"{label}\" have no labels.");
            found.push(Diagnostic::error(span, "Labels that nothing takes", detail));
        } else if !known {
            let detail =
                format!("A `dynamic` block has for_each, iterator and a content block, and no \"{name}\".");
            let fault = Diagnostic::error(span, "Unsupported argument", detail);
            found.push(match closest(name, ["for_each", "iterator", "content"]) {
                Some(near) => fault.with_hint(format!("Did you mean \"{near}\"?")),
                None => fault,
            });
        }
    }
    if let Some(second) = block.body.blocks_of("content").nth(1) {
        let detail = "A `dynamic` block has one `content` block.";
        found.push(Diagnostic::error(second.type_span, "A block stands twice", detail));
    }
    if let Some(iterator) = block.body.attribute("iterator")
        && iterator_name(block).is_none()
    {
        let detail = "`iterator` is a name.";
        found.push(Diagnostic::error(iterator.expr.span, "This is no name", detail));
    }
}

fn pairs(collection: &Value) -> Option<Vec<(Value, Value)>> {
    if let Some(entries) = collection.entries() {
        return Some(
            entries.iter().map(|(key, value)| (Value::string(key.clone()), value.clone())).collect(),
        );
    }
    let is_set = matches!(collection.ty(), Type::Set(_));
    let elements = collection.elements()?;
    Some(
        elements
            .iter()
            .enumerate()
            .map(|(i, value)| {
                let key = if is_set { value.clone() } else { Value::number(i as u64) };
                (key, value.clone())
            })
            .collect(),
    )
}

fn not_iterable(expr: &Expr, value: &Value) -> Diagnostic {
    let what = if value.is_null() { "null".to_string() } else { crate::convert::kind_name(&value.ty()) };
    let detail = format!("`for_each` takes a list, set, map or object, and this is {what}.");
    Diagnostic::error(expr.span, "This cannot be iterated over", detail)
}

/// Where in a body the value at a path is written, as near as can be told.
pub fn span_of(body: &Body, path: &Path) -> Option<Span> {
    let (PathStep::Attribute(name) | PathStep::Key(name), rest) = path.0.split_first()? else { return None };
    if let Some(attribute) = body.attribute(name) {
        return Some(attribute.expr.span);
    }
    let (place, rest) = match rest.split_first() {
        Some((PathStep::Index(index), rest)) => (usize::try_from(*index).ok()?, rest),
        _ => (0, rest),
    };
    let block = body.blocks_of(name).nth(place).or_else(|| {
        let dynamic = |block: &&Block| block.labels.first().is_some_and(|label| label.name == *name);
        body.blocks_of("dynamic").find(dynamic)
    })?;
    let inner = block.body.blocks_of("content").next().map_or(&block.body, |content| &content.body);
    span_of(inner, &Path(rest.to_vec())).or(Some(block.header_span))
}
