//! Answers of the API: their data, or why there is none.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::{ApiError, ErrorKind, NO_COMMON_TLS};
use crate::tls;

/// What an answer says in `data`.
pub(crate) fn data(operation: String, mut whole: Json) -> Result<Json, ApiError> {
    match whole.get_mut("data") {
        Some(data) => Ok(data.take()),
        None => Err(ApiError {
            operation,
            message: "the answer is none of Proxmox VE's".into(),
            parameters: BTreeMap::new(),
            kind: ErrorKind::Malformed,
        }),
    }
}

/// The data of an answer, or why there is none.
pub(crate) async fn read_answer(
    operation: String,
    answer: Result<reqwest::Response, reqwest::Error>,
) -> Result<Json, ApiError> {
    data(operation.clone(), read_whole(operation, answer).await?)
}

/// An answer, or why there is none. PVE puts the message into the status line.
pub(crate) async fn read_whole(
    operation: String,
    answer: Result<reqwest::Response, reqwest::Error>,
) -> Result<Json, ApiError> {
    let fault = |operation: String, message: String, kind| ApiError {
        operation,
        message,
        parameters: BTreeMap::new(),
        kind,
    };
    let response = match answer {
        Ok(response) => response,
        Err(error) => {
            let (message, kind) = explain(&error);
            return Err(fault(operation, message, kind));
        }
    };
    let status = response.status();
    let reason = response
        .extensions()
        .get::<hyper::ext::ReasonPhrase>()
        .map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned())
        .or_else(|| status.canonical_reason().map(String::from))
        .unwrap_or_default();
    let body = match response.bytes().await {
        Ok(body) => body,
        Err(error) => return Err(fault(operation, explain(&error).0, ErrorKind::Lost)),
    };
    let json: Json = serde_json::from_slice(&body).unwrap_or(Json::Null);
    if status.is_success() {
        return Ok(json);
    }
    let parameters: BTreeMap<String, String> = json
        .get("errors")
        .and_then(Json::as_object)
        .map(|errors| {
            errors
                .iter()
                .map(|(name, text)| (name.clone(), text.as_str().unwrap_or_default().trim().into()))
                .collect()
        })
        .unwrap_or_default();
    let stated = json.get("message").and_then(Json::as_str).map(|text| text.trim().to_string());
    let mut message = stated.filter(|text| text.len() > reason.len()).unwrap_or(reason);
    if status == reqwest::StatusCode::UNAUTHORIZED {
        message = format!("the server refused the login ({message})");
    }
    if !parameters.is_empty() {
        let faults: Vec<String> = parameters.iter().map(|(name, text)| format!("{name}: {text}")).collect();
        message = format!("{}: {}", message.trim_end_matches(['.', ' ', '\n']), faults.join("; "));
    }
    Err(ApiError { operation, message, parameters, kind: ErrorKind::Status(status.as_u16()) })
}

/// An error of the connection in words, and whether the request may have arrived.
fn explain(error: &reqwest::Error) -> (String, ErrorKind) {
    let mut causes = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes.push(tls::describe(cause));
        source = cause.source();
    }
    let root = causes.last().cloned().unwrap_or_else(|| "the connection failed".into());
    let about_certificate =
        causes.iter().any(|cause| cause.contains("certificate") || cause.contains("UnknownIssuer"));
    if error.is_connect() && causes.iter().any(|cause| cause.contains("ProtocolVersion")) {
        (format!("{NO_COMMON_TLS}: {root}"), ErrorKind::Unreachable)
    } else if error.is_connect() && about_certificate {
        (format!("the server's certificate is not trusted: {root}"), ErrorKind::Untrusted)
    } else if error.is_connect() || error.is_builder() {
        (format!("the server cannot be reached: {root}"), ErrorKind::Unreachable)
    } else if error.is_timeout() {
        ("the server did not answer in time".into(), ErrorKind::Lost)
    } else {
        (format!("the answer was lost: {root}"), ErrorKind::Lost)
    }
}
