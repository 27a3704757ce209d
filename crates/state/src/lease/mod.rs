//! The lease: one run at a time works on an environment, across machines.
//!
//! A lease that is not renewed for its time to live can be taken over. Nobody's wall clock decides this: whoever waits
//! measures on its own monotonic clock for how long the stored version stays the same. Taking over, and breaking a
//! lease, records an event before anything else is done, so that the next append of the holder before, which expects
//! an older head, fails.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use self::fencing::record_fencing;
use self::renewal::{Hold, renew};
use self::waiting::{Waiting, free};
use crate::log::{EventLog, LogError};

mod fencing;
mod record;
mod renewal;
mod waiting;

pub use self::fencing::{break_lease, lease_status};
pub use self::record::{LeaseHolder, LeaseRecord, LeaseStore, LeaseWrite, StoredLease};

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another run holds it, and waiting did not help.
    #[error("another run works on this environment: {0}")]
    Held(Box<LeaseHolder>),
    /// Somebody broke it or took it over.
    #[error("the lease was lost: another run took it over, or it could not be renewed in time")]
    Lost,
    /// Its store, or the log that a takeover is recorded in, failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// How long leases last and who is told about waiting.
pub struct LeaseOptions<'a> {
    /// For how long a lease is good without being renewed. All who share a log should have the same.
    pub time_to_live: Duration,
    /// How often it is renewed; well under the time to live.
    pub renew_every: Duration,
    /// How long to wait for another holder (`-lock-timeout`). A holder that is gone without a release is noticed only
    /// by those who wait longer than the time to live.
    pub wait: Duration,
    /// Called when waiting begins, and whenever another holder is waited for; for how long, where that is known: a lease
    /// that was broken is waited for in any case.
    pub waiting: &'a (dyn Fn(&LeaseHolder, Option<Duration>) + Send + Sync),
}

impl LeaseOptions<'static> {
    /// A minute, renewed every 15 seconds, without waiting.
    pub fn new() -> LeaseOptions<'static> {
        LeaseOptions {
            time_to_live: Duration::from_secs(60),
            renew_every: Duration::from_secs(15),
            wait: Duration::ZERO,
            waiting: &|_, _| {},
        }
    }
}

impl Default for LeaseOptions<'static> {
    fn default() -> LeaseOptions<'static> {
        LeaseOptions::new()
    }
}

/// A held lease; renewed in the background until it is released, lost or dropped.
pub struct Lease {
    store: Arc<dyn LeaseStore>,
    hold: Arc<Mutex<Hold>>,
    lost: watch::Receiver<bool>,
    renewal: tokio::task::JoinHandle<()>,
}

/// How often a lease that was there for a write may be gone for the read behind it.
const REFUSALS: u32 = 5;

impl Lease {
    /// Takes the lease, waiting as the options say. Returns once it is held and, after another holder that did not
    /// release it, once that is recorded in the log. The log must be read after this, not before.
    ///
    /// # Errors
    /// [`LeaseError::Held`] when another run holds it; otherwise when its store or the log fails.
    pub async fn acquire(
        store: Arc<dyn LeaseStore>,
        log: &dyn EventLog,
        holder: LeaseHolder,
        options: &LeaseOptions<'_>,
    ) -> Result<Lease, LeaseError> {
        let mut waiting = Waiting { deadline: Instant::now() + options.wait, seen: None, told: None };
        let mut refused = 0;
        loop {
            let Some((taken_from, present)) = free(&*store, &mut waiting.seen).await? else {
                waiting.pause(options).await?;
                continue;
            };
            let hold = Hold {
                record: LeaseRecord {
                    epoch: present.as_ref().map_or(0, |lease| lease.record.epoch) + 1,
                    holder: Some(holder.clone()),
                    broken: None,
                    time_to_live: u64::try_from(options.time_to_live.as_millis()).unwrap_or(u64::MAX),
                    renewed: Timestamp::now(),
                },
                version: String::new(),
                good_until: Instant::now() + options.time_to_live,
            };
            let expected = present.as_ref().map(|lease| &*lease.version);
            match store.write(expected, &hold.record).await? {
                LeaseWrite::Written(version) => {
                    let lease = Lease::start(store, Hold { version, ..hold }, options.renew_every);
                    if let Some(from) = taken_from {
                        lease.fence(log, &from, &holder).await?;
                    }
                    return Ok(lease);
                }
                // Whoever answers so is no store.
                LeaseWrite::Other(None) if refused == REFUSALS => {
                    return Err(LeaseError::Log(LogError::Storage {
                        place: "named in the `backend` block".into(),
                        reason:
                            "its lease can neither be written nor read: what answers there is no object store"
                                .into(),
                    }));
                }
                // Somebody was faster: that is who is waited for from now on.
                LeaseWrite::Other(found) => refused += u32::from(found.is_none()),
            }
        }
    }

