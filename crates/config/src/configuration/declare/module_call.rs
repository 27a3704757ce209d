//! `module`

use super::reader::{Reader, labels, only};
use super::resource::exclusive;
use super::{constant, duplicate, provider_reference};
use crate::configuration::ModuleCall;
use crate::syntax::ast::ObjectKey;
use crate::syntax::{Diagnostic, Expr, ExprKind, Span};

/// A module call whose module is still to be loaded.
pub(in super::super) struct Call {
    /// The call.
    pub call: ModuleCall,
    /// `source`
    pub source: Option<(String, Span)>,
    /// `version`
    pub version: Option<(String, Span)>,
}

/// Arguments that the language defines for every module.
const META_ARGUMENTS: &[&str] = &["source", "version", "count", "for_each", "providers", "depends_on"];

pub(super) fn declare(mut reader: Reader<'_>, calls: &mut Vec<Call>) {
    let Some([name]) = labels(reader.block, reader.found) else { return };
    let call = module_call(name, &mut reader);
    match calls.iter().find(|other| other.call.name == name) {
        Some(other) => {
            let fault = duplicate(reader.block, &format!("module \"{name}\""), other.call.span);
            reader.found.push(fault);
        }
        None => calls.push(call),
    }
}

fn module_call(name: &str, reader: &mut Reader<'_>) -> Call {
    let source = reader.required("source").and_then(|expr| {
        let text = constant(&expr).map(|value| value.as_str().map(|text| (text.to_string(), expr.span)));
        match text {
            Ok(Some(source)) => Some(source),
            Ok(None) => {
                reader.error(expr.span, "Wrong type", "`source` must be a text.");
                None
            }
            Err(found) => {
                reader.found.extend(found);
                None
            }
        }
    });
    let version_span = reader.attribute("version").map(|attribute| attribute.expr.span);
    let version = reader.text("version").zip(version_span);
    let mut enabled = None;
    if let Some(block) = reader.single("lifecycle") {
        only(block, &["enabled"], &[], reader.found);
        enabled = reader.inside(block).expr("enabled");
    }
    let (count, for_each) = (reader.expr("count"), reader.expr("for_each"));
    exclusive(reader, [("count", &count), ("for_each", &for_each), ("enabled", &enabled)]);
    let arguments = reader.rest(META_ARGUMENTS, &["lifecycle"]);
    for block in arguments.blocks() {
        let detail =
            format!("Variables of a module are set with an equals sign: `{} = ...`.", block.block_type);
        reader.error(block.type_span, "Unsupported block", detail);
    }
    let call = ModuleCall {
        name: name.into(),
        count,
        for_each,
        enabled,
        depends_on: reader.references("depends_on"),
        providers: providers(reader),
        arguments,
        child: None,
        span: reader.block.header_span,
    };
    Call { call, source, version }
}

/// The name of each provider configuration in the module, and the one here that it is.
fn providers(reader: &mut Reader<'_>) -> Vec<super::super::PassedProvider> {
    let Some(expr) = reader.expr("providers") else { return Vec::new() };
    let ExprKind::Object(items) = &expr.kind else {
        let detail = "`providers` is an object: the name in the module = the configuration here.";
        reader.error(expr.span, "This is no object", detail);
        return Vec::new();
    };
    let mut passed: Vec<super::super::PassedProvider> = Vec::new();
    for item in items {
        let key = match &item.key {
            ObjectKey::Name(name) => Expr { kind: ExprKind::Variable(name.name.clone()), span: name.span },
            ObjectKey::Expression(key) => key.clone(),
        };
        let (inside, outside) = (provider_reference(&key, reader), provider_reference(&item.value, reader));
        let (Some(inside), Some(outside)) = (inside, outside) else { continue };
        match passed.iter().find(|(other, _)| other.address == inside.address) {
            Some((other, _)) => {
                let detail = format!("The module is given {} twice.", inside.address);
                let fault = Diagnostic::error(inside.span, "A provider stands twice", detail);
                reader.found.push(fault.with_related(other.span, "the other one"));
            }
            None => passed.push((inside, outside)),
        }
    }
    passed
}
