//! The kinds that are described as data, one folder a family.

mod access;
mod cluster;
mod ha;
mod mappings;
mod nodes;
mod pools;
mod storages;

pub(crate) use access::ALLOW_LOCKOUT;
pub(crate) use nodes::Reloads;

use crate::object::Object;

/// Every kind of every family.
pub(crate) fn objects() -> Vec<Object> {
    let families = [
        access::objects(),
        pools::objects(),
        cluster::objects(),
        ha::objects(),
        mappings::objects(),
        storages::objects(),
        nodes::objects(),
    ];
    families.into_iter().flatten().collect()
}
