//! Servers that metrics are sent to (PVE::API2::Cluster::MetricServer).

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::sections::{File, MODIFIED, Texts, Type, check_options, delete_options, digest};

const ONE: &str = "/cluster/metrics/server/{id}";

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/metrics", |_| Ok(json!([{ "name": "server" }]))),
    ("GET", "/cluster/metrics/server", list),
    ("GET", ONE, read),
    ("POST", ONE, create),
    ("PUT", ONE, update),
    ("DELETE", ONE, delete),
    ("GET", "/cluster/metrics/export", |_| Ok(json!({ "data": [] }))),
];

const FILE: File = File {
    name: "status.cfg",
    id: "id",
    schema: ONE,
    types: &[
        Type {
            name: "graphite",
            required: &["server"],
            options: &["port", "mtu", "proto", "timeout", "path", "disable"],
            fixed: &[],
        },
        Type {
            name: "influxdb",
            required: &["server", "port"],
            options: &[
                "mtu",
                "disable",
                "organization",
                "bucket",
                "token",
                "influxdbproto",
                "timeout",
                "max-body-size",
                "api-path-prefix",
                "verify-certificate",
            ],
            fixed: &[],
        },
        Type {
            name: "opentelemetry",
            required: &["server"],
            options: &[
                "port",
                "disable",
                "otel-protocol",
                "otel-path",
                "otel-timeout",
                "otel-headers",
                "otel-verify-ssl",
                "otel-max-body-size",
                "otel-resource-attributes",
                "otel-compression",
            ],
            fixed: &[],
        },
    ],
    default_type: None,
    secrets: &["token"],
    texts: Texts {
        create: "",
        update: "",
        delete: "",
        exists: "Metric server '{}' already exists",
        missing: "status server entry '{}' does not exist",
    },
};

fn list(request: &mut Request<'_>) -> Answer {
    let rows = FILE.sections(request.state).iter().map(|(id, options)| {
        let shown = FILE.shown(request.state, id, options);
        let get = |key: &str| shown.get(key).cloned().unwrap_or(Value::Null);
        let disabled = shown.get("disable").cloned().unwrap_or(json!(0));
        json!({ "id": id, "disable": disabled, "type": get("type"), "server": get("server"), "port": get("port") })
    });
    Ok(rows.collect())
}

fn read(request: &mut Request<'_>) -> Answer {
    let mut data = FILE.read(request)?;
    if let Some(row) = data.as_object_mut() {
        row.remove("id");
        row.remove("digest");
    }
    Ok(data)
}

fn create(request: &mut Request<'_>) -> Answer {
    let (id, options) = (request.text("id"), FILE.set(request));
    FILE.check_new(request.state, &id)?;
    if let Some(kind) = FILE.kind(&request.text("type")) {
        check_options(kind, &options, true)?;
    }
    FILE.sections_mut(request.state).insert(id, options);
    Ok(Value::Null)
}

fn update(request: &mut Request<'_>) -> Answer {
    let (id, set) = (request.text("id"), FILE.set(request));
    let sections = FILE.sections(request.state);
    request.check_digest(&digest(sections), MODIFIED)?;
    let mut present =
        sections.get(&id).cloned().ok_or_else(|| Failure::died(format!("no such server '{id}'")))?;
    if let Some(kind) = present.get("type").and_then(|name| FILE.kind(name)) {
        check_options(kind, &set, false)?;
        delete_options(kind, &mut present, &set, request.get("delete").unwrap_or_default())?;
    }
    present.extend(set);
    FILE.sections_mut(request.state).insert(id, present);
    Ok(Value::Null)
}

fn delete(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    if FILE.sections_mut(request.state).remove(&id).is_none() {
        let text =
            "cannot lookup undefined type! at /usr/share/perl5/PVE/API2/Cluster/MetricServer.pm line 318.";
        return Err(Failure::died(text));
    }
    Ok(Value::Null)
}
