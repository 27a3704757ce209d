//! What of a plan the cluster will not take: warnings of the plan, and a reason not to begin with it.

use std::collections::BTreeSet;

use pve_config::configuration::span_of;
use pve_config::syntax::Diagnostic;
use pve_executor::ports::{ApplyRequest, Doubt, Doubts, Provider, Remark, Told};
use pve_model::event::{Claim, Operation};
use pve_model::plan::{Action, Change, Plan, Step};
use pve_model::{InstanceAddress, Path, Value};
use pve_planner::obstacles::obstacles;
use pve_planner::planning::Planning;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// The environment variable that lets a run begin all the same, when it is `off`.
const OVERRIDE: &str = "PVE_PREFLIGHT";

/// What the provider will be asked to do, as far as it is known.
pub(super) fn requests(plan: &Plan) -> Vec<ApplyRequest> {
    let known = |value: &Option<Value>| value.as_ref().map(|value| value.unmark_deep().0);
    let request = |step: &Step| {
        let change = &plan.changes[step.change];
        let (makes, takes) = (step.operation != Operation::Delete, step.operation != Operation::Create);
        ApplyRequest {
            address: change.address.clone(),
            provider: change.provider.clone(),
            operation: step.operation,
            prior: known(&change.before).filter(|_| takes),
            planned: known(&change.after).filter(|_| makes),
            config: None,
            claim: Claim::default(),
            identity: None,
            recreated: step.operation == Operation::Delete && change.action == Action::DeleteThenCreate,
        }
    };
    let changes =
        |step: &&Step| matches!(step.operation, Operation::Create | Operation::Update | Operation::Delete);
    plan.steps.iter().filter(changes).map(request).collect()
}

/// Adds what the provider doubts of a plan to it. Of what a run broke off (`open`) nothing is told: apply settles it first,
/// and plans with what came of it.
pub(super) async fn look(
    workspace: &Workspace,
    planning: &mut Planning,
    requests: &[ApplyRequest],
    provider: &dyn Provider,
    open: &BTreeSet<InstanceAddress>,
) {
    let Doubts { found, unseen } = provider.doubts(requests).await;
    planning.warnings.extend(not_looked_up(&unseen));
    let mut doubts = judged(found, &provided(&planning.plan));
    doubts.retain(|doubt| !open.contains(&doubt.address));
    let mut told = BTreeSet::new();
    for doubt in doubts {
        let is_certain = doubt.is_certain;
        let warning = warning(workspace, &planning.plan, doubt);
        if told.insert((warning.span.map(|span| (span.source, span.start)), warning.summary.clone())) {
            if is_certain { &mut planning.doubts } else { &mut planning.warnings }.push(warning);
        }
    }
}

/// The certain ones first: instances of one block have the same fault at the same place, of which the first is told.
fn judged(mut doubts: Vec<Doubt>, provided: &BTreeSet<InstanceAddress>) -> Vec<Doubt> {
    for doubt in &mut doubts {
        doubt.is_certain &= !(doubt.may_come && provided.contains(&doubt.address));
    }
    doubts.sort_by_key(|doubt| !doubt.is_certain);
    doubts
}

/// The instances with a step behind one that has provisioners: what they do may be what is missing.
fn provided(plan: &Plan) -> BTreeSet<InstanceAddress> {
    let mut is_behind: Vec<bool> = Vec::new();
    for step in &plan.steps {
        let provides = |before: &usize| {
            is_behind.get(*before).copied().unwrap_or_default()
                || !plan.steps[*before].provisioners.is_empty()
        };
        is_behind.push(step.after.iter().any(provides));
    }
    let behind = plan.steps.iter().zip(is_behind).filter(|(_, is_behind)| *is_behind);
    behind.map(|(step, _)| plan.changes[step.change].address.clone()).collect()
}

/// The same for a plan that was saved.
pub async fn look_again(workspace: &Workspace, planning: &mut Planning, provider: &dyn Provider) {
    planning.doubts = obstacles(&planning.plan, &workspace.registry);
    let requests = requests(&planning.plan);
    look(workspace, planning, &requests, provider, &BTreeSet::new()).await;
    for Remark { address, text, is_unseen } in provider.remarks(&requests).await {
        let is_told = |change: &Change| change.address == address && change.notes.contains(&text);
        if planning.plan.changes.iter().any(is_told) {
            continue;
        }
        let summary = match is_unseen {
            true => format!("What {address} would apply could not be looked up"),
            false => {
                format!("{address} finds something else staged in the cluster than when the plan was made")
            }
        };
        planning.warnings.push(Diagnostic::warning_without_span(summary, text));
    }
}

