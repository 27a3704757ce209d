//! The shared log: the settings of `backend "s3"`, the layout of keys, and appends by conditional writes over a port
//! for object stores. The client of a real store is not part of this crate yet.

mod batch;
mod conditional;
#[cfg(test)]
mod faults;
mod layout;
mod log;
mod memory;
mod settings;
mod store;

pub use layout::Layout;
pub use log::S3Log;
pub use memory::MemoryStore;
pub use settings::{Credentials, Encryption, Secret, Settings, SettingsError};
pub use store::{ObjectStore, StoreError};
