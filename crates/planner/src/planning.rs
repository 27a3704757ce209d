//! Plans every instance of every resource, and what is left over in the state.

use std::collections::{BTreeMap, BTreeSet};

use pve_config::syntax::Diagnostic;
use pve_config::syntax::ast::TraversalStepKind;
use pve_model::codec::decode;
use pve_model::plan::{Action, Change, CheckResult, OutputChange, Plan, PlanMode};
use pve_model::rules::KindRules;
use pve_model::state::{InstanceRecord, State};
use pve_model::{InstanceAddress, ResourceAddress, ResourceMode, Value};

use crate::evaluation::{Evaluation, Inputs, Instance, ResourceValues};
use crate::graph::{Graph, Item};
use crate::instance::{Configured, Forced, change, configure, mark_by_schema, plan_instance};
use crate::order::{Ordered, propagate_create_before_destroy, steps};
use crate::selection::Selection;
use crate::{leftovers, moves, protection};

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
}

/// What the cluster said when it was asked.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Managed instances that were read: their values, `None` when they are gone.
    pub instances: BTreeMap<InstanceAddress, Option<Value>>,
    /// Data sources that were read for this plan.
    pub data: BTreeMap<InstanceAddress, Value>,
    /// Objects that were read to be imported, by the address they will have.
    pub imports: BTreeMap<InstanceAddress, Value>,
}

/// A data source that must be read before the plan can be finished.
#[derive(Clone, Debug, PartialEq)]
pub struct DataRequest {
    /// The instance.
    pub address: InstanceAddress,
    /// The provider configuration.
    pub provider: String,
    /// The configured values, wholly known.
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
    /// Instances that move before anything else: from and to.
    pub moves: Vec<(InstanceAddress, InstanceAddress)>,
    /// What `-keep-protected` leaves alone.
    pub kept: Vec<InstanceAddress>,
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
    let (state, moved, mut found) = moves::apply(inputs.configuration, state);
    if !options.targets.is_empty() && !options.excludes.is_empty() {
        let detail = "-target names what a plan is about, -exclude what it is not about: give one of them.";
        found.push(Diagnostic::error_without_span("-target and -exclude exclude each other", detail));
    }
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    let registry = inputs.registry;
    let mut planner = Planner::new(graph, &inputs, &state, observed, options);
    let mut evaluation = Evaluation::new(inputs, graph);
    evaluation.run(&mut planner);
    found.append(&mut evaluation.diagnostics);
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    if !planner.data_requests.is_empty() || !planner.import_requests.is_empty() {
        return Ok(Outcome::Needs(planner.data_requests, planner.import_requests));
    }
    leftovers::plan(&mut planner, &evaluation);
    let kept = protection::enforce(&mut planner, &evaluation, &mut found);
    protection::refuse_duplicates(&planner.changes, registry, &evaluation, &mut found);
    for (from, to) in &moved {
        if let Some(change) = planner.changes.iter_mut().find(|c| c.address == *to && c.deposed.is_none()) {
            change.previous_address = Some(from.clone());
        }
    }
    let checks = checks(&evaluation, &mut found);
    let outputs = outputs(&evaluation, &state, options, &planner.selection);
    let mut plan = assemble(planner, outputs, checks, &mut found);
    crate::provisioning::attach(&mut plan, evaluation.inputs.configuration, &state);
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    Ok(Outcome::Planned(Box::new(Planning { plan, warnings: found, moves: moved, kept })))
}

/// Collects changes while declarations are evaluated.
pub struct Planner<'a> {
    graph: &'a Graph,
    /// The state after moves.
    pub state: &'a State,
    observed: &'a Observed,
    /// What was asked for.
    pub options: &'a Options,
    /// What targets and excludes leave.
    pub selection: Selection,
    /// What `removed` blocks leave in the cluster.
    forgotten: Vec<pve_model::address::Target>,
    /// Blocks that are replaced by creating first.
    create_first: BTreeSet<ResourceAddress>,
    /// Changes so far.
    pub changes: Vec<Change>,
    /// What each change needs, by its place.
    pub needs: Vec<Vec<ResourceAddress>>,
    /// Instances in the configuration.
    pub seen: BTreeSet<InstanceAddress>,
    drift: Vec<Change>,
    data: BTreeMap<InstanceAddress, Value>,
    data_requests: Vec<DataRequest>,
    import_requests: Vec<ImportRequest>,
}

