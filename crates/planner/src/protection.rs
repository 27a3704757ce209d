//! What a plan must not do: destroy what is protected, or claim one thing twice.

use std::collections::{BTreeMap, BTreeSet};

use pve_config::configuration::constant;
use pve_config::convert::convert;
use pve_config::syntax::Diagnostic;
use pve_model::plan::{Action, Change};
use pve_model::rules::{KindRules, RulesRegistry};
use pve_model::{InstanceAddress, ResourceMode, Type, Value};

use crate::evaluation::{Evaluation, Instance};
use crate::naming::{identity, wholes};
use crate::planner::Planner;
use crate::scope::Repetition;

/// Refuses changes that destroy a protected instance: by its lifecycle, or by the cluster, which would refuse only after
/// other things are gone. With `keep_protected`, leaves them, what they depend on and what is a part of them out of the plan
/// instead, and returns what is left alone.
pub fn enforce(
    planner: &mut Planner<'_>,
    evaluation: &Evaluation<'_>,
    found: &mut Vec<Diagnostic>,
) -> Vec<InstanceAddress> {
    let protected: Vec<usize> = (0..planner.changes.len())
        .filter(|at| planner.changes[*at].deposed.is_none() && planner.changes[*at].action.destroys())
        .filter(|at| {
            is_protected(evaluation, &planner.changes[*at].address).unwrap_or_else(|faults| {
                found.extend(faults);
                false
            })
        })
        .collect();
    let guarded = guarded(planner, evaluation.inputs.registry);
    if planner.options.keep_protected {
        let all: Vec<usize> = protected.into_iter().chain(guarded.into_iter().map(|(at, _)| at)).collect();
        return keep(planner, evaluation.inputs.registry, &all);
    }
    found.extend(guarded.into_iter().filter(|(at, _)| !protected.contains(at)).map(|(at, remedy)| {
        let change = &planner.changes[at];
        let what = if change.action.replaces() { "replaced, which destroys it" } else { "destroyed" };
        let summary = format!("{} is protected", change.address);
        let detail = format!("{} would be {what}, and in the cluster it is protected.", change.address);
        let fault = match declaration(evaluation, &change.address) {
            Some(resource) => Diagnostic::error(resource.span, summary, detail),
            None => Diagnostic::error_without_span(summary, detail),
        };
        fault.with_hint(remedy)
    }));
    for at in protected {
        let change = &planner.changes[at];
        let address = &change.address;
        let what = if change.action.replaces() { "replaced, which destroys it" } else { "destroyed" };
        let why: Vec<String> = change.replace_paths.iter().map(|(path, _)| path.to_string()).collect();
        let why = if why.is_empty() { String::new() } else { format!(" (changed: {})", why.join(", ")) };
        let detail = format!("{address} would be {what}{why}, and its lifecycle has `prevent_destroy`.");
        let summary = format!("{address} is protected");
        let span = declaration(evaluation, address).map(|resource| resource.span);
        let fault = match span {
            Some(span) => Diagnostic::error(span, summary, detail),
            None => Diagnostic::error_without_span(summary, detail),
        };
        let hint = if planner.options.mode == pve_model::plan::PlanMode::Destroy {
            "`pve destroy --keep-protected` destroys the rest; to destroy this too, take `prevent_destroy` out."
        } else {
            "Undo the change, or take `prevent_destroy` out if it may be destroyed."
        };
        found.push(fault.with_hint(hint));
    }
    Vec::new()
}

/// The changes that the cluster would refuse because of what they destroy, with how that is lifted.
fn guarded(planner: &Planner<'_>, registry: &dyn RulesRegistry) -> Vec<(usize, &'static str)> {
    let changes = planner.changes.iter().enumerate();
    let destroying = changes.filter(|(_, change)| change.deposed.is_none() && change.action.destroys());
    let guarded = destroying.filter_map(|(at, change)| {
        let rules = registry.resource(&change.address.resource.kind)?;
        Some((at, rules.protection(&change.before.as_ref()?.unmark_deep().0)?))
    });
    guarded.collect()
}

