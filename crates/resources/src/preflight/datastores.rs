//! Whether a datastore can be used where it is: on the node, enabled, for the type of content.

use serde_json::Value as Json;

use super::facts::Facts;
use super::fault::Fault;
use super::names::path;
use super::references::Reference;

/// Why a datastore that is there is not fit. `None` when it is, or the cluster does not tell.
pub(super) async fn unfit_datastore(facts: &mut Facts<'_>, reference: &Reference) -> Option<Fault> {
    let list = facts.list(&path(reference), "").await?;
    let entry = list.iter().find(|entry| entry["storage"] == reference.name.as_str())?;
    match absent(facts, reference, entry).await {
        Some(fault) => Some(fault),
        None => other_content(reference, entry),
    }
}

/// A node lists what is disabled, or for other nodes, as not enabled (`PVE::Storage`, `storage_info`).
async fn absent(facts: &mut Facts<'_>, reference: &Reference, entry: &Json) -> Option<Fault> {
    let node = reference.node.as_deref()?;
    let name = &reference.name;
    let quoted = format!("{name:?}");
    if entry["enabled"].as_i64() == Some(0) {
        let all = facts.list("/storage", "").await.unwrap_or_default();
        let configured = all.iter().find(|entry| entry["storage"] == name.as_str());
        let is_disabled = configured.is_some_and(|storage| is_set(&storage["disable"]));
        let nodes = configured.and_then(|storage| storage["nodes"].as_str());
        return Some(match nodes.filter(|_| !is_disabled) {
            Some(nodes) => {
                let detail = format!("it is for: {}", nodes.replace(',', ", "));
                Fault::certain(&quoted, |name| format!("The datastore {name} is not on {node}"), detail)
            }
            None if is_disabled => {
                let summary = |name: &str| format!("The datastore {name} is disabled");
                Fault::certain(&quoted, summary, "`pvesm set ... --disable 0` on a node enables it")
            }
            None => {
                let summary = |name: &str| format!("The datastore {name} is not enabled on {node}");
                Fault::certain(&quoted, summary, "it is disabled, or for other nodes")
            }
        });
    }
    let is_silent = entry["active"].as_i64() == Some(0);
    is_silent.then(|| {
        let summary = |name: &str| format!("The datastore {name} is not active on {node}");
        Fault::certain(&quoted, summary, "it is enabled there, and cannot be reached now").likely()
    })
}

/// Whether a datastore is the same one on every node; so it is taken where the cluster does not tell.
pub(super) async fn is_shared(facts: &mut Facts<'_>, reference: &Reference) -> bool {
    let list = facts.list(&path(reference), "").await.unwrap_or_default();
    let entry = list.iter().find(|entry| entry["storage"] == reference.name.as_str());
    entry.is_none_or(|entry| is_set(&entry["shared"]))
}

fn is_set(value: &Json) -> bool {
    value.as_i64() == Some(1) || value.as_str() == Some("1")
}

fn other_content(reference: &Reference, entry: &Json) -> Option<Fault> {
    let (name, content) = (&reference.name, reference.content.as_deref()?);
    let types: Vec<&str> = entry["content"].as_str()?.split(',').collect();
    if types.contains(&content) {
        return None;
    }
    let detail = |name: &str| {
        let (told, all) = (types.join(", "), types.join(","));
        format!("its content is {told}; on a node, `pvesm set {name} --content {all},{content}` adds it")
    };
    let summary = |name: &str| format!("The datastore {name} is not for {content}");
    let mut fault = Fault::certain(&format!("{name:?}"), summary, detail(name));
    fault.hidden.detail = detail("...");
    Some(fault)
}
