//! Reads the arguments of one block of the language, collecting what is wrong with them.

use pve_model::Value;

use super::constant;
use crate::configuration::Condition;
use crate::convert::convert;
use crate::evaluate::closest;
use crate::syntax::ast::{Attribute, Literal};
use crate::syntax::{Block, Body, Diagnostic, Expr, ExprKind, Item, Traversal, json};

/// The blocks that a block may hold, with the number of labels of each.
pub(super) type Blocks = &'static [(&'static str, usize)];

/// A block that is being read.
pub(super) struct Reader<'a> {
    /// The block.
    pub block: &'a Block,
    /// What is wrong.
    pub found: &'a mut Vec<Diagnostic>,
    /// Whether it is of a JSON file, where references are strings.
    pub json: bool,
}

impl<'a> Reader<'a> {
    /// A reader of a block inside this one.
    pub fn inside<'b>(&'b mut self, block: &'b Block) -> Reader<'b> {
        Reader { block, found: self.found, json: self.json }
    }

    pub fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        self.block.body.attribute(name)
    }

    /// An argument that is an expression.
    pub fn expr(&self, name: &str) -> Option<Expr> {
        self.attribute(name).map(|attribute| unwrapped(&attribute.expr))
    }

    /// An argument that is a reference, a type or a list of references.
    pub fn syntax(&mut self, name: &str) -> Option<Expr> {
        let expr = self.expr(name)?;
        Some(self.meant(&expr))
    }

    /// In the JSON form, what stands in a string is meant.
    pub fn meant(&mut self, expr: &Expr) -> Expr {
        let expr = unwrapped(expr);
        match json::parse_string_content(&expr).filter(|_| self.json) {
            Some(parsed) => {
                self.found.extend(parsed.diagnostics);
                parsed.value.unwrap_or(expr)
            }
            None => expr,
        }
    }

    pub fn error(&mut self, span: crate::syntax::Span, summary: &str, detail: impl Into<String>) {
        self.found.push(Diagnostic::error(span, summary, detail));
    }

    pub fn required(&mut self, name: &str) -> Option<Expr> {
        let expr = self.expr(name);
        if expr.is_none() {
            let detail = format!("A \"{}\" block needs the argument `{name}`.", self.block.block_type);
            self.error(self.block.header_span, "An argument is missing", detail);
        }
        expr
    }

    pub fn constant(&mut self, name: &str) -> Option<Value> {
        match constant(&self.attribute(name)?.expr) {
            Ok(value) => Some(value),
            Err(found) => {
                self.found.extend(found);
                None
            }
        }
    }

    pub fn flag(&mut self, name: &str, default: bool) -> bool {
        let Some(value) = self.constant(name) else { return default };
        match convert(&value, &pve_model::Type::Bool).ok().and_then(|value| value.as_bool()) {
            Some(flag) => flag,
            None => {
                let span = self.attribute(name).map(|a| a.expr.span).unwrap_or_default();
                self.error(span, "Wrong type", format!("`{name}` must be true or false."));
                default
            }
        }
    }

    /// A text that needs no evaluation; null is none.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let value = self.constant(name)?;
        if value.is_null() {
            return None;
        }
        let text = convert(&value, &pve_model::Type::String).ok().and_then(|v| v.as_str().map(String::from));
        if text.is_none() {
            let span = self.attribute(name).map(|a| a.expr.span).unwrap_or_default();
            self.error(span, "Wrong type", format!("`{name}` must be a text."));
        }
        text
    }

    /// An argument that must be there and be a reference.
    pub fn traversal(&mut self, name: &str) -> Option<Traversal> {
        let expr = self.required(name)?;
        let expr = self.meant(&expr);
        let traversal = expr.as_static_traversal();
        if traversal.is_none() {
            let detail =
                format!("`{name}` must be a reference, without quotes and with nothing to evaluate.");
            self.error(expr.span, "This is no reference", detail);
        }
        traversal
    }

    /// The references of a list such as `depends_on`.
    pub fn references(&mut self, name: &str) -> Vec<Traversal> {
        self.list(name).iter().filter_map(|element| self.reference(name, element)).collect()
    }

    /// The elements of a list in brackets.
    pub fn list(&mut self, name: &str) -> Vec<Expr> {
        let Some(expr) = self.syntax(name) else { return Vec::new() };
        match expr.kind {
            ExprKind::Tuple(elements) => elements,
            _ => {
                let detail = format!("`{name}` must be a list of references in brackets.");
                self.error(expr.span, "This is no list", detail);
                Vec::new()
            }
        }
    }

    /// A reference, which old configurations put in quotes.
    fn reference(&mut self, name: &str, element: &Expr) -> Option<Traversal> {
        let quoted = json::parse_string_content(element).and_then(|parsed| parsed.value);
        let traversal = quoted.as_ref().unwrap_or(&unwrapped(element)).as_static_traversal();
        if traversal.is_none() {
            let detail = format!("Each element of `{name}` is a reference, with nothing to evaluate in it.");
            self.error(element.span, "This is no reference", detail);
        }
        traversal
    }

    pub fn conditions(&mut self, block_type: &str) -> Vec<Condition> {
        let blocks: Vec<&Block> = self.block.body.blocks_of(block_type).collect();
        blocks.into_iter().filter_map(|block| self.inside(block).condition()).collect()
    }

    fn condition(&mut self) -> Option<Condition> {
        only(self.block, &["condition", "error_message"], &[], self.found);
        let (condition, message) = (self.required("condition"), self.required("error_message"));
        let (condition, message) = (condition?, message?);
        if condition.references().is_empty() {
            let detail = "It is true or false whatever happens: it must refer to something.";
            self.error(condition.span, "A condition refers to nothing", detail);
        }
        Some(Condition { condition, message })
    }

    /// The only block of a type; a second one is a fault.
    pub fn single(&mut self, block_type: &str) -> Option<&'a Block> {
        let mut blocks = self.block.body.blocks().filter(|block| block.block_type == block_type);
        let first = blocks.next()?;
        if block_type != "data" && !first.labels.is_empty() {
            let detail = format!("A \"{block_type}\" block has no label.");
            self.error(first.header_span, "Wrong number of labels", detail);
        }
        for other in blocks {
            let detail = format!("A \"{}\" block has one \"{block_type}\" block.", self.block.block_type);
            let fault = Diagnostic::error(other.header_span, "A block stands twice", detail);
            self.found.push(fault.with_related(first.header_span, "the other one"));
        }
        Some(first)
    }

    /// The arguments and blocks that the kind or the module defines: all but those of the language, and those that an
    /// escaping block `_` takes out of the language's hands.
    pub fn rest(&mut self, attributes: &[&str], blocks: &[&str]) -> Body {
        for name in ["locals"] {
            if let Some(reserved) = self.block.body.blocks_of(name).next() {
                let detail = format!("Blocks named \"{name}\" are reserved for the language.");
                self.error(reserved.type_span, "A reserved block", detail);
            }
        }
        let escaped = self.single("_").map(|block| block.body.items.clone()).unwrap_or_default();
        let mut rest = without(&self.block.body, attributes, &[blocks, &["_", "locals"]].concat());
        rest.items.extend(escaped);
        rest
    }
}

