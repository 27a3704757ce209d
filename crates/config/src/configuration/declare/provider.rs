//! `provider`, and references to provider configurations.

use super::duplicate;
use super::reader::{Reader, is_name, labels};
use crate::configuration::{Module, ProviderConfiguration};
use crate::syntax::ast::{Literal, Step, TraversalStepKind};
use crate::syntax::{Diagnostic, Expr, ExprKind, Span, json};

/// A provider configuration as it is named: `proxmox` or `proxmox.second`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderReference {
    /// `name` or `name.alias`
    pub address: String,
    /// Where it is named.
    pub span: Span,
}

pub(super) fn declare(mut reader: Reader<'_>, module: &mut Module) {
    let Some([name]) = labels(reader.block, reader.found) else { return };
    let alias = reader.text("alias");
    if let Some(alias) = alias.as_ref().filter(|alias| !is_name(alias)) {
        let span = reader.attribute("alias").map(|a| a.expr.span).unwrap_or_default();
        reader.error(span, "This is no name", format!("{alias:?} cannot be an alias."));
    }
    for reserved in ["count", "depends_on", "source"] {
        if let Some(attribute) = reader.attribute(reserved) {
            let detail = format!("`{reserved}` is reserved in `provider` blocks.");
            reader.error(attribute.name_span, "A reserved argument", detail);
        }
    }
    if let Some(block) = reader.block.body.blocks_of("lifecycle").next() {
        reader.error(block.type_span, "A reserved block", "`lifecycle` is reserved in `provider` blocks.");
    }
    if let Some(attribute) = reader.attribute("for_each") {
        let detail = "pve has no provider configurations with `for_each`, and would use one of them for all.";
        let fault = Diagnostic::error(attribute.name_span, "for_each is not supported here", detail);
        reader.found.push(fault.with_hint("Write one `provider` block with an `alias` for each."));
    }
    if let Some(attribute) = reader.attribute("version") {
        let detail = "Versions of providers belong in `required_providers`; this one is passed over.";
        reader.found.push(Diagnostic::warning(attribute.name_span, "A deprecated argument", detail));
    }
    let body =
        reader.rest(&["alias", "version", "for_each", "count", "depends_on", "source"], &["lifecycle"]);
    let provider = ProviderConfiguration { name: name.into(), alias, body, span: reader.block.header_span };
    let address = provider.address();
    match module.providers.iter().find(|other| other.address() == address) {
        Some(other) => {
            let fault =
                duplicate(reader.block, &format!("The configuration of provider {address}"), other.span);
            let hint = "Give the second configuration of a provider an `alias` of its own.";
            reader.found.push(fault.with_hint(hint));
        }
        None => module.providers.push(provider),
    }
}

/// The provider configuration that an expression names; old configurations put it in quotes.
pub(super) fn provider_reference(expr: &Expr, reader: &mut Reader<'_>) -> Option<ProviderReference> {
    let quoted = json::parse_string_content(expr).and_then(|parsed| parsed.value);
    let meant = quoted.as_ref().unwrap_or(expr);
    if let ExprKind::Traversal(_, steps) = &meant.kind
        && let [Step::Attribute(_), Step::Index(..)] = steps.as_slice()
    {
        let detail = "A key chooses among the configurations of a `provider` block with `for_each`, which pve has not.";
        reader.error(expr.span, "This is no provider configuration", detail);
        return None;
    }
    // There is a provider of this name, and the word is a value elsewhere.
    let is_null = matches!(meant.kind, ExprKind::Literal(Literal::Null));
    let named = meant.as_static_traversal().and_then(|traversal| {
        let name = &traversal.root.name;
        match traversal.steps.as_slice() {
            [] => Some(name.to_string()),
            [step] => match &step.kind {
                TraversalStepKind::Attribute(alias) => Some(format!("{name}.{alias}")),
                _ => None,
            },
            _ => None,
        }
    });
    match named.or_else(|| is_null.then(|| "null".to_string())) {
        Some(address) => Some(ProviderReference { address, span: expr.span }),
        None => {
            let detail =
                "A provider configuration is named NAME or NAME.ALIAS, with nothing to evaluate in it.";
            reader.error(expr.span, "This is no provider configuration", detail);
            None
        }
    }
}
