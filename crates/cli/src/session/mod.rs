//! From a configuration and a log to a plan, and from a plan to events.

mod application;
mod imports;
mod known;
mod planning;
mod preflight;
mod reading;
mod records;

pub use application::{Application, Applied, LogJournal};
pub use imports::found_elsewhere;
pub use known::{identified, identities};
pub use planning::{is_needed, make_plan};
pub use preflight::{look_again, refuse_doubted};
pub use reading::{observe, provider_values, read_imports};
pub use records::{StateRecords, recall};
