//! `pve validate`

use pve_config::syntax::Diagnostic;
use pve_planner::planning::check;
use serde_json::json;

use super::print_json;
use crate::arguments::{GlobalOptions, VariableOptions};
use crate::connect::faults_of_blocks;
use crate::failure::{Ended, Failure};
use crate::project::Project;
use crate::render::diagnostics::{diagnostics_json, distinct, render_diagnostics};
use crate::render::paint::Paint;
use crate::variables::Missing;
use crate::workspace::Workspace;

/// Checks everything that needs no cluster: everything that can be told of the text.
///
/// # Errors
/// When the configuration is wrong.
pub fn run(global: &GlobalOptions, options: &VariableOptions) -> Ended {
    let found = Project::find(global)?;
    // As in Terraform, a configuration is right for any values, unless one asks about certain ones.
    let asked =
        !options.variables.is_empty() || !options.variable_files.is_empty() || found.environment.is_some();
    let project = Project { missing: if asked { Missing::Unknown } else { Missing::AnyValue }, ..found };
    let (found, sources) = match Workspace::load(&project, options) {
        Ok(mut workspace) => {
            let found = check(workspace.inputs(), &workspace.graph);
            let mut found = [std::mem::take(&mut workspace.warnings), found].concat();
            if !found.iter().any(Diagnostic::is_error) {
                found.extend(faults_of_blocks(&workspace));
            }
            (workspace.redacted(found), workspace.sources)
        }
        Err(Failure::Diagnosed { diagnostics, sources }) => (diagnostics, sources),
        Err(other) => return Err(other),
    };
    let found: Vec<Diagnostic> = distinct(&found).into_iter().cloned().collect();
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
