//! The order of steps: creation follows dependencies, destruction goes against them, and both kinds of replacement.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::event::Operation;
use pve_model::plan::{Action, Change, Step};
use pve_model::{InstanceAddress, ResourceAddress};

/// A dependency between steps that no order can satisfy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these changes wait for each other: {}", .0.join(", "))]
pub struct OrderError(pub Vec<String>);

/// A resource whatever its module instance: dependencies are kept between blocks, not between instances.
pub(crate) type BlockKey = (Vec<String>, String, String);

/// By block: the blocks that its instances need.
type NeedsOfBlocks = BTreeMap<BlockKey, BTreeSet<BlockKey>>;

fn needs_of_blocks(changes: &[Ordered<'_>]) -> NeedsOfBlocks {
    let mut needs = NeedsOfBlocks::new();
    for ordered in changes {
        let of_block = needs.entry(block_key(&ordered.change.address.resource)).or_default();
        of_block.extend(ordered.needs.iter().map(block_key));
    }
    needs
}

pub(crate) fn block_key(resource: &ResourceAddress) -> BlockKey {
    let module = resource.module.call_names().into_iter().map(String::from).collect();
    (module, resource.kind.clone(), resource.name.clone())
}

/// What one change needs besides itself.
pub struct Ordered<'a> {
    /// The change.
    pub change: &'a Change,
    /// What the configuration makes it depend on.
    pub needs: &'a [ResourceAddress],
    /// What the object in the state depended on when it was applied.
    pub needed: &'a [ResourceAddress],
    /// The changes, by their places, that it is made after wherever that is possible: it applies what they stage.
    pub follows: &'a [usize],
    /// The changes, by their places, that give up what it takes: a VMID, a name.
    pub predecessors: &'a BTreeSet<usize>,
    /// Those that make what it names.
    pub makers: &'a BTreeSet<usize>,
    /// Those that name what it destroys, and stop that.
    pub leavers: &'a BTreeSet<usize>,
}