impl<'a> Planner<'a> {
    fn new(
        graph: &'a Graph,
        inputs: &Inputs<'_>,
        state: &'a State,
        observed: &'a Observed,
        options: &'a Options,
    ) -> Planner<'a> {
        let mut own = BTreeMap::new();
        let mut needs = BTreeMap::new();
        for (place, node) in graph.nodes.iter().enumerate() {
            let (Some(address), Item::Resource(ResourceMode::Managed, kind, name)) =
                (node.resource_address(), &node.item)
            else {
                continue;
            };
            let module = node.module.iter().try_fold(&inputs.configuration.root, |module, call| {
                module.module_calls.get(call).and_then(|call| call.child.as_ref())
            });
            let resource = module.and_then(|module| module.resource(ResourceMode::Managed, kind, name));
            own.insert(address.clone(), resource.is_some_and(|r| r.lifecycle.create_before_destroy));
            needs.insert(address, graph.resources_needed(place));
        }
        Planner {
            graph,
            state,
            observed,
            options,
            selection: Selection::new(graph, options),
            forgotten: inputs.configuration.forgotten(),
            create_first: propagate_create_before_destroy(&own, &needs),
            changes: Vec::new(),
            needs: Vec::new(),
            seen: BTreeSet::new(),
            drift: Vec::new(),
            data: BTreeMap::new(),
            data_requests: Vec::new(),
            import_requests: Vec::new(),
        }
    }

    /// The values of an instance as they are now: as read, else as recorded. `None` when it was read and is gone.
    pub fn present(
        &self,
        address: &InstanceAddress,
        record: &InstanceRecord,
        rules: &dyn KindRules,
    ) -> Option<Value> {
        match self.observed.instances.get(address) {
            Some(read) => {
                read.as_ref().map(|value| mark_by_schema(value, rules).mark_sensitive_at(&record.sensitive))
            }
            None => Some(recorded(record, rules)),
        }
    }

    /// Adds a change.
    pub fn push(&mut self, change: Change, needs: Vec<ResourceAddress>) {
        self.changes.push(change);
        self.needs.push(needs);
    }

    /// Whether a `removed` block says that an instance stays in the cluster.
    pub fn forgets(&self, address: &InstanceAddress) -> bool {
        self.forgotten.iter().any(|target| target.contains(address))
    }

    fn note_drift(&mut self, address: &InstanceAddress, record: &InstanceRecord, rules: &dyn KindRules) {
        if !self.observed.instances.contains_key(address) {
            return;
        }
        let before = recorded(record, rules);
        let after = self.present(address, record, rules);
        if after.as_ref().is_some_and(|after| crate::difference::same(&before, after)) {
            return;
        }
        let action = if after.is_some() { Action::Update } else { Action::Delete };
        let mut drift = bare_change(address, record.provider.clone(), action);
        (drift.before, drift.after) = (Some(before), after);
        self.drift.push(drift);
    }

    fn managed(
        &mut self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
    ) -> Result<Value, Vec<Diagnostic>> {
        let address = &instance.address;
        self.seen.insert(address.clone());
        let rules = rules_of(evaluation, instance)?;
        let record = self.state.current(address);
        if let Some(record) = record {
            self.note_drift(address, record, rules);
        }
        let present = record.and_then(|record| self.present(address, record, rules));
        if self.options.mode != PlanMode::Normal || !self.selection.includes(address, instance.place) {
            return Ok(self.unplanned(present, rules));
        }
        let problems = evaluation.conditions(
            &instance.resource.lifecycle.preconditions,
            instance.module,
            &address.resource.module,
            instance.repetition,
            None,
        );
        if problems.iter().any(Diagnostic::is_error) {
            return Err(problems);
        }
        let configured = configure(evaluation, instance, rules)?;
        let provider = evaluation.inputs.configuration.provider_address(instance.module, instance.resource);
        let importing = self.importing(evaluation, address, present.is_some())?;
        let before = match &importing {
            Some(id) => match self.observed.imports.get(address) {
                Some(value) => Some(mark_by_schema(value, rules)),
                None => {
                    let request = ImportRequest { address: address.clone(), provider, id: id.clone() };
                    self.import_requests.push(request);
                    return Ok(pve_model::Value::unknown(rules.schema().block.implied_type()));
                }
            },
            None => present,
        };
        let forced = Forced {
            tainted: record.is_some_and(|record| record.tainted),
            requested: self.options.replace.contains(address),
            triggered: self.is_triggered(evaluation, instance),
        };
        let block = self.graph.nodes[instance.place].resource_address();
        let create_first = block.as_ref().is_some_and(|block| self.create_first.contains(block));
        let planned = plan_instance(instance, rules, before.as_ref(), &configured, forced, create_first)?;
        let mut change = change(instance, provider, before, planned);
        change.importing = importing;
        change.create_before_destroy = create_first;
        self.keep_dependencies(instance.place, &mut change);
        let after = change.after.clone();
        let mut problems = self.postconditions(evaluation, instance, after.as_ref());
        problems.extend(crate::provisioning::check(evaluation, instance));
        if problems.iter().any(Diagnostic::is_error) {
            return Err(problems);
        }
        let needs = self.graph.resources_needed(instance.place);
        self.push(change, needs);
        Ok(after.unwrap_or_else(crate::scope::unevaluated))
    }

    fn keep_dependencies(&self, place: usize, change: &mut Change) {
        let needed = self.graph.resources_needed(place).into_iter();
        change.dependencies = needed.filter(|needed| needed.mode == ResourceMode::Managed).collect();
    }

    fn postconditions(
        &self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
        value: Option<&Value>,
    ) -> Vec<Diagnostic> {
        let conditions = &instance.resource.lifecycle.postconditions;
        let module = &instance.address.resource.module;
        evaluation.conditions(conditions, instance.module, module, instance.repetition, value)
    }

    /// The value of an instance that this plan leaves alone.
    fn unplanned(&self, present: Option<Value>, rules: &dyn KindRules) -> Value {
        present.unwrap_or_else(|| Value::unknown(rules.schema().block.implied_type()))
    }

    fn importing(
        &self,
        evaluation: &Evaluation<'_>,
        address: &InstanceAddress,
        exists: bool,
    ) -> Result<Option<String>, Vec<Diagnostic>> {
        if exists {
            return Ok(None);
        }
        crate::imports::id_for(evaluation, address)
    }

    /// Whether something that `replace_triggered_by` names changes.
    fn is_triggered(&self, evaluation: &Evaluation<'_>, instance: &Instance<'_>) -> bool {
        let triggers = &instance.resource.lifecycle.replace_triggered_by;
        triggers.iter().any(|expr| match trigger(evaluation, instance, expr) {
            Some((kind, name, key, attribute)) => self.changes.iter().any(|change| {
                let resource = &change.address.resource;
                resource.module == instance.address.resource.module
                    && resource.kind == kind
                    && resource.name == name
                    && (key.is_none() || change.address.key == key)
                    && changes_attribute(change, attribute.as_deref())
            }),
            None => false,
        })
    }

    fn data_source(
        &mut self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
    ) -> Result<Value, Vec<Diagnostic>> {
        let rules = rules_of(evaluation, instance)?;
        let configured = configure(evaluation, instance, rules)?;
        let provider = evaluation.inputs.configuration.provider_address(instance.module, instance.resource);
        let unknown = !configured.config.is_wholly_known();
        if self.options.mode == PlanMode::Normal && (unknown || self.depends_on_change(instance)) {
            return Ok(self.defer(instance, rules, &configured, provider, unknown));
        }
        let sensitive = |value: &Value| mark_by_schema(value, rules).mark_sensitive_at(&configured.sensitive);
        if let Some(value) = self.observed.data.get(&instance.address) {
            let value = sensitive(value);
            self.data.insert(instance.address.clone(), value.clone());
            let problems = self.postconditions(evaluation, instance, Some(&value));
            return if problems.iter().any(Diagnostic::is_error) { Err(problems) } else { Ok(value) };
        }
        if !unknown {
            let config = configured.config.unmark_deep().0;
            self.data_requests.push(DataRequest { address: instance.address.clone(), provider, config });
        }
        Ok(Value::unknown(rules.schema().block.implied_type()))
    }

    fn defer(
        &mut self,
        instance: &Instance<'_>,
        rules: &dyn KindRules,
        configured: &Configured,
        provider: String,
        unknown: bool,
    ) -> Value {
        use pve_model::plan::ActionReason::{ReadBecauseConfigUnknown, ReadBecauseDependencyPending};
        let proposed = crate::proposed::propose(&rules.schema().block, None, &configured.config);
        let after = mark_by_schema(&proposed, rules);
        let mut read = bare_change(&instance.address, provider, Action::Read);
        read.reason = Some(if unknown { ReadBecauseConfigUnknown } else { ReadBecauseDependencyPending });
        read.after = Some(after.clone());
        let needs = self.graph.resources_needed(instance.place);
        self.push(read, needs);
        after
    }

    fn depends_on_change(&self, instance: &Instance<'_>) -> bool {
        if instance.resource.depends_on.is_empty() {
            return false;
        }
        let names: Vec<String> = instance
            .resource
            .depends_on
            .iter()
            .filter_map(|reference| {
                let root = reference.root.name.as_str();
                match reference.steps.first().map(|step| &step.kind) {
                    Some(TraversalStepKind::Attribute(name)) => Some(format!("{root}.{name}")),
                    _ => None,
                }
            })
            .collect();
        self.changes.iter().any(|change| {
            let resource = &change.address.resource;
            let own = format!("{}.{}", resource.kind, resource.name);
            let inside = resource.module.0.get(instance.address.resource.module.0.len());
            let within = inside.map(|step| format!("module.{}", step.name));
            change.action != Action::NoOp
                && resource.module.0.starts_with(&instance.address.resource.module.0)
                && names.iter().any(|name| match &within {
                    None => *name == own,
                    Some(module) => name == module,
                })
        })
    }
}