    /// Tells at any time whether the lease is lost.
    pub fn watch(&self) -> LeaseWatch {
        LeaseWatch { hold: Arc::clone(&self.hold), lost: self.lost.clone() }
    }

    fn start(store: Arc<dyn LeaseStore>, hold: Hold, renew_every: Duration) -> Lease {
        let (sender, lost) = watch::channel(false);
        let hold = Arc::new(Mutex::new(hold));
        let renewal = tokio::spawn(renew(Arc::clone(&store), Arc::clone(&hold), renew_every, sender));
        Lease { store, hold, lost, renewal }
    }

    /// Records the takeover. Without that the lease is left to run out, so that whoever takes it next records one:
    /// after a release nobody would.
    async fn fence(
        &self,
        log: &dyn EventLog,
        from: &LeaseHolder,
        holder: &LeaseHolder,
    ) -> Result<(), LeaseError> {
        let recorded = record_fencing(log, from, self.epoch(), holder).await;
        if recorded.is_err() || self.is_lost() {
            self.renewal.abort();
            recorded?;
            return Err(LeaseError::Lost);
        }
        Ok(())
    }

    /// The epoch of this lease.
    pub fn epoch(&self) -> u64 {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner).record.epoch
    }

    /// Whether it is not held any more: no request may be begun.
    pub fn is_lost(&self) -> bool {
        self.watch().is_lost()
    }

    /// Calls `stop` once the lease is lost.
    pub fn on_loss(&self, stop: impl FnOnce() + Send + 'static) {
        let mut lost = self.lost.clone();
        tokio::spawn(async move {
            // An error means that the lease was given back.
            if lost.wait_for(|lost| *lost).await.is_ok() {
                stop();
            }
        });
    }

    /// Gives the lease back. The record stays, without a holder.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] when somebody else has it or had it; otherwise when its store fails.
    pub async fn release(self) -> Result<(), LeaseError> {
        self.renewal.abort();
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut expected = hold.version.clone();
        loop {
            let record = LeaseRecord { holder: None, renewed: Timestamp::now(), ..hold.record.clone() };
            match self.store.write(Some(&expected), &record).await? {
                LeaseWrite::Written(_) => return Ok(()),
                // A renewal whose answer got lost, or was not waited for.
                LeaseWrite::Other(Some(found)) if hold.is_mine(&found.record) => expected = found.version,
                // A release whose answer got lost.
                LeaseWrite::Other(Some(found)) if found.record == record => return Ok(()),
                LeaseWrite::Other(_) => return Err(LeaseError::Lost),
            }
        }
    }
}

/// See [`Lease::watch`].
#[derive(Clone)]
pub struct LeaseWatch {
    hold: Arc<Mutex<Hold>>,
    lost: watch::Receiver<bool>,
}

impl LeaseWatch {
    /// Whether the lease is not held any more: no request may be begun. By the clock alone, too: a process that was stopped
    /// goes on before any of its timers does.
    pub fn is_lost(&self) -> bool {
        *self.lost.borrow()
            || self.hold.lock().unwrap_or_else(PoisonError::into_inner).good_until <= Instant::now()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}