fn declaration<'e>(
    evaluation: &Evaluation<'e>,
    address: &InstanceAddress,
) -> Option<&'e pve_config::configuration::Resource> {
    let resource = &address.resource;
    let path: Vec<String> = resource.module.0.iter().map(|step| step.name.clone()).collect();
    evaluation.module(&path)?.resource(ResourceMode::Managed, &resource.kind, &resource.name)
}

/// Whether `prevent_destroy` of a declaration is true; null is false. It is the same for all instances of a module
/// instance, since those that are destroyed have no `each` or `count` any more.
///
/// # Errors
/// When it cannot be evaluated, or is neither.
pub fn is_protected(evaluation: &Evaluation<'_>, address: &InstanceAddress) -> Result<bool, Vec<Diagnostic>> {
    let path = &address.resource.module;
    let names: Vec<String> = path.0.iter().map(|step| step.name.clone()).collect();
    let (Some(module), Some(resource)) = (evaluation.module(&names), declaration(evaluation, address)) else {
        return Ok(false);
    };
    let Some(expr) = &resource.lifecycle.prevent_destroy else { return Ok(false) };
    let value = if evaluation.modules.contains_key(path) {
        evaluation.expression(expr, module, path, &Repetition::Single)?
    } else {
        // A module instance that is gone has no values. What cannot be told without them stays protected.
        constant(expr).unwrap_or_else(|_| Value::bool(true))
    };
    if value.is_null() {
        return Ok(false);
    }
    convert(&value, &Type::Bool).ok().and_then(|value| value.as_bool()).ok_or_else(|| {
        let detail =
            format!("`prevent_destroy` of {address} must be true or false, and be known while planning.");
        vec![Diagnostic::error(expr.span, "This is no condition", detail)]
    })
}

/// Takes the protected instances out of the plan, those in the state that they depend on, and what is a part of them: a
/// guest that stays keeps its firewall.
fn keep(
    planner: &mut Planner<'_>,
    registry: &dyn RulesRegistry,
    protected: &[usize],
) -> Vec<InstanceAddress> {
    let mut kept: BTreeSet<InstanceAddress> = BTreeSet::new();
    let mut open: Vec<InstanceAddress> =
        protected.iter().map(|at| planner.changes[*at].address.clone()).collect();
    let protected = protected.iter().map(|at| &planner.changes[*at]);
    let own: BTreeSet<_> =
        protected.flat_map(|change| identity(change, change.before.as_ref(), registry)).collect();
    let is_part = |change: &&Change| !wholes(change, change.before.as_ref(), registry).is_disjoint(&own);
    let parts = planner.changes.iter().filter(is_part);
    open.extend(parts.map(|change| change.address.clone()));
    while let Some(address) = open.pop() {
        let dependencies =
            planner.state.current(&address).map(|record| record.dependencies.clone()).unwrap_or_default();
        if !kept.insert(address.clone()) {
            continue;
        }
        for needed in dependencies {
            let same_block = |candidate: &&InstanceAddress| {
                let (a, b) = (&candidate.resource, &needed);
                // Within one module instance a dependency is on the object of that instance.
                let within = a.module == address.resource.module
                    || a.module.call_names() != address.resource.module.call_names();
                a.kind == b.kind
                    && a.name == b.name
                    && a.module.call_names() == b.module.call_names()
                    && within
            };
            open.extend(planner.state.instances.keys().filter(same_block).cloned());
        }
    }
    let mut at = 0;
    let mut left_alone = Vec::new();
    while at < planner.changes.len() {
        let change = &planner.changes[at];
        if change.deposed.is_none() && change.action.destroys() && kept.contains(&change.address) {
            left_alone.push(change.address.clone());
            planner.changes.remove(at);
            planner.needs.remove(at);
        } else {
            at += 1;
        }
    }
    left_alone
}

