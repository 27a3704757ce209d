//! `pve show`

use std::collections::BTreeMap;

use super::plan::{as_json, show};
use super::{decode_record, print_json, provider_name, render_record};
use crate::arguments::{GlobalOptions, ShowOptions};
use crate::environments::tell_if_none_is_chosen;
use crate::failure::Ended;
use crate::plan_file::SavedPlan;
use crate::project::Project;
use crate::render::value::{render_key, render_value};
use crate::terraform_json::state_json;

/// Shows a saved plan or the state.
///
/// # Errors
/// When it cannot be read.
pub async fn run(global: &GlobalOptions, options: &ShowOptions) -> Ended {
    let project = Project::find(global)?;
    if let Some(path) = &options.plan {
        let saved = SavedPlan::read(&project.root.join(path), &project.key()?)?;
        let environment = (saved.environment != "default").then(|| saved.environment.clone());
        let project = Project { environment, ..project };
        let (workspace, planning) = (saved.workspace(&project)?, saved.planning());
        let state = project.state().await?;
        if global.json {
            print_json(&as_json(&workspace, &state, &planning))?;
        } else {
            show(global, &workspace, &state, &planning)?;
        }
        return Ok(0);
    }
    tell_if_none_is_chosen(&project)?;
    let state = project.state().await?;
    print_state(global, &state)
}

/// Prints a state.
///
/// # Errors
/// When it cannot be written out.
pub fn print_state(global: &GlobalOptions, state: &pve_model::state::State) -> Ended {
    let registry = pve_resources::registry();
    if global.json {
        let decode = |address: &_, record: &_| decode_record(&registry, address, record);
        print_json(&state_json(state, &BTreeMap::new(), &provider_name, &decode))?;
        return Ok(0);
    }
    for (address, instance) in &state.instances {
        if let Some(record) = &instance.current {
            println!("{}", render_record(&registry, address, record, None));
        }
        for (name, record) in &instance.deposed {
            println!("{}", render_record(&registry, address, record, Some(name)));
        }
    }
    if !state.outputs.is_empty() {
        println!("Outputs:\n");
    }
    for (name, output) in &state.outputs {
        let value = pve_model::codec::decode(&output.value, &output.ty).ok();
        let value = value.map(|value| if output.sensitive { value.sensitive() } else { value });
        println!("{} = {}", render_key(name), value.map(|value| render_value(&value, 0)).unwrap_or_default());
    }
    if state.instances.is_empty() && state.outputs.is_empty() {
        println!("The state is empty.");
    }
    Ok(0)
}
