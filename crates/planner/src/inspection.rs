//! Values as `pve console` sees them: the configuration evaluated against the state, without a plan.

use std::collections::BTreeMap;

use pve_config::syntax::Diagnostic;
use pve_model::state::State;
use pve_model::{InstanceAddress, InstanceKey, ModulePath, ResourceMode, Value};

use crate::evaluation::{Evaluation, Inputs, Instance, ResourceValues};
use crate::graph::{Graph, Item, Node};
use crate::planner::recorded;
use crate::scope::{Repetition, Shape, gather, unevaluated};

/// Everything in the configuration that can be told without a plan. A resource is worth what the state has of it, all of
/// its instances that are there; one that the state does not have is unknown, whatever its `count` says. What is wrong in
/// the configuration stands in [`Evaluation::diagnostics`], and what could not be evaluated is unknown.
pub fn inspect<'a>(inputs: Inputs<'a>, graph: &'a Graph, state: &State) -> Evaluation<'a> {
    let mut known = recorded_instances(&inputs, state);
    let mut evaluation = Evaluation::new(inputs, graph);
    for (place, node) in graph.nodes.iter().enumerate() {
        evaluation.ensure([place], &mut known);
        if let Item::Resource(mode, kind, name) = &node.item {
            for module in evaluation.instances_of(&node.module).to_vec() {
                let value = known.all_of(node, &module);
                let Some(values) = evaluation.modules.get_mut(&module) else { continue };
                let all = match mode {
                    ResourceMode::Managed => &mut values.managed,
                    ResourceMode::Data => &mut values.data,
                };
                all.entry(kind.clone()).or_default().insert(name.clone(), value);
            }
        }
    }
    evaluation
}

/// Values of instances in the state.
struct Recorded(BTreeMap<InstanceAddress, Value>);

fn recorded_instances(inputs: &Inputs<'_>, state: &State) -> Recorded {
    let value = |(address, instance): (&InstanceAddress, &pve_model::state::InstanceState)| {
        let rules = inputs.registry.resource(&address.resource.kind)?;
        Some((address.clone(), recorded(instance.current.as_ref()?, rules)))
    };
    Recorded(state.instances.iter().filter_map(value).collect())
}

impl Recorded {
    /// The value of all instances of a resource together.
    fn all_of(&self, node: &Node, module: &ModulePath) -> Value {
        let Some(mut resource) = node.resource_address() else { return unevaluated() };
        resource.module = module.clone();
        let instances: Vec<(&InstanceAddress, &Value)> =
            self.0.iter().filter(|(address, _)| address.resource == resource).collect();
        let shape = match instances.first().map(|(address, _)| &address.key) {
            None => return unevaluated(),
            Some(None) => Shape::Single,
            Some(Some(InstanceKey::Index(_))) => Shape::Count,
            Some(Some(InstanceKey::Key(_))) => Shape::Each,
        };
        let instances = instances.into_iter().map(|(address, value)| {
            let repetition = match &address.key {
                Some(InstanceKey::Key(key)) => Repetition::Each(key.clone(), value.clone()),
                _ => Repetition::Single,
            };
            (repetition, value.clone())
        });
        gather(shape, instances)
    }
}

impl ResourceValues for Recorded {
    fn value_of(&mut self, _: &Evaluation<'_>, instance: &Instance<'_>) -> Result<Value, Vec<Diagnostic>> {
        Ok(self.0.get(&instance.address).cloned().unwrap_or_else(unevaluated))
    }
}
