//! Applying what is staged of a node's network: once for all changes that come at the same time. What is staged is taken
//! back where the reload does not begin, or where it would only take away since something of the batch failed. Once it has
//! begun, Proxmox VE has written the change and offers no way back (PVE::API2::Network, `reload_network_config`), so that
//! a failure, or a node that is cut off, is told of.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::{Type, Value};

use super::change::listed;
use super::refusals::{REVERT, SETTLE, also_staged, beside_foreign, not_of_this_run};
use super::staged::{DUE, Foreign, Staged, is_unfinished, see, takes_away};
use super::take_back::take_back;
use crate::cluster::{ApiError, Call, Cluster, Method, Step, failed, refused};
use crate::object::Planning;
use crate::params::Params;
use crate::values::{changed, int, text, with};

/// How long others may still join before the network is reloaded, beside those that the plan has put into one batch.
const GATHER: Duration = Duration::from_millis(150);

/// How long a reload may take where nothing is configured, in seconds.
pub(super) const TIMEOUT: i64 = 100;

/// How often a node is asked whether it can be reached again.
const PAUSE: Duration = Duration::from_millis(500);

/// The step that applies what is staged.
const APPLY: Step<'_> = Step::of("apply", "network");

/// An interface whose change broke off.
pub(super) fn unfinished(value: Value, done: &[String]) -> Value {
    match APPLY.is_in(done) {
        true => value,
        false => with(&value, "timeout_reload", Value::number(DUE)),
    }
}

/// An interface whose deletion is staged is still there. One that a run has staged is kept until it is applied.
pub(super) async fn remains(cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
    let named = (text(prior, "node_name"), text(prior, "name"));
    let (Some(node), Some(name)) = named else { return Ok(None) };
    if !is_unfinished(prior) && !cluster.shared.reloads.left(node).contains(name) {
        return Ok(None);
    }
    let changes = see(cluster, node).await?.unwrap_or_default().changes;
    let is_going = changes.iter().any(|change| change.name == name && change.after.is_none());
    Ok(is_going.then(|| with(prior, "timeout_reload", Value::number(DUE))))
}

/// Tells of a reload that is due although nothing else changes.
pub(super) fn plan(planning: &mut Planning<'_>) {
    if planning.prior.is_some_and(is_unfinished) {
        let seconds = int(planning.config, "timeout_reload").unwrap_or(TIMEOUT);
        planning.planned = with(&planning.planned, "timeout_reload", Value::number(seconds));
        planning
            .notes
            .push("it was changed and perhaps not applied: the network of the node is reloaded".into());
    }
}

/// An interface that is perhaps not applied, without the mark for that: its timeout is what it will be, or nobody's to know.
pub(super) fn shown(before: &Value, after: Option<&Value>) -> Option<Value> {
    let timeout = after.and_then(|after| after.get("timeout_reload")).cloned();
    let timeout = timeout.unwrap_or_else(|| Value::null(Type::Number));
    is_unfinished(before).then(|| with(before, "timeout_reload", timeout))
}

/// Refuses to stage a change beside those of somebody else: the reload would apply them, and taking back what cannot be
/// applied would throw them away. Until it is staged no other one of this run is.
pub(super) async fn refuse_foreign(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: Option<&Value>,
) -> Result<(), ProviderError> {
    let values = planned.or(prior);
    let named = |attribute: &str| values.and_then(|value| text(value, attribute)).unwrap_or_default();
    let (node, name) = (named("node_name"), named("name"));
    let reloads = &call.cluster.shared.reloads;
    if let Some(prior) = prior.filter(|prior| is_unfinished(prior)) {
        reloads.recall(prior);
    }
    let mut turn = reloads.of(node).turn.clone().lock_owned().await;
    values.into_iter().for_each(|value| reloads.take_up(value));
    let foreign = others(call, node, &mut turn).await?;
    if !foreign.is_empty() {
        return Err(beside_foreign(node, &foreign));
    }
    if prior.is_none() {
        refuse_unreadable(call, node, planned).await?;
    }
    turn.staging = Some((name.to_string(), takes_away(prior, planned)));
    *call.turn.lock().unwrap_or_else(PoisonError::into_inner) = Some(turn);
    Ok(())
}

/// Refuses to stage what could not be read afterwards: it would stay staged.
async fn refuse_unreadable(
    call: &Call<'_>,
    node: &str,
    planned: Option<&Value>,
) -> Result<(), ProviderError> {
    let name = planned.and_then(|planned| text(planned, "name")).unwrap_or_default();
    match call.cluster.get(&format!("/nodes/{node}/network/{name}")).await {
        Err(error) if error.status == Some(403) => Err(call.failed(Step::READ, &error)),
        _ => Ok(()),
    }
}

