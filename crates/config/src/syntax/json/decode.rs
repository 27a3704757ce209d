//! JSON values to bodies, blocks and expressions.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{BlockHeader, BlockSchema, Property, Value, ValueKind, inside_quotes};
use crate::syntax::ast::{
    Attribute, Block, Body, Expr, ExprKind, Identifier, Item, Literal, Name, ObjectItem, ObjectKey,
    UnaryOperator,
};
use crate::syntax::diagnostic::Diagnostic;
use crate::syntax::parser::{Parsed, normalised, parse_embedded, with_stack};
use crate::syntax::span::Span;

/// Properties of this name in bodies are comments.
const COMMENT: &str = "//";

pub(super) fn content(value: &Value, schema: &BlockSchema<'_>) -> Parsed<Body> {
    let decoder = Decoder { schema, path: Vec::new(), literal: false, diagnostics: Vec::new() };
    decoder.decoded(value)
}

/// Attributes only, with strings that are no templates.
pub(super) fn literal_attributes(value: &Value) -> Parsed<Body> {
    let decoder = Decoder { schema: &|_, _| None, path: Vec::new(), literal: true, diagnostics: Vec::new() };
    decoder.decoded(value)
}

struct Decoder<'a> {
    schema: &'a BlockSchema<'a>,
    path: Vec<BlockHeader>,
    /// Whether strings stand for themselves.
    literal: bool,
    diagnostics: Vec<Diagnostic>,
}

/// A block whose labels are being collected.
struct Header<'a> {
    property: &'a Property,
    labels: Vec<Identifier>,
    missing: usize,
}

