//! Taking back what a run has staged of a node's network: all of it at once where nobody else has staged anything, and
//! otherwise interface by interface, so that what others have staged stays.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::difference::Change;
use super::staged::{Foreign, Staged, look, see};
use crate::cluster::{ApiError, Call, Method};

/// What the API takes of an interface (PVE::API2::Network, `$confdesc`) and tells as it takes it.
const SETTABLE: &[&str] = &[
    "autostart",
    "bond-primary",
    "bond_mode",
    "bond_xmit_hash_policy",
    "bridge_ports",
    "bridge_vids",
    "bridge_vlan_aware",
    "cidr",
    "cidr6",
    "comments",
    "comments6",
    "gateway",
    "gateway6",
    "mtu",
    "slaves",
    "type",
    "vlan-id",
    "vlan-raw-device",
];

/// Takes back what this run has staged. What of it is still staged afterwards: nothing, or what applying what others have
/// staged would also do. `None` where that cannot be told.
pub(super) async fn take_back(
    call: &Call<'_>,
    node: &str,
    staged: &mut Staged,
    foreign: &Foreign,
) -> Option<Vec<Change>> {
    if foreign.is_empty() {
        let path = format!("/nodes/{node}/network");
        call.cluster.api.send(Method::Delete, &path, &[]).await.ok()?;
        staged.settle(None);
        return Some(Vec::new());
    }
    for name in staged.touched.clone().iter().rev() {
        let Ok(Some(now)) = look(call, node).await else { return None };
        if !staged.unknown.contains(name) {
            let (now, before) = (now.entries.get(name), staged.base.get(name));
            // What cannot be put back shows below.
            let _ = put_back(call, node, name, now, before).await;
        }
    }
    let now = see(call.cluster, node).await.ok()??;
    let left = staged.own_among(&now.changes);
    if left.is_empty() {
        staged.take_note_of_return();
    }
    Some(left)
}

/// Makes an interface what it was before. Options that the API does not take would be lost with one that is made anew.
async fn put_back(
    call: &Call<'_>,
    node: &str,
    name: &str,
    now: Option<&Map<String, Json>>,
    before: Option<&Map<String, Json>>,
) -> Result<(), ApiError> {
    let all = format!("/nodes/{node}/network");
    let one = format!("{all}/{name}");
    let (method, path, params) = match (now, before) {
        (now, before) if now == before => return Ok(()),
        (Some(_), None) => (Method::Delete, one, Vec::new()),
        (None, Some(before)) if before.contains_key("options") => return Ok(()),
        (None, Some(before)) => {
            let mut params = settable(before);
            params.insert("iface".into(), name.into());
            (Method::Post, all, params.into_iter().collect())
        }
        (Some(now), Some(before)) => {
            let mut params = settable(before);
            let gone: Vec<String> =
                settable(now).into_keys().filter(|key| !params.contains_key(key)).collect();
            if !gone.is_empty() {
                params.insert("delete".into(), gone.join(","));
            }
            (Method::Put, one, params.into_iter().collect())
        }
        (None, None) => return Ok(()),
    };
    call.cluster.api.send(method, &path, &params).await.map(drop)
}

fn settable(entry: &Map<String, Json>) -> BTreeMap<String, String> {
    let text =
        |value: &Json| value.as_str().map_or_else(|| value.to_string(), |text| text.trim_end().to_string());
    let is_settable = |name: &String| SETTABLE.contains(&name.as_str());
    let known = entry.iter().filter(|(name, value)| is_settable(name) && !value.is_null());
    known.map(|(name, value)| (name.clone(), text(value))).filter(|(_, text)| !text.is_empty()).collect()
}