impl ResourceValues for Planner<'_> {
    fn value_of(
        &mut self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
    ) -> Result<Value, Vec<Diagnostic>> {
        match instance.resource.mode {
            ResourceMode::Managed => self.managed(evaluation, instance),
            ResourceMode::Data => self.data_source(evaluation, instance),
        }
    }
}

/// The rules of an instance's kind.
///
/// # Errors
/// When no provider has the kind.
pub fn rules_of<'r>(
    evaluation: &Evaluation<'r>,
    instance: &Instance<'_>,
) -> Result<&'r dyn KindRules, Vec<Diagnostic>> {
    let registry = evaluation.inputs.registry;
    let kind = &instance.resource.kind;
    let (rules, known, word) = match instance.resource.mode {
        ResourceMode::Managed => (registry.resource(kind), registry.resource_kinds(), "resource"),
        ResourceMode::Data => (registry.data(kind), registry.data_kinds(), "data source"),
    };
    rules.ok_or_else(|| {
        let summary = format!("pve has no {word} of kind \"{kind}\"");
        let detail = "It belongs to a provider that pve does not have, or its name is misspelt.";
        let fault = Diagnostic::error(instance.resource.span, summary, detail);
        vec![match pve_config::evaluate::closest(kind, known) {
            Some(near) => fault.with_hint(format!("Did you mean \"{near}\"?")),
            None => fault,
        }]
    })
}

