//! When a shared log cannot be reached in the middle of a run: what happened is kept in a log at hand, and pushed
//! later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use pve_model::InstanceAddress;
use pve_model::event::{Actor, Event, EventsMerged, Payload};
use pve_model::state::State;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::log::{Draft, EventLog, LogError};
use crate::merge::Merged;

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
    /// The last event that was appended; 0 before that: nothing was begun yet that a spool is needed for.
    last: AtomicU64,
}

impl SpooledLog {
    /// Wraps a log. `away` is called once, when the spool is begun: nothing new may be started then.
    pub fn new(
        log: Arc<dyn EventLog>,
        open: OpenSpool,
        away: impl Fn(&LogError) + Send + Sync + 'static,
    ) -> SpooledLog {
        SpooledLog { log, open, away: Box::new(away), spool: Mutex::new(None), last: AtomicU64::new(0) }
    }

    async fn begin(&self, base: u64, batch: Vec<Draft>) -> Result<Arc<dyn EventLog>, LogError> {
        let spool = (self.open)(self.log.id(), base)?;
        spool.append(0, batch).await?;
        Ok(spool)
    }

    /// The event after which events are in the spool; `None` when all are in the log.
    pub async fn spooled_after(&self) -> Option<u64> {
        self.spool.lock().await.as_ref().map(|(base, _)| *base)
    }
}

// Not named by `use`: with both traits in scope, calls of the log would be ambiguous.
#[async_trait]
impl crate::layer::Layer for SpooledLog {
    fn inner(&self) -> &dyn EventLog {
        &*self.log
    }

    async fn head(&self) -> Result<u64, LogError> {
        match &*self.spool.lock().await {
            Some((base, spool)) => Ok(base + spool.head().await?),
            None => self.log.head().await,
        }
    }

    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        let mut begun = self.spool.lock().await;
        let last = self.last.load(Ordering::SeqCst);
        if begun.is_none() {
            match self.log.append(expected_head, batch.clone()).await {
                Err(error @ LogError::Storage { .. }) if last > 0 => {
                    match (self.open)(self.log.id(), expected_head) {
                        Ok(spool) => *begun = Some((expected_head, spool)),
                        Err(reason) => return Err(unkept(error, reason)),
                    }
                    (self.away)(&error);
                }
                // Overtaken: others do not wait for this run any more, so it is told, too.
                Err(error @ LogError::Conflict { .. }) if last > 0 && last == expected_head => {
                    (self.away)(&error);
                    return Err(match self.begin(expected_head, batch).await {
                        Ok(spool) => {
                            *begun = Some((expected_head, spool));
                            error
                        }
                        Err(reason) => unkept(error, reason),
                    });
                }
                Ok(events) => {
                    let appended = events.last().map_or(last, |event| event.sequence);
                    self.last.store(appended, Ordering::SeqCst);
                    return Ok(events);
                }
                Err(error) => return Err(error),
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

    async fn keep(&self, batch: Vec<Draft>) {
        if let Some((_, spool)) = &*self.spool.lock().await
            && let Ok(head) = spool.head().await
        {
            // The run is told anyway that nothing more is recorded.
            let _ = spool.append(head, batch).await;
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
        if away { Ok(State::project(&EventLog::read(self, 0).await?)?) } else { self.log.state().await }
    }

    /// None while there is a spool: a snapshot is of the log.
    async fn save_snapshot(&self, state: &State) -> Result<(), LogError> {
        let away = self.spool.lock().await.is_some();
        if away { Ok(()) } else { self.log.save_snapshot(state).await }
    }
}

fn unkept(error: LogError, reason: LogError) -> LogError {
    LogError::Unkept { error: Box::new(error), reason: Box::new(reason) }
}

fn shifted(event: Event, base: u64) -> Event {
    Event { sequence: event.sequence + base, ..event }
}

/// Why a spool cannot be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The spool was begun for another log.
    #[error("the events kept here are of another log")]
    OtherLog,
    /// A log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What became of the events of a spool.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// How many were appended.
    pub events: usize,
    /// How many say nothing any more, since others worked meanwhile.
    pub passed_over: usize,
    /// What somebody has to look at in the cluster.
    pub notes: Vec<(InstanceAddress, String)>,
}

/// Appends the events of a spool, which follows the event `base`, to their log. What got there before is not appended
/// again, so that this can be repeated. A lease that was taken over or broken meanwhile, without anything done under
/// the next one, is not in the way. When another run did something, what the spool tells of actions is taken in as far
/// as the log does not know better, and what is passed over stands in an event `by` whoever pushes.
///
/// # Errors
/// [`PushError::OtherLog`] when the spool does not have the id of the log; otherwise when a log fails. Nothing is appended
/// then.
pub async fn push_spool(
    log: &dyn EventLog,
    spool: &dyn EventLog,
    base: u64,
    by: &Actor,
) -> Result<Pushed, PushError> {
    if spool.id() != log.id() {
        return Err(PushError::OtherLog);
    }
    let kept = spool.read(0).await?;
    let present = log.read(base).await?;
    let ids: BTreeSet<Uuid> = present.iter().map(|event| event.id).collect();
    let own: BTreeSet<Uuid> = kept.iter().map(|event| event.id).collect();
    let missing: Vec<Event> = kept.into_iter().filter(|event| !ids.contains(&event.id)).collect();
    let overtaken = present
        .iter()
        .any(|event| !own.contains(&event.id) && !matches!(event.payload, Payload::LeaseTakenOver(_)));
    if overtaken && !missing.is_empty() {
        return merge(log, missing, base, by).await;
    }
    let head = present.last().map_or(base, |event| event.sequence);
    let drafts = missing.into_iter().map(draft_of).collect();
    Ok(Pushed { events: log.append(head, drafts).await?.len(), ..Pushed::default() })
}

async fn merge(log: &dyn EventLog, missing: Vec<Event>, base: u64, by: &Actor) -> Result<Pushed, PushError> {
    let all = log.read(0).await?;
    let merged = Merged::of(&all, missing).map_err(LogError::from)?;
    let pushed =
        Pushed { events: merged.drafts.len(), passed_over: merged.passed_over.len(), notes: merged.notes };
    if pushed.events + pushed.passed_over == 0 {
        return Ok(pushed);
    }
    let told = EventsMerged { after: base, taken_in: pushed.events as u64, passed_over: merged.passed_over };
    let mut batch = merged.drafts;
    batch.push(Draft {
        id: Uuid::now_v7(),
        time: Timestamp::now(),
        run: Uuid::now_v7(),
        actor: by.clone(),
        payload: Payload::EventsMerged(told),
    });
    log.append(all.last().map_or(0, |event| event.sequence), batch).await?;
    Ok(pushed)
}

pub(crate) fn draft_of(event: Event) -> Draft {
    Draft { id: event.id, time: event.time, run: event.run, actor: event.actor, payload: event.payload }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
