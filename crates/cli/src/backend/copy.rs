//! A shared log says where it is: a copy of it in another place is not that log, and two that go on from one would make
//! everything twice.

use std::time::Duration;

use jiff::Timestamp;
use pve_model::event::{LogMoved, Payload};
use pve_model::state::State;
use pve_state::{Draft, EventLog as _};
use pve_state_s3::{Settings, SharedLog};
use uuid::Uuid;

use super::noted::NotedLog;
use super::{Backend, RunLock};
use crate::failure::Failure;
use crate::project::{Project, actor};

/// Where the environment's log is, as its runs record it: without the endpoint, which can have several names. `None` for
/// one on this machine, whose folder may be moved.
///
/// # Errors
/// When the backend cannot be used.
pub fn log_place(project: &Project) -> Result<Option<String>, Failure> {
    Ok(match project.backend()? {
        Backend::Local(_) => None,
        Backend::Shared(bucket) => Some(place(bucket, project)),
    })
}

/// The bucket and the place in it.
pub(super) fn place(settings: &Settings, project: &Project) -> String {
    format!("s3://{}/{}", settings.bucket, settings.layout(project.stream()).prefix())
}

/// Refuses a log that says that it is somewhere else.
///
/// # Errors
/// When it does.
pub(super) fn refuse_copy(settings: &Settings, project: &Project, state: &State) -> Result<(), Failure> {
    let here = place(settings, project);
    let Some(home) = state.place.as_ref().filter(|home| **home != here) else { return Ok(()) };
    Err(Failure::hinted(
        format!("the log at {here} is a copy: it is the one of {home}"),
        format!(
            "Two logs that go on from one make everything twice. Name {home} in the `backend` block; if that one is gone, \
             or nobody will use it again, `pve init -adopt-copy` makes this one the log that goes on."
        ),
    ))
}

/// Makes a copy of a log the one that goes on, and says where the other one was; `None` when it is no copy.
///
/// # Errors
/// When the log cannot be used, or somebody works on it.
pub async fn adopt_copy(project: &Project, wait: Duration) -> Result<Option<String>, Failure> {
    let Backend::Shared(bucket) = project.backend()? else { return Ok(None) };
    let here = place(bucket, project);
    let _lock = RunLock::take(project, project.backend()?, "init -adopt-copy", wait).await?;
    let log = SharedLog::connect(bucket, project.stream(), project.key()?).await?.log;
    let state = log.state().await?;
    let Some(home) = state.place.filter(|home| *home != here) else { return Ok(None) };
    let draft = Draft {
        id: Uuid::now_v7(),
        time: Timestamp::now(),
        run: Uuid::now_v7(),
        actor: actor(),
        payload: Payload::LogMoved(LogMoved { place: home.clone(), arrived: true, here: Some(here) }),
    };
    log.append(state.sequence, vec![draft]).await?;
    log.settle().await;
    NotedLog::new(project, log)?.note().await;
    Ok(Some(home))
}
