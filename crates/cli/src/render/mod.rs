//! Text for the screen: plans, values, diagnostics, the log.

pub mod blocks;
pub mod diagnostics;
pub mod literal;
pub mod object;
pub mod paint;
pub mod plan;
pub mod value;
pub mod value_change;
pub mod wrap;
