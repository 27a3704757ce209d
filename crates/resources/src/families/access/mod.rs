//! Who may do what: users, tokens, groups, roles, access control lists, realms.

mod acl;
mod acl_blocks;
mod lockout;
mod permissions;
mod realms;
mod tokens;
mod users;

pub(crate) use acl_blocks::Grantor;
pub(crate) use lockout::{OVERRIDE as ALLOW_LOCKOUT, Review as PermissionsReview, concerning, guard};
pub(crate) use permissions::{Change as PermissionChange, Entry as PermissionEntry};
pub(crate) use users::sets_password;

use crate::object::Object;

/// The kinds of this family.
pub(super) fn objects() -> Vec<Object> {
    vec![
        users::user(),
        users::group(),
        users::role(),
        tokens::token(),
        acl::acl(),
        realms::ldap(),
        realms::openid(),
        realms::sync(),
    ]
}
