//! The cluster and its node: versions, resources, tasks, networks, pools, permissions.

use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::{GuestKind, Options, Pool};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/", |_| subdirectories(&["version", "cluster", "nodes", "storage", "access", "pools"])),
    ("GET", "/version", version),
    ("GET", "/nodes/{node}/version", version),
    ("GET", "/access/permissions", permissions),
    ("GET", "/access/ticket", |_| Ok(Value::Null)),
    ("GET", "/nodes", nodes),
    ("GET", "/nodes/{node}", |_| {
        subdirectories(&["qemu", "lxc", "storage", "tasks", "network", "status", "version", "firewall"])
    }),
    ("GET", "/nodes/{node}/status", node_status),
    ("GET", "/nodes/{node}/dns", |_| Ok(json!({ "dns1": "10.0.0.1", "search": "lan" }))),
    ("GET", "/nodes/{node}/time", time),
    ("GET", "/nodes/{node}/network", networks),
    ("GET", "/nodes/{node}/network/{iface}", network),
    ("GET", "/cluster/status", status),
    ("GET", "/cluster/resources", resources),
    ("GET", "/cluster/nextid", next_id),
    ("GET", "/cluster/options", options),
    ("PUT", "/cluster/options", set_options),
    ("GET", "/pools", pools),
    ("POST", "/pools", create_pool),
    ("GET", "/pools/{poolid}", read_pool),
    ("PUT", "/pools/{poolid}", update_pool),
    ("PUT", "/pools", update_pool),
    ("DELETE", "/pools/{poolid}", delete_pool),
    ("DELETE", "/pools", delete_pool),
];

fn subdirectories(names: &[&str]) -> Answer {
    Ok(names.iter().map(|name| json!({ "subdir": name })).collect())
}

fn version(_: &mut Request<'_>) -> Answer {
    Ok(json!({ "version": "9.2.11", "release": "9.2", "repoid": "14a22df35955d97d" }))
}

fn permissions(_: &mut Request<'_>) -> Answer {
    let privileges = [
        "Datastore.Allocate",
        "Datastore.AllocateSpace",
        "Datastore.AllocateTemplate",
        "Datastore.Audit",
        "Group.Allocate",
        "Mapping.Audit",
        "Mapping.Modify",
        "Mapping.Use",
        "Permissions.Modify",
        "Pool.Allocate",
        "Pool.Audit",
        "Realm.Allocate",
        "Realm.AllocateUser",
        "SDN.Allocate",
        "SDN.Audit",
        "SDN.Use",
        "Sys.AccessNetwork",
        "Sys.Audit",
        "Sys.Console",
        "Sys.Incoming",
        "Sys.Modify",
        "Sys.PowerMgmt",
        "Sys.Syslog",
        "User.Modify",
        "VM.Allocate",
        "VM.Audit",
        "VM.Backup",
        "VM.Clone",
        "VM.Config.CDROM",
        "VM.Config.CPU",
        "VM.Config.Cloudinit",
        "VM.Config.Disk",
        "VM.Config.HWType",
        "VM.Config.Memory",
        "VM.Config.Network",
        "VM.Config.Options",
        "VM.Console",
        "VM.GuestAgent.Audit",
        "VM.GuestAgent.FileRead",
        "VM.GuestAgent.FileSystemMgmt",
        "VM.GuestAgent.FileWrite",
        "VM.GuestAgent.Unrestricted",
        "VM.Migrate",
        "VM.PowerMgmt",
        "VM.Replicate",
        "VM.Snapshot",
        "VM.Snapshot.Rollback",
    ];
    let all: Map<String, Value> = privileges.iter().map(|name| ((*name).to_owned(), json!(1))).collect();
    let paths = ["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"];
    Ok(Value::Object(paths.iter().map(|path| ((*path).to_owned(), Value::Object(all.clone()))).collect()))
}

