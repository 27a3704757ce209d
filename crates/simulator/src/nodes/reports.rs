//! What a node tells about itself, appliances, its subscription, and commands to the node as a whole.

use serde_json::{Value, json};
use sha1::Digest as _;

use crate::failure::Failure;
use crate::guests::hex;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::{Options, Volume};
use crate::{bulk_action, tasks};

const SUBSCRIPTION: &str = "/nodes/{node}/subscription";

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/netstat", traffic),
    ("GET", "/nodes/{node}/report", |request| {
        let (node, seconds) = (&request.node, request.seconds());
        Ok(json!(format!("pve-manager: 9.2.11\nhostname: {node}\ndate: {seconds}\n")))
    }),
    ("GET", "/nodes/{node}/syslog", |request| {
        let lines = journal(request);
        request.total = Some(lines.len() as u64);
        let (first, limit) = (request.number("start").unwrap_or(0), request.number("limit").unwrap_or(50));
        let rows = lines.iter().enumerate().skip(first as usize).take(limit as usize);
        Ok(rows.map(|(number, line)| json!({ "n": number + 1, "t": line })).collect())
    }),
    ("GET", "/nodes/{node}/journal", |request| {
        let lines = journal(request);
        let wanted = request.number("lastentries").map_or(lines.len(), |count| count as usize);
        Ok(json!(lines[lines.len().saturating_sub(wanted)..]))
    }),
    ("GET", "/nodes/{node}/aplinfo", |_| Ok(APPLIANCES.iter().map(|name| appliance(name)).collect())),
    ("POST", "/nodes/{node}/aplinfo", download),
    ("GET", "/nodes/{node}/rrd", |request| graph(request, "node")),
    ("GET", "/nodes/{node}/qemu/{vmid}/rrd", |request| {
        request.guest(crate::state::GuestKind::Qemu)?;
        graph(request, "vm")
    }),
    ("GET", "/nodes/{node}/lxc/{vmid}/rrd", |request| {
        request.guest(crate::state::GuestKind::Lxc)?;
        graph(request, "vm")
    }),
    ("GET", "/nodes/{node}/storage/{storage}/rrd", |request| graph(request, "storage")),
    // A simulated node stays up.
    ("POST", "/nodes/{node}/status", |_| Ok(Value::Null)),
    ("POST", "/nodes/{node}/execute", execute),
    ("GET", SUBSCRIPTION, subscription),
    ("PUT", SUBSCRIPTION, subscribe),
    ("POST", SUBSCRIPTION, |_| Ok(Value::Null)),
    ("DELETE", SUBSCRIPTION, |request| {
        change_subscription(request, None);
        Ok(Value::Null)
    }),
];

/// One row a card of a running guest.
fn traffic(request: &mut Request<'_>) -> Answer {
    let guests = request.state.guests.iter().filter(|(_, guest)| guest.running && guest.node == request.node);
    let cards = guests.flat_map(|(vmid, guest)| {
        let names = guest
            .config
            .keys()
            .filter(|key| key.strip_prefix("net").is_some_and(|rest| rest.parse::<u8>().is_ok()));
        names
            .map(|name| json!({ "vmid": vmid.to_string(), "dev": name, "in": "0", "out": "0" }))
            .collect::<Vec<_>>()
    });
    Ok(cards.collect())
}

/// What the node's daemons wrote: the beginnings and ends of its tasks.
fn journal(request: &Request<'_>) -> Vec<String> {
    let own = request.state.tasks.values().filter(|task| task.node == request.node);
    own.flat_map(|task| {
        let line = |time: u64, text: String| {
            let clock = tasks::clock(time / 1000);
            format!("{clock} {} pvedaemon[{}]: <{}> {text}", task.node, task.process, task.user)
        };
        let end = task.finished.then(|| line(task.ends, format!("end task {} {}", task.upid, task.exit)));
        [Some(line(task.started, format!("starting task {}", task.upid))), end].into_iter().flatten()
    })
    .collect()
}

/// Templates as the index of appliances has them.
const APPLIANCES: [&str; 3] = [
    "alpine-3.22-default_20250617_amd64.tar.xz",
    "debian-13-standard_13.1-2_amd64.tar.zst",
    "ubuntu-24.04-standard_24.04-2_amd64.tar.zst",
];

fn appliance(file: &str) -> Value {
    let (package, rest) = file.split_once('_').unwrap_or((file, ""));
    let version = rest.split('_').next().unwrap_or_default();
    let system: Vec<&str> = package.split('-').take(2).collect();
    let sum = hex(&sha2::Sha512::digest(file));
    json!({
        "package": package, "version": version, "type": "lxc", "os": system.join("-"), "section": "system",
        "architecture": "amd64", "template": file, "source": "http://download.proxmox.com/images",
        "location": format!("http://download.proxmox.com/images/system/{file}"), "sha512sum": sum,
        "headline": format!("LXC default image for {}", system.join(" ")), "infopage": "https://linuxcontainers.org",
        "maintainer": "Proxmox Support Team <support@proxmox.com>", "description": format!("{package}\n"),
    })
}

