//! `moved` blocks, and the moves that adding or taking away `count` implies.

use pve_config::configuration::{Configuration, Module, Moved};
use pve_config::syntax::ast::TraversalStepKind;
use pve_config::syntax::{Diagnostic, Traversal};
use pve_model::state::State;
use pve_model::{InstanceAddress, InstanceKey, ModulePath, ResourceMode};

/// Moves from one address to another, in order.
pub type Moves = Vec<(InstanceAddress, InstanceAddress)>;

/// The state after all moves, and which instances moved.
pub fn apply(configuration: &Configuration, state: &State) -> (State, Moves, Vec<Diagnostic>) {
    let mut state = state.clone();
    let mut moves = Moves::new();
    let mut found = Vec::new();
    module_moves(&configuration.root, &mut state, &mut moves, &mut found);
    implied(&configuration.root, &mut state, &mut moves);
    // A chain of moves is one move for the user.
    let mut whole: Moves = Vec::new();
    for (from, to) in moves {
        match whole.iter_mut().find(|(_, reached)| *reached == from) {
            Some(earlier) => earlier.1 = to,
            None => whole.push((from, to)),
        }
    }
    whole.retain(|(from, to)| from != to);
    (state, whole, found)
}

fn module_moves(module: &Module, state: &mut State, moves: &mut Moves, found: &mut Vec<Diagnostic>) {
    for moved in ordered(&module.moved) {
        let (Some(from), Some(to)) = (endpoint(&moved.from), endpoint(&moved.to)) else {
            let detail = "`from` and `to` name a resource or a module, with or without a key.";
            found.push(Diagnostic::error(moved.span, "This move cannot be understood", detail));
            continue;
        };
        let addresses: Vec<InstanceAddress> = state.instances.keys().cloned().collect();
        for address in addresses {
            let Some(target) = rewritten(module, &address, &from, &to) else { continue };
            if state.instances.contains_key(&target) {
                continue;
            }
            if let Some(instance) = state.instances.remove(&address) {
                state.instances.insert(target.clone(), instance);
                moves.push((address, target));
            }
        }
    }
    for call in module.module_calls.values() {
        if let Some(child) = &call.child {
            module_moves(child, state, moves, found);
        }
    }
}

/// Moves that lead to where another begins go first, so that a chain is walked in one run.
fn ordered(moved: &[Moved]) -> Vec<&Moved> {
    let mut left: Vec<&Moved> = moved.iter().collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let free = left.iter().position(|candidate| {
            !left
                .iter()
                .any(|other| !std::ptr::eq(*other, *candidate) && text(&other.to) == text(&candidate.from))
        });
        order.push(left.remove(free.unwrap_or(0)));
    }
    order
}

fn text(traversal: &Traversal) -> String {
    let mut text = traversal.root.name.to_string();
    for step in &traversal.steps {
        text.push_str(&format!("/{:?}", step.kind));
    }
    text
}

/// One end of a move: the module steps, and the resource if it is about one.
struct Endpoint {
    modules: Vec<(String, Option<InstanceKey>)>,
    resource: Option<(String, String, Option<InstanceKey>)>,
}

fn endpoint(traversal: &Traversal) -> Option<Endpoint> {
    let mut parts: Vec<(String, Option<InstanceKey>)> = vec![(traversal.root.name.to_string(), None)];
    for step in &traversal.steps {
        match &step.kind {
            TraversalStepKind::Attribute(name) => parts.push((name.to_string(), None)),
            TraversalStepKind::Key(key) => parts.last_mut()?.1 = Some(InstanceKey::Key(key.to_string())),
            TraversalStepKind::Index(index) => {
                parts.last_mut()?.1 = Some(InstanceKey::Index(index.parse().ok()?));
            }
        }
    }
    let mut modules = Vec::new();
    let mut rest = &parts[..];
    while let [(word, None), (name, key), tail @ ..] = rest {
        if word != "module" {
            break;
        }
        modules.push((name.clone(), key.clone()));
        rest = tail;
    }
    match rest {
        [] if !modules.is_empty() => Some(Endpoint { modules, resource: None }),
        [(kind, None), (name, key)] => {
            Some(Endpoint { modules, resource: Some((kind.clone(), name.clone(), key.clone())) })
        }
        _ => None,
    }
}

