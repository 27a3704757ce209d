//! Settings of a node: name servers, host names, time zone, options.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha1::Digest as _;

use crate::failure::Failure;
use crate::guests::hex;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema::formats::split_list;
use crate::schema::{self};
use crate::sections::{MODIFIED, typed};
use crate::state::Options;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/dns", dns),
    ("PUT", "/nodes/{node}/dns", set_dns),
    ("GET", "/nodes/{node}/hosts", hosts),
    ("POST", "/nodes/{node}/hosts", set_hosts),
    ("GET", "/nodes/{node}/time", time),
    ("PUT", "/nodes/{node}/time", set_time),
    ("GET", CONFIG, options),
    ("PUT", CONFIG, set_options),
];
const CONFIG: &str = "/nodes/{node}/config";

/// What was set on a node; what was not is as after an installation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub dns: Option<Options>,
    pub hosts: Option<String>,
    pub time_zone: Option<String>,
}

fn settings(request: &Request<'_>) -> Settings {
    request.state.node_settings.get(&request.node).cloned().unwrap_or_default()
}

fn change(request: &mut Request<'_>, change: impl FnOnce(&mut Settings)) {
    let node = request.node.clone();
    change(request.state.node_settings.entry(node).or_default());
}

fn dns(request: &mut Request<'_>) -> Answer {
    let initial = || {
        [("dns1", "10.0.0.1"), ("search", "lan")].map(|(key, text)| (key.to_owned(), text.to_owned())).into()
    };
    let dns: Options = settings(request).dns.unwrap_or_else(initial);
    Ok(json!(dns))
}

/// The whole of it is replaced.
fn set_dns(request: &mut Request<'_>) -> Answer {
    let set = request.parameters.iter().filter(|(key, value)| *key != "node" && !value.is_empty());
    let dns: Options = set.map(|(key, value)| (key.clone(), value.clone())).collect();
    change(request, |settings| settings.dns = Some(dns));
    Ok(Value::Null)
}

fn hosts_text(request: &Request<'_>) -> String {
    settings(request).hosts.unwrap_or_else(|| {
        let number = request.options.nodes().position(|node| *node == request.node).unwrap_or(0);
        let (node, address) = (&request.node, super::address(request.options, number));
        format!("127.0.0.1 localhost\n{address} {node}.lan {node}\n")
    })
}

fn sha1(text: &str) -> String {
    hex(&sha1::Sha1::digest(text.as_bytes()))
}

fn hosts(request: &mut Request<'_>) -> Answer {
    let text = hosts_text(request);
    Ok(json!({ "data": text, "digest": sha1(&text) }))
}

fn set_hosts(request: &mut Request<'_>) -> Answer {
    request.check_digest(&sha1(&hosts_text(request)), MODIFIED)?;
    let text = request.text("data");
    change(request, |settings| settings.hosts = Some(text));
    Ok(Value::Null)
}

fn time(request: &mut Request<'_>) -> Answer {
    let zone = settings(request).time_zone.unwrap_or_else(|| "UTC".to_owned());
    Ok(json!({ "timezone": zone, "time": request.seconds(), "localtime": request.seconds() }))
}

/// A zone is known if it reads like one: the list of the real node is long.
fn set_time(request: &mut Request<'_>) -> Answer {
    let zone = request.text("timezone");
    let reads = zone.split_once('/').is_some_and(|(area, place)| {
        let word = |text: &str| text.starts_with(|sign: char| sign.is_ascii_uppercase());
        word(area) && word(place) && !zone.contains(char::is_whitespace)
    });
    if !reads && zone != "UTC" {
        return Err(Failure::died(format!("No such timezone: '{zone}'")));
    }
    change(request, |settings| settings.time_zone = Some(zone));
    Ok(Value::Null)
}

fn digest(options: &Options) -> String {
    sha1(&serde_json::to_string(options).unwrap_or_default())
}

fn options(request: &mut Request<'_>) -> Answer {
    let Some(options) = request.state.node_options.get(&request.node) else { return Ok(json!({})) };
    if options.is_empty() {
        return Ok(json!({}));
    }
    let keys = schema::endpoint("PUT", CONFIG);
    let only = request.get("property");
    let wanted =
        |key: &String| only.is_none_or(|only| only == key || key.starts_with("acmedomain") && only == "acme");
    let shown = options.iter().filter(|(key, _)| wanted(key));
    let mut row: Map<String, Value> =
        shown.map(|(key, text)| (key.clone(), typed(keys, key, text))).collect();
    if only.is_none() {
        row.insert("digest".to_owned(), json!(digest(options)));
    }
    Ok(Value::Object(row))
}

fn set_options(request: &mut Request<'_>) -> Answer {
    let mut options = request.state.node_options.get(&request.node).cloned().unwrap_or_default();
    request.check_digest(&digest(&options), MODIFIED)?;
    let call = ["node", "digest", "delete"];
    let set = request.parameters.iter().filter(|(key, _)| !call.contains(&key.as_str()));
    // A description is kept as comment lines.
    let text = |key: &str, value: &str| match key {
        "description" => format!("{}\n", value.trim_end()),
        _ => value.to_owned(),
    };
    for key in split_list(request.get("delete").unwrap_or_default()) {
        options.remove(key);
    }
    options.extend(set.map(|(key, value)| (key.clone(), text(key, value))));
    request.state.node_options.insert(request.node.clone(), options);
    Ok(Value::Null)
}
