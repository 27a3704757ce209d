//! Reading batches and snapshots: where the log ends, and what is missing in front of that.

use futures::{StreamExt as _, TryStreamExt as _};
use pve_state::{Fault, Head, Keyring, LogError, StoredEvent, check_following};

use super::S3Log;
use crate::batch::decode_batch;
use crate::conditional::{list, read};
use crate::hint::WITHOUT_KEYRING;
use crate::snapshot::{KEPT, Snapshot, decode_snapshot};

/// Batches read at a time.
const READS: usize = 16;
/// Batches read one after the other before the rest is listed.
const STEPS: usize = 4;
/// Batches that end so many events before the newest are not listed to find it: most have fewer.
const NEAR: u64 = 256;

impl S3Log {
    /// The first event, unopened; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn first_event(&self) -> Result<Option<StoredEvent>, LogError> {
        let first = self.layout.batch(1);
        let Some(body) = read(&*self.store, &first).await.map_err(|error| self.fail(error))? else {
            return Ok(None);
        };
        Ok(decode_batch(&first, &body)?.into_iter().next())
    }

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
        // An event that the log has reached or passed.
        let mut least = bound.sequence;
        loop {
            let next = self.layout.batch(end.sequence + 1);
            if let Some(body) = read(&*self.store, &next).await.map_err(|error| self.fail(error))? {
                take_in(&mut events, &mut end, decode_batch(&next, &body)?)?;
                steps += 1;
                if steps == STEPS {
                    let after = self.layout.batch(end.sequence);
                    let keys = self.list(&after).await?;
                    least = keys.last().and_then(|key| self.layout.first_of(key)).unwrap_or(0).max(least);
                    for batch in self.read_listed(keys).await? {
                        // A listing can leave out what is there: that is asked for by its name.
                        if batch.first().is_some_and(|event| event.sequence > end.sequence + 1) {
                            break;
                        }
                        take_in(&mut events, &mut end, batch)?;
                    }
                }
            } else if end.sequence < least {
                return Err(self.cut_off(end, least).await?);
            } else if !thorough || !self.goes_on(end).await? {
                return Ok(events);
            } else if read(&*self.store, &next).await.map_err(|error| self.fail(error))?.is_none() {
                // Batches are written in order: what is not there now was removed.
                return Err(self.cut_off(end, least).await?);
            }
        }
    }

    async fn goes_on(&self, end: Head) -> Result<bool, LogError> {
        Ok(!self.list(&self.layout.batch(end.sequence + 1)).await?.is_empty())
    }

    /// Makes sure that the newest event is there as it was written. A snapshot does without it, and what is appended behind
    /// one that is gone could never be checked again.
    pub(super) async fn check_newest(&self, head: Head) -> Result<(), LogError> {
        if head.sequence == 0 {
            return Ok(());
        }
        let first = |key: &String| self.layout.first_of(key).unwrap_or(0);
        let near = head.sequence.saturating_sub(NEAR);
        let mut keys = self.list(&self.layout.batch(near)).await?;
        keys.retain(|key| first(key) <= head.sequence);
        if keys.len() < 2 && near > 0 {
            keys = self.list("").await?;
            keys.retain(|key| first(key) <= head.sequence);
        }
        let (begin, last) = match &keys[..] {
            [.., before, last] => (Some(before.clone()), last.clone()),
            [only] => (None, only.clone()),
            [] => (None, self.layout.batch(head.sequence)),
        };
        let mut batches = self.read_listed(begin.into_iter().chain([last]).collect()).await?;
        let mut newest = batches.pop().unwrap_or_default();
        let mut end = match batches.pop().as_ref().and_then(|batch| batch.last()) {
            Some(before) => Head::of(before),
            // What was in front of it may have been put away: a snapshot has it.
            None if newest.first().is_some_and(|first| first.sequence > 1) => Head::of(&newest.remove(0)),
            None => Head::default(),
        };
        take_in(&mut Vec::new(), &mut end, newest)?;
        if end == head {
            return Ok(());
        }
        let fault = match end.sequence < head.sequence {
            true => Fault::Missing { sequence: end.sequence + 1 },
            false => Fault::Changed { sequence: head.sequence },
        };
        Err(LogError::Damaged(fault.to_string()))
    }

    /// What is wrong with a log that ends before the event that was noted.
    async fn cut_off(&self, end: Head, noted: u64) -> Result<LogError, LogError> {
        let beyond = self.list(&self.layout.batch(end.sequence + 1)).await?;
        let Some(first) = beyond.iter().find_map(|key| self.layout.first_of(key)) else {
            let fault = Fault::Truncated { last: end.sequence, written: noted };
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
        let mut stored = Vec::new();
        let mut end = (after == 0).then(Head::default);
        for batch in self.read_listed(keys.split_off(from)).await? {
            self.fill(&mut stored, &mut end, batch.first().map_or(0, |event| event.sequence)).await?;
            end = batch.last().map(Head::of);
            stored.extend(batch);
        }
        if let Some(end) = end {
            stored.extend(self.tail(end, end, false).await?);
        }
        Ok(stored)
    }

    /// Reads what a listing left out in front of the event `first`; what is really missing stays so.
    async fn fill(
        &self,
        stored: &mut Vec<StoredEvent>,
        end: &mut Option<Head>,
        first: u64,
    ) -> Result<(), LogError> {
        while let Some(last) = end.filter(|last| last.sequence + 1 < first) {
            let next = self.layout.batch(last.sequence + 1);
            let body = read(&*self.store, &next).await.map_err(|error| self.fail(error))?;
            let Some(body) = body else { return Ok(()) };
            let batch = decode_batch(&next, &body)?;
            *end = batch.last().filter(|event| event.sequence > last.sequence).map(Head::of);
            stored.extend(batch);
        }
        Ok(())
    }

    /// What is wrong with the objects that the log needs beside its events. Without them it still opens by what the head
    /// says, and not any more once that is gone, too. Snapshots are a cache.
    pub(super) async fn fault_beside(&self) -> Result<Option<Fault>, LogError> {
        let fault =
            |object: &str, reason: &str| Some(Fault::Beside { object: object.into(), reason: reason.into() });
        let format = self.layout.format();
        let Some(body) = self.object(&format).await? else { return Ok(fault(&format, "was removed")) };
        let Some(found) = json(&body).and_then(|found| found["format"].as_u64()) else {
            return Ok(fault(&format, "cannot be read"));
        };
        let lease = self.layout.lease();
        if self
            .object(&lease)
            .await?
            .is_some_and(|body| json(&body).is_none_or(|found| found["epoch"].is_null()))
        {
            return Ok(fault(&lease, "cannot be read: `pve unlock -force` makes it anew"));
        }
        let newest = self.naming.seal().ring().map_or(0, |ring| ring.revision);
        if found <= u64::from(WITHOUT_KEYRING) && newest == 0 {
            return Ok(None);
        }
        // A log that was moved here long ago came with its newest keyring alone.
        let mut begun = false;
        for revision in 1..=newest.max(1) {
            let object = self.layout.keyring(revision);
            match self.object(&object).await? {
                Some(body) if serde_json::from_slice::<Keyring>(&body).is_err() => {
                    return Ok(fault(&object, "cannot be read"));
                }
                Some(_) => begun = true,
                None if begun || revision == newest.max(1) => return Ok(fault(&object, "was removed")),
                None => {}
            }
        }
        Ok(None)
    }

    async fn object(&self, key: &str) -> Result<Option<Vec<u8>>, LogError> {
        read(&*self.store, key).await.map_err(|error| self.fail(error))
    }

    /// The newest snapshot that can be used.
    pub(super) async fn snapshot(&self, hinted: u64) -> Result<Option<Snapshot>, LogError> {
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
        for key in keys.map_err(|error| self.fail(error))?.into_iter().rev().take(KEPT) {
            if let Some(found) = read_one(key).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn json(body: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(body).ok()
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
