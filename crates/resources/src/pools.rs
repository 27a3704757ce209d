//! Membership of guests in resource pools.

use std::time::Duration;

use pve_executor::ports::ProviderError;

use crate::cluster::{Call, Cluster, Method, Step};
use crate::families;
use crate::params::Params;

/// The right to see a pool.
const AUDIT: &str = "Pool.Audit";

/// Which pool a guest was in and, as far as whoever asks may see, still is: without the right to see a pool, the list of
/// guests looks as if it had none of it (`PVE::API2::Cluster`, `resources`).
pub(crate) async fn hidden_pool(
    cluster: &Cluster,
    recorded: Option<&str>,
    found: Option<&str>,
) -> Option<String> {
    let pool = recorded.filter(|_| found.is_none())?;
    let path = format!("/pool/{pool}");
    let params = [("path".to_string(), path.clone())];
    let held = cluster.api.send(Method::Get, "/access/permissions", &params).await.ok()?;
    let sees = held.get(&path).and_then(|held| held.get(AUDIT)).is_some();
    (!sees).then(|| pool.to_string())
}

/// What is told of a pool that is kept as it was recorded.
pub(crate) fn told_of_hidden(pool: &str) -> String {
    format!("pool_id: who is in {pool:?} is seen with {AUDIT} on /pool/{pool} only; kept as recorded")
}

/// Puts a guest into another pool, or into none.
pub(crate) async fn change_pool(
    call: &Call<'_>,
    vmid: u32,
    before: Option<&str>,
    wanted: Option<&str>,
) -> Result<(), ProviderError> {
    if before == wanted {
        return Ok(());
    }
    let Some(pool) = wanted.or(before) else { return Ok(()) };
    let leaves = families::concerning(call.cluster, families::guest_leaves(vmid, before, wanted));
    let mut turn = None;
    if !leaves.is_empty() {
        let kept = turn.insert(call.cluster.permissions.lock().await);
        families::guard(call.cluster, kept, &leaves).await?;
    }
    let mut params = Params::default();
    params.put("poolid", Some(pool));
    params.put("vms", Some(vmid));
    match wanted {
        Some(_) => params.put_flag("allow-move", Some(true)),
        None => params.put_flag("delete", Some(true)),
    }
    call.step(Step::of("change", "pool"), Method::Put, "/pools", &params, Duration::from_secs(60)).await
}
