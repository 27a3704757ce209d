//! Completes planned values while a plan is applied: what was unknown becomes known as steps are done.

use std::collections::{BTreeMap, BTreeSet};

use pve_config::syntax::Diagnostic;
use pve_model::codec::encode;
use pve_model::event::Operation;
use pve_model::plan::{Action, Change, Plan, Step};
use pve_model::provisioner::Provision;
use pve_model::rules::{Hold, KindRules};
use pve_model::state::{InstanceRecord, OutputRecord, State};
use pve_model::{InstanceAddress, Path, ResourceMode, Value};

use crate::difference::contradiction;
use crate::evaluation::{Evaluation, Inputs, Instance, ResourceValues};
use crate::graph::Graph;
use crate::instance::{Forced, configure, mark_by_schema, mark_secrets, plan_instance};
use crate::kinds::rules_of;
use crate::leftovers::node;
use crate::planner::recorded;
use crate::protection::{Claims, claim, known_claims};
use crate::provisioning;
use crate::scope::Repetition;

/// The values of a step whose predecessors are done.
#[derive(Clone, Debug)]
pub struct Values {
    /// Before; `None` for a create.
    pub prior: Option<Value>,
    /// Wanted; `None` for a delete.
    pub planned: Option<Value>,
    /// As configured, with the marks of the schema; `None` for a delete.
    pub config: Option<Value>,
}

/// Evaluates the configuration again, with real values in place of planned ones.
pub struct Resolution<'a> {
    evaluation: Evaluation<'a>,
    plan: &'a Plan,
    real: RealValues,
    claims: Claims,
}

/// What instances are worth by now.
struct RealValues {
    values: BTreeMap<InstanceAddress, Value>,
}

impl ResourceValues for RealValues {
    fn value_of(
        &mut self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
    ) -> Result<Value, Vec<Diagnostic>> {
        match self.values.get(&instance.address) {
            Some(value) => Ok(value.clone()),
            None => {
                let rules = rules_of(evaluation, instance)?;
                Ok(Value::unknown(rules.schema().block.implied_type()))
            }
        }
    }
}

/// The attributes by which a planned change lets something go that is to be destroyed.
fn given_up(change: &Change, rules: &dyn KindRules) -> BTreeSet<Path> {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return BTreeSet::new() };
    let held = rules.named(&before.unmark_deep().0).into_iter().filter(|named| named.hold == Hold::Keeps);
    held.map(|named| named.path).filter(|path| after.at(path).is_some_and(Value::is_null)).collect()
}

