//! From a configuration, a state and what was observed to a plan: what is asked, what is answered, and the plan put
//! together.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use pve_config::syntax::Diagnostic;
use pve_model::plan::{Action, Change, CheckResult, OutputChange, Plan, PlanMode, Step};
use pve_model::rules::{Beside, RulesRegistry};
use pve_model::state::State;
use pve_model::{InstanceAddress, ResourceAddress, Value};

use crate::evaluation::{Evaluation, Inputs};
use crate::findings::once;
use crate::graph::Graph;
use crate::order::{Ordered, steps};
use crate::planner::Planner;
use crate::restoration::Restored;
use crate::revision::{Revision, revised};
use crate::selection;
use crate::{
    leftovers, moves, naming, obstacles, outputs, parts, protection, remarks, restoration, staging,
    succession,
};

/// What was asked for, beside the mode.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Normal, destroy or refresh only.
    pub mode: PlanMode,
    /// `-target`
    pub targets: Vec<pve_model::address::Target>,
    /// `-exclude`
    pub excludes: Vec<pve_model::address::Target>,
    /// `-replace`
    pub replace: Vec<InstanceAddress>,
    /// Destroy what is not protected and keep the rest, instead of refusing.
    pub keep_protected: bool,
    /// Resources whose blocks are still to be generated: their objects are only read.
    pub generated: BTreeSet<ResourceAddress>,
}

/// What the cluster said when it was asked.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Managed instances that were read: their values, `None` when they are gone.
    pub instances: BTreeMap<InstanceAddress, Option<Value>>,
    /// Deposed objects that a plan may take back, by their names: their values, `None` when they are gone, or why that
    /// cannot be told.
    pub deposed: BTreeMap<(InstanceAddress, String), Result<Option<Value>, String>>,
    /// Those of the instances whose earlier changes still wait for a reboot: they were read as they run.
    pub waiting: BTreeSet<InstanceAddress>,
    /// What was seen of managed instances beside their values.
    pub beside: BTreeMap<InstanceAddress, Beside>,
    /// Data sources that were read for this plan.
    pub data: BTreeMap<InstanceAddress, Value>,
    /// Objects that were read to be imported, by the address they will have.
    pub imports: BTreeMap<InstanceAddress, Value>,
    /// Provider configurations that lead to the cluster of another one, and that one.
    pub same_cluster: BTreeMap<String, String>,
}

impl Observed {
    /// The cluster that a provider configuration leads to, by the first one that does.
    pub fn cluster_of<'a>(&'a self, provider: &'a str) -> &'a str {
        self.same_cluster.get(provider).map_or(provider, String::as_str)
    }

    /// The same under the addresses that instances move to. What becomes an instance of another kind was read by other
    /// rules: its record counts.
    fn moved(&self, moves: &moves::Moves, registry: &dyn RulesRegistry) -> Cow<'_, Observed> {
        if moves.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut moved = self.clone();
        let shape = |address: &InstanceAddress| {
            registry.resource(&address.resource.kind).map(|rules| rules.schema().block.implied_type())
        };
        for (from, _) in moves {
            moved.instances.remove(from);
            moved.waiting.remove(from);
            moved.beside.remove(from);
            moved.deposed.retain(|(address, _), _| address != from);
        }
        for (from, to) in moves.iter().filter(|(from, to)| shape(from) == shape(to)) {
            let to = || to.clone();
            moved.instances.extend(self.instances.get(from).map(|read| (to(), read.clone())));
            moved.waiting.extend(self.waiting.get(from).map(|_| to()));
            moved.beside.extend(self.beside.get(from).map(|beside| (to(), beside.clone())));
            let deposed = self.deposed.iter().filter(|((address, _), _)| address == from);
            moved.deposed.extend(deposed.map(|((_, name), read)| ((to(), name.clone()), read.clone())));
        }
        Cow::Owned(moved)
    }
}

/// A data source that must be read before the plan can be finished.
#[derive(Clone, Debug, PartialEq)]
pub struct DataRequest {
    /// The instance.
    pub address: InstanceAddress,
    /// The provider configuration.
    pub provider: String,
    /// The configured values, wholly known, with their marks.
    pub config: Value,
}

/// An object that must be read before the plan can be finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRequest {
    /// The address it will have.
    pub address: InstanceAddress,
    /// The provider configuration.
    pub provider: String,
    /// The id that it is imported by.
    pub id: String,
}

/// A plan, or what must be read first. Planning is pure, so it is simply done again with what was read.
#[derive(Debug)]
pub enum Outcome {
    /// Done.
    Planned(Box<Planning>),
    /// Read these and plan again.
    Needs(Vec<DataRequest>, Vec<ImportRequest>),
}

