//! `pve state list` and `pve state show`

use pve_model::InstanceAddress;
use pve_model::address::Target;
use serde_json::json;

use super::{decode_record, print_json};
use crate::arguments::{GlobalOptions, StateCommand};
use crate::failure::{Ended, Failure};
use crate::project::Project;
use crate::render::value::render_value;
use crate::terraform_json::state_json;

/// Looks into the state.
///
/// # Errors
/// When the log cannot be read or there is no such instance.
pub async fn run(global: &GlobalOptions, command: &StateCommand) -> Ended {
    let state = Project::find(global)?.state().await?;
    match command {
        StateCommand::List { addresses } => {
            let parse = |text: &String| {
                text.parse::<Target>()
                    .map_err(|error| Failure::hinted(error.to_string(), "Leave it out to list all."))
            };
            let targets = addresses.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
            let wanted = |address: &&InstanceAddress| {
                targets.is_empty() || targets.iter().any(|target| target.contains(address))
            };
            let found: Vec<String> = state.instances.keys().filter(wanted).map(ToString::to_string).collect();
            if global.json {
                print_json(&json!({"format_version": "1.0", "addresses": found}))?;
            } else {
                found.iter().for_each(|address| println!("{address}"));
            }
        }
        StateCommand::Show { address } => {
            let hint = "`pve state list` shows the addresses there are.";
            let address: InstanceAddress =
                address.parse().map_err(|error: pve_model::address::ParseAddressError| {
                    Failure::hinted(error.to_string(), hint)
                })?;
            let record = state
                .current(&address)
                .ok_or_else(|| Failure::hinted(format!("the state has no {address}"), hint))?;
            let registry = pve_resources::registry();
            let value = decode_record(&registry, &address, record);
            if global.json {
                let mut only = pve_model::state::State::default();
                only.instances.insert(address.clone(), state.instances[&address].clone());
                let decode = |address: &_, record: &_| decode_record(&registry, address, record);
                print_json(&state_json(&only, &Default::default(), &super::provider_name, &decode))?;
            } else {
                println!("# {address}\n{}", render_value(&value, 0));
            }
        }
    }
    Ok(0)
}