impl<'a> Resolution<'a> {
    /// A resolution of `plan`, which was made from `state`.
    pub fn new(inputs: Inputs<'a>, graph: &'a Graph, plan: &'a Plan, state: &State) -> Resolution<'a> {
        let mut values = BTreeMap::new();
        for (address, instance) in &state.instances {
            if let (Some(record), Some(rules)) =
                (&instance.current, inputs.registry.resource(&address.resource.kind))
            {
                values.insert(address.clone(), recorded(record, rules));
            }
        }
        values.extend(plan.data.iter().map(|(address, value)| (address.clone(), value.clone())));
        for change in &plan.changes {
            match (&change.action, &change.before) {
                (Action::NoOp, Some(before)) => {
                    values.insert(change.address.clone(), before.clone());
                }
                _ if change.action != Action::Delete && change.deposed.is_none() => {
                    values.remove(&change.address);
                }
                _ => {}
            }
        }
        let claims = known_claims(&plan.changes, inputs.registry);
        Resolution { evaluation: Evaluation::new(inputs, graph), plan, real: RealValues { values }, claims }
    }

    /// The values of a step. Everything that it depends on must have been completed.
    ///
    /// # Errors
    /// With diagnostics when an expression or condition fails, or when the result contradicts the plan.
    pub fn resolve(&mut self, step: &Step) -> Result<Values, Vec<Diagnostic>> {
        let plan = self.plan;
        let change = &plan.changes[step.change];
        match step.operation {
            Operation::Delete | Operation::Forget => {
                Ok(Values { prior: change.before.clone(), planned: None, config: None })
            }
            Operation::Create | Operation::Update | Operation::Read => self.resolve_change(step, change),
        }
    }

    fn resolve_change(&mut self, step: &Step, change: &Change) -> Result<Values, Vec<Diagnostic>> {
        let place = self.evaluation.graph.place(&node(&change.address)).unwrap_or(usize::MAX);
        let needs = self.evaluation.graph.needs.get(place).cloned().unwrap_or_default();
        self.evaluation.ensure(needs, &mut self.real);
        let found: Vec<Diagnostic> = self.evaluation.take_faults();
        if found.iter().any(Diagnostic::is_error) {
            return Err(found);
        }
        let (module, resource, repetition) = self.declaration(&change.address).ok_or_else(|| {
            vec![Diagnostic::error_without_span(
                format!("{} is not in the configuration any more", change.address),
                "The plan has it, but `count`, `for_each` or `enabled` gives no such instance now.",
            )]
        })?;
        let instance =
            Instance { address: change.address.clone(), resource, module, repetition: &repetition, place };
        let rules = rules_of(&self.evaluation, &instance)?;
        let mut configured = configure(&self.evaluation, &instance, rules)?;
        configured.leaves = given_up(change, rules);
        if step.operation == Operation::Read {
            let config = Some(mark_secrets(&configured.config, rules));
            return Ok(Values { prior: None, planned: None, config });
        }
        let conditions = self.evaluation.conditions(
            &resource.lifecycle.preconditions,
            module,
            &change.address.resource.module,
            &repetition,
            None,
        );
        if conditions.iter().any(Diagnostic::is_error) {
            return Err(conditions);
        }
        let prior = if step.operation == Operation::Update { change.before.clone() } else { None };
        let planned =
            plan_instance(&instance, rules, prior.as_ref(), &configured, Forced::default(), false)?.after;
        if let Some(wanted) = &change.after
            && let Some(path) = contradiction(wanted, &planned)
        {
            let detail = format!(
                "{}: `{path}` has another value now than the plan said. Nothing was done to it.",
                change.address
            );
            let fault = Diagnostic::error(resource.span, "The values differ from the plan", detail);
            return Err(vec![fault.with_hint("Plan and apply again.")]);
        }
        let known = planned.unmark_deep().0;
        claim(&mut self.claims, change, rules, &known, &self.evaluation).map_err(|fault| vec![fault])?;
        Ok(Values { prior, planned: Some(planned), config: Some(mark_secrets(&configured.config, rules)) })
    }

    fn declaration(
        &self,
        address: &InstanceAddress,
    ) -> Option<(&'a pve_config::configuration::Module, &'a pve_config::configuration::Resource, Repetition)>
    {
        let resource = &address.resource;
        let path: Vec<String> = resource.module.0.iter().map(|step| step.name.clone()).collect();
        let module = self.evaluation.module(&path)?;
        let declared = module.resource(resource.mode, &resource.kind, &resource.name)?;
        let (_, repetitions) = self.evaluation.repetitions(declared, module, &resource.module).ok()?;
        let repetition = repetitions.into_iter().find(|repetition| repetition.key() == address.key)?;
        Some((module, declared, repetition))
    }

    /// Takes in the outcome of a step. Returns the record to be kept; `None` for what is gone or only read.
    ///
    /// # Errors
    /// With diagnostics when a postcondition fails. The object exists all the same.
    pub fn completed(
        &mut self,
        step: &Step,
        after: Option<&Value>,
    ) -> Result<Option<InstanceRecord>, Vec<Diagnostic>> {
        let plan = self.plan;
        let change = &plan.changes[step.change];
        let Some(after) = after else {
            return Ok(None);
        };
        let marked = self.marked(change, after);
        self.real.values.insert(change.address.clone(), marked.clone());
        let record =
            (change.address.resource.mode == ResourceMode::Managed).then(|| self.record(step, &marked));
        let problems = match self.declaration(&change.address) {
            Some((module, resource, repetition)) => self.evaluation.conditions(
                &resource.lifecycle.postconditions,
                module,
                &change.address.resource.module,
                &repetition,
                Some(&marked),
            ),
            None => Vec::new(),
        };
        if problems.iter().any(Diagnostic::is_error) { Err(problems) } else { Ok(record) }
    }

    /// A provisioner of a step, evaluated when it is about to run. `made` is the object after a create.
    ///
    /// # Errors
    /// With diagnostics when its arguments cannot be evaluated.
    pub fn provision(
        &self,
        step: &Step,
        place: usize,
        made: Option<&Value>,
    ) -> Result<Provision, Vec<Diagnostic>> {
        let plan = self.plan;
        let change = &plan.changes[step.change];
        let address = &change.address;
        let gone = || {
            let summary = format!("{address} has no such provisioner any more");
            vec![Diagnostic::error_without_span(summary, "The plan was made from another configuration.")]
        };
        let configuration = self.evaluation.inputs.configuration;
        let (module, provisioners) = provisioning::declared(configuration, address).ok_or_else(gone)?;
        let provisioner = provisioners.get(place).ok_or_else(gone)?;
        let repetition = match self.declaration(address) {
            Some((_, _, repetition)) if made.is_some() => repetition,
            _ => provisioning::repetition_of(address),
        };
        let itself = match made {
            Some(value) => self.marked(change, value),
            None => change.before.clone().unwrap_or_else(|| Value::null(pve_model::Type::Dynamic)),
        };
        provisioning::evaluate(&self.evaluation, module, address, &repetition, provisioner, &itself)
    }

    fn marked(&self, change: &Change, value: &Value) -> Value {
        let sensitive = change.after.as_ref().map(Value::sensitive_paths).unwrap_or_default();
        match self.rules(&change.address) {
            Some(rules) => mark_by_schema(value, rules).mark_sensitive_at(&sensitive),
            None => value.clone(),
        }
    }

    /// The record of an object as it is after a step.
    pub fn record(&self, step: &Step, value: &Value) -> InstanceRecord {
        let change = &self.plan.changes[step.change];
        let rules = self.rules(&change.address);
        let mut sensitive = value.sensitive_paths();
        if let Some(planned) = &change.after {
            sensitive.extend(planned.sensitive_paths());
        }
        let sensitive: BTreeSet<_> = sensitive.into_iter().collect();
        InstanceRecord {
            provider: change.provider.clone(),
            schema_version: rules.map_or(0, |rules| rules.schema().version),
            values: match rules {
                Some(rules) => encode(value, &rules.schema().block.implied_type()),
                None => pve_model::codec::to_plain_json(value),
            },
            sensitive: sensitive.into_iter().collect(),
            dependencies: change.dependencies.clone(),
            create_before_destroy: change.create_before_destroy,
            keep: self.declaration(&change.address).is_some_and(|(_, resource, _)| resource.lifecycle.keep),
            tainted: false,
            identity: None,
            unspoken: None,
        }
    }

    fn rules(&self, address: &InstanceAddress) -> Option<&'a dyn KindRules> {
        match address.resource.mode {
            ResourceMode::Managed => self.evaluation.inputs.registry.resource(&address.resource.kind),
            ResourceMode::Data => self.evaluation.inputs.registry.data(&address.resource.kind),
        }
    }