/// The address after a move declared in `module`, if the move is about the instance.
fn rewritten(
    module: &Module,
    address: &InstanceAddress,
    from: &Endpoint,
    to: &Endpoint,
) -> Option<InstanceAddress> {
    let steps = &address.resource.module.0;
    let base = module.path.len();
    let names_match =
        steps.len() >= base && steps.iter().zip(&module.path).all(|(step, name)| step.name == *name);
    if !names_match || steps.len() < base + from.modules.len() {
        return None;
    }
    let inner = &steps[base..];
    let last_is_whole = from.resource.is_none();
    for (at, (name, key)) in from.modules.iter().enumerate() {
        // A module without a key, as the whole end, takes every instance of the call with it.
        let any_key = last_is_whole && at + 1 == from.modules.len() && key.is_none() && to_key(to).is_none();
        if inner[at].name != *name || (!any_key && inner[at].key != *key) {
            return None;
        }
    }
    let mut path = ModulePath(steps[..base].to_vec());
    for (at, (name, key)) in to.modules.iter().enumerate() {
        let kept = (last_is_whole && at + 1 == to.modules.len() && key.is_none() && from_key(from).is_none())
            .then(|| inner.get(from.modules.len() - 1).and_then(|step| step.key.clone()))
            .flatten();
        path = path.child(name.clone(), key.clone().or(kept));
    }
    let mut target = address.clone();
    match (&from.resource, &to.resource) {
        (None, None) => {
            path.0.extend(inner[from.modules.len()..].iter().cloned());
            target.resource.module = path;
        }
        (Some((kind, name, key)), Some((to_kind, to_name, to_key))) => {
            let whole = key.is_none() && to_key.is_none();
            let same = inner.len() == from.modules.len()
                && address.resource.mode == ResourceMode::Managed
                && address.resource.kind == *kind
                && address.resource.name == *name
                && (whole || address.key == *key);
            if !same {
                return None;
            }
            target.resource.module = path;
            target.resource.kind.clone_from(to_kind);
            target.resource.name.clone_from(to_name);
            if !whole {
                target.key.clone_from(to_key);
            }
        }
        _ => return None,
    }
    Some(target)
}

fn from_key(endpoint: &Endpoint) -> Option<&InstanceKey> {
    endpoint.modules.last().and_then(|(_, key)| key.as_ref())
}

fn to_key(endpoint: &Endpoint) -> Option<&InstanceKey> {
    from_key(endpoint)
}

/// Adding `count` to a resource or module keeps its one instance as the first; taking it away keeps the first.
fn implied(module: &Module, state: &mut State, moves: &mut Moves) {
    for resource in &module.resources {
        let counted = resource.count.is_some();
        let single = !counted && resource.for_each.is_none();
        if resource.mode != ResourceMode::Managed || !(counted || single) {
            continue;
        }
        let (old, new) =
            if counted { (None, Some(InstanceKey::Index(0))) } else { (Some(InstanceKey::Index(0)), None) };
        let candidates: Vec<InstanceAddress> = state
            .instances
            .keys()
            .filter(|a| a.resource.kind == resource.kind && a.resource.name == resource.name && a.key == old)
            .filter(|a| a.resource.module.call_names() == module.path)
            .cloned()
            .collect();
        for from in candidates {
            let to = from.resource.instance(new.clone());
            if state.instances.contains_key(&to) {
                continue;
            }
            if let Some(instance) = state.instances.remove(&from) {
                state.instances.insert(to.clone(), instance);
                moves.push((from, to));
            }
        }
    }
    for (name, call) in &module.module_calls {
        implied_for_call(module, name, call.count.is_some(), call.for_each.is_some(), state, moves);
        if let Some(child) = &call.child {
            implied(child, state, moves);
        }
    }
}

fn implied_for_call(
    module: &Module,
    name: &str,
    counted: bool,
    each: bool,
    state: &mut State,
    moves: &mut Moves,
) {
    if each {
        return;
    }
    let (old, new) =
        if counted { (None, Some(InstanceKey::Index(0))) } else { (Some(InstanceKey::Index(0)), None) };
    let depth = module.path.len();
    let candidates: Vec<InstanceAddress> = state
        .instances
        .keys()
        .filter(|a| {
            let steps = &a.resource.module.0;
            steps.len() > depth
                && steps[..depth].iter().zip(&module.path).all(|(step, name)| step.name == *name)
                && steps[depth].name == name
                && steps[depth].key == old
        })
        .cloned()
        .collect();
    for from in candidates {
        let mut to = from.clone();
        to.resource.module.0[depth].key.clone_from(&new);
        if state.instances.contains_key(&to) {
            continue;
        }
        if let Some(instance) = state.instances.remove(&from) {
            state.instances.insert(to.clone(), instance);
            moves.push((from, to));
        }
    }
}
