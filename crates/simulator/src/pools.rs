//! Resource pools (PVE::API2::Pool); one may be below another: `parent/child`.

use serde_json::{Value, json};

use crate::access::enforcement;
use crate::cluster::{guest_resource, storage_resource};
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema::formats::split_list;
use crate::state::Pool;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/pools", pools),
    ("POST", "/pools", create_pool),
    ("GET", "/pools/{poolid}", |request| detail(request, &request.text("poolid"))),
    ("PUT", "/pools/{poolid}", update_pool),
    ("PUT", "/pools", update_pool),
    ("DELETE", "/pools/{poolid}", delete_pool),
    ("DELETE", "/pools", delete_pool),
];

fn members(request: &Request<'_>, pool: &Pool) -> Value {
    let wanted = request.get("type");
    let guests = pool.guests.iter().filter(|vmid| {
        let guest = request.state.guests.get(vmid);
        guest.is_some_and(|guest| wanted.is_none_or(|kind| kind == guest.kind.name()))
    });
    let mut rows: Vec<Value> = guests.map(|vmid| guest_resource(request, *vmid)).collect();
    let storages = pool.storages.iter().filter(|_| wanted.is_none_or(|kind| kind == "storage"));
    rows.extend(storages.filter_map(|name| {
        let options = request.state.storages.get(name)?;
        let nodes: Vec<&str> = split_list(options.get("nodes").map_or("", String::as_str)).collect();
        let here = nodes.is_empty() || nodes.contains(&request.node.as_str());
        let node = if here { request.node.as_str() } else { nodes.iter().min()? };
        Some(storage_resource(request, node, name, options))
    }));
    Value::Array(rows)
}

fn row(name: &str, pool: &Pool) -> Value {
    let mut row = json!({ "poolid": name });
    if let Some(comment) = &pool.comment {
        row["comment"] = json!(comment);
    }
    row
}

fn pools(request: &mut Request<'_>) -> Answer {
    if let Some(name) = request.get("poolid") {
        return Ok(json!([detail(request, name)?]));
    }
    let seen = request.state.pools.iter();
    let seen = seen.filter(|(name, _)| request.allows(&format!("/pool/{name}"), "Pool.Audit"));
    Ok(seen.map(|(name, pool)| row(name, pool)).collect())
}

fn detail(request: &Request<'_>, name: &str) -> Answer {
    let Some(pool) = request.state.pools.get(name) else {
        return Err(Failure::died(format!("pool '{name}' does not exist")));
    };
    let mut row = row(name, pool);
    row["members"] = members(request, pool);
    Ok(row)
}

fn create_pool(request: &mut Request<'_>) -> Answer {
    let name = request.text("poolid");
    let failed = |text: String| Err(Failure::died(format!("create pool failed: {text}")));
    let pools = &request.state.pools;
    if pools.contains_key(&name) {
        return failed(format!("pool '{name}' already exists"));
    }
    let (parent, own) = name.rsplit_once('/').map_or((None, name.as_str()), |(top, own)| (Some(top), own));
    if let Some(parent) = parent.filter(|parent| !pools.contains_key(*parent)) {
        return failed(format!("parent '{parent}' of pool '{name}' does not exist"));
    }
    if !own.starts_with(|sign: char| sign.is_ascii_alphabetic()) {
        return failed("pool name must start with a letter".to_owned());
    }
    let comment = request.get("comment").filter(|comment| !comment.is_empty()).map(str::to_owned);
    request.state.pools.insert(name, Pool { comment, ..Pool::default() });
    Ok(Value::Null)
}

fn update_pool(request: &mut Request<'_>) -> Answer {
    let changed = change(request).map_err(|failure| {
        let code = if failure.status == 403 { "403 " } else { "" };
        Failure::died(format!("update pools failed: {code}{}", failure.reason))
    })?;
    request.state.pools = changed;
    Ok(Value::Null)
}

/// The pools as a call changes them.
fn change(request: &Request<'_>) -> Result<std::collections::BTreeMap<String, Pool>, Failure> {
    let name = request.text("poolid");
    let (delete, asker) = (request.flag("delete"), request.identity.full_name());
    let mut pools = request.state.pools.clone();
    let Some(mut pool) = pools.get(&name).cloned() else {
        return Err(Failure::died(format!("pool '{name}' does not exist")));
    };
    if let Some(comment) = request.get("comment") {
        pool.comment = Some(comment.to_owned()).filter(|comment| !comment.is_empty());
    }
    for vmid in split_list(request.get("vms").unwrap_or_default()).filter_map(|item| item.parse().ok()) {
        enforcement::modify(request.state, &asker, &format!("/vms/{vmid}"))?;
        check_membership(pool.guests.contains(&vmid), delete, &format!("VM {vmid}"))?;
        pool.guests.retain(|member| *member != vmid);
        if delete {
            continue;
        }
        if let Some(other) = guests::pool_of(request.state, vmid) {
            if !request.flag("allow-move") {
                let text = format!("VM {vmid} belongs already to pool '{other}' and 'allow-move' is not set");
                return Err(Failure::died(text));
            }
            request.check(&format!("/pool/{other}"), &["Pool.Allocate"])?;
            pools.values_mut().for_each(|other| other.guests.retain(|member| *member != vmid));
        }
        pool.guests.push(vmid);
    }
    for storage in split_list(request.get("storage").unwrap_or_default()) {
        enforcement::modify(request.state, &asker, &format!("/storage/{storage}"))?;
        let member = pool.storages.iter().any(|member| member == storage);
        check_membership(member, delete, &format!("Storage '{storage}'"))?;
        pool.storages.retain(|member| member != storage);
        if !delete {
            pool.storages.push(storage.to_owned());
        }
    }
    pools.insert(name, pool);
    Ok(pools)
}

