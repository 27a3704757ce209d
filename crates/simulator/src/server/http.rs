//! HTTP/1.1 in front of the simulator, with error texts in the status line as pveproxy has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming as Body;
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderMap};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::{form, multipart};
use crate::access::Credentials;
use crate::failure::{self, Failure};
use crate::schema::Raw;
use crate::simulator::{Incoming, Reply, Simulator, success};

/// Largest body that is no upload (PVE::APIServer: 512 KiB).
const BODY_LIMIT: usize = 512 << 10;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection closed on purpose")]
struct Disconnected;

/// Accepts connections until told to stop.
pub(crate) async fn run(
    simulator: Simulator,
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    mut stopped: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(config);
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else { continue };
        let (acceptor, simulator) = (acceptor.clone(), simulator.clone());
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| answer(simulator.clone(), request));
            // A client that goes away is no error of the server.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
    connections.abort_all();
}

async fn answer(simulator: Simulator, request: Request<Body>) -> Result<Response<Full<Bytes>>, Disconnected> {
    let options = simulator.options();
    if !options.latency.is_zero() {
        tokio::time::sleep(options.latency).await;
    }
    let path = request.uri().path().to_owned();
    let Some((format, path)) = split_format(&path) else {
        return Ok(plain(404, "Not Found", ""));
    };
    if !matches!(format.as_str(), "json" | "extjs") {
        let reason = format!("no formatter for uri {path}, {format}");
        return Ok(plain(501, &reason, &reason));
    }
    let (method, parts) = (request.method().to_string(), request);
    let incoming = read(method, path, parts).await.map_err(|_| Disconnected)?;
    let reply = simulator.handle(incoming);
    if let Reply::Failed(failure) = &reply
        && failure.status == 401
    {
        tokio::time::sleep(options.refusal_delay).await;
    }
    match reply {
        Reply::Disconnect => Err(Disconnected),
        Reply::Data { data, total, changes } if format == "extjs" => {
            let mut body = success(&data, total, changes);
            body["success"] = json!(1);
            Ok(with_json(200, "OK", &body))
        }
        Reply::Data { data, total, changes } => Ok(with_json(200, "OK", &success(&data, total, changes))),
        Reply::Text(text) => Ok(plain(200, "OK", &text)),
        Reply::Failed(failure) => Ok(refusal(&failure, &format)),
    }
}

fn refusal(failure: &Failure, format: &str) -> Response<Full<Bytes>> {
    let reason = failure.reason.lines().next().unwrap_or_default();
    match failure.body {
        failure::Body::Json if format == "extjs" => {
            let mut body = failure.json();
            body["success"] = json!(0);
            body["status"] = if failure.errors.is_empty() {
                json!(failure.status)
            } else {
                json!(failure.status.to_string())
            };
            with_json(200, "OK", &body)
        }
        failure::Body::Json => with_json(failure.status, reason, &failure.json()),
        failure::Body::Text => plain(failure.status, reason, &failure.reason),
        failure::Body::Empty => plain(failure.status, reason, ""),
    }
}

/// Splits `/api2/json/nodes` into the format and the path of the API.
fn split_format(path: &str) -> Option<(String, String)> {
    let rest = path.strip_prefix("/api2/")?;
    let (format, path) =
        rest.split_once('/').map_or((rest, String::new()), |(format, path)| (format, format!("/{path}")));
    Some((format.to_owned(), path))
}

async fn read(method: String, path: String, request: Request<Body>) -> Result<Incoming, hyper::Error> {
    let (parts, body) = request.into_parts();
    let credentials = credentials(&parts.headers);
    let content_type = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let mut incoming = Incoming { method, path, credentials, ..Incoming::default() };
    if !matches!(incoming.method.as_str(), "GET" | "POST" | "PUT" | "DELETE") {
        incoming.refusal = Some(Failure::bare(501, format!("method '{}' not available", incoming.method)));
        return Ok(incoming);
    }
    let body = body.collect().await?.to_bytes();
    let query = parts.uri.query().map(form::parse).unwrap_or_default();
    match read_body(&incoming.method, &content_type, &body) {
        Ok((parameters, upload)) => {
            incoming.parameters = parameters;
            incoming.upload = upload;
        }
        Err(refusal) => incoming.refusal = Some(refusal),
    }
    for (name, value) in query {
        incoming.parameters.entry(name).or_insert(value);
    }
    Ok(incoming)
}

type Read = (BTreeMap<String, Raw>, Option<crate::request::Upload>);

fn read_body(method: &str, content_type: &str, body: &Bytes) -> Result<Read, Failure> {
    if matches!(method, "GET" | "DELETE") {
        if body.is_empty() {
            return Ok(Read::default());
        }
        return Err(Failure::text(501, format!("Unexpected content for method '{method}'")));
    }
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if kind == "multipart/form-data" {
        let boundary = content_type.split("boundary=").nth(1).unwrap_or_default().trim_matches('"');
        return Ok(multipart::parse(body, boundary));
    }
    if body.len() > BODY_LIMIT {
        return Err(Failure::text(501, "for data too large"));
    }
    match kind {
        "application/json" => read_json(body).map(|parameters| (parameters, None)),
        "" | "application/x-www-form-urlencoded" => Ok((form::parse(&String::from_utf8_lossy(body)), None)),
        _ if body.is_empty() => Ok(Read::default()),
        other => Err(Failure::text(506, format!("upload 'Content-Type '{other}' not implemented"))),
    }
}

fn read_json(body: &Bytes) -> Result<BTreeMap<String, Raw>, Failure> {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(fields)) => {
            Ok(fields.iter().map(|(name, value)| (name.clone(), Raw::from(value))).collect())
        }
        Ok(Value::Null) => Ok(BTreeMap::new()),
        Ok(_) => Err(Failure::text(
            500,
            "Not a HASH reference at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 978.\n",
        )),
        Err(_) => Err(Failure::text(
            500,
            format!(
                "malformed JSON string, neither tag, array, object, number, string or atom, at character offset {} (before \"(end of string)\") at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 934.\n",
                body.len()
            ),
        )),
    }
}

fn credentials(headers: &HeaderMap) -> Credentials {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let cookie = text("cookie").and_then(|cookies| {
        cookies
            .split(';')
            .find_map(|cookie| cookie.trim().strip_prefix("PVEAuthCookie=").map(super::percent_decode))
    });
    Credentials { authorization: text("authorization"), cookie, csrf: text("csrfpreventiontoken") }
}

fn with_json(status: u16, reason: &str, body: &Value) -> Response<Full<Bytes>> {
    let mut response = plain(status, reason, &body.to_string());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json;charset=UTF-8"));
    response
}

fn plain(status: u16, reason: &str, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let clean: Vec<u8> =
        reason.bytes().filter(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)).collect();
    if let Ok(phrase) = ReasonPhrase::try_from(clean) {
        response.extensions_mut().insert(phrase);
    }
    let headers = response.headers_mut();
    headers.insert(header::SERVER, header::HeaderValue::from_static("pve-api-daemon/3.0"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("max-age=0"));
    headers.insert(header::PRAGMA, header::HeaderValue::from_static("no-cache"));
    // pveproxy closes the connection behind an error.
    let connection = if status == 200 { "Keep-Alive" } else { "close" };
    headers.insert(header::CONNECTION, header::HeaderValue::from_static(connection));
    response
}
