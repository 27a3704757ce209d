//! Collects the changes of a plan while declarations are evaluated: those of every instance of every resource.

use std::collections::{BTreeMap, BTreeSet};

use pve_config::syntax::Diagnostic;
use pve_model::codec::decode;
use pve_model::plan::{Action, Change, Note, PlanMode};
use pve_model::rules::{KindRules, RulesRegistry};
use pve_model::state::{InstanceRecord, State};
use pve_model::{InstanceAddress, ResourceAddress, ResourceMode, Value};

use crate::deferral::waits_for_change;
use crate::difference::{is_settable, same};
use crate::evaluation::{Evaluation, Inputs, Instance, ResourceValues};
use crate::graph::{Graph, Item};
use crate::instance::{Configured, Forced, change, configure, mark_by_schema, plan_instance};
use crate::kinds::rules_of;
use crate::naming::is_renamed;
use crate::order::propagate_create_before_destroy;
use crate::planning::{DataRequest, ImportRequest, Observed, Options};
use crate::revision::Revision;
use crate::selection::Selection;
use crate::triggers::is_triggered;
use crate::{parts, protection};

/// Collects changes while declarations are evaluated.
pub struct Planner<'a> {
    graph: &'a Graph,
    /// The state after moves.
    pub state: &'a State,
    pub(crate) observed: &'a Observed,
    /// What was asked for.
    pub options: &'a Options,
    /// What targets and excludes leave.
    pub selection: Selection,
    /// What `removed` blocks leave in the cluster.
    forgotten: Vec<pve_model::address::Target>,
    /// The rules of all kinds.
    pub(crate) registry: &'a dyn RulesRegistry,
    /// What is planned otherwise than it asks for.
    revision: &'a Revision,
    /// Blocks that are replaced by creating first.
    create_first: BTreeSet<ResourceAddress>,
    /// Changes so far.
    pub changes: Vec<Change>,
    /// What each change needs, by its place.
    pub needs: Vec<Vec<ResourceAddress>>,
    /// What the configuration itself connects instances with.
    pub(crate) stated: BTreeMap<InstanceAddress, BTreeSet<String>>,
    /// Instances in the configuration.
    pub seen: BTreeSet<InstanceAddress>,
    pub(crate) drift: Vec<Change>,
    pub(crate) followed: Vec<Change>,
    pub(crate) notes: Vec<Note>,
    /// What is worth a warning of instances, if anything happens to them.
    pub(crate) warnings: Vec<(InstanceAddress, Diagnostic)>,
    pub(crate) data: BTreeMap<InstanceAddress, Value>,
    pub(crate) data_requests: Vec<DataRequest>,
    pub(crate) import_requests: Vec<ImportRequest>,
}

impl<'a> Planner<'a> {
    /// A plan of nothing yet.
    pub fn new(
        graph: &'a Graph,
        inputs: &Inputs<'a>,
        state: &'a State,
        observed: &'a Observed,
        options: &'a Options,
        revision: &'a Revision,
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
            registry: inputs.registry,
            forgotten: inputs.configuration.forgotten(),
            revision,
            create_first: propagate_create_before_destroy(&own, &needs),
            changes: Vec::new(),
            needs: Vec::new(),
            stated: BTreeMap::new(),
            seen: BTreeSet::new(),
            drift: Vec::new(),
            followed: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
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
        let cluster = self.observed.cluster_of(&change.provider).to_string();
        self.changes.push(Change { cluster, ..change });
        self.needs.push(needs);
    }

    /// Whether a `removed` block says that an instance stays in the cluster.
    pub fn forgets(&self, address: &InstanceAddress) -> bool {
        self.forgotten.iter().any(|target| target.contains(address))
    }

    /// Notes what differs from what was recorded.
    pub fn note_drift(&mut self, address: &InstanceAddress, record: &InstanceRecord, rules: &dyn KindRules) {
        // What waits for a reboot is not done yet: nobody has changed it back.
        if !self.observed.instances.contains_key(address) || self.observed.waiting.contains(address) {
            return;
        }
        let before = recorded(record, rules);
        let after = self.present(address, record, rules).map(|read| rules.of_cluster(&before, &read));
        let is_same = |after: &Option<Value>| after.as_ref().is_some_and(|after| same(&before, after));
        if is_same(&after) {
            return;
        }
        let after = after.map(|after| parts::without_links(self, (address, record), rules, &before, after));
        if is_same(&after) {
            return;
        }
        let action = if after.is_some() { Action::Update } else { Action::Delete };
        let mut drift = bare_change(address, record.provider.clone(), action);
        let block = &rules.schema().block;
        let follows = after.as_ref().is_some_and(|after| !is_settable(block, &before, after));
        (drift.before, drift.after) = (Some(before), after);
        if follows { self.followed.push(drift) } else { self.drift.push(drift) }
    }

