//! Plans and states in Terraform's documented JSON formats (plan 1.2, state 1.0).

mod masked;
mod parts;
mod plan;
mod state;

pub use masked::masked;
pub use parts::{known_parts, sensitive_parts};
pub use plan::{PlanContext, plan_json};
pub use state::{output_json, state_json};

/// `format_version` of a plan.
const PLAN_FORMAT: &str = "1.2";
/// `format_version` of a state.
const STATE_FORMAT: &str = "1.0";
/// The version of the language that is reported to tools that read these formats.
pub const LANGUAGE_VERSION: &str = "1.12.6";