/// Takes note of a change that is staged: others of the node have their turn. Whether it is one that a reload applies.
pub(super) async fn stage(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: Option<&Value>,
) -> Result<bool, ProviderError> {
    let Some(values) = planned.or(prior) else { return Ok(false) };
    let mut turn = call.turn.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let (Some(prior), Some(planned)) = (prior, planned)
        && !is_unfinished(prior)
        && changed(prior, planned).iter().all(|name| name == "timeout_reload" || name == "id")
    {
        return Ok(false);
    }
    let node = text(values, "node_name").unwrap_or_default();
    let seconds = int(values, "timeout_reload").filter(|seconds| *seconds != DUE).unwrap_or(TIMEOUT);
    let number = call.cluster.shared.reloads.of(node).stage(seconds.unsigned_abs());
    *call.staged.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
    if let Some(turn) = &mut turn {
        turn.keep(call, node, planned).await?;
    }
    Ok(true)
}

/// Applies a change that is staged, unless the reload of another one has taken it along.
pub(super) async fn apply(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: Option<&Value>,
) -> Result<(), ProviderError> {
    let Some(values) = planned.or(prior) else { return Ok(()) };
    let Some(mine) = call.staged.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return Ok(());
    };
    let node = text(values, "node_name").unwrap_or_default();
    let reload = call.cluster.shared.reloads.of(node);
    let mut applied = reload.applied.lock().await;
    if applied.last < mine {
        tokio::time::sleep(GATHER).await;
        // Those that wait for their turn have it first.
        let mut turn = reload.turn.lock().await;
        applied.last = reload.last();
        let most = Duration::from_secs(reload.take_patience());
        let done = reload_node(call, node, &mut turn, most).await;
        applied.failure = done.as_ref().err().map(|(failure, _)| failure.clone());
        applied.is_taken_back = done.as_ref().is_err_and(|(_, is_taken_back)| *is_taken_back);
        if applied.is_taken_back {
            call.undo();
        }
        return done.map_err(|(failure, _)| failure);
    }
    if applied.is_taken_back {
        call.undo();
    }
    match applied.failure.clone() {
        Some(failure) => {
            Err(ProviderError { hint: Some("see the error of the other interface".into()), ..failure })
        }
        None => Ok(()),
    }
}

/// Why a reload was not made, or failed, and whether what was staged is as it was before.
type Failed = (ProviderError, bool);

/// What others have staged of a node by now.
async fn others(call: &Call<'_>, node: &str, staged: &mut Staged) -> Result<Foreign, ProviderError> {
    let reloads = &call.cluster.shared.reloads;
    staged.foreign(call, node, &reloads.left(node), reloads.planned(node).as_ref()).await
}

/// The same as something of this run is staged. Where that was reverted by somebody else, nothing of it is left.
async fn others_beside(call: &Call<'_>, node: &str, staged: &mut Staged) -> Result<Foreign, Failed> {
    match others(call, node, staged).await {
        Err(error) if staged.is_undone => {
            staged.settle(None);
            call.cluster.shared.reloads.forget(node);
            Err((error, true))
        }
        found => found.map_err(|error| (error, false)),
    }
}

async fn reload_node(call: &Call<'_>, node: &str, staged: &mut Staged, most: Duration) -> Result<(), Failed> {
    let kept = |failure: ProviderError| (failure, false);
    call.go_on(APPLY).map_err(kept)?;
    let foreign = others_beside(call, node, staged).await?;
    if !foreign.is_empty() {
        return Err(beside_own(call, node, staged, &foreign).await);
    }
    if staged.takes_away && call.is_partial.load(Ordering::SeqCst) {
        return Err(not_by_half(call, node, staged).await);
    }
    let path = format!("/nodes/{node}/network");
    let began = match call.send(Method::Put, &path, &Params::default()).await {
        Ok(task) => task,
        Err(error) => {
            if error.lost && !is_reachable(call, node, most).await {
                return Err(kept(cut_off(node, most)));
            }
            return Err(not_begun(call, node, staged, &error).await);
        }
    };
    after_begin(call, node, &began, most).await.map_err(kept)?;
    let now = see(call.cluster, node).await.ok().flatten();
    let beside = now.as_ref().map(|now| staged.beside(&now.entries)).unwrap_or_default();
    if !beside.is_empty() && now.as_ref().is_some_and(|now| now.changes.is_empty()) {
        let told = listed(&beside);
        call.progress.status(&format!("somebody changed the network of {node} while it was applied: {told}"));
    }
    staged.settle(now);
    call.cluster.shared.reloads.forget(node);
    Ok(())
}

/// Others have staged something beside what this run has.
async fn beside_own(call: &Call<'_>, node: &str, staged: &mut Staged, foreign: &Foreign) -> Failed {
    let others = not_of_this_run(node, &foreign.others);
    match take_back(call, node, staged, foreign).await {
        Ok(left) if left.is_empty() => {
            let hint = format!("what this run had staged was taken back: {SETTLE}");
            (refused(others, Some(&hint)), true)
        }
        Ok(left) => {
            let message = format!("{others}{}", also_staged("pve", &left.changes));
            (refused(message, Some(&with_reason(REVERT, left.reason.as_deref()))), false)
        }
        Err(reason) => {
            let message = format!("{others}; so would what this run has staged");
            (refused(message, Some(&with_reason(REVERT, Some(&reason)))), false)
        }
    }
}

