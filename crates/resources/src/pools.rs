//! Membership of guests in resource pools.

use std::time::Duration;

use pve_executor::ports::ProviderError;

use crate::cluster::{Call, Method, Step};
use crate::families;
use crate::params::Params;

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
    let _turn = call.cluster.permissions.lock().await;
    if !leaves.is_empty() {
        families::guard(call.cluster, &leaves).await?;
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
