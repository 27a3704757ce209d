//! Requests about a machine as a whole: whether it runs, starting and stopping it, moving it to another node.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Map, Value as Json};

use crate::cluster::{Call, Method, Power, Step, refused};
use crate::params::Params;
use crate::values::{flag, int, text, with};

/// The path of the machine.
pub(super) fn place(value: &Value) -> String {
    let node = text(value, "node_name").unwrap_or_default();
    format!("/nodes/{node}/qemu/{}", int(value, "id").unwrap_or_default())
}

/// The configured limit of an operation, or that of the reference.
pub(super) fn most(value: &Value, name: &str) -> Duration {
    let stated = value.get("timeouts").and_then(|timeouts| text(timeouts, name));
    let usual = Duration::from_secs(if name == "delete" { 600 } else { 1800 });
    stated.and_then(crate::vm::parse_duration).unwrap_or(usual)
}

/// The options of the machine as they are.
pub(super) async fn options(call: &Call<'_>, value: &Value) -> Result<Map<String, Json>, ProviderError> {
    let vmid = int(value, "id").and_then(|id| u32::try_from(id).ok()).unwrap_or_default();
    let node = text(value, "node_name").unwrap_or_default();
    Ok(call.existing(call.look_at_options("qemu", vmid, node).await?)?.config)
}

async fn is_running(call: &Call<'_>, value: &Value) -> Result<bool, ProviderError> {
    let status = call.cluster.get(&format!("{}/status/current", place(value))).await;
    let status = status.map_err(|error| call.failed(Step::of("read", "the status"), &error))?;
    Ok(status.get("status").and_then(Json::as_str) == Some("running"))
}

/// Brings the machine to its planned node from wherever it is: it may have been migrated since it was read.
pub(super) async fn migrate(call: &Call<'_>, prior: &Value, planned: &Value) -> Result<(), ProviderError> {
    let Some(vmid) = int(prior, "id").and_then(|id| u32::try_from(id).ok()) else { return Ok(()) };
    let (known, wanted) = (text(prior, "node_name"), text(planned, "node_name").unwrap_or_default());
    let node = call.cluster.locate("qemu", vmid, known.unwrap_or_default()).await;
    let node = node.map_err(|error| call.failed(Step::FIND, &error))?;
    let Some(node) = node.filter(|node| node != wanted) else { return Ok(()) };
    let here = with(prior, "node_name", Value::string(node));
    let mut params = Params::default();
    params.put("target", Some(wanted));
    params.put_flag("with-local-disks", Some(true));
    params.put_flag("online", is_running(call, &here).await?.then_some(true));
    let path = format!("{}/migrate", place(&here));
    call.migrate("qemu", vmid, &path, wanted, &params, most(planned, "update")).await
}

/// How the protection is lifted, which the newer kinds have no attribute for and a clone has from its template.
pub(crate) const UNPROTECT_BY_HAND: &str = "Lift it in the options of the machine, or by `qm set ID --protection 0`: this kind has no attribute for it.";

/// Refuses to destroy a machine that is protected before it is stopped for that: it would stay, and not run.
pub(super) async fn refuse_protected(call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
    let vmid = int(prior, "id").and_then(|id| u32::try_from(id).ok()).unwrap_or_default();
    let node = text(prior, "node_name").unwrap_or_default();
    let found = call.look_at_options("qemu", vmid, node).await?;
    if found.and_then(|found| found.flag("protection")) != Some(true) {
        return Ok(());
    }
    Err(refused(format!("{}: it is protected and was left as it is", call.object), Some(UNPROTECT_BY_HAND)))
}

/// Destroying begins with a machine that does not run.
pub(super) async fn stop(call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
    if !is_running(call, prior).await? {
        return Ok(());
    }
    let most = most(prior, "delete");
    if flag(prior, "stop_on_destroy") == Some(true) {
        return call.power(Power::Stop, &place(prior), &Params::default(), most).await;
    }
    shut_down(call, prior, most).await
}

/// How long a machine has to shut down by itself before it is stopped. Half of the time is for what follows.
fn patience(most: Duration) -> Duration {
    (most / 2).min(Duration::from_secs(300))
}

async fn shut_down(call: &Call<'_>, value: &Value, most: Duration) -> Result<(), ProviderError> {
    let mut params = Params::default();
    params.put_flag("forceStop", Some(true));
    params.put("timeout", Some(patience(most).as_secs()));
    call.power(Power::ShutDown, &place(value), &params, most).await
}

/// Starts or stops the machine as planned.
pub(super) async fn power(call: &Call<'_>, planned: &Value) -> Result<(), ProviderError> {
    let wanted = flag(planned, "started") != Some(false);
    match (is_running(call, planned).await?, wanted) {
        (false, true) => {
            call.power(Power::Start, &place(planned), &Params::default(), most(planned, "update")).await
        }
        (true, false) => shut_down(call, planned, most(planned, "update")).await,
        _ => Ok(()),
    }
}

/// Turns the machine into a template.
pub(super) async fn make_template(call: &Call<'_>, planned: &Value) -> Result<(), ProviderError> {
    let path = format!("{}/template", place(planned));
    call.step(Step::TEMPLATE, Method::Post, &path, &Params::default(), most(planned, "create")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_does_not_shut_down_leaves_time_to_destroy_it() {
        let seconds = [1800, 600, 60, 1].map(|most| patience(Duration::from_secs(most)).as_secs());
        assert_eq!(seconds, [300, 300, 30, 0]);
    }
}
