//! When a shared log cannot be reached in the middle of a run: what happened is kept in a log at hand, and pushed
//! later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use pve_model::event::{Event, Payload};
use pve_model::state::State;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::chain::Verification;
use crate::log::{Draft, EventLog, Head, LogError};

/// Opens an empty log at hand for the events after the given one of the shared log with this id; it has the same id.
pub type OpenSpool = Box<dyn Fn(Uuid, u64) -> Result<Arc<dyn EventLog>, LogError> + Send + Sync>;

/// A shared log whose appends go to a spool from the first one on whose outcome cannot be told. An error of the very
/// first append is passed on: there is nothing yet that must be kept.
pub struct SpooledLog {
    log: Arc<dyn EventLog>,
    open: OpenSpool,
    away: Box<dyn Fn(&LogError) + Send + Sync>,
    /// The spool, and the event of the shared log that it follows.
    spool: Mutex<Option<(u64, Arc<dyn EventLog>)>>,
    /// Whether something was appended: before that, nothing was begun that a spool is needed for.
    begun: AtomicBool,
}

impl SpooledLog {
    /// Wraps a log. `away` is called once, when the spool is begun: nothing new may be started then.
    pub fn new(
        log: Arc<dyn EventLog>,
        open: OpenSpool,
        away: impl Fn(&LogError) + Send + Sync + 'static,
    ) -> SpooledLog {
        SpooledLog { log, open, away: Box::new(away), spool: Mutex::new(None), begun: AtomicBool::new(false) }
    }

    /// The event after which events are in the spool; `None` when all are in the log.
    pub async fn spooled_after(&self) -> Option<u64> {
        self.spool.lock().await.as_ref().map(|(base, _)| *base)
    }
}

#[async_trait]
impl EventLog for SpooledLog {
    fn id(&self) -> Uuid {
        self.log.id()
    }

    async fn head(&self) -> Result<u64, LogError> {
        match &*self.spool.lock().await {
            Some((base, spool)) => Ok(base + spool.head().await?),
            None => self.log.head().await,
        }
    }

    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        let mut begun = self.spool.lock().await;
        if begun.is_none() {
            match self.log.append(expected_head, batch.clone()).await {
                Err(error @ LogError::Storage { .. }) if self.begun.load(Ordering::SeqCst) => {
                    *begun = Some((expected_head, (self.open)(self.log.id(), expected_head)?));
                    (self.away)(&error);
                }
                result => {
                    self.begun.fetch_or(result.is_ok(), Ordering::SeqCst);
                    return result;
                }
            }
        }
        let Some((base, spool)) = &*begun else { return Ok(Vec::new()) };
        let conflict = |found| LogError::Conflict { expected: expected_head, found };
        let expected = expected_head.checked_sub(*base).ok_or_else(|| conflict(*base))?;
        match spool.append(expected, batch).await {
            Ok(events) => Ok(events.into_iter().map(|event| shifted(event, *base)).collect()),
            Err(LogError::Conflict { found, .. }) => Err(conflict(base + found)),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, after: u64) -> Result<Vec<Event>, LogError> {
        let begun = self.spool.lock().await;
        let Some((base, spool)) = &*begun else { return self.log.read(after).await };
        let mut events = Vec::new();
        if after < *base {
            events = self.log.read(after).await?;
            // An append whose answer was lost may have landed there too.
            events.retain(|event| event.sequence <= *base);
        }
        let kept = spool.read(after.saturating_sub(*base)).await?;
        events.extend(kept.into_iter().map(|event| shifted(event, *base)));
        Ok(events)
    }

    async fn state(&self) -> Result<State, LogError> {
        let away = self.spool.lock().await.is_some();
        if away { Ok(State::project(&self.read(0).await?)?) } else { self.log.state().await }
    }

    /// None while there is a spool: a snapshot is of the log.
    async fn save_snapshot(&self, state: &State) -> Result<(), LogError> {
        let away = self.spool.lock().await.is_some();
        if away { Ok(()) } else { self.log.save_snapshot(state).await }
    }

    async fn settle(&self) {
        self.log.settle().await;
    }

    async fn known_end(&self) -> Result<Head, LogError> {
        self.log.known_end().await
    }

    async fn known_hash(&self, sequence: u64) -> Result<Option<[u8; 32]>, LogError> {
        self.log.known_hash(sequence).await
    }

    async fn keyring_revision(&self, hoped: u64) -> Result<u64, LogError> {
        self.log.keyring_revision(hoped).await
    }

    async fn verify(&self) -> Result<Verification, LogError> {
        self.log.verify().await
    }
}

fn shifted(event: Event, base: u64) -> Event {
    Event { sequence: event.sequence + base, ..event }
}

/// Why a spool cannot be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Another run worked meanwhile: what the spool says may not be so any more.
    #[error("another run wrote event {sequence} meanwhile, so that the {events} kept here cannot follow")]
    Overtaken {
        /// Its first event.
        sequence: u64,
        /// Events that are not in the log.
        events: usize,
    },
    /// The spool was begun for another log.
    #[error("the events kept here are of another log")]
    OtherLog,
    /// A log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Appends the events of a spool, which follows the event `base`, to their log, and says how many. What got there
/// before is not appended again, so that this can be repeated. A lease that was taken over or broken meanwhile, without
/// anything done under the next one, is not in the way.
///
/// # Errors
/// [`PushError::Overtaken`] when another run did something, [`PushError::OtherLog`] when the spool does not have the id of
/// the log; otherwise when a log fails. Nothing is appended then.
pub async fn push_spool(log: &dyn EventLog, spool: &dyn EventLog, base: u64) -> Result<usize, PushError> {
    if spool.id() != log.id() {
        return Err(PushError::OtherLog);
    }
    let kept = spool.read(0).await?;
    let present = log.read(base).await?;
    let ids: BTreeSet<Uuid> = present.iter().map(|event| event.id).collect();
    let own: BTreeSet<Uuid> = kept.iter().map(|event| event.id).collect();
    let drafts: Vec<Draft> =
        kept.into_iter().filter(|event| !ids.contains(&event.id)).map(draft_of).collect();
    let foreign = present
        .iter()
        .find(|event| !own.contains(&event.id) && !matches!(event.payload, Payload::LeaseTakenOver(_)));
    match foreign {
        Some(event) if !drafts.is_empty() => {
            Err(PushError::Overtaken { sequence: event.sequence, events: drafts.len() })
        }
        _ => {
            let head = present.last().map_or(base, |event| event.sequence);
            Ok(log.append(head, drafts).await?.len())
        }
    }
}

fn draft_of(event: Event) -> Draft {
    Draft { id: event.id, time: event.time, run: event.run, actor: event.actor, payload: event.payload }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
