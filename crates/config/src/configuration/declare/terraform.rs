//! `terraform` and `language`: what a module needs, and where its state is.

use pve_model::Value;

use super::reader::{Reader, hinted, is_name, labels, only, unwrapped};
use super::{constant, duplicate, no_labels, provider_reference};
use crate::configuration::version::{Version, VersionConstraint, VersionError};
use crate::configuration::{Module, RequiredProvider};
use crate::syntax::ast::ObjectKey;
use crate::syntax::{Attribute, Block, Diagnostic, Expr, ExprKind};

/// The version of OpenTofu whose language this is.
const LANGUAGE_VERSION: &str = "1.12.6";

/// `tofu` tells that the file is of OpenTofu alone.
pub(super) fn declare(mut reader: Reader<'_>, tofu: bool, module: &mut Module) {
    if no_labels(&mut reader).is_none() {
        return;
    }
    let blocks =
        &[("backend", 1), ("cloud", 0), ("required_providers", 0), ("provider_meta", 1), ("encryption", 0)];
    only(reader.block, &["required_version", "experiments", "language"], blocks, reader.found);
    if let Some(attribute) = reader.attribute("required_version") {
        required_version(attribute, tofu, &mut reader);
    }
    for block in reader.block.body.blocks() {
        match block.block_type.as_str() {
            "required_providers" => required_providers(block, module, &mut reader),
            "backend" | "cloud" => state(block, module, &mut reader),
            "provider_meta" => {
                let name = block.labels.first().map(|label| label.name.as_str()).unwrap_or_default();
                let other = module.provider_metas.iter().find(|(other, _)| other == name);
                if let Some((_, span)) = other {
                    reader.found.push(duplicate(block, &format!("provider_meta \"{name}\""), *span));
                } else {
                    module.provider_metas.push((name.into(), block.header_span));
                }
            }
            _ => {}
        }
    }
}

/// `backend` or `cloud`, of which a module has one.
fn state(block: &Block, module: &mut Module, reader: &mut Reader<'_>) {
    if let Some(other) = module.state_block {
        let detail = "A module says once where its state is.";
        let fault = Diagnostic::error(block.header_span, "Two places for the state", detail);
        reader.found.push(fault.with_related(other, "the other one"));
        return;
    }
    module.state_block = Some(block.header_span);
    if block.block_type == "cloud" {
        module.backend = Some(("cloud".into(), block.body.clone()));
    } else if let Some([name]) = labels(block, reader.found) {
        module.backend = Some((name.into(), block.body.clone()));
    }
}

/// In a `.tf` file the constraint is about Terraform's version, as in OpenTofu 1.12: it is worth a warning.
fn required_version(attribute: &Attribute, tofu: bool, reader: &mut Reader<'_>) {
    let (Some(constraint), Ok(own)) =
        (constraint(attribute, reader, tofu), LANGUAGE_VERSION.parse::<Version>())
    else {
        return;
    };
    if constraint.allows(&own) {
        return;
    }
    let detail = format!(
        "This module wants \"{constraint}\", and pve has the language of OpenTofu {LANGUAGE_VERSION}."
    );
    reader.found.push(if tofu {
        Diagnostic::error(attribute.expr.span, "This module is not compatible", detail)
            .with_hint("Change the constraint, if the module works with this version.")
    } else {
        Diagnostic::warning(attribute.expr.span, "This module may not be compatible", detail).with_hint(
            "In a .tf file the constraint is about Terraform; put it in a .tofu file to have it enforced.",
        )
    });
}

/// The constraint that an argument is; what is wrong with it is told if it must be right.
fn constraint(attribute: &Attribute, reader: &mut Reader<'_>, told: bool) -> Option<VersionConstraint> {
    let fault = |detail: String| {
        vec![Diagnostic::error(attribute.expr.span, "This is no version constraint", detail)]
    };
    let read = constant(&attribute.expr).and_then(|value| {
        if value.is_null() {
            return Ok(None);
        }
        let text = value.as_str().ok_or_else(|| fault("A version constraint is a text.".into()))?;
        let constraint: VersionConstraint =
            text.parse().map_err(|error: VersionError| fault(format!("{error}.")))?;
        if constraint.names_pre_release() {
            return Err(fault("A constraint cannot name a version before a release.".into()));
        }
        Ok(Some(constraint))
    });
    match read {
        Ok(constraint) => constraint,
        Err(found) => {
            reader.found.extend(found.into_iter().filter(|_| told));
            None
        }
    }
}

fn required_providers(block: &Block, module: &mut Module, reader: &mut Reader<'_>) {
    if let Some(other) = module.required_providers_block {
        reader.found.push(duplicate(block, "`required_providers`", other));
        return;
    }
    module.required_providers_block = Some(block.header_span);
    for inner in block.body.blocks() {
        let detail =
            format!("A provider is required with an equals sign: `{} = {{ ... }}`.", inner.block_type);
        reader.error(inner.type_span, "A block among required providers", detail);
    }
    for attribute in block.body.attributes() {
        if attribute.name.chars().any(char::is_uppercase) {
            let fault = Diagnostic::error(
                attribute.name_span,
                "A provider's name is in small letters",
                format!("\"{}\" is no name of a provider.", attribute.name),
            );
            reader.found.push(fault.with_hint(format!("Write \"{}\".", attribute.name.to_lowercase())));
            continue;
        }
        if let Some(required) = required_provider(attribute, reader) {
            module.required_providers.insert(attribute.name.to_string(), required);
        }
    }
}

