//! `pve graph`

use pve_model::ResourceMode;
use pve_planner::graph::{Graph, Item, Node};
use serde_json::json;

use super::print_json;
use crate::arguments::{GlobalOptions, GraphOptions};
use crate::failure::Ended;
use crate::project::Project;
use crate::variables::Missing;
use crate::workspace::Workspace;

/// Prints what depends on what, in an order that only the configuration decides. Without a type only resources are shown.
///
/// # Errors
/// When the configuration cannot be loaded, or declarations refer to each other in a circle.
pub fn run(global: &GlobalOptions, options: &GraphOptions) -> Ended {
    let project = Project { missing: Missing::Unknown, ..Project::find(global)? };
    let workspace = Workspace::load(&project, &options.variables)?;
    let mut drawn = match options.kind.as_deref() {
        None => of_resources(&workspace.graph),
        Some(_) => of_everything(&workspace.graph),
    };
    if options.kind.as_deref() == Some("plan-destroy") {
        // What needs something is destroyed before it.
        drawn.edges.iter_mut().for_each(|(from, to)| std::mem::swap(from, to));
    }
    drawn.nodes.sort_by_key(|(name, _)| name.clone());
    drawn.edges.sort();
    drawn.edges.dedup();
    if global.json {
        let nodes = drawn.nodes.iter().map(|(name, kind)| json!({"id": name, "kind": kind}));
        let edges = drawn.edges.iter().map(|(from, to)| json!({"from": from, "to": to}));
        let (nodes, edges): (Vec<_>, Vec<_>) = (nodes.collect(), edges.collect());
        print_json(&json!({"format_version": "1.0", "nodes": nodes, "edges": edges}))?;
    } else {
        print!("{}", drawn.dot());
    }
    Ok(0)
}

/// Names with their kinds, and who needs whom.
struct Drawn {
    nodes: Vec<(String, &'static str)>,
    edges: Vec<(String, String)>,
}

impl Drawn {
    fn dot(&self) -> String {
        let mut text = String::from(
            "digraph G {\n  rankdir = \"RL\";\n  node [shape = rect, fontname = \"sans-serif\"];\n",
        );
        for (name, _) in &self.nodes {
            text.push_str(&format!("  {};\n", quoted(name)));
        }
        for (from, to) in &self.edges {
            text.push_str(&format!("  {} -> {};\n", quoted(from), quoted(to)));
        }
        text.push_str("}\n");
        text
    }
}

/// A name in DOT's quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn of_everything(graph: &Graph) -> Drawn {
    let nodes = graph.nodes.iter().map(|node| (node.to_string(), kind(node))).collect();
    let edges = graph.needs.iter().enumerate().flat_map(|(place, needs)| {
        needs.iter().map(move |needed| (graph.nodes[place].to_string(), graph.nodes[*needed].to_string()))
    });
    Drawn { nodes, edges: edges.collect() }
}

/// Resources and data sources, with what lies between them left out.
fn of_resources(graph: &Graph) -> Drawn {
    let mut drawn = Drawn { nodes: Vec::new(), edges: Vec::new() };
    for (place, node) in graph.nodes.iter().enumerate() {
        if node.resource_address().is_none() {
            continue;
        }
        drawn.nodes.push((node.to_string(), kind(node)));
        for needed in graph.resources_needed(place) {
            drawn.edges.push((node.to_string(), needed.to_string()));
        }
    }
    drawn
}

fn kind(node: &Node) -> &'static str {
    match &node.item {
        Item::Variable(_) => "variable",
        Item::Local(_) => "local",
        Item::Output(_) => "output",
        Item::Call(_) => "module",
        Item::Provider(_) => "provider",
        Item::Resource(ResourceMode::Data, ..) => "data",
        Item::Resource(ResourceMode::Managed, ..) => "resource",
    }
}
