//! What a configuration's `backend "s3"` stands for.

use std::sync::Arc;
use std::time::Duration;

use pve_state::{Key, LogError};
use uuid::Uuid;

use crate::aws::{AwsStore, ConnectError, authorized};
use crate::conditional::{Tries, read};
use crate::lease::S3Lease;
use crate::lock_table::LockTable;
use crate::log::S3Log;
use crate::settings::Settings;
use crate::store::{ObjectStore, StoreError};
use crate::terraform_lock::{TerraformLock, read_locks};

/// A shared log with its lease.
pub struct SharedLog {
    /// The log.
    pub log: Arc<S3Log>,
    /// The lease that a run which writes must hold.
    pub lease: Arc<S3Lease>,
    store: Arc<dyn ObjectStore>,
    state_key: String,
    lock_table: Option<LockTable>,
    lock_id: String,
}

impl SharedLog {
    /// Opens the log of an environment. Nothing is written before its first event.
    ///
    /// # Errors
    /// When the store cannot be used, or has a log of a newer program.
    pub async fn connect(settings: &Settings, environment: &str, key: Key) -> Result<SharedLog, LogError> {
        SharedLog::connect_as(settings, environment, key, Uuid::now_v7()).await
    }

    /// The same; where there is no log yet it will be made with this id.
    ///
    /// # Errors
    /// As [`SharedLog::connect`].
    pub async fn connect_as(
        settings: &Settings,
        environment: &str,
        key: Key,
        id: Uuid,
    ) -> Result<SharedLog, LogError> {
        let layout = settings.layout(environment);
        let (store, lock_table) = connect(settings, environment).await?;
        let log = Arc::new(S3Log::open_as(Arc::clone(&store), layout, key, id).await?);
        let lease = Arc::new(log.lease());
        Ok(SharedLog {
            log,
            lease,
            store,
            state_key: settings.state_key(environment),
            lock_table,
            lock_id: settings.lock_id(environment),
        })
    }

    /// The locks that Terraform holds on its state, which would be beside this log: in the bucket, and in the table that
    /// the settings name.
    ///
    /// # Errors
    /// When the store or the table cannot be asked.
    pub async fn terraform_locks(&self) -> Result<Vec<TerraformLock>, StoreError> {
        let table = self.lock_table.as_ref().map(|table| (table, Tries::begin()));
        read_locks(&*self.store, &self.state_key, table, &self.lock_id).await
    }
}

/// The state that Terraform keeps at the key of the settings, as it is, if there is one.
///
/// # Errors
/// When the store cannot be used.
pub async fn terraform_state(settings: &Settings, environment: &str) -> Result<Option<Vec<u8>>, LogError> {
    let key = settings.state_key(environment);
    let found = read(&*connect(settings, environment).await?.0, &key).await;
    found.map_err(|error| LogError::Storage { place: key, reason: error.to_string() })
}

/// The longest wait for what is only told.
const LOOK: Duration = Duration::from_secs(5);

/// The locks that Terraform holds on the state beside a log, which is not opened for it, to tell of them: what does not
/// answer within seconds is not waited for. The error within is of what could not be asked.
///
/// # Errors
/// When the store cannot be used.
pub async fn terraform_locks(
    settings: &Settings,
    environment: &str,
) -> Result<Result<Vec<TerraformLock>, StoreError>, LogError> {
    let (store, table) = connect(settings, environment).await?;
    let (key, id) = (settings.state_key(environment), settings.lock_id(environment));
    let table = table.as_ref().map(|table| (table, Tries::brief()));
    let looked = tokio::time::timeout(LOOK, read_locks(&*store, &key, table, &id)).await;
    let late = || StoreError::Unclear(format!("no answer within {} s", LOOK.as_secs()));
    Ok(looked.unwrap_or_else(|_| Err(late())))
}

/// Asks the store, once, what it has of the log: an absence can be told by whoever answers, a listing cannot.
///
/// # Errors
/// When the store cannot be used.
pub async fn reach(settings: &Settings, environment: &str) -> Result<(), LogError> {
    let layout = settings.layout(environment);
    let found = connect(settings, environment).await?.0.list(&layout.batches(), "").await;
    found
        .map(drop)
        .map_err(|error| LogError::Storage { place: settings.place(environment), reason: error.to_string() })
}

async fn connect(
    settings: &Settings,
    environment: &str,
) -> Result<(Arc<dyn ObjectStore>, Option<LockTable>), LogError> {
    let clients = async {
        let shared = authorized(settings).await?;
        let store: Arc<dyn ObjectStore> = Arc::new(AwsStore::with(settings, &shared)?);
        Ok((store, LockTable::of(settings, &shared).await?))
    };
    clients.await.map_err(|error: ConnectError| LogError::Storage {
        place: settings.place(environment),
        reason: error.to_string(),
    })
}