/// A plan with what was found on the way.
#[derive(Debug)]
pub struct Planning {
    /// The plan.
    pub plan: Plan,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
    /// Warnings about what the cluster is bound to refuse: those that the plan itself tells, and what whoever makes it asks
    /// the cluster for. Nothing is begun that has one.
    pub doubts: Vec<Diagnostic>,
    /// Instances that move before anything else: from and to.
    pub moves: Vec<(InstanceAddress, InstanceAddress)>,
    /// Deposed objects that are the present ones of their instances again before anything else, by their names.
    pub restored: Restored,
    /// What `-keep-protected` leaves alone.
    pub kept: Vec<InstanceAddress>,
}

/// How often a plan is made anew with what showed when everything else was planned. Each time there is more of that, so that
/// it ends by itself; more rounds are a fault of ours.
const MOST_ROUNDS: usize = 256;

/// What planning once leads to.
enum Round {
    Done(Outcome),
    /// To be planned again, with this.
    Again(Revision),
}

/// Plans.
///
/// # Errors
/// With diagnostics, when the configuration cannot be evaluated or the plan is not allowed.
pub fn plan(
    inputs: Inputs<'_>,
    graph: &Graph,
    state: &State,
    observed: &Observed,
    options: &Options,
) -> Result<Outcome, Vec<Diagnostic>> {
    let mut revision = Revision::default();
    for _ in 0..MOST_ROUNDS {
        match plan_with(inputs, graph, state, observed, options, &revision).map_err(once)? {
            Round::Done(outcome) => return Ok(outcome),
            Round::Again(more) => revision = more,
        }
    }
    let detail = "What is replaced leads to more that is replaced, over and over. Please report this.";
    Err(vec![Diagnostic::error_without_span("The plan comes to no end", detail)])
}

/// As [`plan`], with what is planned otherwise than it asks for: that shows when everything else is planned.
fn plan_with(
    inputs: Inputs<'_>,
    graph: &Graph,
    present: &State,
    observed: &Observed,
    options: &Options,
    revision: &Revision,
) -> Result<Round, Vec<Diagnostic>> {
    let (mut state, moved, mut found) = moves::apply(inputs.configuration, present);
    found.extend(restoration::apply(&mut state, &revision.restored).err());
    if !options.targets.is_empty() && !options.excludes.is_empty() {
        let detail = "-target names what a plan is about, -exclude what it is not about: give one of them.";
        found.push(Diagnostic::error_without_span("-target and -exclude exclude each other", detail));
    }
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    let registry = inputs.registry;
    let mut observed_there = observed.moved(&moved, registry);
    if !revision.restored.is_empty() {
        restoration::observe(observed_there.to_mut(), &revision.restored);
    }
    let mut planner = Planner::new(graph, &inputs, &state, &observed_there, options, revision);
    let mut evaluation = Evaluation::new(inputs, graph);
    evaluation.run(&mut planner);
    found.append(&mut evaluation.diagnostics);
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    if !planner.data_requests.is_empty() || !planner.import_requests.is_empty() {
        return Ok(Round::Done(Outcome::Needs(planner.data_requests, planner.import_requests)));
    }
    if !evaluation.undetermined.is_empty() {
        found.append(&mut evaluation.undetermined);
        return Err(found);
    }
    leftovers::plan(&mut planner, &evaluation);
    parts::keep_stated(&mut planner, registry);
    if let Some(revision) = revised(revision, &planner, &evaluation) {
        return Ok(Round::Again(revision));
    }
    let planning = planned(planner, &evaluation, moved, found)?;
    Ok(Round::Done(Outcome::Planned(Box::new(planning))))
}

/// A plan of changes that are settled.
fn planned(
    mut planner: Planner<'_>,
    evaluation: &Evaluation<'_>,
    moves: moves::Moves,
    mut found: Vec<Diagnostic>,
) -> Result<Planning, Vec<Diagnostic>> {
    let (state, revision, registry) = (planner.state, planner.revision, evaluation.inputs.registry);
    staging::tell_due(&mut planner, &revision.due, registry);
    restoration::tell(&mut planner.changes, &revision.restored, planner.observed);
    let known = planner.seen.iter().chain(state.instances.keys()).collect();
    found.extend(selection::unmatched(planner.graph, planner.options, &known));
    found.extend(selection::partial(planner.options));
    let kept = protection::enforce(&mut planner, evaluation, &mut found);
    protection::refuse_duplicates(&planner.changes, registry, evaluation, &mut found);
    for (from, to) in &moves {
        if let Some(change) = planner.changes.iter_mut().find(|c| c.address == *to && c.deposed.is_none()) {
            change.previous_address = Some(from.clone());
        }
    }
    remarks::attach(&mut planner, registry);
    parts::tell(&mut planner, registry);
    found.extend(warnings(&mut planner));
    let checks = checks(evaluation, &mut found);
    let outputs = outputs::changes(evaluation, state, &planner, !kept.is_empty());
    let mut plan = assemble(planner, registry, outputs, checks, &mut found);
    crate::provisioning::attach(&mut plan, evaluation.inputs.configuration, state);
    crate::batches::assign(&mut plan, registry);
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    let doubts = obstacles::obstacles(&plan, registry);
    Ok(Planning { plan, warnings: once(found), doubts, moves, restored: revision.restored.clone(), kept })
}

