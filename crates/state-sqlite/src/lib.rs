//! The local log: one SQLite file an environment, and a lock so that one process writes at a time.

mod lock;
mod log;

pub use lock::{Holder, LockError, WriterLock};
pub use log::SqliteLog;
