//! What must be evaluated before what: the dependencies between declarations, module by module.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pve_config::configuration::{Configuration, Module, Resource};
use pve_config::syntax::ast::TraversalStepKind;
use pve_config::syntax::{Diagnostic, Span, Traversal};
use pve_model::{ModulePath, ResourceAddress, ResourceMode};

/// A declaration in a module of the configuration (not in an instance of it).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// The names of the module calls from the root.
    pub module: Vec<String>,
    /// The declaration.
    pub item: Item,
}

/// See [`Node`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// `variable`
    Variable(String),
    /// An entry of `locals`.
    Local(String),
    /// `output`
    Output(String),
    /// How many instances a `module` block has.
    Call(String),
    /// `provider`, by local name and alias: `proxmox` or `proxmox.second`.
    Provider(String),
    /// `resource` or `data`: mode, kind and name.
    Resource(ResourceMode, String, String),
}

impl Node {
    /// The resource that the node is, in the module itself rather than in an instance.
    pub fn resource_address(&self) -> Option<ResourceAddress> {
        match &self.item {
            Item::Resource(mode, kind, name) => {
                let module = self.module.iter().fold(ModulePath::root(), |path, call| path.child(call, None));
                Some(ResourceAddress { module, mode: *mode, kind: kind.clone(), name: name.clone() })
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for call in &self.module {
            write!(f, "module.{call}.")?;
        }
        match &self.item {
            Item::Variable(name) => write!(f, "var.{name}"),
            Item::Local(name) => write!(f, "local.{name}"),
            Item::Output(name) => write!(f, "output.{name}"),
            Item::Call(name) => write!(f, "module.{name}"),
            Item::Provider(name) => write!(f, "provider {name}"),
            Item::Resource(ResourceMode::Data, kind, name) => write!(f, "data.{kind}.{name}"),
            Item::Resource(ResourceMode::Managed, kind, name) => write!(f, "{kind}.{name}"),
        }
    }
}

/// All declarations in an order in which each follows what it refers to.
pub struct Graph {
    /// In order.
    pub nodes: Vec<Node>,
    /// By node, the places in `nodes` of what it refers to directly.
    pub needs: Vec<Vec<usize>>,
    places: HashMap<Node, usize>,
}

struct Builder<'a> {
    edges: BTreeMap<Node, BTreeMap<Node, Option<Span>>>,
    configuration: &'a Configuration,
}

impl Graph {
    /// Builds the graph of a configuration.
    ///
    /// # Errors
    /// With one diagnostic for every group of declarations that refer to each other in a circle.
    pub fn build(configuration: &Configuration) -> Result<Graph, Vec<Diagnostic>> {
        let mut builder = Builder { edges: BTreeMap::new(), configuration };
        builder.module(&configuration.root, None);
        let known: BTreeSet<Node> = builder.edges.keys().cloned().collect();
        for needs in builder.edges.values_mut() {
            needs.retain(|node, _| known.contains(node));
        }
        sorted(builder.edges)
    }

    /// The place of a node.
    pub fn place(&self, node: &Node) -> Option<usize> {
        self.places.get(node).copied()
    }

    /// The places of everything that the given ones need, directly or not, themselves included, in order.
    pub fn closure(&self, from: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut found: BTreeSet<usize> = BTreeSet::new();
        let mut open: Vec<usize> = from.into_iter().collect();
        while let Some(place) = open.pop() {
            if found.insert(place) {
                open.extend(&self.needs[place]);
            }
        }
        found
    }

    /// The managed resources and data sources that a node depends on through references, however long the way.
    /// A resource on the way ends it: what that needs is its own affair.
    pub fn resources_needed(&self, place: usize) -> Vec<ResourceAddress> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<usize> = self.needs[place].clone();
        while let Some(at) = open.pop() {
            if !seen.insert(at) {
                continue;
            }
            match self.nodes[at].resource_address() {
                Some(address) => {
                    found.insert(address);
                    // A data source is read, not kept: what it needs stays needed by those that use it.
                    if matches!(self.nodes[at].item, Item::Resource(ResourceMode::Data, ..)) {
                        open.extend(&self.needs[at]);
                    }
                }
                None => open.extend(&self.needs[at]),
            }
        }
        found.into_iter().collect()
    }
}

