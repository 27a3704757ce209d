//! Blocks to declarations.

mod addresses;
mod check;
mod module_call;
mod provider;
mod reader;
mod resource;
mod terraform;
mod value;

use std::path::Path;

use pve_model::{ResourceMode, Value};

use super::{Module, SnapshotFiles};
use crate::evaluate::{Resolved, Scope, ScopeError, closest, evaluate};
use crate::functions::Context;
use crate::syntax::{Block, Body, Diagnostic, Expr, Item, SourceMap, Span};
pub(super) use module_call::Call;
pub use provider::ProviderReference;
use provider::provider_reference;
use reader::Reader;
pub(super) use reader::{labels, unwrapped, without};

const TOP_LEVEL: &[&str] = &[
    "resource",
    "data",
    "variable",
    "output",
    "locals",
    "module",
    "provider",
    "terraform",
    "language",
    "moved",
    "import",
    "removed",
    "check",
    "ephemeral",
];

/// A scope without names, for what must be written out.
struct NoNames {
    context: Context,
}

impl Scope for NoNames {
    fn resolve(&self, root: &str, _: &[&str]) -> Result<Resolved, ScopeError> {
        Err(ScopeError {
            summary: "References are not allowed here".into(),
            detail: format!(
                "`{root}` cannot be used: this value must be known before anything is evaluated."
            ),
            hint: None,
        })
    }

    fn functions(&self) -> &Context {
        &self.context
    }
}

/// The value of an expression that refers to nothing and calls nothing.
///
/// # Errors
/// With diagnostics.
pub fn constant(expr: &Expr) -> Result<Value, Vec<Diagnostic>> {
    let calls = expr.function_calls();
    if !calls.is_empty() {
        let fault = |call: &(crate::syntax::Name, Span)| {
            let detail =
                format!("`{}()` cannot be called: this value must be known as it is written.", call.0);
            Diagnostic::error(call.1, "Functions are not allowed here", detail)
        };
        return Err(calls.iter().map(fault).collect());
    }
    let mut context = Context::new("", jiff::Timestamp::UNIX_EPOCH);
    context.files = std::sync::Arc::new(SnapshotFiles::default());
    evaluate(expr, &NoNames { context })
}

/// Puts the declarations of one body into a module.
pub(super) fn declare(
    body: &Body,
    sources: &SourceMap,
    module: &mut Module,
    calls: &mut Vec<Call>,
    found: &mut Vec<Diagnostic>,
) {
    for item in &body.items {
        match item {
            Item::Attribute(attribute) => found.push(
                Diagnostic::error(
                    attribute.name_span,
                    "An argument stands outside of any block",
                    format!("`{}` must stand in a block.", attribute.name),
                )
                .with_hint("Put shared values in a `locals { ... }` block; values of variables belong in a .tfvars file."),
            ),
            Item::Block(block) => {
                let name = sources.get(block.span.source).map(|source| source.name.as_str()).unwrap_or_default();
                let json = Path::new(name).extension().is_some_and(|extension| extension == "json");
                let tofu = [".tofu", ".tofu.json"].iter().any(|suffix| name.ends_with(suffix));
                let reader = Reader { block, found, json };
                declare_block(reader, tofu, module, calls);
            }
        }
    }
}

fn declare_block(reader: Reader<'_>, tofu: bool, module: &mut Module, calls: &mut Vec<Call>) {
    match reader.block.block_type.as_str() {
        "resource" => resource::declare(ResourceMode::Managed, reader, module),
        "data" => resource::declare(ResourceMode::Data, reader, module),
        "ephemeral" => resource::refuse_ephemeral(reader),
        "variable" => value::declare_variable(reader, module),
        "output" => value::declare_output(reader, module),
        "locals" => value::declare_locals(reader, module),
        "module" => module_call::declare(reader, calls),
        "provider" => provider::declare(reader, module),
        "terraform" => terraform::declare(reader, tofu, module),
        "language" => terraform::language(reader),
        "moved" => addresses::declare_moved(reader, module),
        "import" => addresses::declare_import(reader, module),
        "removed" => addresses::declare_removed(reader, module),
        "check" => check::declare(reader, module),
        other => {
            let detail = format!("There is no block of type \"{other}\" here.");
            let fault = Diagnostic::error(reader.block.type_span, "Unknown block type", detail);
            let hint = match (other, closest(other, TOP_LEVEL.iter().copied())) {
                ("required_providers", _) => "It stands in a `terraform` block.".into(),
                (_, Some(near)) => format!("Did you mean \"{near}\"?"),
                _ => format!("Blocks are: {}.", TOP_LEVEL.join(", ")),
            };
            reader.found.push(fault.with_hint(hint));
        }
    }
}

fn duplicate(block: &Block, what: &str, other: Span) -> Diagnostic {
    let detail = format!("{what} is declared twice in this module.");
    Diagnostic::error(block.header_span, "Declared twice", detail)
        .with_related(other, "the other declaration")
}

/// A block of the language without labels.
fn no_labels(reader: &mut Reader<'_>) -> Option<()> {
    labels::<0>(reader.block, reader.found).map(|_| ())
}
