//! The shared log: the settings of `backend "s3"`, the layout of keys, appends by conditional writes over a port for
//! object stores, and the client of real ones.

mod answers;
mod aws;
mod backend;
mod batch;
mod conditional;
#[cfg(test)]
mod faults;
mod hint;
mod layout;
mod lease;
mod lock_table;
mod log;
mod memory;
mod naming;
mod probe;
mod profile;
mod roles;
mod settings;
mod snapshot;
mod store;
mod terraform_lock;

pub use aws::{AwsStore, ConnectError};
pub use backend::{SharedLog, reach, terraform_locks, terraform_state};
pub use layout::Layout;
pub use lease::S3Lease;
pub use log::S3Log;
pub use memory::MemoryStore;
pub use settings::{AssumeRole, Credentials, Encryption, Secret, Settings, SettingsError, WebIdentity};
pub use store::{Object, ObjectStore, Page, StoreError};
pub use terraform_lock::TerraformLock;
