//! Renewing a lease in the background.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{LeaseRecord, LeaseStore, LeaseWrite};

/// What the holder knows of its lease.
#[derive(Clone)]
pub(super) struct Hold {
    pub(super) record: LeaseRecord,
    pub(super) version: String,
    /// Nobody who keeps to the rules takes it before this moment: it is reckoned from before the last write that
    /// succeeded was sent, and others begin to reckon after it arrived.
    pub(super) good_until: Instant,
}

impl Hold {
    /// Whether a stored record is of this taking of the lease.
    pub(super) fn is_mine(&self, found: &LeaseRecord) -> bool {
        let id = |record: &LeaseRecord| record.holder.as_ref().map(|holder| holder.id);
        found.epoch == self.record.epoch && found.holder.is_some() && id(found) == id(&self.record)
    }
}

/// Renews until the lease is lost; says so through `lost`.
pub(super) async fn renew(
    store: Arc<dyn LeaseStore>,
    hold: Arc<Mutex<Hold>>,
    every: Duration,
    lost: watch::Sender<bool>,
) {
    loop {
        let now = hold.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let next = (Instant::now() + every).min(now.good_until);
        tokio::time::sleep_until(next).await;
        // A write that is still under way then is given up with the lease.
        let renewed = tokio::time::timeout_at(now.good_until, renew_once(&*store, &now)).await;
        match renewed {
            Ok(Some(renewed)) => *hold.lock().unwrap_or_else(PoisonError::into_inner) = renewed,
            _ => {
                let _ = lost.send(true);
                return;
            }
        }
    }
}

/// `None` when it is another's. Does not return while its store fails: the caller sets the limit.
async fn renew_once(store: &dyn LeaseStore, hold: &Hold) -> Option<Hold> {
    let mut renewed = hold.clone();
    loop {
        let asked = Instant::now();
        renewed.record.renewed = Timestamp::now();
        match store.write(Some(&renewed.version), &renewed.record).await {
            Ok(LeaseWrite::Written(version)) => {
                let good_until = asked + Duration::from_millis(hold.record.time_to_live);
                return Some(Hold { version, good_until, ..renewed });
            }
            // An earlier renewal landed without its answer coming back.
            Ok(LeaseWrite::Other(Some(found))) if hold.is_mine(&found.record) => {
                renewed.version = found.version;
            }
            Ok(LeaseWrite::Other(_)) => return None,
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}
