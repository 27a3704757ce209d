//! A shared log says where it is: a copy of it in another place is not that log, and two that go on from one would make
//! everything twice. A log on this machine does not, since its folder may be moved: what is kept beside it does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use pve_model::event::{LogMoved, Payload, RunStarted};
use pve_model::state::State;
use pve_state::{Draft, EventLog};
use pve_state_s3::{Settings, SharedLog};
use pve_state_sqlite::{SqliteLog, log_id};
use uuid::Uuid;

use super::marker::Marker;
use super::noted::NotedLog;
use super::pin::refuse_unnamed;
use super::place::{place, store};
use super::same_store::{is_same_store, renamed};
use super::{Backend, Local, RunLock};
use crate::failure::Failure;
use crate::project::{Project, actor};

/// Where the environment's log is, as its runs record it; nothing of one on this machine, whose folder may be moved.
#[derive(Clone, Debug, Default)]
pub struct LogHome {
    /// The bucket and the place in it.
    pub place: Option<String>,
    /// The endpoint by which the store is reached. It can have several.
    pub store: Option<String>,
}

impl LogHome {
    /// The event that begins a run on the log.
    pub fn run_started(&self, command: &str, environment: &str, cluster: &str) -> Payload {
        Payload::RunStarted(RunStarted {
            command: command.into(),
            environment: environment.into(),
            cluster: cluster.into(),
            place: self.place.clone(),
            store: self.store.clone(),
        })
    }
}

/// Where the environment's log is by the configuration.
///
/// # Errors
/// When the backend cannot be used.
pub fn log_home(project: &Project) -> Result<LogHome, Failure> {
    Ok(match project.backend()? {
        Backend::Local(_) => LogHome::default(),
        Backend::Shared(bucket) => {
            LogHome { place: Some(place(bucket, project)), store: Some(store(bucket)) }
        }
    })
}

/// Where the log says that it is, if that is not here.
fn elsewhere(settings: &Settings, project: &Project, state: &State) -> Option<String> {
    let here = place(settings, project);
    match &state.place {
        Some(home) if *home != here => Some(home.clone()),
        _ if state.stores.is_empty() || state.stores.contains(&store(settings)) => None,
        _ => Some(format!("{here} at {}", known(state))),
    }
}