fn download(request: &mut Request<'_>) -> Answer {
    let (file, storage) = (request.text("template"), request.text("storage"));
    if !APPLIANCES.contains(&file.as_str()) {
        return Err(Failure::parameter("template", "no such template"));
    }
    let Some(options) = request.state.storages.get(&storage) else {
        return Err(Failure::died(format!("storage '{storage}' does not exist")));
    };
    if options.get("disable").is_some_and(|value| value == "1") {
        return Err(Failure::died(format!("storage '{storage}' is disabled")));
    }
    if !options.get("content").is_some_and(|content| content.split(',').any(|kind| kind == "vztmpl")) {
        return Err(Failure::died(format!("storage '{storage}' does not support templates")));
    }
    let volume = Volume {
        content: "vztmpl".to_owned(),
        format: file.rsplit('.').next().map_or_else(String::new, |end| format!("t{end}")),
        size: 128 << 20,
        file_size: 128 << 20,
        owner: None,
        parent: None,
        created: request.seconds(),
        bytes: None,
        backup: None,
        nodes: [request.node.clone()].into(),
    };
    Ok(request.task("download", &file, |request, outcome| {
        outcome.say(format!("downloading http://download.proxmox.com/images/system/{file} to /var/lib/vz/template/cache/{file}"));
        request.state.volumes.insert(format!("{storage}:vztmpl/{file}"), volume);
        outcome.say("download finished");
        Ok(())
    }))
}

/// The file of a drawn graph.
fn graph(request: &Request<'_>, what: &str) -> Answer {
    let sources = request.text("ds").replace([',', ' '], "_");
    Ok(json!({ "filename": format!("/tmp/{what}_{sources}.png") }))
}

/// A list of calls below the node, one after the other.
fn execute(request: &mut Request<'_>) -> Answer {
    let invalid = || Failure::parameter("commands", "invalid format - not a JSON array of commands\n");
    let commands: Vec<Value> = serde_json::from_str(&request.text("commands")).map_err(|_| invalid())?;
    let (node, mut rows) = (request.node.clone(), Vec::new());
    for command in &commands {
        let field = |name: &str| command[name].as_str().map(str::to_owned);
        let (path, method) = field("path").zip(field("method")).ok_or_else(invalid)?;
        let arguments = command["args"].as_object().cloned().unwrap_or_default();
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let arguments = arguments.into_iter().map(|(key, value)| (key, text(value))).collect::<Options>();
        rows.push(match bulk_action::call(request, &method, &format!("/nodes/{node}/{path}"), arguments) {
            Ok(data) => json!({ "status": 200, "data": data }),
            Err(failure) => {
                let mut row = json!({ "status": failure.status, "message": format!("{}\n", failure.reason) });
                if !failure.errors.is_empty() {
                    row["errors"] = json!(failure.errors);
                }
                row
            }
        });
    }
    Ok(Value::Array(rows))
}

/// The file that has the keys of the nodes.
const KEYS: &str = "subscriptions";

fn key<'a>(request: &'a Request<'_>) -> Option<&'a String> {
    request.state.sections.get(KEYS)?.get(&request.node)?.get("key")
}

fn change_subscription(request: &mut Request<'_>, key: Option<String>) {
    let node = request.node.clone();
    let keys = request.state.sections.entry(KEYS.to_owned()).or_default();
    match key {
        Some(key) => keys.insert(node, [("key".to_owned(), key)].into()),
        None => keys.remove(&node),
    };
}

fn subscription(request: &mut Request<'_>) -> Answer {
    let node = &request.node;
    let url = "https://www.proxmox.com/en/proxmox-virtual-environment/pricing";
    let mut row = match key(request) {
        None => json!({ "status": "notfound", "message": "There is no subscription key", "url": url }),
        // The key is kept although nobody could be asked about it.
        Some(_) => json!({ "status": "new", "url": url }),
    };
    if request.allows(&format!("/nodes/{node}"), "Sys.Audit") {
        row["serverid"] = json!(hex(&md5::Md5::digest(node)).to_uppercase());
        if let Some(key) = key(request) {
            row["key"] = json!(key);
            row["sockets"] = json!(1);
            row["checktime"] = json!(request.seconds());
        }
    }
    Ok(row)
}

/// The server that knows the keys cannot be reached; one socket is enough for every key.
fn subscribe(request: &mut Request<'_>) -> Answer {
    let key = request.text("key").trim().to_owned();
    change_subscription(request, Some(key));
    Err(Failure::died("Error checking subscription: error trying to connect: Connection refused"))
}