impl Decoder<'_> {
    fn decoded(mut self, value: &Value) -> Parsed<Body> {
        let body = self.body(value);
        Parsed { value: body, diagnostics: self.diagnostics }
    }

    fn report(&mut self, span: Span, summary: &str, detail: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(span, summary, detail));
    }

    fn body(&mut self, value: &Value) -> Body {
        let mut items: Vec<Item> = Vec::new();
        let mut attributes: HashMap<&str, Span> = HashMap::new();
        let detail =
            "Expected a JSON object, or a list of objects, with the arguments and blocks of this body.";
        for property in self.properties(value, detail) {
            if property.name == COMMENT {
                continue;
            }
            match (self.schema)(&self.path, &property.name) {
                Some(labels) => {
                    let header = Header { property, labels: Vec::new(), missing: labels };
                    self.blocks(&property.value, header, &mut items);
                }
                None => match attributes.entry(property.name.as_str()) {
                    Entry::Occupied(first) => self.report_duplicate(property, *first.get()),
                    Entry::Vacant(entry) => {
                        entry.insert(property.name_span);
                        items.push(Item::Attribute(self.attribute(property)));
                    }
                },
            }
        }
        Body { items, span: value.span }
    }

    /// The properties of an object, or of all objects of a list; `null` has none.
    fn properties<'a>(&mut self, value: &'a Value, detail: &str) -> Vec<&'a Property> {
        match &value.kind {
            ValueKind::Null => Vec::new(),
            ValueKind::Object(properties) => properties.iter().collect(),
            ValueKind::Array(values) => {
                let mut all = Vec::new();
                for value in values {
                    match &value.kind {
                        ValueKind::Object(properties) => all.extend(properties),
                        _ => self.report(value.span, "JSON object expected", detail),
                    }
                }
                all
            }
            _ => {
                self.report(value.span, "JSON object expected", detail);
                Vec::new()
            }
        }
    }

    fn attribute(&mut self, property: &Property) -> Attribute {
        Attribute {
            name: normalised(&property.name),
            name_span: property.name_span,
            expr: self.expr(&property.value),
            span: property.name_span.to(property.value.span),
        }
    }

    fn report_duplicate(&mut self, property: &Property, first: Span) {
        let detail = format!("\"{}\" is set above already; an argument can be set once.", property.name);
        let diagnostic = Diagnostic::error(property.name_span, "Argument set twice", detail);
        self.diagnostics.push(diagnostic.with_related(first, "first set here"));
    }

    /// Adds the blocks that `value` means, one object level a label.
    fn blocks(&mut self, value: &Value, header: Header<'_>, items: &mut Vec<Item>) {
        if header.missing > 0 {
            return self.labelled_blocks(value, header, items);
        }
        match &value.kind {
            ValueKind::Null => {}
            ValueKind::Object(_) => self.block(value, &header, items),
            ValueKind::Array(values) => {
                for value in values {
                    self.block(value, &header, items);
                }
            }
            _ => {
                let detail = format!("Expected an object or a list for \"{}\" blocks.", header.property.name);
                self.report(value.span, "JSON object expected", detail);
            }
        }
    }

    fn labelled_blocks(&mut self, value: &Value, header: Header<'_>, items: &mut Vec<Item>) {
        let name = &header.property.name;
        let detail = format!("Expected an object whose property names are labels of \"{name}\" blocks.");
        let properties = self.properties(value, &detail);
        if properties.is_empty() && !matches!(value.kind, ValueKind::Array(_)) {
            let detail = format!("A \"{name}\" block needs a label: the name of a property of this object.");
            self.report(value.span, "Missing block label", detail);
        }
        for property in properties {
            let mut labels = header.labels.clone();
            labels.push(Identifier { name: normalised(&property.name), span: property.name_span });
            let header = Header { property: header.property, labels, missing: header.missing - 1 };
            self.blocks(&property.value, header, items);
        }
    }

    fn block(&mut self, value: &Value, header: &Header<'_>, items: &mut Vec<Item>) {
        let block_type = normalised(&header.property.name);
        let labels = header.labels.iter().map(|label| label.name.clone()).collect();
        self.path.push(BlockHeader { block_type: block_type.clone(), labels });
        let body = with_stack(|| self.body(value));
        self.path.pop();
        let type_span = header.property.name_span;
        let header_span = header.labels.last().map_or(type_span, |label| label.span);
        items.push(Item::Block(Block {
            block_type,
            type_span,
            labels: header.labels.clone(),
            body,
            header_span,
            span: value.span,
        }));
    }

    fn expr(&mut self, value: &Value) -> Expr {
        let kind = match &value.kind {
            ValueKind::Null => ExprKind::Literal(Literal::Null),
            ValueKind::Bool(value) => ExprKind::Literal(Literal::Bool(*value)),
            ValueKind::Number(text) => number(text, value.span),
            ValueKind::String(text) => return self.string(text, value.span),
            ValueKind::Array(values) => {
                ExprKind::Tuple(with_stack(|| values.iter().map(|value| self.expr(value)).collect()))
            }
            ValueKind::Object(properties) => ExprKind::Object(with_stack(|| {
                properties.iter().map(|property| self.item(property)).collect()
            })),
        };
        Expr { kind, span: value.span }
    }

    fn item(&mut self, property: &Property) -> ObjectItem {
        let key = self.string(&property.name, property.name_span);
        ObjectItem { key: ObjectKey::Expression(key), value: self.expr(&property.value) }
    }

    /// A string as the template it is; a faulty one is reported and stands for itself.
    fn string(&mut self, text: &str, span: Span) -> Expr {
        let plain = || Expr { kind: ExprKind::Literal(Literal::String(normalised(text))), span };
        if self.literal || !text.contains("${") && !text.contains("%{") {
            return plain();
        }
        let parsed = parse_embedded(inside_quotes(span), text, true);
        self.diagnostics.extend(parsed.diagnostics);
        parsed.value.map_or_else(plain, |expr| Expr { span, ..expr })
    }
}

fn number(text: &str, span: Span) -> ExprKind {
    match text.strip_prefix('-') {
        None => ExprKind::Literal(Literal::Number(Name::new(text))),
        Some(digits) => {
            let kind = ExprKind::Literal(Literal::Number(Name::new(digits)));
            ExprKind::Unary(UnaryOperator::Negate, Box::new(Expr { kind, span }))
        }
    }
}
