//! `pve providers`

use std::collections::BTreeSet;

use pve_config::configuration::Module;
use serde_json::{Value as Json, json};

use super::{print_json, provider_name};
use crate::arguments::{GlobalOptions, VariableOptions};
use crate::failure::Ended;
use crate::project::Project;
use crate::variables::Missing;
use crate::workspace::Workspace;

/// Prints the providers that each module and the state need.
///
/// # Errors
/// When the configuration cannot be loaded or the log cannot be read.
pub async fn run(global: &GlobalOptions) -> Ended {
    let project = Project { missing: Missing::Unknown, ..Project::find(global)? };
    let workspace = Workspace::load(&project, &VariableOptions::default())?;
    let state = project.state().await?;
    let in_state: BTreeSet<String> =
        state.instances.keys().map(|address| provider_name(&address.resource.kind)).collect();
    let root = &workspace.configuration.root;
    if global.json {
        print_json(&json!({
            "format_version": "1.0", "configuration": tree(root), "state": in_state,
        }))?;
        return Ok(0);
    }
    println!("Providers required by configuration:\n.");
    print_tree(root, "");
    if !in_state.is_empty() {
        println!("\nProviders required by state:\n");
        in_state.iter().for_each(|name| println!("    provider[{name}]"));
    }
    Ok(0)
}

/// What the resources and provider blocks of a module need.
fn needed(module: &Module) -> BTreeSet<String> {
    let of_resources = module.resources.iter().map(|resource| provider_name(&resource.kind));
    let blocks = module.providers.iter().map(|provider| match provider.name.as_str() {
        "proxmox" => provider_name("proxmox_x"),
        name => provider_name(&format!("{name}_x")),
    });
    of_resources.chain(blocks).collect()
}

fn tree(module: &Module) -> Json {
    let modules: serde_json::Map<String, Json> = module
        .module_calls
        .iter()
        .filter_map(|(name, call)| Some((name.clone(), tree(call.child.as_ref()?))))
        .collect();
    json!({"providers": needed(module), "modules": modules})
}

fn print_tree(module: &Module, before: &str) {
    let providers = needed(module);
    let children: Vec<(&String, &Module)> =
        module.module_calls.iter().filter_map(|(name, call)| Some((name, call.child.as_ref()?))).collect();
    let last = providers.len() + children.len();
    let branch = |place: usize| if place == last { "└── " } else { "├── " };
    for (place, name) in providers.iter().enumerate() {
        println!("{before}{}provider[{name}]", branch(place + 1));
    }
    for (place, (name, child)) in children.into_iter().enumerate() {
        let place = providers.len() + place + 1;
        println!("{before}{}module.{name}", branch(place));
        print_tree(child, &format!("{before}{}", if place == last { "    " } else { "│   " }));
    }
}
