//! What of a plan the cluster will not take: warnings of the plan, and a reason not to begin with it.

use std::collections::BTreeSet;

use pve_config::configuration::{Module, Resource, span_of};
use pve_config::syntax::{Diagnostic, Span};
use pve_executor::ports::{ApplyRequest, Doubt, Provider};
use pve_model::InstanceAddress;
use pve_model::plan::Plan;
use pve_planner::planning::Planning;

use super::requests;
use crate::failure::Failure;
use crate::project::Workspace;

/// The environment variable that lets a run begin all the same, when it is `off`.
const OVERRIDE: &str = "PVE_PREFLIGHT";

/// Adds what the provider doubts of a plan to it.
pub(super) async fn look(
    workspace: &Workspace,
    planning: &mut Planning,
    requests: &[ApplyRequest],
    provider: &dyn Provider,
) {
    // What a provisioner does may be what is missing.
    let provisions = planning.plan.steps.iter().any(|step| !step.provisioners.is_empty());
    let mut told = BTreeSet::new();
    for doubt in provider.doubts(requests).await {
        let is_certain = doubt.is_certain && !provisions;
        let warning = warning(workspace, &planning.plan, doubt);
        // Instances of one block have the same fault at the same place.
        if told.insert((warning.span.map(|span| (span.source, span.start)), warning.summary.clone())) {
            if is_certain { &mut planning.doubts } else { &mut planning.warnings }.push(warning);
        }
    }
}

/// The same for a plan that was saved.
pub async fn look_again(workspace: &Workspace, planning: &mut Planning, provider: &dyn Provider) {
    let requests = requests(&planning.plan);
    look(workspace, planning, &requests, provider).await;
}

/// Refuses to begin with what is bound to fail on the way.
///
/// # Errors
/// When the plan has a doubt, and nobody said to begin all the same.
pub fn refuse_doubted(planning: &Planning) -> Result<(), Failure> {
    if planning.doubts.is_empty() || std::env::var(OVERRIDE).is_ok_and(|value| value == "off") {
        return Ok(());
    }
    let what: Vec<&str> = planning.doubts.iter().map(|doubt| &*doubt.summary).collect();
    let message = format!("the cluster would refuse this on the way: {}", what.join("; "));
    let hint = format!(
        "Nothing was changed. Correct what the warnings above point at; with {OVERRIDE}=off it is tried all the same."
    );
    Err(Failure::hinted(message, hint))
}

fn warning(workspace: &Workspace, plan: &Plan, doubt: Doubt) -> Diagnostic {
    let Doubt { address, path, value, summary, detail, .. } = doubt;
    let after = plan
        .changes
        .iter()
        .filter(|change| change.address == address)
        .find_map(|change| change.after.as_ref());
    let hidden = after.map(|after| after.sensitive_paths()).unwrap_or_default();
    let is_secret =
        hidden.iter().any(|secret| path.0.starts_with(&secret.0) || secret.0.starts_with(&path.0));
    let shown = |text: String| if is_secret { text.replace(&value, "(sensitive value)") } else { text };
    let detail = format!("`{path}` of {address}: {}", shown(detail));
    let declared = declared(workspace, &address);
    let span: Option<Span> = declared.map(|resource| span_of(&resource.body, &path).unwrap_or(resource.span));
    match span {
        Some(span) => Diagnostic::warning(span, shown(summary), detail),
        None => Diagnostic {
            severity: pve_config::syntax::Severity::Warning,
            ..Diagnostic::error_without_span(shown(summary), detail)
        },
    }
}

fn declared<'w>(workspace: &'w Workspace, address: &InstanceAddress) -> Option<&'w Resource> {
    let resource = &address.resource;
    let root: &Module = &workspace.configuration.root;
    let module = resource
        .module
        .0
        .iter()
        .try_fold(root, |module, step| module.module_calls.get(&step.name)?.child.as_ref())?;
    module.resource(resource.mode, &resource.kind, &resource.name)
}
