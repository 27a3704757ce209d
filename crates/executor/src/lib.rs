//! Carries a plan out: schedules its steps, records intents, tasks and results, and resolves what a crash left open.

pub mod ports;
