//! The kinds that are described as data, one folder a family.

mod access;
pub(crate) mod apt;
mod certificates;
mod cluster;
mod disks;
pub(crate) mod guests;
mod ha;
mod mappings;
mod nodes;
mod pools;
mod sdn;
mod storages;

pub(crate) use access::{
    ALLOW_LOCKOUT, Grantor, PermissionChange, PermissionEntry, PermissionsReview, concerning, guard,
    sets_password,
};
pub(crate) use nodes::{Reloads, Turn, batch, holds, is_unfinished, remark_on_staged};
pub(crate) use pools::guest_leaves;
pub(crate) use sdn::{apply_leaving, is_of_networks, network, pending_networks, staging};

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
        sdn::objects(),
        certificates::objects(),
        apt::objects(),
        disks::objects(),
        guests::objects(),
    ];
    families.into_iter().flatten().collect()
}
