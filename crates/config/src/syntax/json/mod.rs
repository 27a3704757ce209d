//! The JSON form of the language: `*.tf.json` and `*.tfvars.json`.
//!
//! What a property of a JSON object is, a block or an attribute, cannot be told from the text: reading keeps
//! the values with their spans, and [`JsonBody::content`] makes the same [`Body`] of them that the native
//! syntax gives, told by its caller which names are blocks.

mod decode;
mod language;
mod reader;

use smol_str::SmolStr;

use super::ast::{Body, Expr, ExprKind, Literal, Name};
use super::parser::{Parsed, parse_embedded};
use super::span::{SourceId, Span};
pub use language::language_blocks;

/// A JSON value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Value {
    pub(crate) kind: ValueKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ValueKind {
    Null,
    Bool(bool),
    /// As written, with its sign.
    Number(SmolStr),
    /// Escapes resolved.
    String(String),
    Array(Vec<Value>),
    /// In source order; names may repeat.
    Object(Vec<Property>),
}

/// `"name": value` in an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) value: Value,
}

/// A file of the JSON form that has been read but not taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonBody {
    value: Value,
}

/// Type and labels of a block around the place being looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    /// Such as `resource`.
    pub block_type: Name,
    /// In order.
    pub labels: Vec<Name>,
}

/// Tells which properties are blocks: given the blocks around a body, outermost first, and the name of a
/// property, the number of labels if it is a block, or none if it is an attribute.
pub type BlockSchema<'a> = dyn Fn(&[BlockHeader], &str) -> Option<usize> + 'a;

/// Reads a JSON file. Its first error ends the reading; the body is empty then.
pub fn parse_body(source: SourceId, text: &str) -> Parsed<JsonBody> {
    let (value, diagnostic) = match reader::read(source, text) {
        Ok(value) => (value, None),
        Err(diagnostic) => {
            let span = Span::new(source, 0, 0);
            (Value { kind: ValueKind::Object(Vec::new()), span }, Some(diagnostic))
        }
    };
    Parsed { value: JsonBody { value }, diagnostics: diagnostic.into_iter().collect() }
}

impl JsonBody {
    /// The body this file means, with strings parsed as templates. [`language_blocks`] is a schema for the
    /// blocks of the language itself.
    pub fn content(&self, schema: &BlockSchema<'_>) -> Parsed<Body> {
        decode::content(&self.value, schema)
    }

    /// The properties as attributes whose strings stand for themselves, as in a `.tfvars.json` file.
    pub fn attributes(&self) -> Parsed<Body> {
        decode::literal_attributes(&self.value)
    }
}

/// Parses the content of a string literal as an expression. In the JSON form, references (`depends_on`),
/// types and calls are written as strings; none if the expression is no string literal.
pub fn parse_string_content(expr: &Expr) -> Option<Parsed<Option<Expr>>> {
    let ExprKind::Literal(Literal::String(text)) = &expr.kind else { return None };
    Some(parse_embedded(inside_quotes(expr.span), text, false))
}

/// The span of a quoted string without its quotes.
pub(crate) fn inside_quotes(span: Span) -> Span {
    if span.len() < 2 { span } else { Span::new(span.source, span.start + 1, span.end - 1) }
}
