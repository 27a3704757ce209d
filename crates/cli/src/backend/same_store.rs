//! Whether two names lead to one store, which nothing that is stored can tell: what is written through one is there through
//! the other, or it is a copy.

use std::collections::BTreeSet;
use std::time::Duration;

use pve_state::{EventLog as _, LeaseStore as _};
use pve_state_s3::{Settings, SharedLog};

use super::marker::Marker;
use super::place::{AWS, place, store};
use super::{Backend, Bucket};
use crate::failure::Failure;
use crate::project::Project;

/// The longest wait for a name that may lead nowhere any more.
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// Whether the log that is held here is seen to be held through a name that was known; `false` when none of them answers.
/// The lease is compared, so that nothing is appended to a copy.
///
/// # Errors
/// When one of them leads to the same log in another store, and none leads here.
pub(super) async fn is_same_store(
    project: &Project,
    here: &Settings,
    shared: &SharedLog,
    known: &BTreeSet<String>,
    command: &str,
) -> Result<bool, Failure> {
    let mut copy_of = None;
    for other in names(project, here, known)? {
        let looked = tokio::time::timeout(LOOK, is_held_there(project, &other, shared)).await;
        match looked.unwrap_or_default() {
            Some(true) => return Ok(true),
            Some(false) => copy_of = copy_of.or(Some(store(&other))),
            None => {}
        }
    }
    let Some(original) = copy_of else { return Ok(false) };
    let adopt =
        if command == "init -reconfigure" { "init -reconfigure -adopt-copy" } else { "init -adopt-copy" };
    Err(Failure::hinted(
        format!(
            "the log {} at {} is a copy: the one at {original} is still there, and what is written here is not there",
            place(here, project),
            store(here)
        ),
        format!(
            "Nothing was recorded. Two logs that go on from one make everything twice: name {original} in the `backend` \
             block. If nobody will use that one again, `pve {adopt}` makes this one the log that goes on."
        ),
    ))
}

/// Where the log was last used, if that is the same bucket, the same key, and another endpoint than the backend says: that
/// may be another name of the same store.
pub(super) fn renamed(project: &Project, here: &Backend) -> Result<Option<Box<Bucket>>, Failure> {
    let (Some(marker), Backend::Shared(wanted)) = (Marker::read(project)?, here) else { return Ok(None) };
    if marker.place.name == wanted.place(project.stream()) {
        return Ok(None);
    }
    match marker.place.backend(project)? {
        Backend::Shared(known) if place(&known, project) == place(wanted, project) => Ok(Some(known)),
        _ => Ok(None),
    }
}

/// What leads to the log by the names that were known: as this machine last went there, and as the log itself says.
fn names(project: &Project, here: &Settings, known: &BTreeSet<String>) -> Result<Vec<Settings>, Failure> {
    let remembered = renamed(project, project.backend()?)?.map(|bucket| bucket.settings);
    let here_and_remembered: Vec<String> = remembered.iter().chain([here]).map(store).collect();
    let others = known.iter().filter(|name| *name != AWS && !here_and_remembered.contains(name));
    let others = others.map(|name| Settings { endpoint: Some(name.clone()), ..here.clone() });
    Ok(remembered.iter().cloned().chain(others).collect())
}

/// Whether the lease of the log here is the one there; `None` when there is no such log, or it cannot be asked.
async fn is_held_there(project: &Project, there: &Settings, shared: &SharedLog) -> Option<bool> {
    let other = SharedLog::connect(there, project.stream(), project.key().ok()?).await.ok()?;
    if other.log.head().await.ok()? == 0 || other.log.id() != shared.log.id() {
        return None;
    }
    let held = shared.lease.read().await.ok()??.record;
    let seen = other.lease.read().await.ok()?.map(|lease| lease.record);
    Some(seen.is_some_and(|seen| (seen.epoch, seen.holder) == (held.epoch, held.holder)))
}
