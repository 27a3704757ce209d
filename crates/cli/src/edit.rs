//! Edits of the state by hand: a run of their own in the log, with events like any other.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::InstanceAddress;
use pve_model::event::{NO_CLUSTER, Operation, Payload, RunFinished, RunResult};
use pve_model::state::State;
use pve_state::{EventLog, Writer, WriterError};

use crate::arguments::LockOptions;
use crate::backend::{LogHome, RunLock, log_home};
use crate::duration::parse_wait;
use crate::failure::Failure;
use crate::project::{Project, actor};

/// Refuses to take over or edit what an interrupted run may have changed.
///
/// # Errors
/// When an action on one of the instances has no result yet, and nobody has looked for it.
pub fn refuse_open(state: &State, addresses: &[InstanceAddress]) -> Result<(), Failure> {
    let mut open = state.open_actions.iter().filter(|open| open.indeterminate.is_none());
    match open.find(|open| addresses.contains(&open.intent.address)) {
        None => Ok(()),
        Some(open) => Err(Failure::hinted(
            format!("an earlier run was interrupted while it worked on {}", open.intent.address),
            "`pve apply` finds out what became of it. Nothing was changed.",
        )),
    }
}

/// A state that nobody else writes to.
pub struct Edit {
    /// The state before.
    pub state: State,
    command: &'static str,
    environment: String,
    home: LogHome,
    log: Arc<dyn EventLog>,
    writer: Writer,
    _lock: RunLock,
}

impl Edit {
    /// Takes the lock and reads the log. Nothing is made where there is no log: there is nothing to edit.
    ///
    /// # Errors
    /// When there is no log, it cannot be read, or another run works on it.
    pub async fn begin(
        project: &Project,
        command: &'static str,
        lock: &LockOptions,
    ) -> Result<Edit, Failure> {
        if !project.has_log()? {
            let hint = "`pve apply` and `pve import` write the first events. Was an environment meant (-e)?";
            return Err(Failure::hinted("the state is empty: there is no log yet", hint));
        }
        Edit::begin_or_new(project, command, lock).await
    }

    /// The same, with a new log where there is none.
    ///
    /// # Errors
    /// When the log cannot be read, or another run works on it.
    pub async fn begin_or_new(
        project: &Project,
        command: &'static str,
        lock: &LockOptions,
    ) -> Result<Edit, Failure> {
        let held = project.lock(command, parse_wait(&lock.lock_timeout)?).await?;
        let (log, state) = project.open_log().await?;
        Ok(Edit {
            writer: Writer::start(Arc::clone(&log), state.clone(), actor()),
            log,
            state,
            command,
            environment: project.stream().into(),
            home: log_home(project)?,
            _lock: held,
        })
    }

    /// Refuses to edit what an interrupted run may have changed.
    ///
    /// # Errors
    /// When an action on one of the instances has no result yet.
    pub fn refuse_open(&self, addresses: &[InstanceAddress]) -> Result<(), Failure> {
        refuse_open(&self.state, addresses)
    }

    /// Records events as one run, all of them or none.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub async fn record(
        &self,
        payloads: Vec<Payload>,
        done: BTreeMap<Operation, u64>,
    ) -> Result<(), Failure> {
        let cluster = self.state.cluster.as_deref().unwrap_or(NO_CLUSTER);
        let started = self.home.run_started(self.command, &self.environment, cluster);
        let result = RunResult::Succeeded;
        let finished = Payload::RunFinished(RunFinished { result, done, failed: 0 });
        let all = std::iter::once(started).chain(payloads).chain([finished]).collect();
        self.writer.record_all(all).await.map_err(|error: WriterError| {
            let hint = "`pve log` shows what was recorded.";
            Failure::hinted(format!("the log could not be written: {}", error.message), hint)
        })?;
        self.log.settle().await;
        Ok(())
    }
}
