//! The configuration language: text to an evaluated configuration.

pub mod syntax;
