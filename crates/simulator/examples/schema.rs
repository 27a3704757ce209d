//! Sends to every endpoint that the simulator has what the API's description allows, and what it does not:
//! `cargo run -p pve-simulator --example schema -- SCHEMA [-v]`. The last line is `N passed, M failed`.
//!
//! The description is `{"paths": {PATH: {METHOD: {"parameters": {"properties": ...}}}}}`. Of every endpoint these are
//! tried, each as one case: nothing at all (every parameter that is not optional has to be named), a parameter that
//! does not exist, and for every parameter one value of the description and some that it rules out.

use std::process::ExitCode;

use pve_simulator::{Options, Simulator, serve};
use reqwest::{Certificate, Client, Method};
use serde_json::{Map, Value, json};

type Error = Box<dyn std::error::Error>;

/// What a refused parameter is told, where the parameter's own rules refused it.
const REFUSALS: [&str; 8] = [
    "property is not defined in schema",
    "property is missing and it is not optional",
    "type check (",
    "does not have a value in the enumeration",
    "does not match the regex pattern",
    "value must have a",
    "invalid format - ",
    "characters long",
];

/// One endpoint.
struct Endpoint<'a> {
    method: &'a str,
    path: &'a str,
    properties: &'a Map<String, Value>,
    /// Whether it passes over parameters that are not described.
    takes_more: bool,
}

struct Session {
    client: Client,
    endpoint: String,
    ticket: String,
    csrf: String,
}