impl Builder<'_> {
    fn add(&mut self, module: &Module, item: Item, references: Vec<Traversal>) -> Node {
        let node = Node { module: module.path.clone(), item };
        let mut needs = BTreeMap::new();
        for reference in &references {
            for needed in self.targets(module, reference) {
                needs.entry(needed).or_insert(Some(reference.span));
            }
        }
        self.edges.entry(node.clone()).or_default().extend(needs);
        node
    }

    fn need(&mut self, node: &Node, needed: Node) {
        self.edges.entry(node.clone()).or_default().entry(needed).or_insert(None);
    }

    /// `inherited` are nodes that everything with a side effect in the module waits for: the call's `depends_on`.
    fn module(&mut self, module: &Module, inherited: Option<&[Node]>) {
        let inherited = inherited.unwrap_or_default();
        for (name, variable) in &module.variables {
            let references = variable.validations.iter().flat_map(|v| v.references()).collect();
            let node = self.add(module, Item::Variable(name.clone()), references);
            // A validation may name its own variable.
            self.edges.entry(node.clone()).or_default().remove(&node);
        }
        for (name, local) in &module.locals {
            self.add(module, Item::Local(name.clone()), local.value.references());
        }
        for (name, output) in &module.outputs {
            self.add(module, Item::Output(name.clone()), output.references());
        }
        for provider in &module.providers {
            self.add(module, Item::Provider(provider.address()), provider.body.references());
        }
        for resource in &module.resources {
            self.resource(module, resource, inherited);
        }
        for (name, call) in &module.module_calls {
            let node = self.add(module, Item::Call(name.clone()), call.repetition_references());
            let mut passed: Vec<Node> = inherited.to_vec();
            passed.extend(call.depends_on.iter().flat_map(|reference| self.targets(module, reference)));
            let Some(child) = &call.child else { continue };
            for variable in child.variables.keys() {
                let references =
                    call.arguments.attribute(variable).map(|a| a.expr.references()).unwrap_or_default();
                let target = Node { module: child.path.clone(), item: Item::Variable(variable.clone()) };
                let needs: Vec<Node> = references.iter().flat_map(|r| self.targets(module, r)).collect();
                self.need(&target, node.clone());
                for (needed, reference) in needs.into_iter().zip(std::iter::repeat(None)) {
                    self.edges.entry(target.clone()).or_default().entry(needed).or_insert(reference);
                }
            }
            self.module(child, Some(&passed));
            self.everything_in(child, &node);
        }
    }

    /// All declarations of a module need to know the instances of the module.
    fn everything_in(&mut self, child: &Module, call: &Node) {
        let inside: Vec<Node> =
            self.edges.keys().filter(|node| node.module.starts_with(&child.path)).cloned().collect();
        for node in inside {
            self.need(&node, call.clone());
        }
    }

    fn resource(&mut self, module: &Module, resource: &Resource, inherited: &[Node]) {
        let item = Item::Resource(resource.mode, resource.kind.clone(), resource.name.clone());
        let node = self.add(module, item, resource.references());
        // `self` aside, a resource may name itself in its own conditions only, which is checked when they are read.
        self.edges.entry(node.clone()).or_default().remove(&node);
        for needed in inherited {
            self.need(&node, needed.clone());
        }
        let provider = self.configuration.provider_node(module, resource);
        if let Some((path, name)) = provider {
            self.need(&node, Node { module: path, item: Item::Provider(name) });
        }
    }

    /// The declarations that a reference leads to.
    fn targets(&self, module: &Module, reference: &Traversal) -> Vec<Node> {
        let here = |item| vec![Node { module: module.path.clone(), item }];
        let step = |at: usize| match reference.steps.get(at).map(|step| &step.kind) {
            Some(TraversalStepKind::Attribute(name)) => Some(name.to_string()),
            _ => None,
        };
        match (reference.root.name.as_str(), step(0)) {
            ("var", Some(name)) => here(Item::Variable(name)),
            ("local", Some(name)) => here(Item::Local(name)),
            ("each" | "count" | "self" | "path" | "terraform" | "tofu", _) => Vec::new(),
            ("data", Some(kind)) => {
                step(1).map(|name| here(Item::Resource(ResourceMode::Data, kind, name))).unwrap_or_default()
            }
            ("resource", Some(kind)) => step(1)
                .map(|name| here(Item::Resource(ResourceMode::Managed, kind, name)))
                .unwrap_or_default(),
            ("module", Some(call)) => self.module_targets(module, &call, reference),
            (kind, Some(name)) => here(Item::Resource(ResourceMode::Managed, kind.to_string(), name)),
            _ => Vec::new(),
        }
    }

    /// One output if the reference names it, else all of them.
    fn module_targets(&self, module: &Module, call: &str, reference: &Traversal) -> Vec<Node> {
        let mut found = vec![Node { module: module.path.clone(), item: Item::Call(call.to_string()) }];
        let Some(child) = module.module_calls.get(call).and_then(|call| call.child.as_ref()) else {
            return found;
        };
        let named = reference.steps.iter().skip(1).find_map(|step| match &step.kind {
            TraversalStepKind::Attribute(name) => Some(name.to_string()),
            _ => None,
        });
        let outputs = child.outputs.keys().filter(|name| named.as_ref().is_none_or(|named| named == *name));
        found.extend(
            outputs.map(|name| Node { module: child.path.clone(), item: Item::Output(name.clone()) }),
        );
        found
    }
}