/// The values of a record with its sensitive parts marked. A record of another shape counts as nothing known.
pub fn recorded(record: &InstanceRecord, rules: &dyn KindRules) -> Value {
    let ty = rules.schema().block.implied_type();
    let value = decode(&record.values, &ty).unwrap_or_else(|_| Value::null(ty));
    mark_by_schema(&value, rules).mark_sensitive_at(&record.sensitive)
}

/// A change with nothing but its address, provider and action.
pub fn bare_change(address: &InstanceAddress, provider: String, action: Action) -> Change {
    Change {
        address: address.clone(),
        deposed: None,
        previous_address: None,
        provider,
        action,
        reason: None,
        before: None,
        after: None,
        replace_paths: Vec::new(),
        notes: Vec::new(),
        importing: None,
        dependencies: Vec::new(),
        create_before_destroy: false,
    }
}

type Trigger = (String, String, Option<pve_model::InstanceKey>, Option<String>);

/// Kind, name, key and attribute of a trigger; its key may be an expression, such as `each.key`.
fn trigger(
    evaluation: &Evaluation<'_>,
    instance: &Instance<'_>,
    expr: &pve_config::syntax::Expr,
) -> Option<Trigger> {
    use pve_config::syntax::ExprKind;
    use pve_config::syntax::ast::Step;
    let ExprKind::Traversal(base, steps) = &expr.kind else { return None };
    let ExprKind::Variable(kind) = &base.kind else { return None };
    let Some(Step::Attribute(name)) = steps.first() else { return None };
    let (mut key, mut attribute) = (None, None);
    for step in &steps[1..] {
        match step {
            Step::Attribute(name) => {
                attribute = Some(name.name.to_string());
                break;
            }
            Step::Index(expr, _) => {
                let module = &instance.address.resource.module;
                let value = evaluation.expression(expr, instance.module, module, instance.repetition).ok()?;
                key = match (value.as_str(), value.as_i64()) {
                    (Some(text), _) => Some(pve_model::InstanceKey::Key(text.into())),
                    (_, Some(index)) => u64::try_from(index).ok().map(pve_model::InstanceKey::Index),
                    _ => None,
                };
            }
            Step::LegacyIndex(digits, _) => key = digits.parse().ok().map(pve_model::InstanceKey::Index),
            _ => break,
        }
    }
    Some((kind.to_string(), name.name.to_string(), key, attribute))
}

