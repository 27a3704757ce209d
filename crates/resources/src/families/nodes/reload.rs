//! Applying what is staged of a node's network: once for all changes that come at the same time. What is staged is taken
//! back where the reload does not begin, or where it would only take away since something of the batch failed. Once it has
//! begun, Proxmox VE has written the change and offers no way back (PVE::API2::Network, `reload_network_config`), so that
//! a failure, or a node that is cut off, is told of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::staged::{DUE, Known, Staged, is_unfinished, takes_away};
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

/// The state of every node whose network is changed.
#[derive(Default)]
pub(crate) struct Reloads {
    nodes: Mutex<BTreeMap<String, Arc<Reload>>>,
    /// The interfaces that the plan changes, by their nodes.
    planned: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

/// How far the changes of one node have come.
#[derive(Default)]
struct Reload {
    /// Held while a change is staged, and while what is staged is applied.
    turn: Arc<tokio::sync::Mutex<Staged>>,
    /// How many changes were staged.
    staged: Mutex<u64>,
    /// The longest that one of those that are not applied allows, in seconds.
    patience: Mutex<u64>,
    applied: tokio::sync::Mutex<Applied>,
}

/// The last reload: the changes up to this one, and why it failed.
#[derive(Default)]
struct Applied {
    last: u64,
    failure: Option<ProviderError>,
}

impl Reloads {
    fn of(&self, node: &str) -> Arc<Reload> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.entry(node.to_string()).or_default().clone()
    }

    /// Takes note of an interface that the plan changes, by its values before or after that.
    pub(crate) fn expect(&self, interface: &Value) {
        if let (Some(node), Some(name)) = (text(interface, "node_name"), text(interface, "name")) {
            let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
            planned.entry(node.to_string()).or_default().insert(name.to_string());
        }
    }

    fn planned(&self, node: &str) -> BTreeSet<String> {
        let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.get(node).cloned().unwrap_or_default()
    }
}

impl Reload {
    fn staged(&self) -> u64 {
        *self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stage(&self, seconds: u64) -> u64 {
        let mut patience = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        *patience = seconds.max(*patience);
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        *staged += 1;
        *staged
    }
}

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
    if !is_unfinished(prior) {
        return Ok(None);
    }
    let staged = cluster.api.staged(node).await?.unwrap_or_default();
    let begin = format!("-iface {name} ");
    Ok(staged.lines().any(|line| line.starts_with(&begin)).then(|| prior.clone()))
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

/// Refuses to stage a change beside those of somebody else: the reload would apply them, and taking back what cannot be
/// applied would throw them away. Until it is staged no other one of this run is.
pub(super) async fn refuse_foreign(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: Option<&Value>,
) -> Result<(), ProviderError> {
    let node = planned.or(prior).and_then(|value| text(value, "node_name")).unwrap_or_default();
    let mut turn = call.cluster.reloads.of(node).turn.clone().lock_owned().await;
    // What an earlier run left is not somebody else's, as far as this plan is about it.
    if turn.known == Known::NotYet && prior.is_some_and(is_unfinished) {
        turn.keep(call, node).await?;
        let others = turn.beside(&call.cluster.reloads.planned(node));
        if !others.is_empty() {
            *turn = Staged::default();
            return Err(beside_foreign(node, &others.join("\n")));
        }
    }
    if let Some(foreign) = turn.foreign(call, node).await? {
        return Err(beside_foreign(node, &foreign));
    }
    if prior.is_none() {
        refuse_unreadable(call, node, planned).await?;
    }
    turn.would_take_away = takes_away(prior, planned);
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

fn beside_foreign(node: &str, lines: &str) -> ProviderError {
    let message = format!(
        "changes of the network of {node} are staged that are not of this run, and would be applied with it:\n{lines}"
    );
    let hint = "apply them or revert them in the network settings of the node, then apply again";
    refused(message, Some(hint))
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
    let number = call.cluster.reloads.of(node).stage(seconds.unsigned_abs());
    *call.staged.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
    if let Some(turn) = &mut turn {
        turn.takes_away |= turn.would_take_away;
        turn.lose_track();
        turn.keep(call, node).await?;
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
    let reload = call.cluster.reloads.of(node);
    let mut applied = reload.applied.lock().await;
    if applied.last < mine {
        tokio::time::sleep(GATHER).await;
        // Those that wait for their turn have it first.
        let mut turn = reload.turn.lock().await;
        applied.last = reload.staged();
        let most = std::mem::take(&mut *reload.patience.lock().unwrap_or_else(PoisonError::into_inner));
        let done = reload_node(call, node, &mut turn, Duration::from_secs(most)).await;
        applied.failure = done.as_ref().err().cloned();
        return done;
    }
    match applied.failure.clone() {
        Some(failure) => {
            Err(ProviderError { hint: Some("see the error of the other interface".into()), ..failure })
        }
        None => Ok(()),
    }
}

async fn reload_node(
    call: &Call<'_>,
    node: &str,
    staged: &mut Staged,
    most: Duration,
) -> Result<(), ProviderError> {
    call.go_on(APPLY)?;
    if let Some(foreign) = staged.foreign(call, node).await? {
        return Err(beside_foreign(node, &foreign));
    }
    if staged.takes_away && call.is_partial.load(Ordering::SeqCst) {
        return Err(not_by_half(call, node, staged).await);
    }
    let path = format!("/nodes/{node}/network");
    let began = match call.send(Method::Put, &path, &Params::default()).await {
        Ok(task) => task,
        Err(error) => {
            if error.lost && !is_reachable(call, node, most).await {
                return Err(cut_off(node, most));
            }
            return Err(taken_back(call, node, staged, &error).await);
        }
    };
    after_begin(call, node, &began, most).await?;
    staged.settle();
    Ok(())
}

/// What is staged takes something away, and what was to take its place is not staged.
async fn not_by_half(call: &Call<'_>, node: &str, staged: &mut Staged) -> ProviderError {
    let message = format!(
        "{}: not all changes of it could be staged, and the others would take something away from the node",
        APPLY.on(node)
    );
    let hint = match take_back(call, node, staged).await {
        true => "what was staged on the node was taken back: put right what failed, and apply again",
        false => NOT_TAKEN_BACK,
    };
    refused(message, Some(hint))
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
async fn taken_back(call: &Call<'_>, node: &str, staged: &mut Staged, error: &ApiError) -> ProviderError {
    let hint = match (take_back(call, node, staged).await, error.lost) {
        (false, _) => NOT_TAKEN_BACK,
        (true, false) => {
            "what was staged on the node was taken back: put the configuration right and apply again"
        }
        (true, true) => {
            "what was not applied by then was taken back: apply again, which looks at what is there"
        }
    };
    ProviderError { hint: Some(hint.to_string()), ..failed(APPLY.on(node), error) }
}

const NOT_TAKEN_BACK: &str =
    "what was staged on the node could not be taken back: revert it in the node's network settings";

/// Throws away what is staged, if all of it is of this run. Whether it is gone.
async fn take_back(call: &Call<'_>, node: &str, staged: &mut Staged) -> bool {
    let path = format!("/nodes/{node}/network");
    let is_own = matches!(staged.foreign(call, node).await, Ok(None));
    let is_gone = is_own && call.cluster.api.send(Method::Delete, &path, &[]).await.is_ok();
    if is_gone {
        staged.settle();
    }
    is_gone
}

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
