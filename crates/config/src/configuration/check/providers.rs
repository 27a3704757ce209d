//! Provider configurations that resources and module calls name.

use crate::configuration::declare::ProviderReference;
use crate::configuration::{Module, ModuleCall, PassedProvider};
use crate::evaluate::closest;
use crate::syntax::Diagnostic;

pub(super) fn check(module: &Module, found: &mut Vec<Diagnostic>) {
    for reference in module.resources.iter().filter_map(|resource| resource.provider.as_ref()) {
        found.extend(undeclared(module, reference));
    }
    for call in module.module_calls.values() {
        for passed in &call.providers {
            found.extend(call.child.as_ref().and_then(|child| mismatch(module, child, passed)));
        }
        found.extend(call.providers.iter().filter_map(|(_, outside)| undeclared(module, outside)));
        if let Some(child) = &call.child {
            check_call(call, child, found);
        }
    }
}

/// Configurations with an alias that the module has: its own, and those that its caller gives it.
fn aliases(module: &Module) -> Vec<String> {
    let own = module.providers.iter().map(|provider| provider.address());
    let given = module.required_providers.values().flat_map(|p| p.configuration_aliases.iter().cloned());
    own.chain(given).collect()
}

/// A configuration without alias is there even if nothing is configured.
fn undeclared(module: &Module, reference: &ProviderReference) -> Option<Diagnostic> {
    let known = aliases(module);
    if !reference.address.contains('.') || known.contains(&reference.address) {
        return None;
    }
    let detail = "No `provider` block of this module has this name and alias.";
    let summary = format!("There is no provider configuration {}", reference.address);
    let fault = Diagnostic::error(reference.span, summary, detail);
    Some(match closest(&reference.address, known.iter().map(String::as_str)) {
        Some(near) => fault.with_hint(format!("Did you mean {near}?")),
        None => fault.with_hint("Add a `provider` block with this `alias`."),
    })
}

/// Two modules that both say where a provider is from must mean the same one.
fn mismatch(module: &Module, child: &Module, (inside, outside): &PassedProvider) -> Option<Diagnostic> {
    let source = |module: &Module, reference: &ProviderReference| {
        let name = reference.address.split('.').next().unwrap_or_default();
        // The host in front says where it is downloaded from.
        let source = &module.required_providers.get(name)?.source;
        let parts: Vec<&str> = source.rsplit('/').take(2).collect();
        Some(parts.iter().rev().copied().collect::<Vec<_>>().join("/"))
    };
    let (given, wanted) = (source(module, outside)?, source(child, inside)?);
    let detail = format!("The module has provider {wanted} as {}, and is given {given}.", inside.address);
    (given != wanted).then(|| Diagnostic::error(outside.span, "This is another provider", detail))
}

fn check_call(call: &ModuleCall, child: &Module, found: &mut Vec<Diagnostic>) {
    for alias in child.required_providers.values().flat_map(|provider| &provider.configuration_aliases) {
        // One without alias is there anyway.
        if alias.contains('.') && !call.providers.iter().any(|(inside, _)| inside.address == *alias) {
            let detail =
                format!("Module \"{}\" needs to be given a provider configuration {alias}.", call.name);
            let fault = Diagnostic::error(call.span, "A provider configuration is missing", detail);
            found.push(fault.with_hint(format!("Add it to `providers = {{ {alias} = ... }}`.")));
        }
    }
    let several = call.count.is_some() || call.for_each.is_some() || call.enabled.is_some();
    let waits = !call.depends_on.is_empty();
    for provider in child.providers.iter().filter(|provider| !provider.body.items.is_empty()) {
        if several || waits {
            let detail = format!(
                "Module \"{}\" configures provider {} itself, and such a module cannot have count, for_each, enabled or depends_on.",
                call.name,
                provider.address()
            );
            let fault = Diagnostic::error(call.span, "A module with its own provider configuration", detail);
            found.push(fault.with_related(provider.span, "the provider is configured here"));
        }
    }
}
