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
    Err(vec![match likely(kind, &known) {
        Some(near) => fault.with_hint(format!("Did you mean \"{near}\"?")),
        None => fault,
    }])
}

/// The kind that is likely meant: one that is named so behind the prefixes of the provider, else the closest.
fn likely<'k>(wanted: &str, known: &[&'k str]) -> Option<&'k str> {
    const PREFIXES: [&str; 2] = ["proxmox_virtual_environment_", "proxmox_"];
    let name = |kind: &'k str| PREFIXES.iter().find_map(|prefix| kind.strip_prefix(prefix)).unwrap_or(kind);
    let bare = PREFIXES.iter().find_map(|prefix| wanted.strip_prefix(prefix)).unwrap_or(wanted);
    let near = pve_config::evaluate::closest(bare, known.iter().map(|kind| name(kind)))?;
    let found = known.iter().filter(|kind| name(kind) == near).copied();
    // Of several spellings, the one that is written most alike.
    let own = PREFIXES.iter().find(|prefix| wanted.starts_with(**prefix));
    let found: Vec<&str> = found.collect();
    let alike = found.iter().find(|kind| own.is_some_and(|own| **kind == format!("{own}{near}")));
    alike.or(found.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::likely;

    #[test]
    fn a_kind_under_the_other_prefix_is_suggested_before_one_that_only_looks_alike() {
        let known = [
            "proxmox_acl",
            "proxmox_backup_job",
            "proxmox_virtual_environment_acl",
            "proxmox_virtual_environment_pool",
            "proxmox_virtual_environment_role",
            "proxmox_virtual_environment_vm",
            "proxmox_vm",
        ];
        for (wanted, meant) in [
            ("proxmox_role", Some("proxmox_virtual_environment_role")),
            ("proxmox_pool", Some("proxmox_virtual_environment_pool")),
            ("proxmox_virtual_environment_backup_job", Some("proxmox_backup_job")),
            ("proxmox_virtual_environment_vn", Some("proxmox_virtual_environment_vm")),
            ("proxmox_vn", Some("proxmox_vm")),
            ("proxmox_certificate", None),
        ] {
            assert_eq!(likely(wanted, &known), meant, "{wanted}");
        }
    }
}
