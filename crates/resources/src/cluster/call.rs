//! One action's calls: each task is reported before it is waited for, each step when it is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use pve_executor::ports::{ActionProgress, ProviderError};
use pve_model::Value;
use serde_json::Value as Json;

use super::api::{ApiError, Method};
use super::listing::Cluster;
use super::step::Step;
use super::{failed, refused};
use crate::families::Turn;
use crate::observed::Observed;
use crate::params::Params;
use crate::provider::identity::Traits;

/// How often it is looked whether something has come about.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often a request is repeated that met a lock of somebody else.
const LOCK_TRIES: u32 = 8;

/// How long to wait before each further try.
pub(crate) fn lock_pauses() -> impl Iterator<Item = Duration> {
    (0..LOCK_TRIES - 1).map(|tried| Duration::from_millis(250 << tried).min(Duration::from_secs(5)))
}

/// What of a guest is somebody else's by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// The guest itself: it does not carry the marker of the action that makes it any more.
    Guest,
    /// A volume, in a place where another one was when its change was planned.
    Volume,
}

/// The calls of one action on one object.
pub(crate) struct Call<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) progress: &'a dyn ActionProgress,
    /// What is acted on, for messages: `vm 104 on pve1`.
    pub(crate) object: String,
    /// Whether it is destroyed to be made anew in the same run.
    pub(crate) recreated: bool,
    /// What no other action has meanwhile, until this one lets go of it or has come to its end.
    pub(crate) turn: Mutex<Option<Turn>>,
    /// The number of what it has staged of a node's network, until that is applied.
    pub(crate) staged: Mutex<Option<u64>>,
    /// Whether others of its batch are not staged and will not be, or were not waited for.
    pub(crate) is_partial: AtomicBool,
    /// What told it from another one with its id when it was known last.
    pub(crate) identity: Option<String>,
    /// The marker that the guest carries while this action makes it.
    pub(crate) marker: Option<String>,
    /// What of the guest was found not to be this action's to change.
    pub(crate) foreign: OnceLock<Foreign>,
    done: Mutex<Vec<String>>,
}

impl<'a> Call<'a> {
    /// Calls on the object, none of them made yet.
    pub(crate) fn new(cluster: &'a Cluster, progress: &'a dyn ActionProgress, object: String) -> Call<'a> {
        let (turn, staged, done) = (Mutex::default(), Mutex::default(), Mutex::default());
        Call {
            cluster,
            progress,
            object,
            recreated: false,
            turn,
            staged,
            is_partial: AtomicBool::default(),
            identity: None,
            marker: None,
            foreign: OnceLock::new(),
            done,
        }
    }

    /// The same, behind these steps.
    pub(crate) fn behind(self, done: Vec<String>) -> Call<'a> {
        Call { done: Mutex::new(done), ..self }
    }
}

