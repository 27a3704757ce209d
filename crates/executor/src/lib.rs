//! Carries a plan out: schedules its steps, records intents, tasks and results, and resolves what a crash left open.

#![expect(clippy::result_large_err, reason = "the provider's error says what is left of an object")]

mod errors;
mod execute;
pub mod ports;
mod provision;
mod recover;
mod redaction;
mod replaced;
mod report;
mod walk;

pub use execute::{Failure, Options, Outcome, execute};
pub use recover::{Records, RecoveryReport, recover};
pub use redaction::{Redaction, SENSITIVE};
pub use report::{Reporter, SilentReporter};
