//! The local log: one SQLite file an environment, and a lock so that one process writes at a time.

mod keyrings;
mod lock;
mod log;
mod peek;
mod rows;

pub use lock::{Holder, LockError, WriterLock};
pub use log::SqliteLog;
pub use peek::log_id;
