//! Configuration, state and what was observed make a plan. Pure: no I/O, clock or randomness.

pub mod difference;
pub mod order;
pub mod proposed;