fn required_provider(attribute: &Attribute, reader: &mut Reader<'_>) -> Option<RequiredProvider> {
    let mut required = RequiredProvider {
        source: format!("hashicorp/{}", attribute.name),
        configuration_aliases: Vec::new(),
        span: attribute.name_span.to(attribute.expr.span),
    };
    let ExprKind::Object(items) = &attribute.expr.kind else {
        // Old configurations give the version alone.
        let is_version = matches!(constant(&attribute.expr), Ok(value) if value.as_str().is_some());
        if !is_version {
            let detail = "A required provider is an object with `source` and `version`.";
            reader.error(attribute.expr.span, "This is no requirement", detail);
            return None;
        }
        constraint(attribute, reader, true);
        return Some(required);
    };
    const KEYS: &[&str] = &["source", "version", "configuration_aliases"];
    for item in items {
        let (name, span) = match &item.key {
            ObjectKey::Name(name) => (name.name.to_string(), name.span),
            ObjectKey::Expression(key) => {
                let text = constant(key).ok().and_then(|value| value.as_str().map(String::from));
                (text.unwrap_or_default(), key.span)
            }
        };
        match name.as_str() {
            "source" => match text_of(&item.value, reader).map(|text| (valid_source(&text), text)) {
                Some((true, text)) => required.source = text,
                Some((false, text)) => {
                    let detail = format!("\"{text}\" is not [HOST/]NAMESPACE/NAME.");
                    reader.error(item.value.span, "This is no source of a provider", detail);
                }
                None => {}
            },
            "version" => {
                if let Some(text) = text_of(&item.value, reader)
                    && let Err(error) = text.parse::<VersionConstraint>()
                {
                    reader.error(item.value.span, "This is no version constraint", format!("{error}."));
                }
            }
            "configuration_aliases" => {
                required.configuration_aliases = aliases(&attribute.name, &item.value, reader)
            }
            _ => {
                let detail = format!("A required provider has no \"{name}\".");
                let fault = Diagnostic::error(span, "Unsupported argument", detail);
                reader.found.push(hinted(fault, &name, KEYS.iter().copied()));
            }
        }
    }
    Some(required)
}

fn text_of(expr: &Expr, reader: &mut Reader<'_>) -> Option<String> {
    match constant(expr) {
        Ok(Value { kind: pve_model::ValueKind::String(text), .. }) => Some(text.to_string()),
        Ok(_) => {
            reader.error(expr.span, "Wrong type", "This must be a text.");
            None
        }
        Err(found) => {
            reader.found.extend(found);
            None
        }
    }
}

/// `name`, `namespace/name` or `host/namespace/name`.
fn valid_source(source: &str) -> bool {
    let parts: Vec<&str> = source.split('/').collect();
    let part = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
    };
    // The prefix of repositories is not part of the name.
    let repository = parts.last().is_some_and(|name| name.starts_with("terraform-"));
    parts.len() <= 3 && parts.iter().all(part) && !repository
}

fn aliases(provider: &str, expr: &Expr, reader: &mut Reader<'_>) -> Vec<String> {
    let ExprKind::Tuple(elements) = &expr.kind else {
        let detail = "`configuration_aliases` is a list of NAME.ALIAS.";
        reader.error(expr.span, "This is no list", detail);
        return Vec::new();
    };
    let mut found = Vec::new();
    for element in elements {
        let Some(reference) = provider_reference(&unwrapped(element), reader) else { continue };
        let own = reference.address.strip_prefix(provider).and_then(|rest| rest.strip_prefix('.'));
        if own.is_some_and(is_name) || reference.address == provider {
            found.push(reference.address);
        } else {
            let detail = format!("An alias of provider {provider} is written {provider}.ALIAS.");
            reader.error(element.span, "This is no alias of the provider", detail);
        }
    }
    found
}

/// OpenTofu's block about itself.
pub(super) fn language(mut reader: Reader<'_>) {
    const EDITION: &str = "tofu2024";
    if no_labels(&mut reader).is_none() {
        return;
    }
    only(reader.block, &["edition", "experiments"], &[("compatible_with", 0)], reader.found);
    if let Some(expr) = reader.syntax("edition")
        && !matches!(&expr.kind, ExprKind::Variable(name) if name == EDITION)
    {
        let detail = format!("The only edition is {EDITION}, written without quotes.");
        reader.error(expr.span, "Unknown edition of the language", detail);
    }
    for experiment in reader.list("experiments") {
        reader.error(experiment.span, "Unknown experiment", "There are no experiments in this version.");
    }
    let blocks: Vec<&Block> = reader.block.body.blocks_of("compatible_with").collect();
    for block in blocks {
        if let Some(attribute) = block.body.attribute("opentofu") {
            required_version(attribute, true, &mut reader);
        }
    }
}
