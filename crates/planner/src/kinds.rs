//! The rules of kinds, and what is said where there are none.

use pve_config::syntax::Diagnostic;
use pve_model::ResourceMode;
use pve_model::rules::KindRules;

use crate::evaluation::{Evaluation, Instance};

/// The providers whose kinds pve has.
const FOLLOWED: [&str; 3] = ["bpg/proxmox", "hashicorp/null", "builtin/terraform"];

/// The source of the provider that an instance belongs to, else its name.
fn provider_source(evaluation: &Evaluation<'_>, instance: &Instance<'_>) -> String {
    let own = instance.resource.provider.as_ref().map(|provider| provider.address.clone());
    let address = own.unwrap_or_else(|| {
        evaluation.inputs.configuration.provider_address(instance.module, instance.resource)
    });
    let name = address.split('.').next().unwrap_or_default();
    let declared = instance.module.required_providers.get(name);
    declared.map_or_else(|| name.to_string(), |declared| declared.source.clone())
}

/// The rules of an instance's kind.
///
/// # Errors
/// When no provider has the kind.
pub fn rules_of<'r>(
    evaluation: &Evaluation<'r>,
    instance: &Instance<'_>,
) -> Result<&'r dyn KindRules, Vec<Diagnostic>> {
    let registry = evaluation.inputs.registry;
    let kind = &instance.resource.kind;
    let (rules, known, word) = match instance.resource.mode {
        ResourceMode::Managed => (registry.resource(kind), registry.resource_kinds(), "resource"),
        ResourceMode::Data => (registry.data(kind), registry.data_kinds(), "data source"),
    };
    if let Some(rules) = rules {
        return Ok(rules);
    }
    let span = instance.resource.span;
    let report = |summary: String, detail: String, hint: &str| match evaluation.inputs.only_checked {
        true => Diagnostic::warning(span, summary, detail),
        false => Diagnostic::error(span, summary, detail).with_hint(hint),
    };
    if registry.is_foreseen(instance.resource.mode, kind) {
        let summary = format!("pve does not support {word}s of kind \"{kind}\" yet");
        let detail = "The provider has this kind, and pve does not have it so far.".to_string();
        return Err(vec![report(summary, detail, "Until then, keep it in a configuration for OpenTofu.")]);
    }
    let provider = provider_source(evaluation, instance);
    if registry.provider(provider.rsplit('/').next().unwrap_or_default()).is_none()
        || provider.contains('/') && !FOLLOWED.iter().any(|source| provider.ends_with(source))
    {
        let summary = format!("pve has no provider \"{provider}\"");
        let detail = format!(
            "The {word} \"{kind}\" belongs to it. pve manages Proxmox VE, and runs no other providers."
        );
        return Err(vec![report(summary, detail, "Keep it in a configuration for OpenTofu.")]);
    }
    let summary = format!("There is no {word} of kind \"{kind}\"");
    let detail = format!("Provider \"{provider}\" has no {word} of this name.");
    let fault = Diagnostic::error(span, summary, detail);
    Err(vec![match pve_config::evaluate::closest(kind, known) {
        Some(near) => fault.with_hint(format!("Did you mean \"{near}\"?")),
        None => fault,
    }])
}