fn node_row(request: &Request<'_>) -> Value {
    json!({
        "node": request.options.node, "id": format!("node/{}", request.options.node), "type": "node",
        "status": "online", "level": "", "maxcpu": 16, "cpu": 0.01, "maxmem": 68719476736u64, "mem": 8589934592u64,
        "maxdisk": request.options.storage_size, "disk": 5368709120u64, "uptime": 86400,
    })
}

fn nodes(request: &mut Request<'_>) -> Answer {
    let mut row = node_row(request);
    row["ssl_fingerprint"] = json!("");
    Ok(json!([row]))
}

fn node_status(request: &mut Request<'_>) -> Answer {
    let total = request.options.storage_size;
    Ok(json!({
        "uptime": 86400, "cpu": 0.01, "idle": 0, "wait": 0, "loadavg": ["0.10", "0.10", "0.10"],
        "kversion": "Linux 6.14.11-4-pve #1 SMP PREEMPT_DYNAMIC", "pveversion": "pve-manager/9.2.11/14a22df35955d97d",
        "cpuinfo": { "cpus": 16, "cores": 8, "sockets": 1, "model": "AMD EPYC", "mhz": "3000.000", "hvm": "1", "user_hz": 100, "flags": "" },
        "memory": { "total": 68719476736u64, "used": 8589934592u64, "free": 60129542144u64, "available": 60129542144u64 },
        "swap": { "total": 8589934592u64, "used": 0, "free": 8589934592u64 },
        "rootfs": { "total": total, "used": 5368709120u64, "free": total, "avail": total },
        "current-kernel": { "sysname": "Linux", "release": "6.14.11-4-pve", "version": "#1 SMP PREEMPT_DYNAMIC", "machine": "x86_64" },
        "boot-info": { "mode": "efi", "secureboot": 0 }, "ksm": { "shared": 0 },
    }))
}

fn time(request: &mut Request<'_>) -> Answer {
    Ok(json!({ "timezone": "UTC", "time": request.seconds(), "localtime": request.seconds() }))
}

fn shown_network(name: &str, options: &Options) -> Value {
    let mut row: Map<String, Value> = options
        .iter()
        .map(|(key, text)| match text.parse::<i64>() {
            Ok(number) if matches!(key.as_str(), "active" | "autostart" | "exists" | "priority") => {
                (key.clone(), json!(number))
            }
            _ => (key.clone(), json!(text)),
        })
        .collect();
    row.insert("iface".to_owned(), json!(name));
    Value::Object(row)
}

fn networks(request: &mut Request<'_>) -> Answer {
    let wanted = request.get("type");
    Ok(request
        .state
        .networks
        .iter()
        .filter(|(_, options)| {
            let kind = options.get("type").map(String::as_str).unwrap_or_default();
            wanted.is_none_or(|wanted| {
                wanted == kind || (wanted.starts_with("any") && kind.ends_with("bridge"))
            })
        })
        .map(|(name, options)| shown_network(name, options))
        .collect())
}

fn network(request: &mut Request<'_>) -> Answer {
    let name = request.text("iface");
    match request.state.networks.get(&name) {
        Some(options) => Ok(shown_network(&name, options)),
        None => Err(Failure::parameter("iface", "interface does not exist")),
    }
}

fn status(request: &mut Request<'_>) -> Answer {
    let node = &request.options.node;
    Ok(json!([{
        "id": format!("node/{node}"), "type": "node", "name": node, "ip": "10.0.0.10", "nodeid": 0, "local": 1,
        "online": 1, "level": "",
    }]))
}

