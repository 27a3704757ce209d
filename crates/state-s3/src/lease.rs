//! The lease as one object that is overwritten by compare-and-swap and never removed.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use pve_state::{LeaseHolder, LeaseRecord, LeaseStore, LeaseWrite, LogError, StoredLease};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::batch::writer_of;
use crate::conditional::{Replaced, read_object, swap};
use crate::layout::Layout;
use crate::probe::Probe;
use crate::store::{Object, ObjectStore, StoreError};

/// The object. Its writer tells writes of the same record apart: a renewal must change the version.
#[derive(Serialize, Deserialize)]
struct LeaseObject {
    writer: Uuid,
    #[serde(flatten)]
    record: LeaseRecord,
}

/// The lease of a log; see [`S3Log::lease`](crate::S3Log::lease).
pub struct S3Lease {
    store: Arc<dyn ObjectStore>,
    layout: Layout,
    probe: Arc<Probe>,
}

impl S3Lease {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, layout: Layout, probe: Arc<Probe>) -> S3Lease {
        S3Lease { store, layout, probe }
    }

    fn fail(&self, error: &StoreError) -> LogError {
        LogError::Storage { place: self.layout.name().into(), reason: error.to_string() }
    }

    /// Makes a lease that cannot be read anew, as one that was broken: whoever had it may still work. Says whether there
    /// was one.
    ///
    /// # Errors
    /// When the store fails, or somebody else was faster.
    pub async fn repair(&self, by: LeaseHolder) -> Result<bool, LogError> {
        let place = self.layout.lease();
        let found = read_object(&*self.store, &place).await.map_err(|error| self.fail(&error))?;
        let Some(found) = found else { return Ok(false) };
        let version = found.version.clone();
        if self.decode(found).is_ok() {
            return Ok(false);
        }
        let now = Timestamp::now();
        let unknown =
            LeaseHolder { process: 0, machine: None, command: "a run that nobody can tell of".into(), ..by };
        let record = LeaseRecord {
            // More than any count of takings.
            epoch: u64::try_from(now.as_millisecond()).unwrap_or(u64::MAX),
            holder: None,
            broken: Some(Box::new(unknown)),
            time_to_live: 60_000,
            renewed: now,
        };
        match self.write(Some(&version), &record).await? {
            LeaseWrite::Written(_) => Ok(true),
            LeaseWrite::Other(_) => Ok(false),
        }
    }

    fn decode(&self, object: Object) -> Result<StoredLease, LogError> {
        let read: LeaseObject = serde_json::from_slice(&object.body).map_err(|error| {
            LogError::Damaged(format!("the lease {} cannot be read: {error}", self.layout.lease()))
        })?;
        Ok(StoredLease { record: read.record, version: object.version })
    }
}

#[async_trait]
impl LeaseStore for S3Lease {
    async fn read(&self) -> Result<Option<StoredLease>, LogError> {
        let found = read_object(&*self.store, &self.layout.lease()).await;
        found.map_err(|error| self.fail(&error))?.map(|object| self.decode(object)).transpose()
    }

    async fn write(&self, expected: Option<&str>, record: &LeaseRecord) -> Result<LeaseWrite, LogError> {
        self.probe.pass().await?;
        let writer = Uuid::now_v7();
        let body = serde_json::to_vec(&LeaseObject { writer, record: record.clone() })
            .map_err(|error| LogError::Damaged(format!("a lease cannot be written: {error}")))?;
        match swap(&*self.store, &self.layout.lease(), expected, &body).await {
            Ok(Replaced::Done(version)) => Ok(LeaseWrite::Written(version)),
            Ok(Replaced::Found(Some(object))) if writer_of(&object.body) == Some(writer) => {
                Ok(LeaseWrite::Written(object.version))
            }
            Ok(Replaced::Found(found)) => {
                Ok(LeaseWrite::Other(found.map(|object| self.decode(object).map(Box::new)).transpose()?))
            }
            Err(error) => Err(self.fail(&error)),
        }
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
