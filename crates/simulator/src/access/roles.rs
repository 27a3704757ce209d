//! Roles and the access control list.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::built_in::BUILT_IN;
use super::permissions;
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema::formats::split_list;
use crate::state::State;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/access/roles", list),
    ("POST", "/access/roles", create),
    ("GET", "/access/roles/{roleid}", read),
    ("PUT", "/access/roles/{roleid}", update),
    ("DELETE", "/access/roles/{roleid}", delete),
    ("GET", "/access/acl", entries),
    ("PUT", "/access/acl", change),
];

/// One line of the access control list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub path: String,
    /// `user`, `group`, `token`.
    pub kind: String,
    pub member: String,
    pub role: String,
    pub propagate: bool,
}

fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, privileges)| *privileges)
}

/// The privileges of a role.
pub(super) fn privileges_of<'a>(state: &'a State, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let fixed = built_in(name).unwrap_or_default().split(',').filter(|item| !item.is_empty());
    fixed.chain(state.access.roles.get(name).into_iter().flatten().map(String::as_str))
}

fn list(request: &mut Request<'_>) -> Answer {
    let own = request.state.access.roles.iter().map(|(name, privileges)| {
        let privileges: Vec<&str> = privileges.iter().map(String::as_str).collect();
        json!({ "roleid": name, "privs": privileges.join(","), "special": 0 })
    });
    let fixed = BUILT_IN
        .iter()
        .map(|(name, privileges)| json!({ "roleid": name, "privs": privileges, "special": 1 }));
    Ok(fixed.chain(own).collect())
}

fn missing(prefix: &str, name: &str) -> Failure {
    Failure::died(format!("{prefix}role '{name}' does not exist"))
}

/// The privileges of the request; all there are is what the administrator's role has.
fn privileges(request: &Request<'_>) -> Result<BTreeSet<String>, Failure> {
    let known: BTreeSet<&str> = built_in("Administrator").unwrap_or_default().split(',').collect();
    let wanted: BTreeSet<String> =
        split_list(request.get("privs").unwrap_or_default()).map(str::to_owned).collect();
    match wanted.iter().find(|privilege| !known.contains(privilege.as_str())) {
        Some(privilege) => {
            Err(Failure::parameter("privs", format!("invalid format - invalid privilege '{privilege}'\n")))
        }
        None => Ok(wanted),
    }
}

fn create(request: &mut Request<'_>) -> Answer {
    let name = request.text("roleid");
    if name.to_lowercase().starts_with("pve") {
        let text = "cannot use role ID starting with the (case-insensitive) 'PVE' namespace";
        return Err(Failure::parameter("roleid", text));
    }
    let privileges = privileges(request)?;
    if built_in(&name).is_some() || request.state.access.roles.contains_key(&name) {
        return Err(Failure::died(format!("create role failed: role '{name}' already exists")));
    }
    request.state.access.roles.insert(name, privileges);
    Ok(Value::Null)
}

fn read(request: &mut Request<'_>) -> Answer {
    let name = request.text("roleid");
    let all: Vec<String> = match (built_in(&name), request.state.access.roles.get(&name)) {
        (Some(text), _) => text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect(),
        (None, Some(own)) => own.iter().cloned().collect(),
        (None, None) => return Err(missing("", &name)),
    };
    Ok(Value::Object(all.into_iter().map(|privilege| (privilege, json!(1))).collect::<Map<_, _>>()))
}

fn update(request: &mut Request<'_>) -> Answer {
    let name = request.text("roleid");
    if built_in(&name).is_some() {
        return Err(Failure::died(format!("auto-generated role '{name}' cannot be modified")));
    }
    let (wanted, append) = (privileges(request)?, request.flag("append"));
    let present = request.state.access.roles.get_mut(&name);
    let present = present.ok_or_else(|| missing("update role failed: ", &name))?;
    if !append {
        present.clear();
    }
    present.extend(wanted);
    Ok(Value::Null)
}

fn delete(request: &mut Request<'_>) -> Answer {
    let name = request.text("roleid");
    if built_in(&name).is_some() {
        return Err(Failure::died(format!("auto-generated role '{name}' cannot be deleted")));
    }
    request.state.access.roles.remove(&name).ok_or_else(|| missing("delete role failed: ", &name))?;
    request.state.access.entries.retain(|entry| entry.role != name);
    Ok(Value::Null)
}

fn entries(request: &mut Request<'_>) -> Answer {
    let audit = request.allows("/access", "Sys.Audit");
    let entries = &request.state.access.entries;
    let seen = entries.iter().filter(|entry| {
        audit || super::enforcement::modify(request.state, &request.identity.full_name(), &entry.path).is_ok()
    });
    let rows = seen.map(|entry| {
        json!({
            "path": entry.path, "type": entry.kind, "ugid": entry.member, "roleid": entry.role,
            "propagate": u8::from(entry.propagate),
        })
    });
    Ok(rows.collect())
}

/// One slash in front and between, none behind.
pub(super) fn normal_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}", parts.join("/"))
}

