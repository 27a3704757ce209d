//! Certificates of nodes: accounts and plugins of ACME, certificates ordered through it, certificates of one's own.

mod account;
mod custom;
mod ordered;
mod plugin;

use crate::object::Object;

/// The kinds of this family.
pub(super) fn objects() -> Vec<Object> {
    vec![account::account(), plugin::plugin(), ordered::certificate(), custom::certificate()]
}
