//! What becomes of the outputs of the root module.

use std::collections::BTreeMap;

use pve_model::ModulePath;
use pve_model::address::Target;
use pve_model::codec::decode;
use pve_model::plan::{OutputChange, PlanMode};
use pve_model::state::State;

use crate::evaluation::Evaluation;
use crate::graph::{Item, Node};
use crate::planner::Planner;
use crate::selection;

/// What becomes of the outputs. When all is destroyed they go too; where something is kept, those stay as they are that
/// need nothing that is destroyed.
pub fn changes(
    evaluation: &Evaluation<'_>,
    state: &State,
    planner: &Planner<'_>,
    something_is_kept: bool,
) -> BTreeMap<String, OutputChange> {
    let destroying = planner.options.mode == PlanMode::Destroy;
    let stays = |place: usize| {
        let needed = evaluation.graph.closure([place]);
        !needed.into_iter().filter_map(|needed| evaluation.graph.nodes[needed].resource_address()).any(
            |block| {
                planner.changes.iter().any(|change| {
                    selection::touches(&Target::Resource(change.address.resource.clone()), &block)
                })
            },
        )
    };
    let before = |name: &str| {
        let record = state.outputs.get(name)?;
        let value = decode(&record.value, &record.ty).ok()?;
        Some(if record.sensitive { value.sensitive() } else { value })
    };
    let mut changes = BTreeMap::new();
    let root = evaluation.modules.get(&ModulePath::root());
    for (name, value) in root.map(|root| root.outputs.clone()).unwrap_or_default() {
        let output = evaluation.inputs.configuration.root.outputs.get(&*name);
        let sensitive = output.is_some_and(|output| output.sensitive);
        let place =
            evaluation.graph.place(&Node { module: Vec::new(), item: Item::Output(name.to_string()) });
        if place.is_some_and(|place| !planner.selection.includes_all_needed(evaluation.graph, place)) {
            continue;
        }
        if destroying && something_is_kept && place.is_some_and(stays) {
            continue;
        }
        // An output that is null is none; one that becomes null is a change.
        let is_none = destroying || value.is_null() && before(&name).is_none();
        let after = if is_none { None } else { Some(value) };
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
