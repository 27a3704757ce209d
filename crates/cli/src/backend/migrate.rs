//! `pve init -migrate`: a log from where it is to where the configuration now says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pve_model::event::{LogMoved, Payload};
use pve_state::{Draft, LogError, MovableLog, TransferError, copy_log};
use uuid::Uuid;

use super::logs::open_to_move;
use super::marker::{NotedLog, left_behind, name};
use super::spool::refuse_spool;
use super::{Backend, RunLock};
use crate::failure::Failure;
use crate::project::{Project, actor};

/// Moves the environment's log, and says how many events that were, from where and to where; `None` when it is where
/// the configuration says. What was interrupted half-way is completed.
///
/// # Errors
/// When either place cannot be used, somebody works on the log, it is damaged, or there is another one already.
pub async fn migrate(project: &Project, wait: Duration) -> Result<Option<(u64, String, String)>, Failure> {
    let Some(source) = left_behind(project).await? else { return Ok(None) };
    let target = project.backend()?;
    let (from_name, to_name) = (name(project, &source), name(project, target));
    refuse_spool(project)?;
    let _leaving = RunLock::take(project, &source, "init -migrate", wait).await?;
    // No lease in the new place: the copy is one append to an empty log, and of two that begin one only one succeeds.
    let _arriving = match target {
        Backend::Local(_) => Some(RunLock::take(project, target, "init -migrate", wait).await?),
        Backend::Shared(_) => None,
    };
    let from = open_to_move(project, &source, None).await?;
    let moved_to = from.state().await?.moved_to;
    let to = open_to_move(project, target, Some(from.id())).await?;
    let events = match moved_to {
        None => carry(&from, &to, &from_name, &to_name).await?,
        // Somebody did it before, or this did and was interrupted then.
        Some(place) if place == to_name && to.id() == from.id() => from.head().await? - 1,
        Some(place) => {
            return Err(Failure::hinted(
                format!("the log {from_name} was moved to {place}, not to {to_name}"),
                "Name that place in the `backend` block. Nothing was changed.",
            ));
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
    Ok(Some((events, from_name, to_name)))
}

async fn carry(
    from: &Arc<dyn MovableLog>,
    to: &Arc<dyn MovableLog>,
    from_name: &str,
    to_name: &str,
) -> Result<u64, Failure> {
    let copied = copy_log(&**from, &**to).await.map_err(|error| refused(error, to_name))?;
    if !copied.arrived {
        record(&**to, from_name, true).await?;
    }
    // The last step: from here on the old log says where it goes on, and takes nothing more.
    record(&**from, to_name, false).await?;
    Ok(copied.events)
}

async fn record(log: &dyn MovableLog, place: &str, arrived: bool) -> Result<(), LogError> {
    let draft = Draft {
        id: Uuid::now_v7(),
        time: Timestamp::now(),
        run: Uuid::now_v7(),
        actor: actor(),
        payload: Payload::LogMoved(LogMoved { place: place.into(), arrived }),
    };
    log.append(log.head().await?, vec![draft]).await.map(drop)
}

fn refused(error: TransferError, to_name: &str) -> Failure {
    let hint = match &error {
        TransferError::Log(_) => return Failure::plain(crate::failure::chain(&error)),
        TransferError::Occupied { .. } => "Nothing was changed. Choose another key in the `backend` block.",
        TransferError::OtherLog { .. } => "Nothing was changed. Remove it, or choose another key.",
        TransferError::Different(_) => "The log that it was copied from is as it was. Try again.",
    };
    Failure::hinted(format!("{to_name}: {error}"), hint)
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
