//! Which providers a configuration needs, and whether pve has them. They are built in; none is ever downloaded.

use std::collections::BTreeSet;

use pve_config::configuration::{Configuration, Module, Resource, default_provider};
use pve_config::syntax::Diagnostic;
use pve_model::rules::RulesRegistry as _;
use pve_resources::Registry;

/// The provider of `terraform_data`.
const BUILTIN: &str = "terraform.io/builtin/terraform";
/// Hosts that a source address need not name.
const REGISTRIES: &[&str] = &["registry.terraform.io/", "registry.opentofu.org/"];

/// What is said about providers that pve does not have: an error where a resource needs one, a warning where one is
/// only listed.
pub fn check_providers(configuration: &Configuration, registry: &Registry) -> Vec<Diagnostic> {
    let mut supported = vec!["bpg/proxmox", BUILTIN];
    if registry.resource("null_resource").is_some() {
        supported.push("hashicorp/null");
    }
    let mut found = Vec::new();
    check_module(&configuration.root, &supported, &mut BTreeSet::new(), &mut found);
    found
}

fn check_module(
    module: &Module,
    supported: &[&str],
    told: &mut BTreeSet<String>,
    found: &mut Vec<Diagnostic>,
) {
    let place = if module.path.is_empty() {
        String::new()
    } else {
        format!(" of module.{}", module.path.join(".module."))
    };
    let mut used = BTreeSet::new();
    for resource in &module.resources {
        let name = local_name(resource);
        used.insert(name);
        let source = source_of(module, name);
        if supported.contains(&source.as_str()) || !told.insert(source.clone()) {
            continue;
        }
        let detail = format!("{}.{}{place} needs the provider {source}.", resource.kind, resource.name);
        let fault = Diagnostic::error(resource.span, "pve does not have this provider", detail);
        let fault = match module.required_providers.get(name) {
            Some(required) => fault.with_related(required.span, "the provider is chosen here"),
            None => fault,
        };
        found.push(fault.with_hint(hint(&source, supported)));
    }
    for (name, required) in &module.required_providers {
        let source = source_of(module, name);
        if used.contains(name.as_str())
            || supported.contains(&source.as_str())
            || !told.insert(source.clone())
        {
            continue;
        }
        let detail =
            format!("pve does not have the provider {source}. Nothing uses it{place}, so this does no harm.");
        found.push(
            Diagnostic::warning(required.span, "An unknown provider is listed", detail)
                .with_hint(hint(&source, supported)),
        );
    }
    for call in module.module_calls.values() {
        if let Some(child) = &call.child {
            check_module(child, supported, told, found);
        }
    }
}

/// The name by which a module knows a resource's provider.
fn local_name(resource: &Resource) -> &str {
    let named = resource.provider.as_ref().and_then(|provider| provider.address.split('.').next());
    named.unwrap_or_else(|| default_provider(&resource.kind))
}

/// The source address of a provider without its host when that is a public registry.
fn source_of(module: &Module, name: &str) -> String {
    let written = match module.required_providers.get(name) {
        Some(required) => required.source.to_lowercase(),
        None if name == "terraform" => return BUILTIN.into(),
        // Every configuration of it names it; without a name no other one can be meant here.
        None if name == "proxmox" => return "bpg/proxmox".into(),
        None => format!("hashicorp/{name}"),
    };
    let inner = REGISTRIES.iter().find_map(|registry| written.strip_prefix(registry)).unwrap_or(&written);
    if inner.contains('/') { inner.to_string() } else { format!("hashicorp/{inner}") }
}

fn hint(source: &str, supported: &[&str]) -> String {
    let listed = supported.join(", ");
    if source == "telmate/proxmox" {
        return format!(
            "pve has {listed}. The kinds of {source} have counterparts in bpg/proxmox: proxmox_vm_qemu is proxmox_virtual_environment_vm."
        );
    }
    format!("pve has {listed}. Leave what needs {source} to Terraform, in a root module of its own.")
}
