//! Waiting for a lease that somebody has, or had when it was broken.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::{LeaseError, LeaseHolder, LeaseOptions, LeaseStore, StoredLease};

/// The pause between looks at a lease that is waited for.
const LOOK: Duration = Duration::from_secs(2);

/// Waiting for a lease that somebody has.
pub(super) struct Waiting {
    pub(super) deadline: Instant,
    /// The version that was last found and since when, on this process's monotonic clock, it is the same.
    pub(super) seen: Option<(StoredLease, Instant)>,
    pub(super) told: Option<Uuid>,
}

impl Waiting {
    /// Pauses before the next look.
    ///
    /// # Errors
    /// [`LeaseError::Held`] when there is no time left.
    pub(super) async fn pause(&mut self, options: &LeaseOptions<'_>) -> Result<(), LeaseError> {
        let mut until = self.deadline;
        if let Some((lease, since)) = &self.seen {
            let record = &lease.record;
            let free = *since + Duration::from_millis(record.time_to_live) + Duration::from_millis(1);
            let is_broken = record.holder.is_none() && record.broken.is_some();
            if is_broken {
                until = until.max(free);
            }
            if let Some(other) = record.holder.as_ref().or(record.broken.as_deref()) {
                if Instant::now() >= until {
                    return Err(LeaseError::Held(Box::new(other.clone())));
                }
                if self.told != Some(other.id) {
                    let remaining = is_broken.then(|| free.duration_since(Instant::now()));
                    (options.waiting)(other, remaining);
                    self.told = Some(other.id);
                }
            }
        }
        tokio::time::sleep_until((Instant::now() + LOOK).min(until)).await;
        Ok(())
    }
}

/// Whether the lease can be taken: from whom, if from somebody, and what is stored. `seen` has the version that was
/// last found and since when, on this process's monotonic clock, it is the same.
pub(super) async fn free(
    store: &dyn LeaseStore,
    seen: &mut Option<(StoredLease, Instant)>,
) -> Result<Option<(Option<LeaseHolder>, Option<StoredLease>)>, LeaseError> {
    // The time before the question: the version may have been another until then.
    let asked = Instant::now();
    let Some(found) = store.read().await? else { return Ok(Some((None, None))) };
    let holder = found.record.holder.as_ref().or(found.record.broken.as_deref());
    let Some(other) = holder.cloned() else { return Ok(Some((None, Some(found)))) };
    match seen {
        Some((before, since)) if before.version == found.version => {
            if asked.duration_since(*since) > Duration::from_millis(found.record.time_to_live) {
                return Ok(Some((Some(other), Some(found))));
            }
        }
        _ => *seen = Some((found, Instant::now())),
    }
    Ok(None)
}