/// The steps of all changes, in an order in which every step follows those it waits for.
///
/// - A create or update follows the creates, updates and reads of what it needs, also through what stays as it is.
/// - A delete follows the deletes of what depended on it, and updates of what no longer will.
/// - Destroy before create: the create follows its own delete.
/// - Create before destroy: the delete follows its own create and the creates and updates of all dependants.
/// - What takes a VMID or a name that another one has comes after that gives it up; what used the old one is then changed
///   after the new one is there.
/// - What names by its text what the plan makes comes after that, and what is destroyed goes when nothing names it any more,
///   unless they wait for it.
/// - What applies what others stage is made (or, if it goes, destroyed) after them, unless they wait for it.
///
/// # Errors
/// When steps wait for each other.
pub fn steps(changes: &[Ordered<'_>]) -> Result<Vec<Step>, OrderError> {
    let mut graph = Graph::default();
    let kept: BTreeSet<(&InstanceAddress, &str)> =
        changes.iter().filter_map(|c| Some((&c.change.address, c.change.deposed.as_deref()?))).collect();
    for (index, ordered) in changes.iter().enumerate() {
        graph.add_change(index, ordered, &kept);
    }
    graph.connect(changes);
    graph.follow(changes);
    graph.succeed(changes);
    graph.name(changes);
    sorted(&graph.steps).map_err(|stuck| {
        let names = stuck.iter().map(|at| changes[graph.steps[*at].change].change.address.to_string());
        OrderError(names.collect::<BTreeSet<String>>().into_iter().collect())
    })
}

#[derive(Default)]
struct Graph {
    steps: Vec<Step>,
    /// Create, update or read steps of a block.
    makes: BTreeMap<BlockKey, Vec<usize>>,
    /// Delete steps of a block.
    removes: BTreeMap<BlockKey, Vec<usize>>,
}

impl Graph {
    fn push(&mut self, change: usize, operation: Operation, deposed: Option<String>) -> usize {
        self.steps.push(Step {
            change,
            operation,
            deposed,
            provisioners: Vec::new(),
            batch: None,
            after: Vec::new(),
        });
        self.steps.len() - 1
    }

    /// `kept` are the deposed objects that earlier runs left.
    fn add_change(&mut self, index: usize, ordered: &Ordered<'_>, kept: &BTreeSet<(&InstanceAddress, &str)>) {
        let key = block_key(&ordered.change.address.resource);
        let deposed = ordered.change.deposed.clone();
        let make = |graph: &mut Graph, operation, name| {
            let step = graph.push(index, operation, name);
            graph.makes.entry(key.clone()).or_default().push(step);
            step
        };
        match ordered.change.action {
            Action::NoOp => {}
            Action::Create => {
                make(self, Operation::Create, None);
            }
            Action::Update => {
                make(self, Operation::Update, None);
            }
            Action::Read => {
                make(self, Operation::Read, None);
            }
            Action::Forget => {
                self.push(index, Operation::Forget, deposed);
            }
            Action::Delete => {
                let step = self.push(index, Operation::Delete, deposed);
                self.removes.entry(key).or_default().push(step);
            }
            Action::DeleteThenCreate => {
                let remove = self.push(index, Operation::Delete, None);
                let create = make(self, Operation::Create, None);
                self.removes.entry(key).or_default().push(remove);
                self.steps[create].after.push(remove);
            }
            Action::CreateThenDelete => {
                let name = deposed_name(&ordered.change.address, kept);
                let create = make(self, Operation::Create, Some(name.clone()));
                let remove = self.push(index, Operation::Delete, Some(name));
                self.removes.entry(key).or_default().push(remove);
                self.steps[remove].after.push(create);
            }
        }
    }

    fn connect(&mut self, changes: &[Ordered<'_>]) {
        let mut edges: BTreeSet<(usize, usize)> = BTreeSet::new();
        let needs = needs_of_blocks(changes);
        let succeeded: BTreeSet<usize> =
            changes.iter().flat_map(|ordered| ordered.predecessors).copied().collect();
        for (at, step) in self.steps.iter().enumerate() {
            let ordered = &changes[step.change];
            let all = |map: &BTreeMap<BlockKey, Vec<usize>>, resource: &ResourceAddress| {
                map.get(&block_key(resource)).cloned().unwrap_or_default()
            };
            match step.operation {
                Operation::Create | Operation::Update | Operation::Read => {
                    edges.extend(
                        self.makes_behind(&needs, ordered.needs).into_iter().map(|before| (at, before)),
                    );
                    // What is destroyed and stays destroyed waits for those that stop using it.
                    if step.operation != Operation::Create {
                        for gone in ordered.needed {
                            for remove in all(&self.removes, gone) {
                                let gone = self.steps[remove].change;
                                let is_gone = changes[gone].change.action == Action::Delete;
                                if is_gone && !succeeded.contains(&gone) {
                                    edges.insert((remove, at));
                                }
                            }
                        }
                    }
                }
                Operation::Delete | Operation::Forget => {
                    for needed in ordered.needed {
                        edges.extend(all(&self.removes, needed).into_iter().map(|later| (later, at)));
                    }
                    if changes[step.change].change.action == Action::CreateThenDelete {
                        let own = block_key(&ordered.change.address.resource);
                        for (other, candidate) in self.steps.iter().enumerate() {
                            let depends = changes[candidate.change].needs.iter().any(|n| block_key(n) == own);
                            let makes = matches!(candidate.operation, Operation::Create | Operation::Update);
                            if depends && makes {
                                edges.insert((at, other));
                            }
                        }
                    }
                }
            }
        }
        for (step, before) in edges {
            if step != before {
                self.steps[step].after.push(before);
            }
        }
    }

    /// The steps that make what is needed. What stays as it is stands for what it needs itself.
    fn makes_behind(&self, of_blocks: &NeedsOfBlocks, needs: &[ResourceAddress]) -> BTreeSet<usize> {
        let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut open: Vec<BlockKey> = needs.iter().map(block_key).collect();
        while let Some(key) = open.pop() {
            if let Some(steps) = self.makes.get(&key) {
                found.extend(steps);
            } else if let Some((key, needed)) = of_blocks.get_key_value(&key)
                && seen.insert(key)
            {
                open.extend(needed.iter().cloned());
            }
        }
        found
    }

    /// Lets what takes something follow what gives it up, unless that waits for it.
    fn succeed(&mut self, changes: &[Ordered<'_>]) {
        let frees = |operation| matches!(operation, Operation::Delete | Operation::Update);
        let takes = |operation| matches!(operation, Operation::Create | Operation::Update);
        for at in 0..self.steps.len() {
            let predecessors = changes[self.steps[at].change].predecessors;
            if predecessors.is_empty() || !takes(self.steps[at].operation) {
                continue;
            }
            for before in 0..self.steps.len() {
                let step = &self.steps[before];
                if frees(step.operation)
                    && predecessors.contains(&step.change)
                    && !waits_for(&self.steps, before, at)
                {
                    self.steps[at].after.push(before);
                }
            }
        }
    }

    /// Lets what names something follow what makes it, and go before that goes, unless they wait for it.
    fn name(&mut self, changes: &[Ordered<'_>]) {
        let mut of_change: Vec<Vec<usize>> = vec![Vec::new(); changes.len()];
        self.steps.iter().enumerate().for_each(|(at, step)| of_change[step.change].push(at));
        for at in 0..self.steps.len() {
            let ordered = &changes[self.steps[at].change];
            let (others, operations) = match self.steps[at].operation {
                Operation::Create | Operation::Update => (ordered.makers, [Operation::Create; 2]),
                Operation::Delete => (ordered.leavers, [Operation::Delete, Operation::Update]),
                _ => continue,
            };
            for before in others.iter().flat_map(|other| &of_change[*other]) {
                if operations.contains(&self.steps[*before].operation) && !waits_for(&self.steps, *before, at)
                {
                    self.steps[at].after.push(*before);
                }
            }
        }
    }

    /// Lets creates follow what they apply, and the deletes of what is not made again.
    fn follow(&mut self, changes: &[Ordered<'_>]) {
        for at in 0..self.steps.len() {
            let change = changes[self.steps[at].change].change;
            let applies = match self.steps[at].operation {
                Operation::Create => true,
                Operation::Delete => change.action == Action::Delete,
                _ => false,
            };
            if !applies {
                continue;
            }
            let followed = changes[self.steps[at].change].follows;
            let before =
                (0..self.steps.len()).filter(|before| followed.contains(&self.steps[*before].change));
            for before in before.collect::<Vec<_>>() {
                if !waits_for(&self.steps, before, at) {
                    self.steps[at].after.push(before);
                }
            }
        }
    }
}

/// Whether a step waits for another one, be it through others.
pub(crate) fn waits_for(steps: &[Step], step: usize, other: usize) -> bool {
    let (mut open, mut seen) = (vec![step], BTreeSet::new());
    while let Some(at) = open.pop() {
        if at == other {
            return true;
        }
        if seen.insert(at) {
            open.extend(&steps[at].after);
        }
    }
    false
}

/// The same steps, each behind those it waits for, and otherwise as they were, so that equal plans have equal order (Kahn's
/// algorithm).
///
/// # Errors
/// With those that wait for each other.
pub(crate) fn sorted(steps: &[Step]) -> Result<Vec<Step>, Vec<usize>> {
    let mut waiting: Vec<usize> = Vec::with_capacity(steps.len());
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); steps.len()];
    for (at, step) in steps.iter().enumerate() {
        let before: BTreeSet<usize> = step.after.iter().copied().collect();
        waiting.push(before.len());
        before.into_iter().for_each(|before| followers[before].push(at));
    }
    let mut ready: BTreeSet<usize> = (0..steps.len()).filter(|at| waiting[*at] == 0).collect();
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    let mut order = Vec::with_capacity(steps.len());
    while let Some(at) = ready.pop_first() {
        places.insert(at, order.len());
        order.push(at);
        for follower in &followers[at] {
            waiting[*follower] -= 1;
            if waiting[*follower] == 0 {
                ready.insert(*follower);
            }
        }
    }
    if order.len() < steps.len() {
        return Err((0..steps.len()).filter(|at| waiting[*at] > 0).collect());
    }
    let moved = |step: &Step| {
        let after: BTreeSet<usize> = step.after.iter().map(|before| places[before]).collect();
        Step { after: after.into_iter().collect(), ..step.clone() }
    };
    Ok(order.into_iter().map(|at| moved(&steps[at])).collect())
}

/// The name of a deposed object: eight hexadecimal digits as Terraform has, from the address, so that planning stays
/// pure. It is none that an object left by an earlier run has: that one would be lost.
fn deposed_name(address: &InstanceAddress, kept: &BTreeSet<(&InstanceAddress, &str)>) -> String {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::digest(address.to_string().as_bytes());
    loop {
        let name: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        if !kept.contains(&(address, name.as_str())) {
            return name;
        }
        digest = Sha256::digest(digest);
    }
}

/// The blocks that must be replaced by creating first because something that depends on them is.
pub fn propagate_create_before_destroy(
    own: &BTreeMap<ResourceAddress, bool>,
    needs: &BTreeMap<ResourceAddress, Vec<ResourceAddress>>,
) -> BTreeSet<ResourceAddress> {
    let mut forced: BTreeSet<ResourceAddress> =
        own.iter().filter(|(_, flag)| **flag).map(|(resource, _)| resource.clone()).collect();
    let mut open: Vec<ResourceAddress> = forced.iter().cloned().collect();
    while let Some(resource) = open.pop() {
        for needed in needs.get(&resource).into_iter().flatten() {
            if forced.insert(needed.clone()) {
                open.push(needed.clone());
            }
        }
    }
    forced
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