/// Only a member can be taken out, and only what is none can be put in.
fn check_membership(member: bool, delete: bool, what: &str) -> Result<(), Failure> {
    match (member, delete) {
        (false, true) => Err(Failure::died(format!("{what} is not a pool member"))),
        (true, false) => Err(Failure::died(format!("{what} is already a pool member"))),
        _ => Ok(()),
    }
}

/// Members that are no longer there do not count.
fn delete_pool(request: &mut Request<'_>) -> Answer {
    let name = request.text("poolid");
    let failed = |text: String| Err(Failure::died(format!("delete pool failed: {text}")));
    let state = &mut *request.state;
    let Some(pool) = state.pools.get(&name) else { return failed(format!("pool '{name}' does not exist")) };
    let below = |other: &&String| other.rsplit_once('/').is_some_and(|(parent, _)| parent == name);
    let child = state.pools.keys().find(below).map(|child| format!("pool '{child}'"));
    let guest = pool.guests.iter().filter(|vmid| state.guests.contains_key(vmid)).min();
    let storage = pool.storages.iter().filter(|storage| state.storages.contains_key(*storage)).min();
    let found = child
        .or_else(|| guest.map(|vmid| format!("VM {vmid}")))
        .or_else(|| storage.map(|storage| format!("storage '{storage}'")));
    if let Some(found) = found {
        return failed(format!("pool '{name}' is not empty (contains {found})"));
    }
    state.pools.remove(&name);
    let path = format!("/pool/{name}");
    state.access.entries.retain(|entry| entry.path != path);
    Ok(Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::calls::Calls;

    #[test]
    fn a_pool_below_another_needs_it_and_keeps_it() {
        let root = Calls::new();
        let early = root.refused("POST", "/pools", &[("poolid", "a/b")]);
        assert_eq!(early, "500 create pool failed: parent 'a' of pool 'a/b' does not exist");
        root.ok("POST", "/pools", &[("poolid", "a")]);
        root.ok("POST", "/pools", &[("poolid", "a/b"), ("comment", "below")]);
        let one = root.ok("GET", "/pools", &[("poolid", "a/b")]);
        assert_eq!(one, json!([{ "poolid": "a/b", "comment": "below", "members": [] }]));
        let full = root.refused("DELETE", "/pools", &[("poolid", "a")]);
        assert_eq!(full, "500 delete pool failed: pool 'a' is not empty (contains pool 'a/b')");
        let digit = root.refused("POST", "/pools", &[("poolid", "a/1")]);
        assert_eq!(digit, "500 create pool failed: pool name must start with a letter");
    }

    #[test]
    fn a_storage_that_goes_leaves_its_pools_and_takes_what_is_permitted_on_it_along() {
        let root = Calls::new();
        root.ok("POST", "/storage", &[("storage", "dd"), ("type", "dir"), ("path", "/x")]);
        root.ok("POST", "/pools", &[("poolid", "one")]);
        root.ok("PUT", "/pools/one", &[("storage", "dd")]);
        for path in ["/storage/dd", "/storage/local"] {
            let given = [("path", path), ("users", "root@pam"), ("roles", "PVEAuditor")];
            root.ok("PUT", "/access/acl", &given);
        }
        root.ok("DELETE", "/storage/dd", &[]);
        root.ok("POST", "/storage", &[("storage", "dd"), ("type", "dir"), ("path", "/y")]);
        assert_eq!(root.get("/pools/one")["members"], json!([]));
        let given = root.get("/access/acl").to_string();
        assert!(given.contains("/storage/local") && !given.contains("/storage/dd"), "{given}");
    }

    #[test]
    fn a_guest_is_in_one_pool() {
        let root = Calls::new();
        root.ok("POST", "/pools", &[("poolid", "one")]);
        root.ok("POST", "/pools", &[("poolid", "two")]);
        root.ok("POST", "/nodes/pve/qemu", &[("vmid", "100")]);
        root.ok("PUT", "/pools/one", &[("vms", "100"), ("storage", "local")]);
        let refused = |parameters| root.refused("PUT", "/pools/two", parameters);
        let text = "VM 100 belongs already to pool 'one' and 'allow-move' is not set";
        assert_eq!(refused(&[("vms", "100")]), format!("500 update pools failed: {text}"));
        let absent = refused(&[("storage", "local"), ("delete", "1")]);
        assert_eq!(absent, "500 update pools failed: Storage 'local' is not a pool member");
        root.ok("PUT", "/pools/two", &[("vms", "100"), ("allow-move", "1")]);
        let left = root.ok("GET", "/pools/one", &[("type", "qemu")]);
        assert_eq!(left["members"], json!([]));
        let storage = &root.get("/pools/one")["members"][0];
        assert_eq!((&storage["storage"], &storage["plugintype"]), (&json!("local"), &json!("dir")));
        let user = root.user("a@pve", &[("/pool/two", "PVEPoolAdmin")]);
        let refused = user.refused("PUT", "/pools/two", &[("vms", "101")]);
        let text = "403 Permission check failed (/vms/101, Permissions.Modify|VM.Allocate)";
        assert_eq!(refused, format!("500 update pools failed: {text}"));
    }
}
