//! Resource pools.

use serde_json::{Value, json};

use crate::access::enforcement;
use crate::cluster::guest_resource;
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::Pool;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/pools", pools),
    ("POST", "/pools", create_pool),
    ("GET", "/pools/{poolid}", read_pool),
    ("PUT", "/pools/{poolid}", update_pool),
    ("PUT", "/pools", update_pool),
    ("DELETE", "/pools/{poolid}", delete_pool),
    ("DELETE", "/pools", delete_pool),
];

fn members(request: &Request<'_>, pool: &Pool) -> Value {
    let guests = pool.guests.iter().filter(|vmid| request.state.guests.contains_key(vmid));
    let mut rows: Vec<Value> = guests.map(|vmid| guest_resource(request, *vmid)).collect();
    let node = &request.options.node;
    rows.extend(pool.storages.iter().map(|name| {
        json!({ "id": format!("storage/{node}/{name}"), "type": "storage", "storage": name, "node": node, "status": "available" })
    }));
    Value::Array(rows)
}

fn pools(request: &mut Request<'_>) -> Answer {
    let only = request.get("poolid").map(str::to_owned);
    let rows: Vec<Value> = request
        .state
        .pools
        .iter()
        .filter(|(name, _)| match &only {
            Some(only) => only == *name,
            None => request.allows(&format!("/pool/{name}"), "Pool.Audit"),
        })
        .map(|(name, pool)| {
            let mut row = json!({ "poolid": name });
            if let Some(comment) = &pool.comment {
                row["comment"] = json!(comment);
            }
            if only.is_some() {
                row["members"] = members(request, pool);
            }
            row
        })
        .collect();
    match only {
        Some(name) if rows.is_empty() => Err(Failure::died(format!("pool '{name}' does not exist"))),
        _ => Ok(Value::Array(rows)),
    }
}

fn create_pool(request: &mut Request<'_>) -> Answer {
    let name = request.text("poolid");
    if request.state.pools.contains_key(&name) {
        return Err(Failure::died(format!("create pool failed: pool '{name}' already exists")));
    }
    let comment = request.get("comment").map(str::to_owned);
    request.state.pools.insert(name, Pool { comment, ..Pool::default() });
    Ok(Value::Null)
}

fn read_pool(request: &mut Request<'_>) -> Answer {
    let name = request.text("poolid");
    let Some(pool) = request.state.pools.get(&name) else {
        return Err(Failure::died(format!("pool '{name}' does not exist")));
    };
    let mut row = json!({ "members": members(request, pool) });
    if let Some(comment) = &pool.comment {
        row["comment"] = json!(comment);
    }
    Ok(row)
}

fn update_pool(request: &mut Request<'_>) -> Answer {
    let name = request.text("poolid");
    let failed = |text: String| Failure::died(format!("update pools failed: {text}"));
    let ids: Vec<u32> = crate::schema::formats::split_list(request.get("vms").unwrap_or_default())
        .filter_map(|item| item.parse().ok())
        .collect();
    let names: Vec<String> = crate::schema::formats::split_list(request.get("storage").unwrap_or_default())
        .map(str::to_owned)
        .collect();
    let (delete, moves) = (request.flag("delete"), request.flag("allow-move"));
    let Some(mut pool) = request.state.pools.get(&name).cloned() else {
        return Err(failed(format!("pool '{name}' does not exist")));
    };
    if let Some(comment) = request.get("comment") {
        pool.comment = Some(comment.to_owned());
    }
    let asker = request.identity.full_name();
    for vmid in ids {
        enforcement::modify(request.state, &asker, &format!("/vms/{vmid}"))?;
        if delete {
            if !pool.guests.contains(&vmid) {
                return Err(failed(format!("VM {vmid} is not a pool member")));
            }
            pool.guests.retain(|member| *member != vmid);
            continue;
        }
        match guests::pool_of(request.state, vmid) {
            Some(other) if *other == name => {
                return Err(failed(format!("VM {vmid} is already a pool member")));
            }
            Some(other) if !moves => {
                return Err(failed(format!("VM {vmid} belongs already to pool '{other}'")));
            }
            _ => pool.guests.push(vmid),
        }
        for other in request.state.pools.values_mut() {
            other.guests.retain(|member| *member != vmid);
        }
    }
    for storage in names {
        enforcement::modify(request.state, &asker, &format!("/storage/{storage}"))?;
        pool.storages.retain(|member| *member != storage);
        if !delete {
            pool.storages.push(storage);
        }
    }
    request.state.pools.insert(name, pool);
    Ok(Value::Null)
}

fn delete_pool(request: &mut Request<'_>) -> Answer {
    let name = request.text("poolid");
    match request.state.pools.get(&name) {
        None => Err(Failure::died(format!("delete pool failed: pool '{name}' does not exist"))),
        Some(pool) if !pool.guests.is_empty() || !pool.storages.is_empty() => {
            Err(Failure::died(format!("delete pool failed: pool '{name}' is not empty")))
        }
        Some(_) => {
            request.state.pools.remove(&name);
            Ok(Value::Null)
        }
    }
}
