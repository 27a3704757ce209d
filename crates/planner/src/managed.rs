//! Plans a managed instance: what it is now, what is configured, and the change that follows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use pve_config::syntax::Diagnostic;
use pve_model::plan::{Action, Change, PlanMode};
use pve_model::rules::KindRules;
use pve_model::{InstanceAddress, ResourceAddress, ResourceMode, Value};

use crate::evaluation::{Evaluation, Instance};
use crate::instance::{Configured, Forced, Planned, change, configure, mark_by_schema, plan_instance};
use crate::kinds::rules_of;
use crate::naming::is_renamed;
use crate::planner::Planner;
use crate::planning::ImportRequest;
use crate::triggers::is_triggered;
use crate::{parts, protection};

/// What an instance is before a change, and the id that it is imported by, if it is.
type Before = (Option<Value>, Option<String>);

/// Fails where something is wrong.
fn refuse(problems: Vec<Diagnostic>) -> Result<(), Vec<Diagnostic>> {
    if problems.iter().any(Diagnostic::is_error) { Err(problems) } else { Ok(()) }
}

impl Planner<'_> {
    /// Plans an instance, and tells its value after that.
    pub(crate) fn managed(
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
        let conditions = &instance.resource.lifecycle.preconditions;
        let module = &address.resource.module;
        refuse(evaluation.conditions(conditions, instance.module, module, instance.repetition, None))?;
        let configured = self.configured(evaluation, instance, rules)?;
        let before = match self.before(evaluation, instance, rules, &configured, present)? {
            ControlFlow::Break(unread) => return Ok(unread),
            ControlFlow::Continue(before) => before,
        };
        let change = self.change_of(evaluation, instance, rules, &configured, before)?;
        let after = change.after.clone();
        let mut problems = self.postconditions(evaluation, instance, after.as_ref());
        problems.extend(crate::provisioning::check(evaluation, instance));
        refuse(problems)?;
        self.push(change, self.graph.resources_needed(instance.place));
        Ok(after.unwrap_or_else(crate::scope::unevaluated))
    }

    /// What is configured, without what the instance gives up.
    fn configured(
        &mut self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
        rules: &dyn KindRules,
    ) -> Result<Configured, Vec<Diagnostic>> {
        let address = &instance.address;
        let mut configured = configure(evaluation, instance, rules)?;
        configured.leaves = self.revision.leaving.get(address).cloned().unwrap_or_default();
        self.stated.insert(address.clone(), parts::connections(rules, &configured.config));
        self.warnings.extend(configured.warnings.iter().map(|found| (address.clone(), found.clone())));
        Ok(configured)
    }

    /// What the instance is by the time that it is changed; its value for now where that is still to be read.
    fn before(
        &mut self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
        rules: &dyn KindRules,
        configured: &Configured,
        present: Option<Value>,
    ) -> Result<ControlFlow<Value, Before>, Vec<Diagnostic>> {
        let address = &instance.address;
        let id = match self.importing(evaluation, address, present.is_some()) {
            // What is still to be read may tell the id.
            Err(_) if !self.data_requests.is_empty() => {
                return Ok(ControlFlow::Break(self.unplanned(present, rules)));
            }
            importing => importing?,
        };
        let Some(id) = id else {
            let present = present.map(|present| self.revision.reduced(address, present, rules));
            return Ok(ControlFlow::Continue((present, None)));
        };
        let Some(value) = self.observed.imports.get(address) else {
            let provider =
                evaluation.inputs.configuration.provider_address(instance.module, instance.resource);
            self.import_requests.push(ImportRequest { address: address.clone(), provider, id });
            return Ok(ControlFlow::Break(self.unplanned(None, rules)));
        };
        let adopted = rules.adopted(value, &configured.config.unmark_deep().0);
        let adopted = mark_by_schema(&adopted, rules).mark_sensitive_at(&configured.sensitive);
        Ok(ControlFlow::Continue((Some(adopted), Some(id))))
    }

    /// The change from what the instance is to what is configured.
    fn change_of(
        &self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
        rules: &dyn KindRules,
        configured: &Configured,
        (before, importing): Before,
    ) -> Result<Change, Vec<Diagnostic>> {
        let forced = self.forced(evaluation, instance);
        let block = self.graph.nodes[instance.place].resource_address();
        let create_first = block.as_ref().is_some_and(|block| self.create_first.contains(block));
        let mut planned = plan_instance(instance, rules, before.as_ref(), configured, forced, create_first)?;
        if planned.action == Action::Update {
            planned.notes.extend(self.revision.note(&instance.address));
        }
        let makes_room = self.makes_room(instance, rules, &planned, before.as_ref());
        if makes_room {
            planned.action = Action::CreateThenDelete;
        }
        if planned.action == Action::CreateThenDelete
            && let Some(fault) = protection::never_beside(instance, rules, before.as_ref(), &planned.after)
        {
            return Err(vec![fault]);
        }
        let provider = evaluation.inputs.configuration.provider_address(instance.module, instance.resource);
        let mut change = change(instance, provider, before, planned);
        change.importing = importing;
        change.create_before_destroy = create_first || makes_room;
        let needed = self.graph.resources_needed(instance.place).into_iter();
        change.dependencies = needed.filter(|needed| needed.mode == ResourceMode::Managed).collect();
        Ok(change)
    }

    /// Why the instance is replaced, whatever its values.
    fn forced(&self, evaluation: &Evaluation<'_>, instance: &Instance<'_>) -> Forced {
        let address = &instance.address;
        Forced {
            tainted: self.state.current(address).is_some_and(|record| record.tainted),
            requested: self.options.replace.contains(address),
            triggered: is_triggered(&self.changes, evaluation, instance),
            due: self.revision.due.contains(address),
            lost: self.revision.lost.get(address).copied(),
        }
    }

    /// Whether the new object is made first, under another name, so that others go over to it.
    fn makes_room(
        &self,
        instance: &Instance<'_>,
        rules: &dyn KindRules,
        planned: &Planned,
        before: Option<&Value>,
    ) -> bool {
        rules.makes_room_first()
            && is_renamed(planned, rules, before)
            && !self.revision.gone_first.contains(&instance.address)
            && !self.comes_after_replaced(&self.graph.resources_needed(instance.place))
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
        self.needs_any(needs, &|change| change.action == Action::DeleteThenCreate)
    }

    /// Whether there is such a change among all that is needed.
    pub(crate) fn needs_any(&self, needs: &[ResourceAddress], is_it: &dyn Fn(&Change) -> bool) -> bool {
        let (mut open, mut seen) = (needs.to_vec(), BTreeSet::new());
        while let Some(needed) = open.pop() {
            let places = (0..self.changes.len()).filter(|at| self.changes[*at].address.resource == needed);
            for at in places.filter(|at| seen.insert(*at)) {
                if is_it(&self.changes[at]) {
                    return true;
                }
                open.extend(self.needs[at].iter().cloned());
            }
        }
        false
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
}
