//! What somebody may do at a path of the access control list (PVE::RPCEnvironment and PVE::AccessControl, `roles`).

use std::collections::BTreeMap;

use super::roles;
use crate::state::State;

/// Privileges with whether they hold below the path too.
pub(crate) type Privileges = BTreeMap<String, bool>;

/// Paths that a listing of permissions always has.
const TOP_LEVEL: [&str; 8] =
    ["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"];

/// The name of a user or token, `USER@REALM` or `USER@REALM!TOKEN`, taken apart.
fn split(who: &str) -> (&str, Option<&str>) {
    who.split_once('!').map_or((who, None), |(user, token)| (user, Some(token)))
}

/// The privileges of a user or token at a path.
pub(crate) fn of(state: &State, who: &str, path: &str) -> Privileges {
    let (user, token) = split(who);
    if who == "root@pam" {
        return roles::privileges_of(state, "Administrator").map(|name| (name.to_owned(), true)).collect();
    }
    let Some(token) = token else { return compiled(state, who, path) };
    let Some(options) = state.access.users.get(user).and_then(|user| user.tokens.get(token)) else {
        return Privileges::new();
    };
    let owner = of(state, user, path);
    if options.options.get("privsep").is_some_and(|value| value == "0") {
        return owner;
    }
    let own = compiled(state, who, path);
    if user == "root@pam" {
        return own;
    }
    // A token never has more than its owner.
    own.into_iter()
        .filter_map(|(name, propagates)| owner.get(&name).map(|owners| (name, propagates && *owners)))
        .collect()
}

/// From the entries of the list and from the pools that `path` is in.
fn compiled(state: &State, who: &str, path: &str) -> Privileges {
    let mut roles = roles_at(state, who, path);
    let from_pools = pools_with(state, path).flat_map(|pool| roles_at(state, who, &format!("/pool/{pool}")));
    let from_pools: BTreeMap<String, bool> = from_pools.collect();
    if !roles.contains_key("NoAccess") {
        if from_pools.contains_key("NoAccess") {
            return Privileges::new();
        }
        for role in from_pools.into_keys() {
            roles.entry(role).or_insert(false);
        }
    }
    let mut privileges = Privileges::new();
    for (role, propagates) in &roles {
        for name in roles::privileges_of(state, role) {
            *privileges.entry(name.to_owned()).or_insert(false) |= propagates;
        }
    }
    privileges
}

fn pools_with<'a>(state: &'a State, path: &'a str) -> impl Iterator<Item = &'a String> {
    let vmid = path.strip_prefix("/vms/").and_then(|vmid| vmid.parse::<u32>().ok());
    let storage = path.strip_prefix("/storage/");
    state
        .pools
        .iter()
        .filter(move |(_, pool)| {
            vmid.is_some_and(|vmid| pool.guests.contains(&vmid))
                || storage.is_some_and(|storage| pool.storages.iter().any(|name| name == storage))
        })
        .map(|(name, _)| name)
}

/// The roles at a path, with whether they propagate. Nearer entries replace farther ones, those of a token or user
/// come before those of groups.
fn roles_at(state: &State, who: &str, path: &str) -> BTreeMap<String, bool> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut found = BTreeMap::new();
    for depth in 0..=parts.len() {
        let here = format!("/{}", parts[..depth].join("/"));
        let applies = |kind: &str, is_member: &dyn Fn(&str) -> bool| -> BTreeMap<String, bool> {
            let entries = state.access.entries.iter().filter(|entry| {
                entry.path == here
                    && entry.kind == kind
                    && is_member(&entry.member)
                    && (entry.propagate || depth == parts.len())
            });
            entries.map(|entry| (entry.role.clone(), entry.propagate)).collect()
        };
        let in_group = |group: &str| {
            state.access.users.get(who).is_some_and(|user| user.groups.iter().any(|name| name == group))
        };
        let own = |member: &str| member == who;
        let candidates =
            [applies("token", &own), applies("user", &own), applies("group", &in_group)].into_iter();
        if let Some(new) = candidates.into_iter().find(|new| !new.is_empty()) {
            found = new;
        }
    }
    if found.contains_key("NoAccess") {
        found.retain(|role, _| role == "NoAccess");
    }
    found
}

/// All paths where somebody has privileges, as `GET /access/permissions` lists them.
pub(crate) fn effective(state: &State, who: &str) -> BTreeMap<String, Privileges> {
    let named = state.access.entries.iter().map(|entry| entry.path.clone());
    let guests = state.pools.values().flat_map(|pool| &pool.guests).map(|vmid| format!("/vms/{vmid}"));
    let storages =
        state.pools.values().flat_map(|pool| &pool.storages).map(|name| format!("/storage/{name}"));
    TOP_LEVEL
        .into_iter()
        .map(str::to_owned)
        .chain(named)
        .chain(guests)
        .chain(storages)
        .map(|path| {
            let privileges = of(state, who, &path);
            (path, privileges)
        })
        .filter(|(_, privileges)| !privileges.is_empty())
        .collect()
}
