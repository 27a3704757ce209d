//! Limits on what permissions are about: paths, tokens and realms.

use super::names::is_name;

/// A path of the access control list as it is kept (PVE::AccessControl, `normalize_path`).
pub(crate) fn acl_path(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let kept = format!("/{}", parts.join("/"));
    if text != kept {
        return Some(format!("Proxmox VE keeps this path as {kept:?}: write it so"));
    }
    let is_known = |area: &&str| ACL_AREAS.contains(area);
    if parts.first().is_some_and(|area| !is_known(area)) {
        return Some(format!(
            "{text:?} is no path of permissions: they begin with /{}",
            ACL_AREAS.join(", /")
        ));
    }
    match parts[..] {
        ["vms", id] if !is_guest_id(id) => {
            Some(format!("{text:?} is of no guest: their ids are 100 or more"))
        }
        _ => None,
    }
}

/// The number of a guest.
pub(crate) fn is_guest_id(text: &str) -> bool {
    text.len() > 2 && !text.starts_with('0') && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// What the paths of permissions begin with (PVE::AccessControl, `check_path`).
const ACL_AREAS: &[&str] = &["access", "mapping", "nodes", "pool", "sdn", "storage", "vms"];

/// The name of an API token.
pub(crate) fn token_name(text: &str) -> Option<String> {
    (!is_name(text)).then(|| format!("{text:?} is no name of a token: a letter first, then letters, digits, '.', '-' and '_', at least two together"))
}

/// The name of a realm.
pub(crate) fn realm(text: &str) -> Option<String> {
    let fits = is_name(text) && text.len() <= 32;
    (!fits).then(|| format!("{text:?} is no name of a realm: 2 to 32 letters, digits, '.', '-' and '_'"))
}