/// Whether the list may have this path (PVE::AccessControl, `check_path`).
fn is_path(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    };
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        digits.contains(&text.len())
            && !text.starts_with('0')
            && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match parts.as_slice() {
        [""] | ["access" | "nodes" | "pool" | "sdn" | "storage" | "vms" | "mapping"] => true,
        ["access", "groups" | "realm"] => true,
        ["access", "groups" | "realm", name] | ["nodes" | "storage", name] => word(name),
        ["pool", names @ ..] => names.len() <= 3 && names.iter().all(|name| word(name)),
        ["vms", vmid] => number(vmid, 3..=20),
        ["mapping", names @ ..] => names.len() <= 2 && names.iter().all(|name| word(name)),
        ["sdn", "controllers" | "dns" | "fabrics" | "ipams" | "prefix-lists" | "route-maps" | "zones"] => {
            true
        }
        [
            "sdn",
            "controllers" | "dns" | "fabrics" | "ipams" | "prefix-lists" | "route-maps" | "zones",
            name,
        ] => word(name),
        ["sdn", "zones", zone, vnet] => word(zone) && word(vnet),
        ["sdn", "zones", zone, vnet, tag] => word(zone) && word(vnet) && number(tag, 1..=4),
        _ => false,
    }
}

fn change(request: &mut Request<'_>) -> Answer {
    let members = members(request);
    if members.is_empty() {
        let text = "either 'users', 'groups' or 'tokens' is required.".to_owned();
        let names = ["users", "groups", "tokens"];
        return Err(Failure::parameters(names.map(|name| (name.to_owned(), text.clone())).into()));
    }
    let path = normal_path(&request.text("path"));
    let known = |sign: char| sign.is_ascii_alphanumeric() || ".-_/".contains(sign);
    if !path.chars().all(known) || !request.flag("delete") && !is_path(&path) {
        return Err(Failure::parameter("path", format!("invalid ACL path '{}'", request.text("path"))));
    }
    let (remove, propagate) = (request.flag("delete"), request.get("propagate") != Some("0"));
    let roles: Vec<String> = split_list(&request.text("roles")).map(str::to_owned).collect();
    for role in &roles {
        if built_in(role).is_none() && !request.state.access.roles.contains_key(role) {
            return Err(missing("ACL update failed: ", role));
        }
        check_grant(request, &path, role, remove, propagate)?;
        for (kind, member) in &members {
            check_member(request, kind, member)?;
            let entry = Entry {
                path: path.clone(),
                kind: kind.clone(),
                member: member.clone(),
                role: role.clone(),
                propagate,
            };
            let list = &mut request.state.access.entries;
            list.retain(|other| Entry { propagate, ..other.clone() } != entry);
            if !remove {
                list.push(entry);
            }
        }
    }
    Ok(Value::Null)
}

/// Who may not change permissions at a path hands out no more than they have there.
fn check_grant(
    request: &Request<'_>,
    path: &str,
    role: &str,
    remove: bool,
    propagate: bool,
) -> Result<(), Failure> {
    let own = permissions::of(request.state, &request.identity.full_name(), path);
    if own.contains_key("Permissions.Modify") {
        return Ok(());
    }
    let verb = if remove { "remove" } else { "add" };
    let refuse = |text: String| Err(Failure::nested("ACL update failed: ", "role", &text));
    for privilege in privileges_of(request.state, role) {
        match own.get(privilege) {
            None => {
                return refuse(format!(
                    "Cannot {verb} role '{role}' - requires 'Permissions.Modify' or superset of privileges."
                ));
            }
            Some(false) if propagate && !remove => {
                return refuse(format!(
                    "Cannot {verb} role '{role}' with propagation - requires 'Permissions.Modify' or propagated superset of privileges."
                ));
            }
            Some(_) => {}
        }
    }
    if role == "NoAccess" {
        return refuse(format!("Cannot {verb} role '{role}' - requires 'Permissions.Modify'"));
    }
    Ok(())
}

fn members(request: &Request<'_>) -> Vec<(String, String)> {
    let kinds = [("groups", "group"), ("users", "user"), ("tokens", "token")];
    let of = |(parameter, kind): (&str, &'static str)| {
        let list: Vec<String> =
            split_list(request.get(parameter).unwrap_or_default()).map(str::to_owned).collect();
        list.into_iter().map(move |member| (kind.to_owned(), member))
    };
    kinds.into_iter().flat_map(of).collect()
}

fn check_member(request: &Request<'_>, kind: &str, member: &str) -> Result<(), Failure> {
    let access = &request.state.access;
    let failed = |text: String| Err(Failure::died(format!("ACL update failed: {text}")));
    match kind {
        "user" if !access.users.contains_key(member) => failed(format!("user '{member}' does not exist")),
        "group" if !access.groups.contains_key(member) => failed(format!("group '{member}' does not exist")),
        "token" => {
            let (user, token) = member.split_once('!').unwrap_or((member, ""));
            let known = access.users.get(user).is_some_and(|user| user.tokens.contains_key(token));
            if known { Ok(()) } else { failed(format!("no such token '{token}' for user '{user}'")) }
        }
        _ => Ok(()),
    }
}
