//! Applying what is staged of a node's network: once for all changes that come at the same time. What is staged is taken
//! back where the reload does not begin; once it has begun, Proxmox VE has written the change and offers no way back
//! (PVE::API2::Network, `reload_network_config`), so that a failure, or a node that is cut off, is told of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use crate::cluster::{ApiError, Call, Cluster, Method, Step, failed, refused};
use crate::object::Planning;
use crate::params::Params;
use crate::values::{changed, int, text, with};

/// How long others may still join before the network is reloaded.
const GATHER: Duration = Duration::from_millis(150);

/// How long a reload may take where nothing is configured, in seconds.
pub(super) const TIMEOUT: i64 = 100;

/// How often a node is asked whether it can be reached again.
const PAUSE: Duration = Duration::from_millis(500);

/// The state of every node whose network is changed.
#[derive(Default)]
pub(crate) struct Reloads(Mutex<BTreeMap<String, Arc<Reload>>>);

/// How far the changes of one node have come. Changes are counted as they are staged, and before: what is taken back
/// may be staged by a request that has not been answered yet.
#[derive(Default)]
struct Reload {
    /// Whether it was looked what others had staged, before anything of this run was.
    looked: tokio::sync::Mutex<bool>,
    staged: Mutex<u64>,
    /// By object: the number of its change.
    begun: Mutex<BTreeMap<String, u64>>,
    applied: tokio::sync::Mutex<Applied>,
}

/// The last reload: the changes up to this one, and why it failed.
#[derive(Default)]
struct Applied {
    last: u64,
    failure: Option<ProviderError>,
    /// How many changes had begun when all that was staged was taken back, and why it was.
    taken_back: Option<(u64, ProviderError)>,
}

impl Reloads {
    fn of(&self, node: &str) -> Arc<Reload> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(node.to_string()).or_default().clone()
    }
}

impl Reload {
    fn staged(&self) -> u64 {
        *self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, object: &str) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let next = begun.values().max().copied().unwrap_or_default() + 1;
        begun.insert(object.to_string(), next);
    }

    fn begun(&self, object: &str) -> Option<u64> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).get(object).copied()
    }

    fn all_begun(&self) -> u64 {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.values().max().copied().unwrap_or_default()
    }

    fn stage(&self) -> u64 {
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        *staged += 1;
        *staged
    }
}

/// The step that applies what is staged.
const APPLY: Step<'_> = Step::of("apply", "network");

/// The timeout of an interface that is staged and perhaps not applied. Nobody configures it and the cluster does not tell
/// it, so that it differs, whatever the cluster says of the rest, until a run has applied the interface.
const DUE: i64 = 0;

/// An interface whose change broke off.
pub(super) fn unfinished(value: Value, done: &[String]) -> Value {
    match APPLY.is_in(done) {
        true => value,
        false => with(&value, "timeout_reload", Value::number(DUE)),
    }
}

pub(crate) fn is_unfinished(prior: &Value) -> bool {
    int(prior, "timeout_reload") == Some(DUE)
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
/// applied would throw them away.
pub(super) async fn refuse_foreign(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: Option<&Value>,
) -> Result<(), ProviderError> {
    let node = planned.or(prior).and_then(|value| text(value, "node_name")).unwrap_or_default();
    let reload = call.cluster.reloads.of(node);
    reload.begin(&call.object);
    let mut looked = reload.looked.lock().await;
    // What an earlier run left is not somebody else's.
    if *looked || prior.is_some_and(is_unfinished) {
        *looked = true;
        return Ok(());
    }
    let staged = call.cluster.api.staged(node).await;
    let staged =
        staged.map_err(|error| call.failed(Step::of("look for", "staged changes of the node"), &error))?;
    let Some(staged) = staged else {
        *looked = true;
        return Ok(());
    };
    let message = format!(
        "changes of the network of {node} are staged that are not of this run, and would be applied with it:\n{}",
        changed_lines(&staged).join("\n")
    );
    let hint = "apply them or revert them in the network settings of the node, then apply again";
    Err(refused(message, Some(hint)))
}

/// What others have staged of a node's network, line by line. `None` where there is nothing, or it cannot be asked.
pub(crate) async fn foreign_changes(cluster: &Cluster, node: &str) -> Option<Vec<String>> {
    Some(changed_lines(&cluster.api.staged(node).await.ok()??))
}

/// The lines of a difference that add or take out something.
fn changed_lines(difference: &str) -> Vec<String> {
    let is_change = |line: &&str| {
        line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---") && line.len() > 1
    };
    difference.lines().filter(is_change).map(String::from).collect()
}

/// Applies a change that is staged, unless somebody else's reload has taken it along.
pub(super) async fn apply(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: Option<&Value>,
) -> Result<(), ProviderError> {
    let Some(values) = planned.or(prior) else { return Ok(()) };
    if let (Some(prior), Some(planned)) = (prior, planned)
        && !is_unfinished(prior)
        && changed(prior, planned).iter().all(|name| name == "timeout_reload" || name == "id")
    {
        return Ok(());
    }
    let node = text(values, "node_name").unwrap_or_default();
    let seconds = int(values, "timeout_reload").unwrap_or(TIMEOUT).unsigned_abs();
    let reload = call.cluster.reloads.of(node);
    let mine = reload.stage();
    let mut applied = reload.applied.lock().await;
    let hint = Some("see the error of the other interface".to_string());
    if let (Some((all, failure)), Some(begun)) = (&applied.taken_back, reload.begun(&call.object))
        && begun <= *all
    {
        return Err(ProviderError { hint, ..failure.clone() });
    }
    if applied.last < mine {
        tokio::time::sleep(GATHER).await;
        let last = reload.staged();
        let done = reload_node(call, node, Duration::from_secs(seconds)).await;
        applied.last = last;
        applied.failure = done.as_ref().err().map(|(error, _)| error.clone());
        return done.map_err(|(error, all_is_gone)| {
            if all_is_gone {
                applied.taken_back = Some((reload.all_begun(), error.clone()));
            }
            error
        });
    }
    match applied.failure.clone() {
        Some(failure) => Err(ProviderError { hint, ..failure }),
        None => Ok(()),
    }
}

/// The error says as well whether all that was staged was taken back.
async fn reload_node(call: &Call<'_>, node: &str, most: Duration) -> Result<(), (ProviderError, bool)> {
    call.go_on(APPLY).map_err(|error| (error, false))?;
    let path = format!("/nodes/{node}/network");
    let began = match call.send(Method::Put, &path, &Params::default()).await {
        Ok(task) => task,
        Err(error) => {
            if error.lost && !is_reachable(call, node, most).await {
                return Err((cut_off(node, most), false));
            }
            return Err((taken_back(call, node, &error).await, true));
        }
    };
    after_begin(call, node, &began, most).await.map_err(|error| (error, false))
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
/// one, whoever asks for it.
async fn taken_back(call: &Call<'_>, node: &str, error: &ApiError) -> ProviderError {
    let path = format!("/nodes/{node}/network");
    let reverted = call.cluster.api.send(Method::Delete, &path, &[]).await.is_ok();
    let hint = match (reverted, error.lost) {
        (false, _) => {
            "what was staged on the node could not be taken back: revert it in the node's network settings"
        }
        (true, false) => {
            "what was staged on the node was taken back: put the configuration right and apply again"
        }
        (true, true) => {
            "what was not applied by then was taken back: apply again, which looks at what is there"
        }
    };
    ProviderError { hint: Some(hint.to_string()), ..failed(APPLY.on(node), error) }
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
