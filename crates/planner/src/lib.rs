//! Configuration, state and what was observed make a plan. Pure: no I/O, clock or randomness.

mod batches;
mod deferral;
pub mod difference;
pub mod evaluation;
mod expansion;
pub mod graph;
mod imports;
pub mod inspection;
mod instance;
mod kinds;
mod leftovers;
mod moves;
pub mod order;
mod planner;
pub mod planning;
pub mod proposed;
mod protection;
mod provisioning;
mod remarks;
pub mod resolution;
pub mod scope;
pub mod selection;
mod staging;
mod succession;
mod triggers;
