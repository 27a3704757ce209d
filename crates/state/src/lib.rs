//! The event log: its port, an in-memory log, the seal on payloads and whom it is for, the writer that commits events in groups, the lease
//! that keeps runs apart, logs around others, the spool for when a shared log is away, and moving a log.

mod chain;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod key;
mod key_file;
mod keyring;
mod layer;
mod lease;
mod log;
mod memory;
mod merge;
mod seal;
mod spool;
mod transfer;
mod writer;

pub use chain::{Fault, StoredEvent, Verification, check_following, verify_chain};
pub use key::{Key, KeyError};
pub use keyring::{Identity, Keyring, KeyringChange, Recipient, recipient_text};
pub use layer::Layer;
pub use lease::{
    Lease, LeaseError, LeaseHolder, LeaseOptions, LeaseRecord, LeaseStore, LeaseWatch, LeaseWrite,
    StoredLease, break_lease, lease_status,
};
pub use log::{Draft, EventLog, Head, LogError, MovableLog};
pub use memory::MemoryLog;
pub use seal::{KnownKeys, Seal};
pub use spool::{OpenSpool, PushError, Pushed, SpooledLog, push_spool};
pub use transfer::{Copied, TransferError, copy_log};
pub use writer::{Writer, WriterError};
