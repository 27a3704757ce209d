//! The versions of the formats, and of the language that is reported with them.

/// `format_version` of a plan.
pub(super) const PLAN_FORMAT: &str = "1.2";
/// `format_version` of a state.
pub(super) const STATE_FORMAT: &str = "1.0";
/// The version of the language that is reported to tools that read these formats.
pub const LANGUAGE_VERSION: &str = "1.12.6";
