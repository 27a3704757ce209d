//! `pve output`

use std::collections::BTreeMap;

use pve_model::codec::{decode, to_plain_json};
use pve_model::state::OutputRecord;

use super::print_json;
use crate::arguments::{GlobalOptions, OutputOptions};
use crate::environments::tell_if_none_is_chosen;
use crate::failure::{Ended, Failure};
use crate::project::Project;
use crate::render::value::{render_key, render_value};
use crate::terraform_json::output_json;

/// Prints outputs.
///
/// # Errors
/// When there is no such output.
pub async fn run(global: &GlobalOptions, options: &OutputOptions) -> Ended {
    let project = Project::find(global)?;
    tell_if_none_is_chosen(&project)?;
    let state = project.state().await?;
    let Some(name) = &options.name else {
        if global.json {
            print_json(&output_json(&state.outputs))?;
            return Ok(0);
        }
        print!("{}", render_outputs(&state.outputs)?);
        if state.outputs.is_empty() {
            eprintln!("There are no outputs. They are recorded by `pve apply`.");
        }
        return Ok(0);
    };
    let output = state.outputs.get(name).ok_or_else(|| {
        let known: Vec<&str> = state.outputs.keys().map(String::as_str).collect();
        let hint = if known.is_empty() {
            "There are none.".into()
        } else {
            format!("There are: {}.", known.join(", "))
        };
        Failure::hinted(format!("there is no output \"{name}\""), hint)
    })?;
    let value = decode(&output.value, &output.ty).map_err(|error| Failure::plain(error.to_string()))?;
    if global.json {
        print_json(&to_plain_json(&value))?;
    } else if options.raw {
        let text = pve_config::convert::convert(&value, &pve_model::Type::String);
        match text.ok().as_ref().and_then(pve_model::Value::as_str) {
            Some(text) => print!("{text}"),
            None => {
                return Err(Failure::hinted(format!("output \"{name}\" is no single value"), "Use --json."));
            }
        }
    } else {
        println!("{}", render_value(&value, 0));
    }
    Ok(0)
}

/// All outputs, a line or a block each; of sensitive ones only that they are.
///
/// # Errors
/// When a recorded value does not fit its type.
pub fn render_outputs(outputs: &BTreeMap<String, OutputRecord>) -> Result<String, Failure> {
    let mut text = String::new();
    for (name, output) in outputs {
        let value = decode(&output.value, &output.ty).map_err(|error| Failure::plain(error.to_string()))?;
        let value = if output.sensitive { value.sensitive() } else { value };
        text.push_str(&format!("{} = {}\n", render_key(name), render_value(&value, 0)));
    }
    Ok(text)
}
