//! The form of a recording (README.md beside the recordings).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// One scenario on one server.
#[derive(Debug, Deserialize)]
pub struct Recording {
    pub default_auth: String,
    pub steps: Vec<Step>,
}

impl Recording {
    /// The numbers of the steps that are not played, with those that ask for their task: what failed because the
    /// recorded server lacked a program, or because of a substituted piece. It had no effect there.
    pub fn unplayed(&self) -> Vec<usize> {
        let failed =
            self.steps.iter().filter(|step| step.lacked_program() || step.stubbed && step.has_failed());
        let tasks: Vec<&str> =
            failed.filter_map(|step| step.response.fields.get("data")?["upid"].as_str()).collect();
        let concerns = |step: &Step| {
            let answered = step.response.fields.get("data").and_then(Value::as_str);
            let refused = step.stubbed && matches!(step.response.status, 400 | 500);
            step.lacked_program()
                || refused
                || tasks.iter().any(|task| answered == Some(task) || step.request.path.contains(task))
        };
        (0..self.steps.len()).filter(|at| concerns(&self.steps[*at])).collect()
    }
}

impl Step {
    fn exit_status(&self) -> Option<&str> {
        self.response.fields.get("data").and_then(|data| data["exitstatus"].as_str())
    }

    fn has_failed(&self) -> bool {
        self.exit_status().is_some_and(|exit| exit != "OK")
    }

    fn lacked_program(&self) -> bool {
        [Some(self.response.reason.as_str()), self.exit_status()].iter().flatten().any(|text| {
            text.contains(" failed: open3: exec of ")
                || text.contains("genisoimage") && text.contains("failed: exit code")
        })
    }
}

/// A request and what was answered.
#[derive(Debug, Deserialize)]
pub struct Step {
    pub request: Request,
    pub response: Response,
    pub note: Option<String>,
    #[serde(default)]
    pub stubbed: bool,
}

/// What was sent.
#[derive(Debug, Deserialize)]
pub struct Request {
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub params: Map<String, Value>,
    pub auth: Option<String>,
    /// The node it went to, where that was not the first.
    pub sent_to: Option<String>,
    /// `application/json` where the parameters went as JSON.
    pub encoding: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub raw_body: Option<String>,
    pub raw_query: Option<String>,
    pub format: Option<String>,
}

/// What was answered; the fields of the body lie beside the status.
#[derive(Debug, Deserialize)]
pub struct Response {
    pub status: u16,
    pub reason: String,
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// Status in the body of the format `extjs`.
    pub body_status: Option<Value>,
    pub body: Option<String>,
    /// The body as it was, given beside its fields.
    #[serde(rename = "raw")]
    _raw: Option<String>,
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}
