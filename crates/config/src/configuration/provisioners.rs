//! `provisioner` and `connection` blocks.

use pve_model::provisioner::{OnFailure, ProvisionerKind};

use super::declare::{labels, unwrapped, without};
use crate::evaluate::closest;
use crate::syntax::ast::{Literal, TraversalStepKind};
use crate::syntax::{Block, Body, Diagnostic, Expr, ExprKind, Item, Span, Traversal};

/// A `provisioner` block.
#[derive(Debug, Clone)]
pub struct Provisioner {
    /// What runs.
    pub kind: ProvisionerKind,
    /// Whether it runs before the instance is destroyed rather than after it is created.
    pub at_destroy: bool,
    /// What a failure means.
    pub on_failure: OnFailure,
    /// Its arguments.
    pub arguments: Body,
    /// Its connection: its own arguments over those of the resource.
    pub connection: Option<Body>,
    /// The header of the block.
    pub span: Span,
}

impl Provisioner {
    /// Everything that it refers to.
    pub fn references(&self) -> Vec<Traversal> {
        let mut found = self.arguments.references();
        found.extend(self.connection.iter().flat_map(Body::references));
        found
    }
}

/// The provisioners of a block in their order, with the block's own `connection` in each.
pub(super) fn provisioners(block: &Block, found: &mut Vec<Diagnostic>) -> Vec<Provisioner> {
    let shared = one_connection(&block.body, found);
    let blocks: Vec<&Block> = block.body.blocks_of("provisioner").collect();
    blocks.into_iter().filter_map(|inner| provisioner(inner, shared, found)).collect()
}

fn provisioner(block: &Block, shared: Option<&Body>, found: &mut Vec<Diagnostic>) -> Option<Provisioner> {
    let [name] = labels(block, found)?;
    let Some(kind) = ProvisionerKind::of(name) else {
        let detail = format!("pve has no provisioner {name:?}; it has local-exec, remote-exec and file.");
        let fault = Diagnostic::error(block.header_span, "Unknown provisioner", detail);
        let known = ProvisionerKind::ALL.map(ProvisionerKind::name);
        found.push(match closest(name, known) {
            Some(near) => fault.with_hint(format!("Did you mean \"{near}\"?")),
            None => fault,
        });
        return None;
    };
    let expr = |name: &str| block.body.attribute(name).map(|attribute| attribute.expr.clone());
    let (when, on_failure) = (expr("when"), expr("on_failure"));
    let at_destroy = keyword(when, "when", ["create", "destroy"], found) == Some("destroy");
    let continues = keyword(on_failure, "on_failure", ["fail", "continue"], found) == Some("continue");
    let own = one_connection(&block.body, found);
    let provisioner = Provisioner {
        kind,
        at_destroy,
        on_failure: if continues { OnFailure::Continue } else { OnFailure::Fail },
        arguments: without(&block.body, &["when", "on_failure"], &["connection", "lifecycle"]),
        connection: match (own, shared) {
            (Some(own), Some(shared)) => Some(over(own, shared)),
            (own, shared) => own.or(shared).cloned(),
        },
        span: block.header_span,
    };
    if at_destroy {
        found.extend(provisioner.references().iter().filter_map(refused_at_destroy));
    }
    Some(provisioner)
}

fn one_connection<'b>(body: &'b Body, found: &mut Vec<Diagnostic>) -> Option<&'b Body> {
    let mut blocks = body.blocks_of("connection");
    let first = blocks.next()?;
    if let Some(second) = blocks.next() {
        let detail = "A block has at most one `connection`.";
        found.push(Diagnostic::error(second.header_span, "Too many connections", detail));
    }
    Some(&first.body)
}

/// Arguments of a provisioner's own connection replace those of the resource's.
fn over(own: &Body, shared: &Body) -> Body {
    let replaced = |item: &Item| match item {
        Item::Attribute(attribute) => own.attribute(attribute.name.as_str()).is_some(),
        Item::Block(_) => false,
    };
    let kept = shared.items.iter().filter(|item| !replaced(item));
    Body { items: own.items.iter().chain(kept).cloned().collect(), span: own.span }
}

/// A word that is written bare, in quotes or in the JSON form.
fn keyword(
    expr: Option<Expr>,
    argument: &str,
    accepted: [&'static str; 2],
    found: &mut Vec<Diagnostic>,
) -> Option<&'static str> {
    let expr = unwrapped(&expr?);
    let written = match &expr.kind {
        ExprKind::Variable(name) => Some(name.to_string()),
        ExprKind::Literal(Literal::String(text)) => Some(text.to_string()),
        _ => None,
    };
    let word = accepted.into_iter().find(|word| written.as_deref() == Some(word));
    if word.is_none() {
        let detail = format!("`{argument}` is `{}` or `{}`.", accepted[0], accepted[1]);
        found.push(Diagnostic::error(expr.span, format!("Wrong value for {argument}"), detail));
    }
    word
}

/// When an instance is destroyed, what it referred to may be gone already.
fn refused_at_destroy(reference: &Traversal) -> Option<Diagnostic> {
    let first = reference.steps.first().map(|step| &step.kind);
    let named = |wanted: &str| matches!(first, Some(TraversalStepKind::Attribute(name)) if *name == *wanted);
    let allowed = match reference.root.name.as_str() {
        "self" | "path" | "terraform" | "tofu" => true,
        "count" => named("index"),
        "each" => named("key"),
        _ => false,
    };
    if allowed {
        return None;
    }
    let detail = "A provisioner that runs at destruction, and its connection, may only refer to `self`, \
                  `count.index` and `each.key`: other objects may be gone by then.";
    let fault = Diagnostic::error(reference.span, "This reference is not allowed at destruction", detail);
    Some(fault.with_hint("Keep the value in the instance itself, for instance in `triggers` or `input`."))
}
