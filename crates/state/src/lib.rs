//! The event log: its port, an in-memory log, the seal on payloads, and the writer that commits events in groups.

mod chain;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod key;
mod log;
mod memory;
mod writer;

pub use chain::{Fault, StoredEvent, Verification, verify_chain};
pub use key::{Key, KeyError};
pub use log::{Draft, EventLog, LogError, open_events, seal_batch};
pub use memory::MemoryLog;
pub use writer::{Writer, WriterError};
