//! An answer of the server, and how it differs from the recorded one.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::compare::{self, Names};
use crate::log;
use crate::recording::{Request, Response, Step};

/// An answer as it came.
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// The recorded task had ended when it was asked for; here it runs still.
pub fn running_task(request: &Request, recorded: &Response, answer: &Answer) -> bool {
    let ended = |data: Option<&Value>| data.and_then(|data| data["status"].as_str()) == Some("stopped");
    request.path.contains("/tasks/UPID:")
        && request.path.ends_with("/status")
        && ended(recorded.fields.get("data"))
        && serde_json::from_str::<Value>(&answer.body)
            .is_ok_and(|body| body["data"]["status"] == json!("running"))
}

/// What the status daemon or the manager of high availability brings up to date, some time after the change.
pub fn refreshed(request: &Request) -> bool {
    let late = matches!(request.path.as_str(), "/cluster/resources" | "/cluster/status" | "/cluster/log")
        || request.path.starts_with("/cluster/ha/status/")
        || request.path.ends_with("/status/current");
    request.method == "GET" && late
}

/// Notes what an answer has other than the recorded one.
pub fn compare_answer(step: &Step, answer: &Answer, names: &mut Names, found: &mut Vec<String>) {
    let recorded = &step.response;
    let status = |status: u16, reason: &str| json!(format!("{status} {reason}"));
    let (expected, actual) =
        (status(recorded.status, &recorded.reason), status(answer.status, &answer.reason));
    compare::compare("status", &expected, &actual, names, found);
    for (name, value) in &recorded.headers {
        let here = answer.headers.get(name.as_str()).and_then(|value| value.to_str().ok());
        // Lengths of texts with numbers in them differ from run to run.
        let same = match name.as_str() {
            "Date" | "Content-Length" => true,
            _ => here == value.as_deref(),
        };
        if !same {
            found.push(format!("header {name}: recorded {value:?}, here {here:?}"));
        }
    }
    if let Some(body) = &recorded.body {
        compare::compare("body", &json!(body), &json!(answer.body), names, found);
        return;
    }
    let mut expected = recorded.fields.clone();
    if let Some(status) = &recorded.body_status {
        expected.insert("status".to_owned(), status.clone());
    }
    let mut expected = Value::Object(expected);
    match serde_json::from_str::<Value>(&answer.body) {
        Ok(mut actual) if is_task_list(&expected) => {
            // Tasks of earlier recordings are not replayed; where the recorded page was full of them, this one's older
            // tasks are in their place.
            let mut known = usize::MAX;
            if let Some(rows) = expected["data"].as_array_mut() {
                let full = rows.len() as u64 == page(&step.request);
                rows.retain(|row| row["upid"].as_str().is_some_and(|upid| names.knows(upid)));
                known = if full { rows.len() } else { known };
            }
            if let Some(rows) = actual["data"].as_array_mut() {
                rows.retain(|row| row["upid"].as_str().is_some_and(|upid| names.has(upid)));
                rows.truncate(known);
            }
            for body in [&mut expected, &mut actual] {
                body.as_object_mut().and_then(|body| body.remove("total"));
            }
            compare::compare("", &expected, &actual, names, found);
        }
        Ok(actual) if log::lines(&expected).is_some() => compare_logs(&expected, &actual, names, found),
        Ok(actual) => compare::compare("", &expected, &actual, names, found),
        Err(_) => found.push(format!("body: here {:?}", answer.body)),
    }
}

/// How many tasks a list has at most.
fn page(request: &Request) -> u64 {
    let limit = request.params.get("limit");
    limit.and_then(|limit| limit.as_u64().or_else(|| limit.as_str()?.parse().ok())).unwrap_or(50)
}

fn is_task_list(body: &Value) -> bool {
    body["data"].as_array().is_some_and(|rows| {
        !rows.is_empty() && rows.iter().all(|row| row["upid"].is_string() && row["starttime"].is_number())
    })
}

fn compare_logs(expected: &Value, actual: &Value, names: &mut Names, found: &mut Vec<String>) {
    let (mut left, mut right) =
        (log::lines(expected).unwrap_or_default(), log::lines(actual).unwrap_or_default());
    // Volumes are copied in the order of a Perl hash; each has the next number there.
    if let Some(ordered) = log::in_same_order(&left, &right) {
        names.bind_volumes(&left, &right);
        (left, right) = ordered;
    }
    // Some logs were read while their task ran.
    let whole = left.last().is_some_and(|line| line.starts_with("TASK "));
    let count = if whole { left.len().max(right.len()) } else { left.len() };
    for at in 0..count {
        let line = |lines: &[String]| lines.get(at).map_or(Value::Null, |line| json!(line));
        compare::compare(&format!("line {at}"), &line(&left), &line(&right), names, found);
    }
}