fn known(state: &State) -> String {
    state.stores.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Refuses a log that says that it is somewhere else.
///
/// # Errors
/// When it does.
pub(super) fn refuse_copy(settings: &Settings, project: &Project, state: &State) -> Result<(), Failure> {
    let Some(home) = elsewhere(settings, project, state) else { return Ok(()) };
    let here = place(settings, project);
    if state.place.as_ref().is_none_or(|home| *home == here) {
        let store = store(settings);
        return Err(Failure::hinted(
            format!(
                "the log {here} was used through {} alone, and is reached through {store} now",
                known(state)
            ),
            format!(
                "If that is another store, this is a copy (a replica, a backup), and two logs that go on from one make \
                 everything twice: name {} in the `backend` block; if that one is gone, or nobody will use it again, `pve \
                 init -adopt-copy` makes this one the log that goes on. If {store} is another name of the same store, \
                 `pve init -same-store` records it for everybody.",
                known(state)
            ),
        ));
    }
    Err(Failure::hinted(
        format!("the log at {here} is a copy: it is the one of {home}"),
        format!(
            "Two logs that go on from one make everything twice. Name {home} in the `backend` block; if that one is gone, \
             or nobody will use it again, `pve init -adopt-copy` makes this one the log that goes on."
        ),
    ))
}

/// A log that was moved goes on elsewhere.
pub(super) fn refuse_moved(state: &State) -> Result<(), Failure> {
    let Some(place) = &state.moved_to else { return Ok(()) };
    Err(Failure::hinted(
        format!("this log was moved: it goes on as {place}"),
        "Name that place in the `backend` block, as whoever moved it did, and run `pve init -migrate`.",
    ))
}

/// Makes a copy of a log the one that goes on, and says where the other one was; `None` when it is no copy.
///
/// # Errors
/// When the log cannot be used, or somebody works on it.
pub async fn adopt_copy(project: &Project, wait: Duration) -> Result<Option<String>, Failure> {
    match project.backend()? {
        Backend::Local(local) => adopt_file(project, local, wait).await,
        Backend::Shared(bucket) => {
            let Some(going) = go_on_here(project, bucket, ADOPT, wait).await? else { return Ok(None) };
            Ok(Some(going.keep().await.known))
        }
    }
}

/// Records that the endpoint is another name of the store that the log is in, for a command of this name. It is refused
/// where one of the names that were known leads to another store; `None` when it is one of them.
///
/// # Errors
/// When the log is of another place, a copy, cannot be used, or somebody works on it.
pub async fn keep_to_store(
    project: &Project,
    command: &'static str,
    wait: Duration,
) -> Result<Option<GoingOn>, Failure> {
    let Backend::Shared(bucket) = project.backend()? else { return Ok(None) };
    go_on_here(project, bucket, command, wait).await
}

/// The command that makes a copy the log that goes on.
pub const ADOPT: &str = "init -adopt-copy";

/// A log that goes on here, which is recorded in it and not yet beside the environment.
pub struct GoingOn {
    noted: NotedLog,
    recorded: Recorded,
}

/// What was recorded of a log.
pub struct Recorded {
    /// By what it was known before.
    pub known: String,
    /// Whether a name that was known was seen to lead here.
    pub is_proved: bool,
}

impl GoingOn {
    /// Keeps beside the environment how far the log was seen to go.
    pub async fn keep(self) -> Recorded {
        self.noted.note().await;
        self.recorded
    }
}

/// Records where the log goes on: as the copy that it was by the name of now alone, else by all its names.
async fn go_on_here(
    project: &Project,
    bucket: &Settings,
    command: &'static str,
    wait: Duration,
) -> Result<Option<GoingOn>, Failure> {
    let here = place(bucket, project);
    let _lock = RunLock::take(project, project.backend()?, command, wait).await?;
    let shared = SharedLog::connect(bucket, project.stream(), project.key()?).await?;
    let state = shared.log.state().await?;
    refuse_unlike(project, &*shared.log, &state).await?;
    // What an older version wrote names no store: what is remembered does.
    let remembered =
        renamed(project, project.backend()?)?.filter(|_| state.stores.is_empty() && command != ADOPT);
    let home = elsewhere(bucket, project, &state)
        .or_else(|| remembered.as_ref().map(|known| known.place(project.stream())));
    let Some(home) = home else { return Ok(None) };
    let mut stores = vec![store(bucket)];
    stores.extend(remembered.map(|known| store(&known)));
    let mut place = home.clone();
    let mut is_proved = false;
    if command != ADOPT {
        if state.place.as_ref().is_some_and(|home| *home != here) {
            refuse_copy(bucket, project, &state)?;
        }
        is_proved = is_same_store(project, bucket, &shared, &state.stores, command).await?;
        stores.extend(state.stores);
        place.clone_from(&here);
    }
    let draft = Draft {
        id: Uuid::now_v7(),
        time: Timestamp::now(),
        run: Uuid::now_v7(),
        actor: actor(),
        payload: Payload::LogMoved(LogMoved { place, arrived: true, here: Some(here), stores }),
    };
    shared.log.append(state.sequence, vec![draft]).await?;
    shared.log.settle().await;
    let noted = NotedLog::new(project, shared.log)?;
    Ok(Some(GoingOn { noted, recorded: Recorded { known: home, is_proved } }))
}

/// Refuses, as every opening does, what is not the log that was seen or named: before it is written to.
async fn refuse_unlike(project: &Project, log: &dyn EventLog, state: &State) -> Result<(), Failure> {
    if let Some(marker) = Marker::read(project)? {
        marker.check_log(project, log).await?;
    }
    refuse_moved(state)?;
    refuse_unnamed(log).await
}

/// Refuses a file that was copied while the log that it is of is still there.
///
/// # Errors
/// When it was, or what is kept of the log cannot be read.
pub(super) fn refuse_copied_file(project: &Project, local: &Local) -> Result<(), Failure> {
    let Some(original) = original(project, local)? else { return Ok(()) };
    Err(Failure::hinted(
        format!(
            "the log {} is a copy: the one that it was copied from is {}",
            local.name(project),
            original.display()
        ),
        format!(
            "Two logs that go on from one make everything twice. Work where {} is; if nobody will use that one again, `pve \
             init -adopt-copy` makes this one the log that goes on.",
            original.display()
        ),
    ))
}

/// Refuses a log on this machine that was copied, before anything is asked of it.
///
/// # Errors
/// When it was, or what is kept of the log cannot be read.
pub fn refuse_copied(project: &Project) -> Result<(), Failure> {
    match project.backend()? {
        Backend::Local(local) => refuse_copied_file(project, local),
        Backend::Shared(_) => Ok(()),
    }
}

/// The file that the log was in when it was last used, if that log is still there and the file here is another one.
fn original(project: &Project, local: &Local) -> Result<Option<PathBuf>, Failure> {
    let Some(marker) = Marker::read(project)? else { return Ok(None) };
    let Some(before) = marker.place.file.clone() else { return Ok(None) };
    let here = local.log(project);
    if !here.exists() || is_same_file(&before, &here) {
        return Ok(None);
    }
    // One that cannot be looked at is there: perhaps somebody works on it, who makes everything twice.
    let is_there = log_id(&before).map_or(true, |found| found == Some(marker.log));
    Ok(is_there.then_some(before))
}

/// Whether two paths lead to one file.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if let (Ok(one), Ok(other)) = (one.metadata(), other.metadata()) {
            return (one.dev(), one.ino()) == (other.dev(), other.ino());
        }
    }
    one.canonicalize().ok() == other.canonicalize().ok()
}

async fn adopt_file(project: &Project, local: &Local, wait: Duration) -> Result<Option<String>, Failure> {
    let Some(original) = original(project, local)? else { return Ok(None) };
    let _lock = RunLock::take(project, project.backend()?, "init -adopt-copy", wait).await?;
    let log = SqliteLog::open(&local.log(project), project.key()?)?;
    refuse_unlike(project, &log, &log.state().await?).await?;
    NotedLog::new(project, std::sync::Arc::new(log))?.note().await;
    Ok(Some(original.display().to_string()))
}
