//! Plans and states in Terraform's documented JSON formats (plan 1.2, state 1.0).

mod masked;
mod parts;
mod plan;
mod state;
mod versions;

pub use masked::masked;
pub use parts::{known_parts, sensitive_parts};
pub use plan::{PlanContext, plan_json};
pub use state::{output_json, state_json};
pub use versions::LANGUAGE_VERSION;
