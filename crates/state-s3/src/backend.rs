//! What a configuration's `backend "s3"` stands for.

use std::sync::Arc;

use pve_state::{Key, LogError};

use crate::aws::AwsStore;
use crate::lease::S3Lease;
use crate::log::S3Log;
use crate::settings::Settings;
use crate::store::ObjectStore;

/// A shared log with its lease.
pub struct SharedLog {
    /// The log.
    pub log: Arc<S3Log>,
    /// The lease that a run which writes must hold.
    pub lease: Arc<S3Lease>,
}

impl SharedLog {
    /// Opens the log of an environment, or makes it.
    ///
    /// # Errors
    /// When the store cannot be used, or has a log of a newer program.
    pub async fn connect(settings: &Settings, environment: &str, key: Key) -> Result<SharedLog, LogError> {
        let layout = settings.layout(environment);
        let store = AwsStore::connect(settings).await.map_err(|error| LogError::Storage {
            place: format!("s3://{}/{}", settings.bucket, layout.prefix()),
            reason: error.to_string(),
        })?;
        let store: Arc<dyn ObjectStore> = Arc::new(store);
        let log = Arc::new(S3Log::open(Arc::clone(&store), layout.clone(), key).await?);
        Ok(SharedLog { log, lease: Arc::new(S3Lease::new(store, layout)) })
    }
}
