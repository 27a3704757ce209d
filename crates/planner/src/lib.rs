//! Configuration, state and what was observed make a plan. Pure: no I/O, clock or randomness.

mod batches;
mod deferral;
pub mod difference;
pub mod evaluation;
mod expansion;
mod findings;
pub mod generation;
pub mod graph;
mod imports;
pub mod inspection;
mod instance;
mod kinds;
mod leftovers;
mod managed;
mod moves;
mod naming;
pub mod obstacles;
pub mod order;
mod outputs;
mod parts;
mod planner;
pub mod planning;
pub mod proposed;
mod protection;
mod provisioning;
#[cfg(test)]
mod relations_tests;
mod remarks;
pub mod resolution;
mod restoration;
mod revision;
pub mod scope;
pub mod selection;
mod staging;
mod succession;
mod triggers;
