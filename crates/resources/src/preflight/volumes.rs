//! Whether a datastore has the file, image or disk that is named.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::fault::Fault;
use super::made::Made;
use super::names::what_there_is;
use super::references::Reference;
use crate::volumes::file_of;

/// Types of content of which whoever may use a datastore sees all (`PVE::Storage`, `check_volume_access`).
const SEEN: &[&str] = &["iso", "vztmpl", "import"];

/// Why the volume cannot be had. `None` when it is there, or the cluster does not tell.
pub(super) async fn missing_volume(
    facts: &mut Facts<'_>,
    reference: &Reference,
    made: &Made,
) -> Option<Fault> {
    let (volume, node) = (file_of(reference.volume.as_deref()?), reference.node.as_deref()?);
    let (datastore, rest) = volume.split_once(':')?;
    let content =
        rest.split_once('/').map(|(content, _)| content).filter(|name| name.parse::<u32>().is_err());
    let content = content.unwrap_or("images");
    // A datastore lists nothing of a type that it is not for, and may have it all the same.
    let list = facts.list(&format!("/nodes/{node}/storage"), "").await?;
    let entry = list.iter().find(|entry| entry["storage"] == datastore)?;
    if !entry["content"].as_str()?.split(',').any(|taken| taken == content) {
        return None;
    }
    let content_list = facts.content(node, datastore).await?;
    let ids = || content_list.iter().filter_map(|entry| entry["volid"].as_str());
    if ids().any(|id| id == volume) {
        return None;
    }
    let sees_all = SEEN.contains(&content) || {
        facts.holds("Datastore.Allocate", &format!("/storage/{datastore}")).await
    };
    let begins = format!("{datastore}:{content}/");
    let alike = ids().filter(|id| content == "images" || id.starts_with(&begins));
    let alike: BTreeSet<String> = alike.map(String::from).collect();
    if !sees_all && alike.is_empty() {
        return None;
    }
    let mut detail = what_there_is(&alike);
    if let Some(nodes) = made.nodes_of(volume) {
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let nodes = nodes.join(", ");
        detail = format!("this plan makes it on {nodes}, and {datastore} is not shared; on {node} {detail}");
    }
    if !sees_all {
        detail += &format!(
            "; more may be hidden from this user, who sees all with Datastore.Allocate on /storage/{datastore}"
        );
    }
    let missing =
        Fault::certain(&format!("{volume:?}"), |name| format!("There is no volume {name} on {node}"), detail);
    Some(if sees_all { missing } else { missing.likely() })
}
