//! `pve validate`

use pve_config::syntax::Diagnostic;
use pve_model::state::State;
use pve_planner::planning::{Observed, Options, plan};
use serde_json::json;

use super::print_json;
use crate::arguments::{GlobalOptions, VariableOptions};
use crate::failure::{Ended, Failure};
use crate::project::{Project, Workspace};
use crate::render::diagnostics::{diagnostics_json, render_diagnostics};
use crate::render::paint::Paint;

/// Checks everything that needs no cluster: a plan from nothing.
///
/// # Errors
/// When the configuration is wrong.
pub fn run(global: &GlobalOptions, options: &VariableOptions) -> Ended {
    let project = Project::find(global)?;
    let checked = Workspace::load(&project, options).and_then(|workspace| {
        let state = State::default();
        let planned =
            plan(workspace.inputs(), &workspace.graph, &state, &Observed::default(), &Options::default());
        match planned {
            Ok(_) => Ok(workspace),
            Err(found) => Err(workspace.failure(found)),
        }
    });
    let (found, sources) = match checked {
        Ok(workspace) => (workspace.warnings, workspace.sources),
        Err(Failure::Diagnosed { diagnostics, sources }) => (diagnostics, sources),
        Err(other) => return Err(other),
    };
    let errors = found.iter().filter(|diagnostic| diagnostic.is_error()).count();
    if global.json {
        print_json(&json!({
            "format_version": "1.0",
            "valid": errors == 0,
            "error_count": errors,
            "warning_count": found.len() - errors,
            "diagnostics": diagnostics_json(&found, &sources),
        }))?;
    } else {
        let paint = Paint::for_stream(&std::io::stderr(), global.no_color);
        eprint!("{}", render_diagnostics(&found, &sources, paint));
        if errors == 0 {
            println!("The configuration is valid.");
        }
    }
    Ok(u8::from(found.iter().any(Diagnostic::is_error)))
}
