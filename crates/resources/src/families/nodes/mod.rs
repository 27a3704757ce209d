//! What belongs to one node: its network, name resolution, time and notes.

mod change;
mod difference;
mod hosts;
mod intended;
mod interfaces;
mod refusals;
mod reload;
mod reloads;
mod settings;
mod staged;
mod take_back;

pub(crate) use interfaces::{batch, holds};
pub(crate) use refusals::remark_on_staged;
pub(crate) use reloads::Reloads;
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