fn changes_attribute(change: &Change, attribute: Option<&str>) -> bool {
    if matches!(change.action, Action::NoOp | Action::Read) {
        return false;
    }
    let Some(attribute) = attribute else { return true };
    let part = |value: &Option<Value>| value.as_ref().and_then(|value| value.get(attribute)).cloned();
    match (part(&change.before), part(&change.after)) {
        (Some(before), Some(after)) => !crate::difference::same(&before, &after),
        (before, after) => before != after,
    }
}

fn outputs(
    evaluation: &Evaluation<'_>,
    state: &State,
    options: &Options,
    selection: &Selection,
) -> BTreeMap<String, OutputChange> {
    let before = |name: &str| {
        let record = state.outputs.get(name)?;
        let value = decode(&record.value, &record.ty).ok()?;
        Some(if record.sensitive { value.sensitive() } else { value })
    };
    let mut changes = BTreeMap::new();
    let root = evaluation.modules.get(&pve_model::ModulePath::root());
    for (name, value) in root.map(|root| root.outputs.clone()).unwrap_or_default() {
        let output = evaluation.inputs.configuration.root.outputs.get(&*name);
        let sensitive = output.is_some_and(|output| output.sensitive);
        let place = evaluation
            .graph
            .place(&crate::graph::Node { module: Vec::new(), item: Item::Output(name.to_string()) });
        if place.is_some_and(|place| !selection.includes_all_needed(evaluation.graph, place)) {
            continue;
        }
        // An output that is null is none; one that becomes null is a change.
        let kept = options.mode != PlanMode::Destroy && !(value.is_null() && before(&name).is_none());
        let after = kept.then_some(value);
        changes.insert(name.to_string(), OutputChange { before: before(&name), after, sensitive });
    }
    for (name, record) in &state.outputs {
        if !evaluation.inputs.configuration.root.outputs.contains_key(name) {
            let gone = OutputChange { before: before(name), after: None, sensitive: record.sensitive };
            changes.insert(name.clone(), gone);
        }
    }
    changes
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
    let ordered: Vec<Ordered<'_>> = pairs
        .iter()
        .zip(&needed)
        .map(|((change, needs), needed)| Ordered { change, needs, needed })
        .collect();
    let steps = steps(&ordered).unwrap_or_else(|error| {
        let hint = "Apply in two runs: first without the new references, then with them.";
        let summary = "No order of steps satisfies every dependency";
        found.push(Diagnostic::error_without_span(summary, error.to_string()).with_hint(hint));
        Vec::new()
    });
    Plan {
        mode: planner.options.mode,
        changes: pairs.into_iter().map(|(change, _)| change).collect(),
        drift: planner.drift,
        data: planner.data,
        outputs,
        steps,
        checks,
    }
}
