//! `pve init -migrate`: a log from where it is to where the configuration now says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use pve_model::event::{LogMoved, Payload};
use pve_state::{Draft, LogError, MovableLog, TransferError, copy_log};
use uuid::Uuid;

use super::copy::{LogHome, log_home};
use super::left_behind::left_behind;
use super::logs::open_to_move;
use super::marker::Marker;
use super::noted::NotedLog;
use super::pin::refuse_unnamed;
use super::place::name;
use super::spool::refuse_unpushed;
use super::{Backend, RunLock};
use crate::failure::Failure;
use crate::project::{Project, actor};

/// What became of a move.
pub struct Moved {
    /// How many events.
    pub events: u64,
    /// From where.
    pub from: String,
    /// To where.
    pub to: String,
    /// Whether it was moved before, perhaps by somebody else.
    pub was_moved: bool,
}

/// Moves the environment's log; `None` when it is where the configuration says. What was interrupted half-way is
/// completed. What an overtaken run kept does not stay behind: it is pushed to where the log went on.
///
/// # Errors
/// When either place cannot be used, the log there is not the one that was seen, somebody works on the log, it is damaged, or there is another one already.
pub async fn migrate(project: &Project, wait: Duration) -> Result<Option<Moved>, Failure> {
    let Some(source) = left_behind(project).await? else { return Ok(None) };
    let target = project.backend()?;
    let (from_name, to_name) = (name(project, &source), name(project, target));
    refuse_gone(project, &source, &to_name)?;
    let _leaving = RunLock::take(project, &source, "init -migrate", wait).await?;
    // No lease in the new place: the copy is one append to an empty log, and of two that begin one only one succeeds.
    let _arriving = match target {
        Backend::Local(_) => Some(RunLock::take(project, target, "init -migrate", wait).await?),
        Backend::Shared(_) => None,
    };
    let from = open_to_move(project, &source, None).await?;
    let moved_to = from.state().await?.moved_to;
    if moved_to.is_none() {
        refuse_unpushed(project, &from_name, "init -migrate")?;
    }
    // What is found there must be all that was seen there: else it is another log, or a copy from before.
    if let Some(marker) = Marker::read(project)? {
        marker.check_log(project, &*from).await?;
    }
    refuse_unnamed(&*from).await?;
    let made = made_by_opening(project, target);
    let to = open_to_move(project, target, Some(from.id())).await?;
    let way = Way {
        from: &*from,
        to: &*to,
        from_place: told(project, &source),
        to_place: told(project, target),
        here: log_home(project)?,
    };
    let was_moved = moved_to.is_some();
    let went = match moved_to {
        None => way.carry(&to_name).await,
        // Endpoints were once told with the slash at their end.
        Some(place) if [&*way.to_place, &*to_name].contains(&place.trim_end_matches('/')) => {
            way.complete(&from_name, &place).await
        }
        Some(place) => Err(elsewhere(&from_name, &place, &to_name)),
    };
    let events = match went {
        Ok(events) => events,
        Err(failure) => {
            let is_empty = to.head().await.is_ok_and(|events| events == 0);
            drop(to);
            made.filter(|_| is_empty).iter().for_each(|file| discard(file));
            return Err(failure);
        }
    };
    let state = to.state().await?;
    if let Err(error) = to.save_snapshot(&state).await {
        eprintln!("Note: no snapshot was kept ({error}); the log is complete without it.");
    }
    NotedLog::new(project, to)?.note().await;
    drop(from);
    if let Backend::Local(local) = &source {
        put_aside(&local.log(project))?;
    }
    Ok(Some(Moved { events, from: from_name, to: to_name, was_moved }))
}

/// The file that opening a log makes where there is none.
fn made_by_opening(project: &Project, target: &Backend) -> Option<PathBuf> {
    match target {
        Backend::Local(local) => Some(local.log(project)).filter(|file| !file.exists()),
        Backend::Shared(_) => None,
    }
}

/// Takes an empty log away again, with what SQLite keeps beside it. What cannot be taken away is as harmless as before: the
/// next move goes there.
fn discard(file: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_os_string();
        name.push(end);
        let _ = std::fs::remove_file(name);
    }
}

/// How a place is called in a log that others read, too: with the machine, if it is on one.
fn told(project: &Project, backend: &Backend) -> String {
    match backend {
        Backend::Local(local) => {
            let file = local.log(project);
            format!("{}:{}", actor().host, std::path::absolute(&file).unwrap_or(file).display())
        }
        Backend::Shared(_) => name(project, backend),
    }
}

