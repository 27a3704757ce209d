//! The configuration language: text to an evaluated configuration.

pub mod configuration;
pub mod convert;
pub mod evaluate;
pub mod functions;
pub mod syntax;
