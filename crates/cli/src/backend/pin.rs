//! Which log it has to be, told from outside: whoever can write to a bucket can put a log of their own into the place of a
//! team's, and a machine that never saw that one has nothing else to compare it with.

use pve_model::state::State;
use pve_state::{EventLog, MovableLog as _};
use pve_state_s3::S3Log;

use super::marker::Marker;
use crate::failure::Failure;
use crate::project::Project;

/// Names of logs, one for each environment: no other one is used.
const VARIABLE: &str = "PVE_LOG_ID";

/// The name by which a log is known again: its id, and a digest of its first data key. Anybody can copy the id; a log with
/// that key is made only by whoever could open the one that is meant.
///
/// # Errors
/// When the log cannot be asked.
pub async fn log_id(log: &dyn EventLog) -> Result<String, Failure> {
    let keys = log.known_keys(Some(1)).await?;
    let digest = keys.map(|keys| format!(".{:.32}", keys.digest())).unwrap_or_default();
    Ok(format!("{}{digest}", log.id()))
}

/// Refuses a log that is none of those that the environment names.
///
/// # Errors
/// When it is so.
pub(super) async fn refuse_unnamed(log: &dyn EventLog) -> Result<(), Failure> {
    let Some(named) = named() else { return Ok(()) };
    // Of a log that was only opened no end is known.
    let is_empty = log.known_end().await?.sequence == 0 && log.head().await? == 0;
    let found = if is_empty { "empty".to_string() } else { log_id(log).await? };
    if named.contains(&found) {
        return Ok(());
    }
    Err(Failure::hinted(
        format!("the log is {found}, and {VARIABLE} names {}", named.join(", ")),
        format!(
            "Nothing was written. If the log was begun anew on purpose, `pve key show` prints its id for {VARIABLE}; else \
             somebody who can write to its place put another one there."
        ),
    ))
}

/// Says, where a log is used for the first time and nothing names it, whose it is: what comes is sealed for them.
///
/// # Errors
/// When the log cannot be read.
pub(super) async fn tell_first_use(project: &Project, log: &S3Log, state: &State) -> Result<(), Failure> {
    let known = Marker::read(project)?.is_some_and(|marker| marker.sequence > 0);
    if known || state.sequence == 0 || named().is_some() {
        return Ok(());
    }
    let begun = log.first_event().await?.map(|first| {
        format!(", begun by {}@{} on {}", first.actor.user, first.actor.host, first.time.strftime("%Y-%m-%d"))
    });
    let recipients = log.keyring().await?.map(|ring| ring.recipients).unwrap_or_default();
    let recipients: Vec<&str> = recipients.iter().map(|one| &*one.name).collect();
    eprintln!(
        "Note: the log here is used for the first time on this machine: {VARIABLE}={}{}, sealed for {}.",
        log_id(log).await?,
        begun.unwrap_or_default(),
        if recipients.is_empty() { "whoever has the key".into() } else { recipients.join(", ") }
    );
    Ok(())
}

/// Whether the environment names a log.
pub(super) fn is_named() -> bool {
    named().is_some()
}

fn named() -> Option<Vec<String>> {
    let text = std::env::var(VARIABLE).ok()?;
    let names = text.split([',', ' ']).filter(|name| !name.is_empty()).map(String::from);
    Some(names.collect::<Vec<_>>()).filter(|names| !names.is_empty())
}