    /// The outputs of the root module after everything that was done. An output that depends on something that
    /// failed keeps its value from `before`.
    pub fn outputs(
        &mut self,
        before: &BTreeMap<String, OutputRecord>,
    ) -> (BTreeMap<String, OutputRecord>, Vec<Diagnostic>) {
        self.evaluation.run(&mut self.real);
        let root = self.evaluation.modules.get(&pve_model::ModulePath::root());
        let values = root.map(|root| root.outputs.clone()).unwrap_or_default();
        let mut outputs = BTreeMap::new();
        for (name, change) in &self.plan.outputs {
            if change.after.is_none() {
                continue;
            }
            match values.get(name.as_str()) {
                Some(value) if value.is_null() => {}
                Some(value) if value.is_wholly_known() && !value.marks_deep().is_ephemeral() => {
                    let ty = value.ty();
                    let json = encode(value, &ty);
                    outputs
                        .insert(name.clone(), OutputRecord { value: json, ty, sensitive: change.sensitive });
                }
                _ => {
                    if let Some(record) = before.get(name) {
                        outputs.insert(name.clone(), record.clone());
                    }
                }
            }
        }
        for (name, record) in before {
            if !self.plan.outputs.contains_key(name) {
                outputs.insert(name.clone(), record.clone());
            }
        }
        (outputs, self.evaluation.take_faults())
    }
}

/// The values of a record, with its sensitive parts marked.
pub fn recorded_value(record: &InstanceRecord, rules: &dyn KindRules) -> Value {
    recorded(record, rules)
}

/// Provider configurations as far as they are known before anything is planned: resources count as recorded.
///
/// # Errors
/// With diagnostics.
pub fn provider_configurations(
    inputs: Inputs<'_>,
    graph: &Graph,
    state: &State,
) -> Result<BTreeMap<String, Value>, Vec<Diagnostic>> {
    let plan = Plan::default();
    let mut resolution = Resolution::new(inputs, graph, &plan, state);
    let providers: Vec<usize> = (0..graph.nodes.len())
        .filter(|place| matches!(graph.nodes[*place].item, crate::graph::Item::Provider(_)))
        .collect();
    resolution.evaluation.ensure(providers, &mut resolution.real);
    let found = resolution.evaluation.take_faults();
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    Ok(resolution.evaluation.providers)
}
