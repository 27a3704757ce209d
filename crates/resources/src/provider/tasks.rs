//! What the tasks of a cluster tell of an action that a crash left open.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::state::OpenAction;
use serde_json::Value as Json;

use crate::cluster::{Cluster, Method, elements, failed};
use crate::download_file;
use crate::values::text;

/// The longest wait for a task that still runs.
const MOST: Duration = Duration::from_secs(4 * 3600);

/// How far the clocks of the writer and the cluster may be apart, in seconds.
const CLOCK_DIFFERENCE: i64 = 300;

/// Waits until every recorded task has ended. Whether any went well: one that failed proves nothing of what is there.
pub(super) async fn await_tasks(cluster: &Cluster, open: &OpenAction) -> Result<bool, ProviderError> {
    let mut went_well = false;
    for (step, upid) in &open.tasks {
        went_well |= await_end(cluster, step, upid).await?;
    }
    Ok(went_well)
}

/// Waits until a task has ended, and tells whether it went well. While it may run nothing can be said about what it
/// makes.
pub(super) async fn await_end(cluster: &Cluster, step: &str, upid: &str) -> Result<bool, ProviderError> {
    match cluster.api.wait(upid, MOST).await {
        Err(error) if error.lost => Err(failed(format!("ask for the end of {step} ({upid})"), &error)),
        ended => Ok(ended.is_ok()),
    }
}

/// Tasks of our own user that still run, about one of these ids, whatever the clocks say: waiting for an older one does
/// no harm, and missing one would make its guest look as if it had never been asked for.
pub(super) async fn running_tasks(
    cluster: &Cluster,
    node: &str,
    ids: &[String],
) -> Result<Vec<String>, ProviderError> {
    own_tasks(cluster, node, "active", 0, ids).await
}

/// Tasks of our own user since the intent, about one of these ids; `source` is the API's: `active` or `all`.
async fn own_tasks(
    cluster: &Cluster,
    node: &str,
    source: &str,
    since: i64,
    ids: &[String],
) -> Result<Vec<String>, ProviderError> {
    let since = since.saturating_sub(CLOCK_DIFFERENCE).max(0);
    let list = list_tasks(cluster, node, source, since).await?;
    // A token acts for its user, who is what the list has.
    let user = cluster.api.user();
    let user = user.split('!').next().unwrap_or_default();
    let mine = |task: &Json| {
        let text = |name: &str| task.get(name).and_then(Json::as_str).unwrap_or_default();
        let start = task.get("starttime").and_then(Json::as_i64).unwrap_or_default();
        ids.iter().any(|id| id == text("id"))
            && (user.is_empty() || text("user").split('!').next() == Some(user))
            && start >= since
    };
    let upids = list.iter().filter(|task| mine(task)).filter_map(|task| task.get("upid")?.as_str());
    Ok(upids.map(str::to_string).collect())
}

/// The tasks of a node that began at this time, in seconds of its clock, or later.
async fn list_tasks(
    cluster: &Cluster,
    node: &str,
    source: &str,
    since: i64,
) -> Result<Vec<Json>, ProviderError> {
    let params =
        [("source", source.to_string()), ("since", since.to_string()), ("limit", "1000".to_string())];
    let params = params.map(|(name, value)| (name.to_string(), value));
    let fail = |error: &_| failed(format!("list the tasks of {node}"), error);
    let list = cluster.api.send(Method::Get, &format!("/nodes/{node}/tasks"), &params).await;
    let list = list.map_err(|error| fail(&error))?;
    Ok(elements("the tasks", &list).map_err(|error| fail(&error))?.to_vec())
}

/// Whether the guest that an action made was destroyed since, so that what has its id now is another one. Its tasks prove
/// that it was made, not that it is still there. Of other users' tasks only a user with Sys.Audit sees any.
pub(super) async fn was_destroyed(
    cluster: &Cluster,
    open: &OpenAction,
    vmid: u32,
) -> Result<bool, ProviderError> {
    let id = vmid.to_string();
    for (_, upid) in &open.tasks {
        let mut parts = upid.split(':').skip(1);
        let (Some(node), Some(began)) = (parts.next(), parts.nth(2)) else { continue };
        let Ok(began) = i64::from_str_radix(began, 16) else { continue };
        let destroyed = |task: &Json| {
            let text = |name: &str| task.get(name).and_then(Json::as_str).unwrap_or_default();
            text("id") == id
                && matches!(text("type"), "qmdestroy" | "vzdestroy")
                && task.get("starttime").and_then(Json::as_i64).is_some_and(|start| start > began)
        };
        if list_tasks(cluster, node, "all", began).await?.iter().any(destroyed) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a task of our own user has downloaded the planned URL since the intent: its log names the URL.
pub(super) async fn downloaded_since(
    cluster: &Cluster,
    open: &OpenAction,
    planned: &Value,
) -> Result<bool, ProviderError> {
    let (Some(volume), Some(url)) = (download_file::volume(planned), text(planned, "url")) else {
        return Ok(false);
    };
    let name = std::slice::from_ref(&volume.name);
    for upid in own_tasks(cluster, &volume.node, "all", open.since, name).await? {
        let path = format!("/nodes/{}/tasks/{upid}/log", volume.node);
        let log = cluster.api.send(Method::Get, &path, &[]).await;
        let log = log.map_err(|error| failed(format!("read the log of {upid}"), &error))?;
        let begins = format!("downloading {url} to ");
        let mut lines = log.as_array().into_iter().flatten().filter_map(|line| line.get("t")?.as_str());
        if lines.any(|line| line.starts_with(&begins)) && await_end(cluster, "download", &upid).await? {
            return Ok(true);
        }
    }
    Ok(false)
}