/// Refuses two instances that claim the same thing, for instance one VMID, and warns where both may have it.
pub fn refuse_duplicates(
    changes: &[Change],
    registry: &dyn RulesRegistry,
    evaluation: &Evaluation<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let mut claims: BTreeMap<(String, String), (&InstanceAddress, bool)> = BTreeMap::new();
    // A data source looks at what somebody else has.
    for change in changes.iter().filter(|change| change.action != Action::Read) {
        let Some(after) = &change.after else { continue };
        let Some(rules) = registry.resource(&change.address.resource.kind) else { continue };
        for claim in rules.claim(after).into_iter().chain(rules.further_claims(after)) {
            let mine = (&change.address, rules.shares_claim(after));
            let other = claims.insert((change.cluster.clone(), claim.clone()), mine);
            let other = other.filter(|(first, _)| *first != &change.address);
            found.extend(other.and_then(|other| conflict(evaluation, &claim, other, mine)));
        }
    }
}

/// What only one instance of a plan can have, by cluster, with who has it and whether that may be shared.
pub(crate) type Claims = BTreeMap<(String, String), (InstanceAddress, bool)>;

/// The claims that are known before anything is made.
pub(crate) fn known_claims(changes: &[Change], registry: &dyn RulesRegistry) -> Claims {
    let mut claims = Claims::new();
    for change in changes.iter().filter(|change| change.action != Action::Read) {
        let rules = registry.resource(&change.address.resource.kind);
        if let (Some(rules), Some(after)) = (rules, &change.after) {
            claims.extend(claims_of(change, rules, &after.unmark_deep().0));
        }
    }
    claims
}

fn claims_of(change: &Change, rules: &dyn KindRules, value: &Value) -> Claims {
    let shares = rules.shares_claim(value);
    let claims = rules.claim(value).into_iter().chain(rules.further_claims(value));
    claims.map(|claim| ((change.cluster.clone(), claim), (change.address.clone(), shares))).collect()
}

/// Takes in what an instance claims now that its values are known.
///
/// # Errors
/// When another one has it.
pub(crate) fn claim(
    claims: &mut Claims,
    change: &Change,
    rules: &dyn KindRules,
    value: &Value,
    evaluation: &Evaluation<'_>,
) -> Result<(), Diagnostic> {
    for (key, mine) in claims_of(change, rules, value) {
        if let Some(other) = claims.get(&key).filter(|(first, _)| *first != mine.0)
            && let Some(fault) = conflict(evaluation, &key.1, (&other.0, other.1), (&mine.0, mine.1))
            && fault.is_error()
        {
            return Err(fault);
        }
        claims.insert(key, mine);
    }
    Ok(())
}

/// What is said of two instances that claim the same; each with whether it may share it.
fn conflict(
    evaluation: &Evaluation<'_>,
    claim: &str,
    (first, first_shares): (&InstanceAddress, bool),
    (second, second_shares): (&InstanceAddress, bool),
) -> Option<Diagnostic> {
    let shared = first_shares && second_shares;
    let follows = if shared { "the one that is applied last stays" } else { "only one of them can have it" };
    let detail = format!("{first} and {second} both claim {claim}; {follows}.");
    let span = declaration(evaluation, second).map(|resource| resource.span);
    let summary = format!("Two resources claim {claim}");
    let mut fault = match span {
        Some(span) if shared => Diagnostic::warning(span, summary, detail),
        Some(span) => Diagnostic::error(span, summary, detail),
        None if shared => return None,
        None => Diagnostic::error_without_span(summary, detail),
    };
    if let Some(other) = declaration(evaluation, first).filter(|other| Some(other.span) != span) {
        fault = fault.with_related(other.span, "the other one");
    }
    Some(fault.with_hint("Give one of them another id or name, or take one of them out."))
}

/// Why a new object cannot be made beside the one that it replaces: both would be the same.
pub fn never_beside(
    instance: &Instance<'_>,
    rules: &dyn KindRules,
    before: Option<&Value>,
    after: &Value,
) -> Option<Diagnostic> {
    let before = before?.unmark_deep().0;
    let claim = rules.claim(&before)?;
    if !rules.excludes_its_like(&before) || rules.claim(&after.unmark_deep().0).as_ref() != Some(&claim) {
        return None;
    }
    let address = &instance.address;
    let detail = format!(
        "`create_before_destroy` of {address}, or of what depends on it, asks for the new one while the old one is there, \
         and both would be {claim}."
    );
    let fault = Diagnostic::error(instance.resource.span, "Both cannot be there at once", detail);
    Some(fault.with_hint("Take `create_before_destroy` out, or leave the id to the cluster."))
}
