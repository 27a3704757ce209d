//! What belongs to one node: its network, name resolution, time and notes.

mod hosts;
mod interfaces;
mod reload;
mod settings;
mod staged;

pub(crate) use interfaces::{NODE_NETWORK, batch, holds};
pub(crate) use reload::Reloads;
pub(crate) use staged::{Turn, foreign_changes, is_unfinished};

use crate::object::Object;

/// The kinds of this family.
pub(super) fn objects() -> Vec<Object> {
    vec![
        interfaces::bridge(),
        interfaces::bond(),
        interfaces::vlan(),
        settings::dns(),
        settings::time(),
        settings::config(),
        hosts::hosts(),
    ]
}
