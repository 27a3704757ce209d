//! Ceph pools (PVE::API2::Ceph::Pool), as they would be on a cluster that has Ceph.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;
use crate::schema;
use crate::sections::{Sections, typed};
use crate::state::Options;
use crate::storage::forget;

const ALL: &str = "/nodes/{node}/ceph/pool";
const ONE: &str = "/nodes/{node}/ceph/pool/{name}";

pub(crate) const ROUTES: &[Route] = &[
    ("GET", ALL, list),
    ("POST", ALL, create),
    ("GET", ONE, |_| Ok(json!([{ "name": "status" }]))),
    ("PUT", ONE, update),
    ("DELETE", ONE, delete),
    ("GET", "/nodes/{node}/ceph/pool/{name}/status", status),
];

const FILE: &str = "ceph pools";
const DEFAULTS: [(&str, &str); 6] = [
    ("size", "3"),
    ("min_size", "2"),
    ("pg_num", "128"),
    ("application", "rbd"),
    ("crush_rule", "replicated_rule"),
    ("pg_autoscale_mode", "warn"),
];

fn pools<'a>(request: &'a Request<'_>) -> &'a Sections {
    static NONE: Sections = Sections::new();
    request.state.sections.get(FILE).unwrap_or(&NONE)
}

fn shown(name: &str, number: usize, pool: &Options) -> Value {
    let keys = schema::endpoint("POST", ALL);
    let mut row = json!({
        "pool": number + 1, "pool_name": name, "type": "replicated", "crush_rule": 0, "bytes_used": 0, "percent_used": 0.0,
        "crush_rule_name": pool.get("crush_rule"), "application_metadata": {}, "autoscale_status": {},
    });
    for (key, text) in pool.iter().filter(|(key, _)| !matches!(key.as_str(), "crush_rule" | "application")) {
        row[key] = typed(keys, key, text);
    }
    if let Some(application) = pool.get("application") {
        row["application_metadata"] = json!({ application: {} });
    }
    row
}

fn list(request: &mut Request<'_>) -> Answer {
    Ok(pools(request).iter().enumerate().map(|(number, (name, pool))| shown(name, number, pool)).collect())
}

fn missing(name: &str) -> Failure {
    Failure::died(format!("mon_command failed - unrecognized pool '{name}'"))
}

fn status(request: &mut Request<'_>) -> Answer {
    let name = request.text("name");
    let found = pools(request).iter().enumerate().find(|(_, (known, _))| **known == name);
    let (number, (_, pool)) = found.ok_or_else(|| missing(&name))?;
    let keys = schema::endpoint("POST", ALL);
    let flags =
        ["hashpspool", "nodelete", "nopgchange", "nosizechange", "noscrub", "nodeep-scrub", "fast_read"];
    let mut row = json!({ "id": number + 1, "name": name, "application_list": [pool.get("application")] });
    for (key, text) in pool {
        row[key] = typed(keys, key, text);
    }
    for flag in flags {
        row[flag] = json!(u8::from(flag == "hashpspool"));
    }
    Ok(row)
}

fn set(request: &Request<'_>) -> Options {
    let call = ["node", "name", "add_storages", "erasure-coding"];
    let set = request.parameters.iter().filter(|(key, _)| !call.contains(&key.as_str()));
    set.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn create(request: &mut Request<'_>) -> Answer {
    let name = request.text("name");
    if pools(request).contains_key(&name) {
        return Err(Failure::died(format!("pool '{name}' already exists")));
    }
    let storage = request.flag("add_storages");
    if storage && request.state.storages.contains_key(&name) {
        return Err(Failure::died(format!("storage ID '{name}' already defined")));
    }
    let mut pool = set(request);
    for (key, text) in DEFAULTS {
        pool.entry(key.to_owned()).or_insert_with(|| text.to_owned());
    }
    Ok(request.task("cephcreatepool", &name.clone(), |request, _| {
        request.state.sections.entry(FILE.to_owned()).or_default().insert(name.clone(), pool);
        if storage {
            let options = [("type", "rbd"), ("pool", &name), ("krbd", "0"), ("content", "images,rootdir")];
            let options = options.map(|(key, text)| (key.to_owned(), text.to_owned()));
            request.state.storages.insert(name.clone(), options.into());
        }
        Ok(())
    }))
}

fn update(request: &mut Request<'_>) -> Answer {
    let (name, set) = (request.text("name"), set(request));
    if !pools(request).contains_key(&name) {
        return Err(missing(&name));
    }
    Ok(request.task("cephsetpool", &name.clone(), |request, outcome: &mut Outcome| {
        for (key, value) in &set {
            outcome.say(format!("pool {name}: applying {key} = {value}"));
        }
        if let Some(pool) = request.state.sections.get_mut(FILE).and_then(|pools| pools.get_mut(&name)) {
            pool.extend(set);
        }
        Ok(())
    }))
}

fn delete(request: &mut Request<'_>) -> Answer {
    let name = request.text("name");
    if !pools(request).contains_key(&name) {
        return Err(missing(&name));
    }
    let uses = |options: &Options| {
        options.get("type").is_some_and(|kind| kind == "rbd") && options.get("pool") == Some(&name)
    };
    let storages: Vec<String> = request
        .state
        .storages
        .iter()
        .filter(|(_, options)| uses(options))
        .map(|(storage, _)| storage.clone())
        .collect();
    let remove = request.flag("remove_storages");
    Ok(request.task("cephdestroypool", &name.clone(), |request, _| {
        if let Some(pools) = request.state.sections.get_mut(FILE) {
            pools.remove(&name);
        }
        for storage in storages.iter().filter(|_| remove) {
            forget(request.state, storage);
        }
        Ok(())
    }))
}
