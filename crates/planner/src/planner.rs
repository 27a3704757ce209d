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
use crate::instance::{Configured, configure, mark_by_schema};
use crate::kinds::rules_of;
use crate::order::propagate_create_before_destroy;
use crate::parts;
use crate::planning::{DataRequest, ImportRequest, Observed, Options};
use crate::revision::Revision;
use crate::selection::Selection;

/// Collects changes while declarations are evaluated.
pub struct Planner<'a> {
    pub(crate) graph: &'a Graph,
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
    pub(crate) revision: &'a Revision,
    /// Blocks that are replaced by creating first.
    pub(crate) create_first: BTreeSet<ResourceAddress>,
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

    pub(crate) fn postconditions(
        &self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
        value: Option<&Value>,
    ) -> Vec<Diagnostic> {
        let conditions = &instance.resource.lifecycle.postconditions;
        let module = &instance.address.resource.module;
        evaluation.conditions(conditions, instance.module, module, instance.repetition, value)
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
