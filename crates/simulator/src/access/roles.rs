//! Roles and the access control list.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::built_in::BUILT_IN;
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema::formats::split_list;

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
    let rows = request.state.access.entries.iter().map(|entry| {
        json!({
            "path": entry.path, "type": entry.kind, "ugid": entry.member, "roleid": entry.role,
            "propagate": u8::from(entry.propagate),
        })
    });
    Ok(rows.collect())
}

/// One slash in front and between, none behind.
fn normal_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}", parts.join("/"))
}

fn is_path(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    matches!(first, "" | "access" | "mapping" | "nodes" | "pool" | "sdn" | "storage" | "vms")
}

fn change(request: &mut Request<'_>) -> Answer {
    let path = normal_path(&request.text("path"));
    if !is_path(&path) {
        return Err(Failure::parameter("path", format!("invalid ACL path '{}'", request.text("path"))));
    }
    let members = members(request);
    if members.is_empty() {
        let text = "either 'users', 'groups' or 'tokens' is required.".to_owned();
        let names = ["users", "groups", "tokens"];
        return Err(Failure::parameters(names.map(|name| (name.to_owned(), text.clone())).into()));
    }
    let (remove, propagate) = (request.flag("delete"), request.get("propagate") != Some("0"));
    let roles: Vec<String> = split_list(&request.text("roles")).map(str::to_owned).collect();
    for role in &roles {
        if built_in(role).is_none() && !request.state.access.roles.contains_key(role) {
            return Err(missing("ACL update failed: ", role));
        }
        for (kind, member) in &members {
            if !remove {
                check_member(request, kind, member)?;
            }
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

fn members(request: &Request<'_>) -> Vec<(String, String)> {
    let kinds = [("users", "user"), ("groups", "group"), ("tokens", "token")];
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