#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    absent: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let (verbose, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|name| name == "-v");
    match run(&names, !verbose.is_empty()).await {
        Ok(count) => {
            println!("{} endpoints of the description are not there", count.absent);
            println!("{} passed, {} failed", count.passed, count.failed);
            if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

async fn run(names: &[String], verbose: bool) -> Result<Count, Error> {
    let path = names.first().ok_or("usage: schema SCHEMA [-v]")?;
    let schema: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let paths = schema["paths"].as_object().ok_or("no paths in the description")?;
    let mut count = Count::default();
    let none = Map::new();
    for (path, methods) in paths {
        for (method, call) in methods.as_object().ok_or("a path without methods")? {
            let properties = call["parameters"]["properties"].as_object().unwrap_or(&none);
            let takes_more = call["parameters"]["additionalProperties"] != json!(0);
            let endpoint = Endpoint { method, path, properties, takes_more };
            let Some(cases) = play(&endpoint).await? else {
                count.absent += 1;
                continue;
            };
            for case in cases {
                match case {
                    Ok(()) => count.passed += 1,
                    Err(text) => {
                        count.failed += 1;
                        if verbose {
                            println!("{method} {path}: {text}");
                        }
                    }
                }
            }
        }
    }
    Ok(count)
}

/// The cases of one endpoint, on a server of its own; `None` if the simulator does not have it.
async fn play(endpoint: &Endpoint<'_>) -> Result<Option<Vec<Result<(), String>>>, Error> {
    let server = serve(Simulator::new(Options::default()), "127.0.0.1:0".parse()?).await?;
    let session = Session::open(&server.endpoint, &server.certificate).await?;
    let in_path = |name: &str| endpoint.path.contains(&format!("{{{name}}}"));
    let empty = session.send(endpoint, &Map::new()).await?;
    if empty.0 == 501 {
        server.shutdown().await;
        return Ok(None);
    }
    let mut cases = Vec::new();
    if endpoint.path.ends_with("/upload") {
        // A file comes as multipart; the transcripts have that.
        return Ok(Some(cases));
    }
    let required: Vec<&String> = endpoint
        .properties
        .iter()
        .filter(|(name, rules)| is_required(rules) && !in_path(name))
        .map(|(name, _)| name)
        .collect();
    if !required.is_empty() {
        let unnamed = required.iter().find(|name| !refused(&empty, name));
        cases.push(match unnamed {
            // What the type decides is asked for once the type is known.
            Some(name) if endpoint.properties["type"].is_object() && endpoint.path.contains("/ha/rules") => {
                if refused(&empty, "type") {
                    Ok(())
                } else {
                    Err(format!("{name} is not asked for: {empty:?}"))
                }
            }
            Some(name) => Err(format!("{name} is not asked for: {empty:?}")),
            None => Ok(()),
        });
    }
    let mut whole = Map::new();
    for name in &required {
        if let Some(value) = good(&endpoint.properties[*name], name) {
            whole.insert((*name).clone(), value);
        }
    }
    let mut unknown = whole.clone();
    unknown.insert("no-such-parameter".to_owned(), json!("1"));
    let answer = session.send(endpoint, &unknown).await?;
    cases.push(if refused(&answer, "no-such-parameter") == endpoint.takes_more {
        Err(format!("a parameter that does not exist: {answer:?}"))
    } else {
        Ok(())
    });
    for (name, rules) in
        endpoint.properties.iter().filter(|(name, _)| !in_path(name) && !name.ends_with("[n]"))
    {
        for value in bad(rules) {
            let mut parameters = whole.clone();
            parameters.insert(name.clone(), value.clone());
            let answer = session.send(endpoint, &parameters).await?;
            cases.push(if refused(&answer, name) {
                Ok(())
            } else {
                Err(format!("{name} = {value} is taken: {answer:?}"))
            });
        }
    }
    for (name, rules) in
        endpoint.properties.iter().filter(|(name, _)| !in_path(name) && !name.ends_with("[n]"))
    {
        // Whether a parameter of one type is allowed depends on the type.
        let Some(value) = good(rules, name).filter(|_| rules["type-property"].is_null()) else { continue };
        let mut parameters = whole.clone();
        parameters.insert(name.clone(), value.clone());
        if let Some(partner) = rules["requires"].as_str()
            && let Some(other) = good(&endpoint.properties[partner], partner)
        {
            parameters.insert(partner.to_owned(), other);
        }
        let answer = session.send(endpoint, &parameters).await?;
        cases.push(if refused(&answer, name) {
            Err(format!("{name} = {value} is refused: {answer:?}"))
        } else {
            Ok(())
        });
        if answer.0 == 401 {
            // The call took the session away; that was the last one.
            break;
        }
    }
    server.shutdown().await;
    Ok(Some(cases))
}

/// Status, reason, errors.
type Reply = (u16, String, Value);

/// Whether the rules of a parameter refused the call.
fn refused(answer: &Reply, name: &str) -> bool {
    let errors = answer.2.as_object();
    let found = errors.and_then(|errors| {
        errors
            .iter()
            .find(|(key, _)| *key == name || key.ends_with(&format!(".{name}")))
            .map(|(_, text)| text)
    });
    answer.0 == 400
        && found.and_then(Value::as_str).is_some_and(|text| REFUSALS.iter().any(|known| text.contains(known)))
}

fn is_required(rules: &Value) -> bool {
    let optional =
        |rules: &Value| number(&rules["optional"]).unwrap_or(0.0) != 0.0 || rules["optional"] == json!(true);
    // What differs by type may be left out if every type lets it.
    let by_type = rules["oneOf"].as_array().is_some_and(|kinds| kinds.iter().all(optional));
    !optional(rules) && !by_type && rules["alias"].is_null()
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

/// Values that the description rules out.
fn bad(rules: &Value) -> Vec<Value> {
    let mut values = Vec::new();
    match rules["type"].as_str() {
        Some("integer") => values.extend([json!("many"), json!("1.5")]),
        Some("number") => values.push(json!("many")),
        Some("boolean") => values.extend([json!("yes"), json!("2")]),
        _ => {}
    }
    if let Some(minimum) = number(&rules["minimum"]) {
        values.push(json!((minimum as i64 - 1).to_string()));
    }
    if let Some(maximum) = number(&rules["maximum"]) {
        values.push(json!((maximum as i64 + 1).to_string()));
    }
    if rules["enum"].is_array() {
        values.push(json!("no-such-choice"));
    }
    if let Some(length) = number(&rules["maxLength"]).filter(|length| *length < 10_000.0) {
        values.push(json!("x".repeat(length as usize + 1)));
    }
    values
}

/// A value that the description allows; `None` where only a pattern or an unknown format tells.
fn good(rules: &Value, name: &str) -> Option<Value> {
    if let Some(first) = rules["enum"].as_array().and_then(|list| list.first()) {
        return Some(first.clone());
    }
    match rules["type"].as_str() {
        Some("integer" | "number") => {
            let minimum = number(&rules["minimum"]).unwrap_or(1.0).ceil();
            return Some(json!((minimum as i64).to_string()));
        }
        Some("boolean") => return Some(json!("1")),
        Some("string") => {}
        _ => return None,
    }
    if let Some(format) = rules["format"].as_str() {
        return of_format(format.trim_end_matches("-list")).map(|text| json!(text));
    }
    if rules["format"].is_object() || rules["pattern"].is_string() {
        return None;
    }
    let least = number(&rules["minLength"]).unwrap_or(0.0) as usize;
    Some(json!(if name == "userid" { "joe@pve".to_owned() } else { "x".repeat(least.max(3)) }))
}

fn of_format(format: &str) -> Option<&'static str> {
    Some(match format {
        "pve-node" | "pve-ha-node" => "pve",
        "pve-vmid" => "100",
        "pve-storage-id" => "local",
        "pve-configid" | "pve-poolid" | "pve-groupid" | "pve-roleid" | "pve-realm" => "name",
        "pve-userid" => "joe@pve",
        "pve-tokenid" => "joe@pve!one",
        "pve-iface" | "pve-bridge-id" => "vmbr0",
        "ip" | "ipv4" | "address" | "pve-storage-server" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "CIDR" | "CIDRv4" | "pve-sdn-subnet-id" | "IPorCIDR" | "IPorCIDRorAlias" => "192.0.2.0/24",
        "CIDRv6" => "2001:db8::/64",
        "ipv4mask" => "255.255.255.0",
        "mac-addr" => "BC:24:11:00:00:01",
        "mac-prefix" => "BC:24:11",
        "dns-name" => "host.example",
        "email" | "email-opt" | "email-or-username" => "joe@host.example",
        "pve-calendar-event" => "sat 10:00",
        "pve-day-of-week" => "mon",
        "pve-replication-job-id" => "100-0",
        "pve-ha-resource-id" | "pve-ha-resource-or-vm-id" => "vm:100",
        "pve-sdn-zone-id" | "pve-sdn-vnet-id" | "pve-sdn-dns-id" | "pve-sdn-ipam-id"
        | "pve-sdn-fabric-id" => "abc",
        "pve-sdn-controller-id" => "ctl1",
        "pve-storage-path" => "/mnt/data",
        "pve-storage-vgname" => "vg0",
        "pve-storage-content" => "images",
        "pve-storage-options" => "rw",
        "pve-vlan-id-or-range" => "2-100",
        "pve-volume-id" => "local:iso/x.iso",
        "storage-pair" | "bridge-pair" => "1",
        "graphite-path" => "a.b",
        "prune-backups" => "keep-last=1",
        "disk-size" => "1G",
        _ => return None,
    })
}

impl Session {
    async fn open(endpoint: &str, certificate: &str) -> Result<Self, Error> {
        // Another part of the process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .http1_only()
            .tls_certs_only([Certificate::from_pem(certificate.as_bytes())?])
            .build()?;
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let form = [("username", "root@pam"), ("password", "simulator")];
        let answer = client.post(format!("{endpoint}/api2/json/access/ticket")).form(&form).send().await?;
        let body: Value = serde_json::from_str(&answer.text().await?)?;
        let field = |name: &str| body["data"][name].as_str().unwrap_or_default().to_owned();
        Ok(Session { ticket: field("ticket"), csrf: field("CSRFPreventionToken"), client, endpoint })
    }

    async fn send(&self, endpoint: &Endpoint<'_>, parameters: &Map<String, Value>) -> Result<Reply, Error> {
        let mut path = endpoint.path.to_owned();
        for (name, rules) in endpoint.properties {
            let value = match name.as_str() {
                "upid" => "UPID:pve:00000001:00000001:00000001:qmstart:100:root@pam:".to_owned(),
                "volume" => "local:iso/x.iso".to_owned(),
                _ => good(rules, name)
                    .and_then(|value| value.as_str().map(str::to_owned))
                    .unwrap_or_else(|| "abc".to_owned()),
            };
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        let method = Method::from_bytes(endpoint.method.as_bytes())?;
        let pairs: Vec<(&String, String)> = parameters
            .iter()
            .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        let mut request = self
            .client
            .request(method, format!("{}/api2/json{path}", self.endpoint))
            .header("cookie", format!("PVEAuthCookie={}", self.ticket))
            .header("csrfpreventiontoken", &self.csrf);
        if matches!(endpoint.method, "GET" | "DELETE") {
            request = request.query(&pairs);
        } else if !pairs.is_empty() {
            request = request.form(&pairs);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let reason = answer.status().to_string();
        let body: Value = serde_json::from_str(&answer.text().await?).unwrap_or_default();
        let message = body["message"].as_str().map_or(reason, |text| text.trim().to_owned());
        Ok((status, message, body["errors"].clone()))
    }
}