/// That something could not be looked up, in one warning.
fn not_looked_up(unseen: &[String]) -> Option<Diagnostic> {
    let (first, more) = unseen.split_first()?;
    let summary = "Not all of this plan was compared with what the cluster has";
    let detail = match more.len() {
        0 => first.clone(),
        more => format!("{first} (and {more} more)"),
    };
    Some(Diagnostic::warning_without_span(summary, detail))
}

/// How many reasons are repeated.
const MOST_REPEATED: usize = 5;

/// Refuses to begin with what is bound to fail on the way.
///
/// # Errors
/// When the plan has a doubt, and nobody said to begin all the same.
pub fn refuse_doubted(workspace: &Workspace, planning: &Planning) -> Result<(), Failure> {
    if planning.doubts.is_empty() || std::env::var(OVERRIDE).is_ok_and(|value| value == "off") {
        return Ok(());
    }
    let told = |doubt: &Diagnostic| {
        let place = doubt.span.and_then(|span| workspace.sources.place(span));
        let place = place.map(|(name, line, _)| format!(" ({name}:{line})")).unwrap_or_default();
        format!("{}{place}", doubt.summary)
    };
    let doubts = workspace.redacted(planning.doubts.clone());
    let mut what: Vec<String> = doubts.iter().take(MOST_REPEATED).map(told).collect();
    if let Some(more) = doubts.len().checked_sub(MOST_REPEATED).filter(|more| *more > 0) {
        what.push(format!("and {more} more"));
    }
    let message = format!("the cluster would refuse this on the way: {}", what.join("; "));
    let hint = format!(
        "Nothing was changed. Correct what the warnings above point at; with {OVERRIDE}=off it is tried all the same."
    );
    Err(Failure::hinted(message, hint))
}

fn warning(workspace: &Workspace, plan: &Plan, doubt: Doubt) -> Diagnostic {
    let Doubt { address, paths, told, hidden, is_certain, .. } = doubt;
    let values = plan.changes.iter().filter(|change| change.address == address);
    let secrets: Vec<Path> =
        values.filter_map(|change| change.after.as_ref()).flat_map(Value::sensitive_paths).collect();
    let is_within = |one: &Path, other: &Path| one.0.starts_with(&other.0);
    let is_secret =
        paths.iter().any(|path| secrets.iter().any(|it| is_within(path, it) || is_within(it, path)));
    let Told { summary, detail } = if is_secret { hidden } else { told };
    let place = paths.first().cloned().unwrap_or_default();
    // Others look the same, and only these stop an apply.
    let end = if is_certain { "; apply does not begin with it" } else { "" };
    let detail = format!("`{place}` of {address}: {detail}{end}");
    let declared = workspace.declared(&address);
    let span = declared.map(|resource| span_of(&resource.body, &place).unwrap_or(resource.span));
    match span {
        Some(span) => Diagnostic::warning(span, summary, detail),
        None => Diagnostic::warning_without_span(summary, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_instances_that_say_the_same_the_certain_one_counts() {
        let told = Told { summary: "There is no pool \"crew\"".into(), detail: String::new() };
        let doubt = |address: &str, is_certain| Doubt {
            address: address.parse().unwrap(),
            paths: vec![Path::attribute("pool_id")],
            told: told.clone(),
            hidden: told.clone(),
            is_certain,
            may_come: true,
        };
        let doubts = vec![doubt("t.a[0]", false), doubt("t.a[1]", true), doubt("t.a[2]", true)];
        let provided = BTreeSet::from(["t.a[2]".parse().unwrap()]);
        let first: Vec<_> =
            judged(doubts, &provided).iter().map(|d| (d.address.to_string(), d.is_certain)).collect();
        let expected = [("t.a[1]", true), ("t.a[0]", false), ("t.a[2]", false)];
        assert_eq!(first, expected.map(|(address, is_certain)| (address.to_string(), is_certain)));
    }
}