/// A body without some arguments and blocks.
pub(in super::super) fn without(body: &Body, attributes: &[&str], blocks: &[&str]) -> Body {
    let kept = body.items.iter().filter(|item| match item {
        Item::Attribute(attribute) => !attributes.contains(&attribute.name.as_str()),
        Item::Block(block) => !blocks.contains(&block.block_type.as_str()),
    });
    Body { items: kept.cloned().collect(), span: body.span }
}

/// The labels of a block, which must be names.
pub(in super::super) fn labels<'b, const N: usize>(
    block: &'b Block,
    found: &mut Vec<Diagnostic>,
) -> Option<[&'b str; N]> {
    let names: Vec<&str> = block.labels.iter().map(|label| label.name.as_str()).collect();
    let Ok(labels) = <[&str; N]>::try_from(names) else {
        let detail = format!("A \"{}\" block has {}.", block.block_type, needed(N));
        found.push(Diagnostic::error(block.header_span, "Wrong number of labels", detail));
        return None;
    };
    for label in &block.labels {
        if !is_name(&label.name) {
            let detail = format!(
                "{:?} is no name: a letter or `_` first, then letters, digits, `_` and `-`.",
                label.name
            );
            found.push(Diagnostic::error(label.span, "This is no name", detail));
            return None;
        }
    }
    Some(labels)
}

fn needed(labels: usize) -> &'static str {
    match labels {
        0 => "no label",
        1 => "one label, its name",
        _ => "two labels, its kind and its name",
    }
}

/// Whether a text can name a declaration.
pub(super) fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// Reports arguments and blocks that a block of the language does not have: a slip of the keyboard must not pass as
/// something that does nothing.
pub(super) fn only(block: &Block, attributes: &[&str], blocks: Blocks, found: &mut Vec<Diagnostic>) {
    for item in &block.body.items {
        match item {
            Item::Attribute(attribute) => {
                if !attributes.contains(&attribute.name.as_str()) {
                    let is_block = blocks.iter().any(|(name, _)| *name == attribute.name);
                    let fault = unsupported(block, &attribute.name, attribute.name_span, "argument");
                    found.push(match is_block {
                        true => fault.with_hint(format!("It is a block: `{} {{ ... }}`.", attribute.name)),
                        false => hinted(fault, &attribute.name, attributes.iter().copied()),
                    });
                }
            }
            Item::Block(inner) => match blocks.iter().find(|(name, _)| *name == inner.block_type) {
                Some((name, count)) if inner.labels.len() != *count => {
                    let detail = format!("A \"{name}\" block has {} here.", needed(*count));
                    found.push(Diagnostic::error(inner.header_span, "Wrong number of labels", detail));
                }
                Some(_) => {}
                None => {
                    let is_argument = attributes.contains(&inner.block_type.as_str());
                    let fault = unsupported(block, &inner.block_type, inner.type_span, "block");
                    found.push(match is_argument {
                        true => fault.with_hint(format!("It is an argument: `{} = ...`.", inner.block_type)),
                        false => hinted(fault, &inner.block_type, blocks.iter().map(|(name, _)| *name)),
                    });
                }
            },
        }
    }
}

fn unsupported(block: &Block, name: &str, span: crate::syntax::Span, word: &str) -> Diagnostic {
    let detail = format!("A \"{}\" block has no {word} \"{name}\".", block.block_type);
    Diagnostic::error(span, format!("Unsupported {word}"), detail)
}

/// Adds the name that may have been meant.
pub(super) fn hinted<'n>(
    fault: Diagnostic,
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Diagnostic {
    match closest(name, known) {
        Some(near) => fault.with_hint(format!("Did you mean \"{near}\"?")),
        None => fault,
    }
}

/// In the JSON form references may be `"${...}"`: what stands in the braces is meant.
pub(in super::super) fn unwrapped(expr: &Expr) -> Expr {
    match &expr.kind {
        ExprKind::TemplateWrap(inner) => (**inner).clone(),
        _ => expr.clone(),
    }
}

/// A word written without quotes, or, in the JSON form and in old configurations, with them.
pub(super) fn keyword(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Variable(name) => Some(name),
        ExprKind::Literal(Literal::String(text)) => Some(text),
        _ => None,
    }
}
