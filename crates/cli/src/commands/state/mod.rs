//! `pve state`: looks into the state, and edits it by events.

mod adopt;
mod file;
mod found;
mod moves;
mod pull;
mod remove;

pub use found::{refuse_unadopted, tell_unadopted, tell_unadopted_in_bucket};
use pve_model::InstanceAddress;
use pve_model::state::State;
use serde_json::json;

use super::{decode_record, parse_instance, parse_target, print_json, render_record};
use crate::arguments::{GlobalOptions, StateCommand};
use crate::environments::tell_if_none_is_chosen;
use crate::failure::{Ended, Failure};
use crate::project::Project;
use crate::terraform_json::state_json;

/// Looks into the state, or edits it.
///
/// # Errors
/// When the log cannot be read or written, or there is no such instance.
pub async fn run(global: &GlobalOptions, command: &StateCommand) -> Ended {
    let project = Project::find(global)?;
    match command {
        StateCommand::List { addresses, id } => {
            tell_if_none_is_chosen(&project)?;
            list(global, &project.state().await?, addresses, id.as_deref())
        }
        StateCommand::Show { address } => {
            tell_if_none_is_chosen(&project)?;
            show(global, &project.state().await?, address)
        }
        StateCommand::Mv { source, destination, edit } => {
            moves::run(global, &project, source, destination, edit).await
        }
        StateCommand::Rm { addresses, edit } => remove::run(global, &project, addresses, edit).await,
        StateCommand::Adopt { file, edit } => adopt::run(global, &project, file.as_deref(), edit).await,
        StateCommand::Pull => pull::run(&project).await,
        StateCommand::Push { .. } => Err(Failure::hinted(
            "a state cannot be pushed: it is what the log says",
            "Take in what Terraform manages with `pve state adopt FILE`, other objects with `import` blocks or `pve import`.",
        )),
    }
}

fn list(global: &GlobalOptions, state: &State, addresses: &[String], id: Option<&str>) -> Ended {
    let targets = addresses.iter().map(|text| parse_target(text)).collect::<Result<Vec<_>, _>>()?;
    let wanted = |address: &InstanceAddress| {
        let known = |record: &pve_model::state::InstanceRecord| record.values.get("id") == Some(&json!(id));
        (targets.is_empty() || targets.iter().any(|target| target.contains(address)))
            && (id.is_none() || state.current(address).is_some_and(known))
    };
    let found: Vec<String> =
        state.instances.keys().filter(|address| wanted(address)).map(ToString::to_string).collect();
    if global.json {
        print_json(&json!({"format_version": "1.0", "addresses": found}))?;
    } else {
        found.iter().for_each(|address| println!("{address}"));
    }
    Ok(0)
}

fn show(global: &GlobalOptions, state: &State, address: &str) -> Ended {
    let address = parse_instance(address)?;
    let record = state.current(&address).ok_or_else(|| {
        let hint = "`pve state list` shows the addresses there are.";
        Failure::hinted(format!("the state has no {address}"), hint)
    })?;
    let registry = pve_resources::registry();
    if global.json {
        let mut only = State::default();
        only.instances.insert(address.clone(), state.instances[&address].clone());
        let decode = |address: &_, record: &_| decode_record(&registry, address, record);
        print_json(&state_json(&only, &Default::default(), &super::provider_name, &decode))?;
    } else {
        print!("{}", render_record(&registry, &address, record, None));
    }
    Ok(0)
}