/// What is staged takes something away, and what was to take its place is not staged.
async fn not_by_half(call: &Call<'_>, node: &str, staged: &mut Staged) -> Failed {
    let message = format!(
        "{}: not all changes of it could be staged, and the others would take something away from the node",
        APPLY.on(node)
    );
    match take_back(call, node, staged, &Foreign::default()).await {
        Ok(_) => {
            let hint = "what was staged on the node was taken back: put right what failed, and apply again";
            (refused(message, Some(hint)), true)
        }
        Err(reason) => (refused(message, Some(&with_reason(NOT_TAKEN_BACK, Some(&reason)))), false),
    }
}

/// The end of a reload that has begun.
async fn after_begin(
    call: &Call<'_>,
    node: &str,
    began: &serde_json::Value,
    most: Duration,
) -> Result<(), ProviderError> {
    let mut failure = None;
    if let Some(upid) = began.as_str().filter(|data| data.starts_with("UPID:")) {
        call.submitted(APPLY, upid).await?;
        failure = end_of(call, upid, most).await.err();
    }
    if !is_reachable(call, node, most).await {
        return Err(cut_off(node, most));
    }
    match failure {
        None => call.completed(APPLY).await,
        Some(error) => {
            let hint = "/etc/network/interfaces of the node has the change although it could not be applied as a whole: \
                        the log of the task says why. Put it right and apply again, or run ifreload -a on the node";
            Err(ProviderError { hint: Some(hint.to_string()), ..failed(APPLY.on(node), &error) })
        }
    }
}

/// The end of a task of a node that does not answer all the time meanwhile.
async fn end_of(call: &Call<'_>, upid: &str, most: Duration) -> Result<(), ApiError> {
    let until = tokio::time::Instant::now() + most;
    loop {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        match call.cluster.api.wait(upid, left).await {
            Err(error) if error.lost && left > PAUSE => tokio::time::sleep(PAUSE).await,
            end => return end,
        }
    }
}

/// The failure of a reload that did not begin, as far as is known. What is still staged would be applied by the next
/// one, whoever asks for it. What somebody else has staged meanwhile is not thrown away with it.
async fn not_begun(call: &Call<'_>, node: &str, staged: &mut Staged, error: &ApiError) -> Failed {
    let failure = failed(APPLY.on(node), error);
    let with_hint = |hint: &str| ProviderError { hint: Some(hint.to_string()), ..failure.clone() };
    let foreign = match others_beside(call, node, staged).await {
        Ok(foreign) => foreign,
        Err((undone, true)) => return (with_hint(&format!("{}: apply again", undone.message)), true),
        Err((unseen, false)) => {
            return (with_hint(&with_reason(NOT_TAKEN_BACK, Some(&unseen.message))), false);
        }
    };
    match take_back(call, node, staged, &foreign).await {
        Ok(left) if left.is_empty() && error.lost => (
            with_hint(
                "what was not applied by then was taken back: apply again, which looks at what is there",
            ),
            false,
        ),
        Ok(left) if left.is_empty() && foreign.is_empty() => {
            let hint =
                "what was staged on the node was taken back: put the configuration right and apply again";
            (with_hint(hint), true)
        }
        Ok(left) if left.is_empty() => {
            let hint = format!(
                "what this run had staged was taken back, and others have staged {}: {SETTLE}",
                listed(&foreign.others)
            );
            (with_hint(&hint), true)
        }
        Ok(left) => {
            let hint = with_reason(NOT_TAKEN_BACK, left.reason.as_deref());
            (with_hint(&format!("{hint}: {}", listed(&left.changes))), false)
        }
        Err(reason) => (with_hint(&with_reason(NOT_TAKEN_BACK, Some(&reason))), false),
    }
}

/// That something is to be reverted, with why it is not.
fn with_reason(hint: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| hint.to_string(), |reason| format!("{hint} (pve could not: {reason})"))
}

const NOT_TAKEN_BACK: &str =
    "what was staged on the node could not be taken back: revert it in the node's network settings";

fn cut_off(node: &str, most: Duration) -> ProviderError {
    let message = format!(
        "{}: the node cannot be reached since its network was changed, for {} s now",
        APPLY.on(node),
        most.as_secs()
    );
    let hint =
        "look at it on its console: /etc/network/interfaces has the change; put it right and run ifreload -a";
    ProviderError { indeterminate: true, ..refused(message, Some(hint)) }
}

/// Whether a node answers, within this time. Its connections may break while its network is reloaded.
async fn is_reachable(call: &Call<'_>, node: &str, most: Duration) -> bool {
    let path = format!("/nodes/{node}/network");
    let asked = async {
        loop {
            match call.cluster.get(&path).await {
                Ok(_) => return,
                // The answer of a node that refuses is an answer. 59x are those of a proxy in front of it.
                Err(error) if error.status.is_some_and(|status| !(590..600).contains(&status)) => return,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::time::timeout(most, asked).await.is_ok()
}