    fn managed(
        &mut self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
    ) -> Result<Value, Vec<Diagnostic>> {
        let address = &instance.address;
        self.seen.insert(address.clone());
        let rules = rules_of(evaluation, instance)?;
        if self.options.generated.contains(&address.resource) {
            return self.only_read(evaluation, instance, rules);
        }
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
        let mut configured = configure(evaluation, instance, rules)?;
        configured.leaves = self.revision.leaving.get(address).cloned().unwrap_or_default();
        self.stated.insert(address.clone(), parts::connections(rules, &configured.config));
        self.warnings.extend(configured.warnings.iter().map(|found| (address.clone(), found.clone())));
        let provider = evaluation.inputs.configuration.provider_address(instance.module, instance.resource);
        let importing = match self.importing(evaluation, address, present.is_some()) {
            // What is still to be read may tell the id.
            Err(_) if !self.data_requests.is_empty() => return Ok(self.unplanned(present, rules)),
            importing => importing?,
        };
        let before = match &importing {
            Some(id) => match self.observed.imports.get(address) {
                Some(value) => {
                    let adopted = rules.adopted(value, &configured.config.unmark_deep().0);
                    Some(mark_by_schema(&adopted, rules).mark_sensitive_at(&configured.sensitive))
                }
                None => {
                    let request = ImportRequest { address: address.clone(), provider, id: id.clone() };
                    self.import_requests.push(request);
                    return Ok(pve_model::Value::unknown(rules.schema().block.implied_type()));
                }
            },
            None => present.map(|present| self.revision.reduced(address, present, rules)),
        };
        let forced = Forced {
            tainted: record.is_some_and(|record| record.tainted),
            requested: self.options.replace.contains(address),
            triggered: is_triggered(&self.changes, evaluation, instance),
            due: self.revision.due.contains(address),
            lost: self.revision.lost.get(address).copied(),
        };
        let block = self.graph.nodes[instance.place].resource_address();
        let mut create_first = block.as_ref().is_some_and(|block| self.create_first.contains(block));
        let mut planned = plan_instance(instance, rules, before.as_ref(), &configured, forced, create_first)?;
        if planned.action == Action::Update {
            planned.notes.extend(self.revision.note(address));
        }
        let renamed = is_renamed(&planned, rules, before.as_ref());
        let needs = self.graph.resources_needed(instance.place);
        if renamed && rules.makes_room_first() && !self.comes_after_replaced(&needs) {
            (planned.action, create_first) = (Action::CreateThenDelete, true);
        }
        if planned.action == Action::CreateThenDelete
            && let Some(fault) = protection::never_beside(instance, rules, before.as_ref(), &planned.after)
        {
            return Err(vec![fault]);
        }
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
        self.push(change, needs);
        Ok(after.unwrap_or_else(crate::scope::unevaluated))
    }

    /// Asks for the object of a block that says nothing yet.
    fn only_read(
        &mut self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
        rules: &dyn KindRules,
    ) -> Result<Value, Vec<Diagnostic>> {
        let address = &instance.address;
        match crate::imports::id_for(evaluation, address) {
            // What is still to be read may tell the id.
            Err(found) if self.data_requests.is_empty() => return Err(found),
            Ok(Some(id)) if !self.observed.imports.contains_key(address) => {
                let configuration = evaluation.inputs.configuration;
                let provider = configuration.provider_address(instance.module, instance.resource);
                self.import_requests.push(ImportRequest { address: address.clone(), provider, id });
            }
            _ => {}
        }
        Ok(self.unplanned(None, rules))
    }

    /// Whether something that is needed is destroyed before it is made anew: what needs it must be gone by then.
    fn comes_after_replaced(&self, needs: &[ResourceAddress]) -> bool {
        let (mut open, mut seen) = (needs.to_vec(), BTreeSet::new());
        while let Some(needed) = open.pop() {
            let places = (0..self.changes.len()).filter(|at| self.changes[*at].address.resource == needed);
            for at in places.filter(|at| seen.insert(*at)) {
                if self.changes[at].action == Action::DeleteThenCreate {
                    return true;
                }
                open.extend(self.needs[at].iter().cloned());
            }
        }
        false
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

    fn data_source(
        &mut self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
    ) -> Result<Value, Vec<Diagnostic>> {
        let rules = rules_of(evaluation, instance)?;
        let configured = configure(evaluation, instance, rules)?;
        let provider = evaluation.inputs.configuration.provider_address(instance.module, instance.resource);
        let unknown = !configured.config.is_wholly_known();
        if self.options.mode == PlanMode::Normal
            && (unknown || waits_for_change(&self.changes, evaluation, instance))
        {
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
            let config = crate::instance::mark_secrets(&configured.config, rules);
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
        cluster: String::new(),
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
