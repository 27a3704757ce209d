//! Groups of users (PVE::API2::Group).

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/access/groups", list),
    ("POST", "/access/groups", create),
    ("GET", "/access/groups/{groupid}", read),
    ("PUT", "/access/groups/{groupid}", update),
    ("DELETE", "/access/groups/{groupid}", delete),
];

fn members(request: &Request<'_>, group: &str) -> Vec<String> {
    let users = request.state.access.users.iter().filter(|(_, user)| user.groups.contains(group));
    users.map(|(name, _)| name.clone()).collect()
}

fn list(request: &mut Request<'_>) -> Answer {
    let privileges = ["User.Modify", "Sys.Audit", "Group.Allocate"];
    let groups = request.state.access.groups.iter();
    let seen = groups.filter(|(name, _)| request.allows_any(&format!("/access/groups/{name}"), &privileges));
    let rows = seen.map(|(name, comment)| {
        let mut row = json!({ "groupid": name, "users": members(request, name).join(",") });
        if let Some(comment) = comment {
            row["comment"] = json!(comment);
        }
        row
    });
    Ok(rows.collect())
}

fn missing(prefix: &str, name: &str) -> Failure {
    Failure::died(format!("{prefix}group '{name}' does not exist"))
}

fn create(request: &mut Request<'_>) -> Answer {
    let name = request.text("groupid");
    if request.state.access.groups.contains_key(&name) {
        return Err(Failure::died(format!("create group failed: group '{name}' already exists")));
    }
    let comment = request.get("comment").filter(|comment| !comment.is_empty()).map(str::to_owned);
    request.state.access.groups.insert(name, comment);
    Ok(Value::Null)
}

fn read(request: &mut Request<'_>) -> Answer {
    let name = request.text("groupid");
    let comment = request.state.access.groups.get(&name).ok_or_else(|| missing("", &name))?;
    let mut row = json!({ "members": members(request, &name) });
    if let Some(comment) = comment {
        row["comment"] = json!(comment);
    }
    Ok(row)
}

fn update(request: &mut Request<'_>) -> Answer {
    let (name, comment) = (request.text("groupid"), request.get("comment").map(str::to_owned));
    let present = request.state.access.groups.get_mut(&name);
    let present = present.ok_or_else(|| missing("update group failed: ", &name))?;
    if let Some(comment) = comment {
        *present = Some(comment).filter(|comment| !comment.is_empty());
    }
    Ok(Value::Null)
}

fn delete(request: &mut Request<'_>) -> Answer {
    let name = request.text("groupid");
    let access = &mut request.state.access;
    access.groups.remove(&name).ok_or_else(|| missing("delete group failed: ", &name))?;
    for user in access.users.values_mut() {
        user.groups.remove(&name);
    }
    access.entries.retain(|entry| entry.kind != "group" || entry.member != name);
    Ok(Value::Null)
}