fn elsewhere(from_name: &str, place: &str, to_name: &str) -> Failure {
    Failure::hinted(
        format!("the log {from_name} was moved to {place}, not to {to_name}"),
        format!(
            "Nothing was changed. Name that place in the `backend` block. If the log went on from there to {to_name}, \
             `pve init -reconfigure` uses it."
        ),
    )
}

/// From one place to another.
struct Way<'a> {
    from: &'a dyn MovableLog,
    to: &'a dyn MovableLog,
    from_place: String,
    to_place: String,
    here: LogHome,
}

impl Way<'_> {
    async fn carry(&self, to_name: &str) -> Result<u64, Failure> {
        let copied = copy_log(self.from, self.to).await.map_err(|error| refused(error, to_name))?;
        // From here on the old log says where it goes on, and takes nothing more. That event is the new log's, too: then
        // the old one is its beginning, and the log can come back.
        record(self.from, &self.to_place, false, LogHome::default()).await?;
        if !copied.arrived {
            self.arrive().await?;
        }
        Ok(copied.events)
    }

    /// The end of a move: the new log has what the old one has, and says where it came from.
    async fn arrive(&self) -> Result<(), Failure> {
        let events = self.from.stored(self.to.head().await?).await?;
        self.to.adopt(&events, &self.from.keyrings().await?).await?;
        Ok(record(self.to, &self.from_place, true, self.here.clone()).await?)
    }

    /// Goes on where the old log says that it was moved: by somebody before, or by this when it was interrupted.
    async fn complete(&self, from_name: &str, place: &str) -> Result<u64, Failure> {
        let (old, new) = (self.from.head().await?, self.to.head().await?);
        let missing = if new < old { self.from.stored(new).await? } else { Vec::new() };
        // A lease that was broken behind the move is an event of the old place, too.
        let is_whole = missing.iter().all(|event| ["log_moved", "lease_taken_over"].contains(&&*event.kind));
        if self.to.id() != self.from.id() || !is_whole {
            return Err(Failure::hinted(
                format!("the log {from_name} was moved to {place}, and it is not there as seen from here"),
                "Nothing was changed. Ask whoever moved it (`pve log` there names them), or put it there from a copy.",
            ));
        }
        if !missing.is_empty() || self.to.state().await?.moved_to.as_deref() == Some(place) {
            self.arrive().await?;
        }
        Ok(old - 1)
    }
}

async fn record(log: &dyn MovableLog, place: &str, arrived: bool, here: LogHome) -> Result<(), LogError> {
    let draft = Draft {
        id: Uuid::now_v7(),
        time: Timestamp::now(),
        run: Uuid::now_v7(),
        actor: actor(),
        payload: Payload::LogMoved(LogMoved {
            place: place.into(),
            arrived,
            here: here.place,
            stores: here.store.into_iter().collect(),
        }),
    };
    log.append(log.head().await?, vec![draft]).await.map(drop)
}

fn refused(error: TransferError, to_name: &str) -> Failure {
    let hint = match &error {
        TransferError::Log(_) => return Failure::plain(crate::failure::chain(&error)),
        TransferError::Occupied { .. } => "The log is as it was. Choose another key in the `backend` block.",
        TransferError::OtherLog { .. } => {
            "The log is as it was. Remove the one there, or choose another key."
        }
        TransferError::Different(_) => "The log that it was copied from is as it was. Try again.",
    };
    Failure::hinted(format!("{to_name}: {error}"), hint)
}

/// Refuses to move a log whose file is gone: to open it would make one.
fn refuse_gone(project: &Project, source: &Backend, to_name: &str) -> Result<(), Failure> {
    match source {
        Backend::Local(local) if !local.log(project).exists() => Err(Failure::hinted(
            format!("the log {} is not there any more", local.name(project)),
            format!(
                "Nothing was changed. Put it back from a copy: without it nothing is known of what is managed. `pve init \
                 -reconfigure` goes on with {to_name} without it."
            ),
        )),
        _ => Ok(()),
    }
}

/// A file that was moved is kept under another name: what comes back to this machine needs its place.
fn put_aside(log: &Path) -> Result<(), Failure> {
    let mut number = 0;
    let aside = loop {
        number += 1;
        let aside = log.with_file_name(format!("moved-{number}.db"));
        if !aside.exists() {
            break aside;
        }
    };
    std::fs::rename(log, &aside).map_err(Failure::writing(&aside))
}
