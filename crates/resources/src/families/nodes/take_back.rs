//! Taking back what a run has staged of a node's network: all of it at once where nobody else has staged anything, and
//! otherwise interface by interface, so that what others have staged stays.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::change::Change;
use super::staged::{Foreign, Seen, Staged, see};
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

/// What taking back came to.
#[derive(Default)]
pub(super) struct Left {
    /// What of it is still staged: applying what others have staged would also do that.
    pub(super) changes: Vec<Change>,
    /// Why the first one could not be put back, where the cluster said why.
    pub(super) reason: Option<String>,
}

impl Left {
    /// Whether everything was taken back.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// Takes back what this run has staged.
///
/// # Errors
/// Why it cannot be told what is still staged.
pub(super) async fn take_back(
    call: &Call<'_>,
    node: &str,
    staged: &mut Staged,
    foreign: &Foreign,
) -> Result<Left, String> {
    if foreign.is_empty() {
        let path = format!("/nodes/{node}/network");
        call.cluster.api.send(Method::Delete, &path, &[]).await.map_err(|error| error.message)?;
        staged.settle(None);
        call.cluster.shared.reloads.forget(node);
        return Ok(Left::default());
    }
    let mut reason = None;
    for name in staged.touched.clone().iter().rev().filter(|name| !staged.unknown.contains(*name)) {
        let now = seen(call, node).await?;
        let (now, before) = (now.entries.get(name), staged.base.get(name));
        if let Err(error) = put_back(call, node, name, now, before).await {
            reason.get_or_insert(error.message);
        }
    }
    let now = seen(call, node).await?;
    let left = Left { changes: staged.still_staged(&now), reason };
    if left.is_empty() {
        staged.take_note_of_return(&now.entries);
        call.cluster.shared.reloads.forget(node);
    }
    Ok(left)
}

async fn seen(call: &Call<'_>, node: &str) -> Result<Seen, String> {
    let seen = see(call.cluster, node).await.map_err(|error| error.message)?;
    seen.ok_or_else(|| "the node does not tell what is staged".to_string())
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