/// Kahn's algorithm; what remains is circular.
fn sorted(edges: BTreeMap<Node, BTreeMap<Node, Option<Span>>>) -> Result<Graph, Vec<Diagnostic>> {
    let all: Vec<&Node> = edges.keys().collect();
    let index: HashMap<&Node, usize> = all.iter().enumerate().map(|(i, node)| (*node, i)).collect();
    let mut waiting: Vec<usize> = edges.values().map(BTreeMap::len).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
    for (i, needs) in edges.values().enumerate() {
        needs.keys().for_each(|needed| followers[index[needed]].push(i));
    }
    let mut ready: BTreeSet<usize> = (0..all.len()).filter(|i| waiting[*i] == 0).collect();
    let mut order = Vec::with_capacity(all.len());
    while let Some(i) = ready.pop_first() {
        order.push(i);
        for follower in &followers[i] {
            waiting[*follower] -= 1;
            if waiting[*follower] == 0 {
                ready.insert(*follower);
            }
        }
    }
    if order.len() < all.len() {
        return Err(vec![cycle(&edges, &all, &waiting)]);
    }
    let place: HashMap<usize, usize> = order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let nodes: Vec<Node> = order.iter().map(|i| all[*i].clone()).collect();
    let needs =
        nodes.iter().map(|node| edges[node].keys().map(|needed| place[&index[needed]]).collect()).collect();
    let places = nodes.iter().cloned().enumerate().map(|(i, node)| (node, i)).collect();
    Ok(Graph { nodes, needs, places })
}

/// Walks among the nodes that wait for each other until one comes again.
fn cycle(
    edges: &BTreeMap<Node, BTreeMap<Node, Option<Span>>>,
    all: &[&Node],
    waiting: &[usize],
) -> Diagnostic {
    let stuck: BTreeSet<&Node> =
        all.iter().zip(waiting).filter(|(_, count)| **count > 0).map(|(node, _)| *node).collect();
    let mut path: Vec<&Node> = Vec::new();
    let mut spans: Vec<Span> = Vec::new();
    let mut at = stuck.iter().next().copied();
    while let Some(node) = at {
        if let Some(start) = path.iter().position(|seen| *seen == node) {
            path.drain(..start);
            break;
        }
        path.push(node);
        at = edges[node].iter().find(|(needed, _)| stuck.contains(needed)).map(|(needed, span)| {
            spans.extend(*span);
            needed
        });
    }
    let mut names: Vec<String> = path.iter().map(ToString::to_string).collect();
    names.extend(path.first().map(ToString::to_string));
    let detail = format!("Each of these needs the next one first: {}.", names.join(" -> "));
    let summary = "Declarations refer to each other in a circle";
    let hint =
        "Take one of the references out, or split the declaration so that the part needed stands alone.";
    match spans.last() {
        Some(span) => Diagnostic::error(*span, summary, detail).with_hint(hint),
        None => Diagnostic::error_without_span(summary, detail).with_hint(hint),
    }
}
