//! What `-target` and `-exclude` leave of a plan.

use std::collections::BTreeSet;

use pve_config::syntax::Diagnostic;
use pve_model::address::Target;
use pve_model::plan::PlanMode;
use pve_model::{InstanceAddress, ResourceAddress, ResourceMode};

use crate::graph::Graph;
use crate::planning::Options;

/// Decides which instances a plan is about.
pub struct Selection {
    targets: Vec<Target>,
    excludes: Vec<Target>,
    /// Places of everything that a target needs (or, when destroying, that needs a target).
    reached: BTreeSet<usize>,
    /// Places of everything that needs something excluded.
    dropped: BTreeSet<usize>,
}

impl Selection {
    /// The selection that the options ask for.
    pub fn new(graph: &Graph, options: &Options) -> Selection {
        let named = |targets: &[Target]| -> BTreeSet<usize> {
            (0..graph.nodes.len())
                .filter(|place| {
                    let address = graph.nodes[*place].resource_address();
                    address.is_some_and(|address| targets.iter().any(|target| touches(target, &address)))
                })
                .collect()
        };
        let targeted = named(&options.targets);
        let excluded = named(&options.excludes);
        let needing = |wanted: &BTreeSet<usize>| -> BTreeSet<usize> {
            (0..graph.nodes.len())
                .filter(|place| !wanted.contains(place))
                .filter(|place| graph.closure([*place]).iter().any(|needed| wanted.contains(needed)))
                .collect()
        };
        let reached = if options.targets.is_empty() {
            BTreeSet::new()
        } else if options.mode == PlanMode::Destroy {
            needing(&targeted)
        } else {
            &graph.closure(targeted.iter().copied()) - &targeted
        };
        let dropped = if excluded.is_empty() { BTreeSet::new() } else { needing(&excluded) };
        Selection { targets: options.targets.clone(), excludes: options.excludes.clone(), reached, dropped }
    }

    /// Whether the plan is about an instance of the resource at a place.
    pub fn includes(&self, address: &InstanceAddress, place: usize) -> bool {
        let named = |targets: &[Target]| targets.iter().any(|target| target.contains(address));
        let wanted = self.targets.is_empty() || named(&self.targets) || self.reached.contains(&place);
        wanted && !named(&self.excludes) && !self.dropped.contains(&place)
    }

    /// Whether the plan is about an instance that the configuration does not have.
    pub fn includes_leftover(&self, address: &InstanceAddress, place: Option<usize>) -> bool {
        let named = |targets: &[Target]| targets.iter().any(|target| target.contains(address));
        let reached = place.is_some_and(|place| self.reached.contains(&place));
        let dropped = place.is_some_and(|place| self.dropped.contains(&place));
        (self.targets.is_empty() || named(&self.targets) || reached) && !named(&self.excludes) && !dropped
    }

    /// Whether the plan looks at an instance of the state: what it is not about may stay as it was last seen.
    pub fn looks_at(&self, graph: &Graph, address: &InstanceAddress) -> bool {
        if self.targets.is_empty() && self.excludes.is_empty() {
            return true;
        }
        let block = Target::Resource(address.resource.clone());
        let is_block = |place: &usize| {
            graph.nodes[*place].resource_address().is_some_and(|declared| touches(&block, &declared))
        };
        self.includes_leftover(address, (0..graph.nodes.len()).find(is_block))
    }

    /// Whether everything that a declaration needs is part of the plan, so that its value is up to date.
    pub fn includes_all_needed(&self, graph: &Graph, place: usize) -> bool {
        if self.targets.is_empty() && self.excludes.is_empty() {
            return true;
        }
        graph.closure([place]).into_iter().all(|needed| match graph.nodes[needed].resource_address() {
            Some(address) => {
                let named = |targets: &[Target]| targets.iter().any(|target| touches(target, &address));
                (self.targets.is_empty() || named(&self.targets) || self.reached.contains(&needed))
                    && !named(&self.excludes)
                    && !self.dropped.contains(&needed)
            }
            None => true,
        })
    }
}

/// Warnings about addresses in the options that nothing has: neither an instance of the configuration nor one of the
/// state, which are `known`. A slip of the pen must not look like a plan without changes.
pub fn unmatched(graph: &Graph, options: &Options, known: &BTreeSet<&InstanceAddress>) -> Vec<Diagnostic> {
    let declared = |target: &Target| {
        let mut blocks = graph.nodes.iter().filter_map(|node| node.resource_address());
        blocks.any(|block| touches(target, &block))
    };
    let exists = |target: &Target| match target {
        Target::Instance(instance) if instance.resource.mode == ResourceMode::Managed => {
            known.contains(instance)
        }
        _ => declared(target) || known.iter().any(|address| target.contains(address)),
    };
    let named = |option: &str, target: &Target| {
        (!exists(target)).then(|| {
            let detail = format!("Nothing in the configuration or the state has the address {target}.");
            let hint = "`pve state list` shows the addresses that exist.";
            Diagnostic::warning_without_span(format!("{option} matches nothing"), detail).with_hint(hint)
        })
    };
    let targets = options.targets.iter().filter_map(|target| named("-target", target));
    let excludes = options.excludes.iter().filter_map(|target| named("-exclude", target));
    let replace =
        options.replace.iter().filter_map(|address| named("-replace", &Target::Instance(address.clone())));
    targets.chain(excludes).chain(replace).collect()
}

/// A warning that a plan is about a part only: what it does not show need not be as configured.
pub fn partial(options: &Options) -> Option<Diagnostic> {
    let option = match () {
        () if !options.targets.is_empty() => "-target",
        () if !options.excludes.is_empty() => "-exclude",
        () => return None,
    };
    let summary = format!("This plan is about a part of the configuration, by {option}");
    let detail = "Nothing is said of the rest, which may differ from the cluster.";
    let hint = "A plan without the option shows everything.";
    Some(Diagnostic::warning_without_span(summary, detail).with_hint(hint))
}

/// Whether a target takes in any instance of a block.
pub(crate) fn touches(target: &Target, block: &ResourceAddress) -> bool {
    let names = |path: &pve_model::ModulePath| -> Vec<String> {
        path.0.iter().map(|step| step.name.clone()).collect()
    };
    let own = names(&block.module);
    let same = |resource: &ResourceAddress| {
        resource.mode == block.mode
            && resource.kind == block.kind
            && resource.name == block.name
            && names(&resource.module) == own
    };
    match target {
        Target::Module(module) => own.starts_with(&names(module)),
        Target::Resource(resource) => same(resource),
        Target::Instance(instance) => same(&instance.resource),
    }
}
