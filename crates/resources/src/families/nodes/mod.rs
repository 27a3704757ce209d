//! What belongs to one node: its network, name resolution, time and notes.

mod difference;
mod hosts;
mod interfaces;
mod refusals;
mod reload;
mod settings;
mod staged;
mod take_back;

pub(crate) use interfaces::{NODE_NETWORK, batch, holds};
pub(crate) use refusals::remark_on_staged;
pub(crate) use reload::Reloads;
pub(crate) use staged::{Turn, is_unfinished};

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
