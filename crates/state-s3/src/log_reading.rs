//! Reading batches and snapshots: where the log ends, and what is missing in front of that.

use futures::{StreamExt as _, TryStreamExt as _};
use pve_model::state::State;
use pve_state::{Fault, Head, LogError, StoredEvent, check_following};

use super::S3Log;
use crate::batch::decode_batch;
use crate::conditional::{list, read};
use crate::snapshot::decode_snapshot;

/// Batches read at a time.
const READS: usize = 16;
/// Batches read one after the other before the rest is listed.
const STEPS: usize = 4;

impl S3Log {
    /// The events after `from`, which is the end of a batch. The end of the log is where the store says that there is
    /// no next batch: a listing only says what can be read at once. Without a lower bound of the end, a listing shows
    /// whether there is something behind a gap.
    pub(super) async fn tail(
        &self,
        from: Head,
        bound: Head,
        thorough: bool,
    ) -> Result<Vec<StoredEvent>, LogError> {
        let mut events = Vec::new();
        let mut end = from;
        let mut steps = 0;
        loop {
            let next = self.layout.batch(end.sequence + 1);
            if let Some(body) = read(&*self.store, &next).await.map_err(|error| self.fail(error))? {
                take_in(&mut events, &mut end, decode_batch(&next, &body)?)?;
                steps += 1;
                if steps == STEPS {
                    let after = self.layout.batch(end.sequence);
                    for batch in self.read_listed(self.list(&after).await?).await? {
                        take_in(&mut events, &mut end, batch)?;
                    }
                }
            } else if end.sequence < bound.sequence {
                return Err(self.cut_off(end, bound).await?);
            } else if !thorough || !self.goes_on(end).await? {
                return Ok(events);
            } else if read(&*self.store, &next).await.map_err(|error| self.fail(error))?.is_none() {
                // Batches are written in order: what is not there now was removed.
                return Err(self.cut_off(end, bound).await?);
            }
        }
    }

    async fn goes_on(&self, end: Head) -> Result<bool, LogError> {
        Ok(!self.list(&self.layout.batch(end.sequence + 1)).await?.is_empty())
    }

    /// What is wrong with a log that ends before the event that was noted.
    async fn cut_off(&self, end: Head, noted: Head) -> Result<LogError, LogError> {
        let beyond = self.list(&self.layout.batch(end.sequence + 1)).await?;
        let Some(first) = beyond.iter().find_map(|key| self.layout.first_of(key)) else {
            let fault = Fault::Truncated { last: end.sequence, written: noted.sequence };
            return Ok(LogError::Damaged(fault.to_string()));
        };
        Ok(LogError::Damaged(format!(
            "events {} to {} are missing: their objects were removed, and the log goes on at event {first}",
            end.sequence + 1,
            first - 1,
        )))
    }

    /// Keys of batches behind the key `after`.
    async fn list(&self, after: &str) -> Result<Vec<String>, LogError> {
        let keys = list(&*self.store, &self.layout.batches(), after).await;
        let mut keys = keys.map_err(|error| self.fail(error))?;
        keys.retain(|key| self.layout.first_of(key).is_some());
        Ok(keys)
    }

    async fn read_listed(&self, keys: Vec<String>) -> Result<Vec<Vec<StoredEvent>>, LogError> {
        let reads = keys.into_iter().map(|key| async move {
            let body = read(&*self.store, &key).await.map_err(|error| self.fail(error))?;
            let body = body.ok_or_else(|| LogError::Damaged(format!("the object {key} was removed")))?;
            decode_batch(&key, &body)
        });
        futures::stream::iter(reads).buffered(READS).try_collect().await
    }

    /// The stored events from the batch that has the event `after`, as they are.
    pub(super) async fn read_stored(&self, after: u64) -> Result<Vec<StoredEvent>, LogError> {
        let mut keys = self.list("").await?;
        let begins = |key: &String| self.layout.first_of(key).is_some_and(|first| first <= after);
        let from = keys.partition_point(begins).saturating_sub(1);
        let read = self.read_listed(keys.split_off(from)).await?;
        let mut stored: Vec<StoredEvent> = read.into_iter().flatten().collect();
        if let Some(end) = stored.last().map(Head::of) {
            stored.extend(self.tail(end, end, false).await?);
        }
        Ok(stored)
    }

    /// The newest snapshot that can be used.
    pub(super) async fn snapshot(&self, hinted: u64) -> Result<Option<(State, Head)>, LogError> {
        let read_one = |key: String| async move {
            let body = read(&*self.store, &key).await.map_err(|error| self.fail(error))?;
            Ok::<_, LogError>(body.and_then(|body| decode_snapshot(&self.naming.seal(), &body)))
        };
        if hinted > 0
            && let Some(found) = read_one(self.layout.snapshot(hinted)).await?
        {
            return Ok(Some(found));
        }
        let keys = list(&*self.store, &self.layout.snapshots(), "").await;
        for key in keys.map_err(|error| self.fail(error))?.into_iter().rev() {
            if let Some(found) = read_one(key).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// Takes in the next batch, which must continue the chain.
fn take_in(events: &mut Vec<StoredEvent>, end: &mut Head, batch: Vec<StoredEvent>) -> Result<(), LogError> {
    match check_following(end, &batch) {
        Ok(()) => events.extend(batch),
        Err(LogError::Conflict { found, .. }) => {
            return Err(LogError::Damaged(Fault::Missing { sequence: found + 1 }.to_string()));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