fn resources(request: &mut Request<'_>) -> Answer {
    let wanted = request.get("type").map(str::to_owned);
    let wants = |kind: &str| wanted.as_deref().is_none_or(|wanted| wanted == kind);
    let mut rows = Vec::new();
    if wants("pool") {
        rows.extend(
            request
                .state
                .pools
                .keys()
                .map(|name| json!({ "id": format!("/pool/{name}"), "type": "pool", "pool": name })),
        );
    }
    if wants("vm") {
        rows.extend(request.state.guests.keys().map(|vmid| guest_resource(request, *vmid)));
    }
    if wants("node") {
        rows.push(node_row(request));
    }
    if wants("storage") {
        let node = &request.options.node;
        rows.extend(request.state.storages.iter().map(|(name, options)| {
            json!({
                "id": format!("storage/{node}/{name}"), "type": "storage", "storage": name, "node": node,
                "status": "available", "plugintype": options.get("type"), "content": options.get("content"),
                "shared": 0, "maxdisk": request.options.storage_size, "disk": 0,
            })
        }));
    }
    if wanted.as_deref() == Some("sdn") || wanted.is_none() {
        let node = &request.options.node;
        rows.push(json!({ "id": format!("sdn/{node}/localnetwork"), "type": "sdn", "sdn": "localnetwork", "node": node, "status": "ok" }));
    }
    Ok(Value::Array(rows))
}

fn guest_resource(request: &Request<'_>, vmid: u32) -> Value {
    let guest = &request.state.guests[&vmid];
    let kind = guest.kind.name();
    let mut row = json!({
        "id": format!("{kind}/{vmid}"), "type": kind, "vmid": vmid, "node": request.options.node, "status": "unknown",
    });
    if let Some(pool) = guests::pool_of(request.state, vmid) {
        row["pool"] = json!(pool);
    }
    // Until the status daemon has seen the guest, nothing else is known about it.
    if request.now < guest.created + request.options.status_cycle.as_millis() as u64 {
        return row;
    }
    let status = match guest.kind {
        GuestKind::Qemu => crate::qemu::status(vmid, guest, request.now, request.options.cpus),
        GuestKind::Lxc => crate::lxc::status(vmid, guest, request.now),
    };
    for key in [
        "name", "status", "cpu", "mem", "maxmem", "memhost", "disk", "maxdisk", "netin", "netout", "uptime",
        "tags", "lock",
    ] {
        if let Some(value) = status.get(key) {
            row[key] = value.clone();
        }
    }
    row["maxcpu"] = status["cpus"].clone();
    row["template"] = json!(u8::from(guest.is_template()));
    row["memhost"] = status.get("memhost").cloned().unwrap_or(json!(0));
    row["diskread"] = json!(0);
    row["diskwrite"] = json!(0);
    row
}

/// `GET /cluster/nextid`: text.
fn next_id(request: &mut Request<'_>) -> Answer {
    if let Some(vmid) = request.number("vmid") {
        return match request.state.guests.get(&(vmid as u32)) {
            Some(guest) => {
                Err(Failure::parameter("vmid", format!("{} {vmid} already exists", guest.kind.label())))
            }
            None => Ok(json!(vmid.to_string())),
        };
    }
    let free = (100..).find(|vmid| !request.state.guests.contains_key(vmid)).unwrap_or(100);
    Ok(json!(free.to_string()))
}

fn options(request: &mut Request<'_>) -> Answer {
    let mut row: Map<String, Value> =
        request.state.cluster_options.iter().map(|(key, text)| (key.clone(), json!(text))).collect();
    row.insert("allowed-tags".to_owned(), json!([]));
    Ok(Value::Object(row))
}

fn set_options(request: &mut Request<'_>) -> Answer {
    let removed = request.text("delete");
    for key in crate::schema::formats::split_list(&removed) {
        request.state.cluster_options.remove(key);
    }
    let set = request.parameters.iter().filter(|(key, _)| *key != "delete");
    let set: Options = set.map(|(key, value)| (key.clone(), value.clone())).collect();
    request.state.cluster_options.extend(set);
    Ok(Value::Null)
}

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
        .filter(|(name, _)| only.as_ref().is_none_or(|only| only == *name))
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
    for vmid in ids {
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
