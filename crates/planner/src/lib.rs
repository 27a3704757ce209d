//! Configuration, state and what was observed make a plan. Pure: no I/O, clock or randomness.

pub mod difference;
pub mod evaluation;
pub mod graph;
mod imports;
pub mod inspection;
mod instance;
mod leftovers;
mod moves;
pub mod order;
pub mod planning;
pub mod proposed;
mod protection;
mod provisioning;
pub mod resolution;
pub mod scope;
mod selection;