impl Call<'_> {
    /// The steps that are known to be done.
    pub(crate) fn done(&self) -> Vec<String> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it did was taken back: nothing of it is left.
    pub(crate) fn undo(&self) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until what is staged is to be applied. `value` is how it reads back; what cannot be read is not built upon,
    /// and does not wait for those that would be.
    pub(crate) async fn wait_for_batch(&self, value: Result<Option<&Value>, ProviderError>) {
        let is_whole = match value {
            Ok(value) => self.progress.staged(value).await,
            Err(_) => false,
        };
        self.is_partial.store(!is_whole, Ordering::SeqCst);
    }

    /// Reports a step that is done.
    pub(crate) async fn completed(&self, step: Step<'_>) -> Result<(), ProviderError> {
        let name = step.to_string();
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        self.progress.step_completed(&name).await
    }

    /// Sends a request that may become a task, waits for it and reports the step.
    pub(crate) async fn step(
        &self,
        step: Step<'_>,
        method: Method,
        path: &str,
        params: &Params,
        most: Duration,
    ) -> Result<(), ProviderError> {
        self.ask(step, method, path, params, most).await.map(|_| ())
    }

    /// As [`Call::step`], with the answer of a request that becomes no task.
    pub(crate) async fn ask(
        &self,
        step: Step<'_>,
        method: Method,
        path: &str,
        params: &Params,
        most: Duration,
    ) -> Result<Json, ProviderError> {
        self.go_on(step)?;
        let data = self.send(method, path, params).await.map_err(|error| self.failed(step, &error))?;
        if let Some(upid) = data.as_str().filter(|data| data.starts_with("UPID:")) {
            self.await_task(step, upid, most).await?;
        }
        self.completed(step).await?;
        Ok(data)
    }

    /// Deletes what is there, as [`Call::take_out`].
    pub(crate) async fn remove(
        &self,
        path: &str,
        params: &Params,
        most: Duration,
        is_there: impl Future<Output = Result<bool, ApiError>>,
    ) -> Result<(), ProviderError> {
        self.take_out((Step::DELETE, Method::Delete), path, params, most, is_there).await
    }

    /// Takes out what is there. What is gone already is no error: an answer that something is missing may be about something
    /// else, so that `is_there` looks again before that is believed.
    pub(crate) async fn take_out(
        &self,
        (step, method): (Step<'_>, Method),
        path: &str,
        params: &Params,
        most: Duration,
        is_there: impl Future<Output = Result<bool, ApiError>>,
    ) -> Result<(), ProviderError> {
        self.go_on(step)?;
        match self.send(method, path, params).await {
            Ok(data) => {
                if let Some(upid) = data.as_str().filter(|data| data.starts_with("UPID:")) {
                    self.await_task(step, upid, most).await?;
                }
            }
            Err(error) if error.is_missing() => {
                if is_there.await.map_err(|error| self.failed(Step::READ, &error))? {
                    return Err(self.failed(step, &error));
                }
            }
            Err(error) => return Err(self.failed(step, &error)),
        }
        self.completed(step).await
    }

    /// Reports a task and waits for it.
    pub(crate) async fn await_task(
        &self,
        step: Step<'_>,
        upid: &str,
        most: Duration,
    ) -> Result<(), ProviderError> {
        self.submitted(step, upid).await?;
        self.cluster.api.wait(upid, most).await.map_err(|error| self.failed(step, &error))
    }

    /// Reports a task that was started.
    pub(crate) async fn submitted(&self, step: Step<'_>, upid: &str) -> Result<(), ProviderError> {
        let name = step.to_string();
        self.progress.task_submitted(&name, upid).await?;
        self.progress.status(&name);
        Ok(())
    }

    /// Sends a request. One that meets a lock is repeated after a while: it had no effect.
    pub(crate) async fn send(&self, method: Method, path: &str, params: &Params) -> Result<Json, ApiError> {
        let pairs = params.pairs();
        for pause in lock_pauses() {
            match self.cluster.api.send(method, path, &pairs).await {
                Err(error) if error.is_locked() && !error.lost => self.pause(pause, error).await?,
                answer => return self.noted(answer),
            }
        }
        self.noted(self.cluster.api.send(method, path, &pairs).await)
    }

    /// A change whose answer was lost may be staged.
    fn noted(&self, answer: Result<Json, ApiError>) -> Result<Json, ApiError> {
        if answer.as_ref().is_err_and(|error| error.lost)
            && let Some(turn) = self.turn.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        {
            turn.lose_track();
        }
        answer
    }

    /// Waits before a further try of a request that met a lock. None is made after an interrupt.
    pub(crate) async fn pause(&self, pause: Duration, error: ApiError) -> Result<(), ApiError> {
        tokio::time::sleep(pause).await;
        if self.progress.is_cancelled() {
            let hint = "interrupted while it was locked: the same command again goes on with it";
            return Err(ApiError { hint: Some(hint.to_string()), ..error });
        }
        Ok(())
    }

    /// Waits for something that comes about by itself, and says so; whether it has by then. Not after an interrupt.
    pub(crate) async fn has_come<F>(
        &self,
        (step, status): (Step<'_>, &str),
        most: Duration,
        is_there: impl Fn() -> F,
    ) -> Result<bool, ProviderError>
    where
        F: Future<Output = Result<bool, ProviderError>> + Send,
    {
        let until = tokio::time::Instant::now() + most;
        while !is_there().await? {
            if tokio::time::Instant::now() >= until {
                return Ok(false);
            }
            self.go_on(step)?;
            self.progress.status(status);
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(true)
    }

    /// An error that names the step and the object.
    pub(crate) fn failed(&self, step: Step<'_>, error: &ApiError) -> ProviderError {
        let mut failure = failed(step.on(&self.object), error);
        failure.hint = hint(error).map(str::to_string).or(failure.hint);
        failure
    }

    /// A VMID may have been given to another guest since the plan was made: that one is not touched.
    pub(crate) fn refuse_other(&self, prior: &Value, found: &Observed) -> Result<(), ProviderError> {
        let known = Traits::recorded(prior, self.identity.as_deref());
        let Some(why) = known.is_replaced(&Traits::found(found)) else { return Ok(()) };
        let message = format!("{} {why}: it may be another guest", self.object);
        Err(refused(message, Some("it was not touched: look at it in the cluster and plan again")))
    }

    /// Notes that something of the guest is somebody else's, which an error says.
    pub(crate) fn found(&self, foreign: Foreign) {
        // The first one that is found ends the action.
        self.foreign.get_or_init(|| foreign);
    }

    /// No further step is begun after an interrupt.
    pub(crate) fn go_on(&self, step: Step<'_>) -> Result<(), ProviderError> {
        if self.progress.is_cancelled() {
            let message = format!("interrupted before it could {}", step.on(&self.object));
            return Err(refused(message, Some("the same command again goes on with it")));
        }
        Ok(())
    }
}

/// What to do about refusals that are ours to explain, since they follow from attributes of a kind.
fn hint(error: &ApiError) -> Option<&'static str> {
    let says = |text: &str| error.message.contains(text);
    if says("has wrong type 'iso'") {
        return Some(
            "Proxmox VE imports disks only from content of type import: set content_type = \"import\" on the file \
             (with a name that ends in .qcow2, .raw or .vmdk), and enable Import on its datastore; or name it in file_id \
             instead of import_from: then the node imports it over SSH",
        );
    }
    if says("checksum mismatch") || says("detected modified configuration") {
        return Some("somebody changed it in the meantime: plan again");
    }
    if error.is_hibernated() {
        return Some(
            "it is hibernated, and takes no change before it was started: `qm start`, or started = true",
        );
    }
    if says("only allowed for root@pam") || says("only root can") || says("Only root can") {
        return Some("an API token cannot do this, not even root's: log in as root@pam with a password");
    }
    None
}
