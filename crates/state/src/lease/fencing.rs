//! Taking a lease from somebody: an event in the log makes the next append of the holder before fail.

use std::time::Duration;

use jiff::Timestamp;
use pve_model::event::{LeaseTakenOver, Payload};
use uuid::Uuid;

use super::{LeaseError, LeaseHolder, LeaseRecord, LeaseStore, LeaseWrite, StoredLease};
use crate::log::{Draft, EventLog, LogError};

/// How often a takeover is recorded again when the holder before appends meanwhile.
const FENCING_TRIES: u32 = 16;

/// Records that the lease was taken from its holder.
pub(super) async fn record_fencing(
    log: &dyn EventLog,
    from: &LeaseHolder,
    epoch: u64,
    holder: &LeaseHolder,
) -> Result<(), LogError> {
    let draft = Draft {
        id: Uuid::now_v7(),
        time: Timestamp::now(),
        run: holder.id,
        actor: holder.actor.clone(),
        payload: Payload::LeaseTakenOver(LeaseTakenOver { from: from.to_string(), epoch }),
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let head = log.head().await?;
        match log.append(head, vec![draft.clone()]).await {
            Err(error) if error.is_conflict() && tries < FENCING_TRIES => {}
            result => return result.map(drop),
        }
    }
}

/// Who holds the lease; `None` when nobody does.
///
/// # Errors
/// When its store fails.
pub async fn lease_status(store: &dyn LeaseStore) -> Result<Option<StoredLease>, LogError> {
    Ok(store.read().await?.filter(|lease| lease.record.holder.is_some()))
}

/// Breaks a lease that was looked at before (`pve unlock`): only that one, not what may have followed. The holder's
/// next append fails. `by` is who breaks it. Says for how long nobody takes the lease, since its holder may still have a
/// request under way that it sent before it could know; `None` when its process has ended.
///
/// # Errors
/// [`LeaseError::Lost`] when it is another one by now; otherwise when its store or the log fails.
pub async fn break_lease(
    store: &dyn LeaseStore,
    log: &dyn EventLog,
    shown: &StoredLease,
    by: LeaseHolder,
) -> Result<Option<Duration>, LeaseError> {
    let Some(holder) = shown.record.holder.clone() else { return Ok(None) };
    let epoch = shown.record.epoch + 1;
    let mut expected = shown.version.clone();
    loop {
        let record = LeaseRecord {
            epoch,
            holder: None,
            broken: Some(Box::new(holder.clone())),
            renewed: Timestamp::now(),
            time_to_live: shown.record.time_to_live,
        };
        match store.write(Some(&expected), &record).await? {
            LeaseWrite::Written(version) => {
                record_fencing(log, &holder, epoch, &by).await?;
                if !holder.has_ended() {
                    return Ok(Some(Duration::from_millis(record.time_to_live)));
                }
                // Without it the next one waits, and records the same once more.
                let _ = store.write(Some(&version), &LeaseRecord { broken: None, ..record }).await;
                return Ok(None);
            }
            // It was renewed since it was shown; it still is the same holder's.
            LeaseWrite::Other(Some(found))
                if found.record.holder.as_ref().is_some_and(|found| found.id == holder.id) =>
            {
                expected = found.version;
            }
            LeaseWrite::Other(_) => return Err(LeaseError::Lost),
        }
    }
}