/// What is wrong with a configuration, as far as that can be told without a state or a cluster. Values that are unknown
/// may decide how many instances there are; kinds of providers that pve does not have are worth a warning.
pub fn check(inputs: Inputs<'_>, graph: &Graph) -> Vec<Diagnostic> {
    let (state, observed, options) = (State::default(), Observed::default(), Options::default());
    let inputs = Inputs { only_checked: true, ..inputs };
    let (_, _, mut found) = moves::apply(inputs.configuration, &state);
    let registry = inputs.registry;
    let none = Revision::default();
    let mut planner = Planner::new(graph, &inputs, &state, &observed, &options, &none);
    let mut evaluation = Evaluation::new(inputs, graph);
    evaluation.run(&mut planner);
    found.append(&mut evaluation.diagnostics);
    if !found.iter().any(Diagnostic::is_error) {
        found.extend(warnings(&mut planner));
        protection::refuse_duplicates(&planner.changes, registry, &evaluation, &mut found);
        checks(&evaluation, &mut found);
    }
    once(found)
}

/// What the rules of kinds warn of, where something is made or changed.
fn warnings(planner: &mut Planner<'_>) -> Vec<Diagnostic> {
    let all = std::mem::take(&mut planner.warnings);
    let makes = |address: &InstanceAddress| {
        let mut changes = planner.changes.iter().filter(|change| change.address == *address);
        changes.any(|change| change.after.is_some() && change.action != Action::NoOp)
    };
    all.into_iter().filter(|(address, _)| makes(address)).map(|(_, warning)| warning).collect()
}

/// What the checks of every instance of every module say. A check never stops a run.
fn checks(evaluation: &Evaluation<'_>, found: &mut Vec<Diagnostic>) -> Vec<CheckResult> {
    let mut results = Vec::new();
    for path in evaluation.modules.keys() {
        let names: Vec<String> = path.0.iter().map(|step| step.name.clone()).collect();
        let Some(module) = evaluation.module(&names) else { continue };
        let place = if path.0.is_empty() { String::new() } else { format!("{path}.") };
        for check in &module.checks {
            let single = crate::scope::Repetition::Single;
            let problems = evaluation.conditions(&check.assertions, module, path, &single, None);
            results.push(CheckResult {
                subject: format!("{place}check.{}", check.name),
                status: if problems.is_empty() { "pass" } else { "fail" }.into(),
                messages: problems.iter().map(|problem| problem.detail.clone()).collect(),
            });
            found.extend(problems.into_iter().map(|mut problem| {
                problem.severity = pve_config::syntax::Severity::Warning;
                problem
            }));
        }
    }
    results
}

fn assemble(
    planner: Planner<'_>,
    registry: &dyn RulesRegistry,
    outputs: BTreeMap<String, OutputChange>,
    checks: Vec<CheckResult>,
    found: &mut Vec<Diagnostic>,
) -> Plan {
    let mut pairs: Vec<(Change, Vec<ResourceAddress>)> =
        planner.changes.into_iter().zip(planner.needs).collect();
    pairs.sort_by(|(a, _), (b, _)| (&a.address, &a.deposed).cmp(&(&b.address, &b.deposed)));
    let needed: Vec<Vec<ResourceAddress>> = pairs
        .iter()
        .map(|(change, _)| {
            let instance = planner.state.instances.get(&change.address);
            let record = instance.and_then(|instance| match &change.deposed {
                None => instance.current.as_ref(),
                Some(name) => instance.deposed.get(name),
            });
            record.map(|record| record.dependencies.clone()).unwrap_or_default()
        })
        .collect();
    let changes: Vec<&Change> = pairs.iter().map(|(change, _)| change).collect();
    let follows = staging::follows(&changes, registry);
    let predecessors = succession::predecessors(&changes, registry);
    let naming = naming::naming(&changes, registry);
    let ordered: Vec<Ordered<'_>> = pairs
        .iter()
        .enumerate()
        .map(|(at, (change, needs))| Ordered {
            change,
            needs,
            needed: &needed[at],
            follows: &follows[at],
            predecessors: &predecessors[at],
            makers: &naming.makers[at],
            leavers: &naming.leavers[at],
        })
        .collect();
    let steps: Vec<Step> = steps(&ordered).unwrap_or_else(|error| {
        let hint = "Apply in two runs: first without the new references, then with them.";
        let summary = "No order of steps satisfies every dependency";
        found.push(Diagnostic::error_without_span(summary, error.to_string()).with_hint(hint));
        Vec::new()
    });
    let mut changes: Vec<Change> = pairs.into_iter().map(|(change, _)| change).collect();
    succession::tell(&mut changes, registry);
    staging::tell_pending(&mut changes, &steps, registry);
    Plan {
        mode: planner.options.mode,
        changes,
        drift: planner.drift,
        followed: planner.followed,
        notes: planner.notes,
        data: planner.data,
        outputs,
        steps,
        checks,
    }
}
