//! Sends the steps of a recording and compares what comes back.

use std::collections::HashMap;
use std::time::Duration;

use hyper::ext::ReasonPhrase;
use pve_simulator::{Server, Simulator};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, Url};
use serde_json::{Map, Value, json};

use crate::compare::{self, Names};
use crate::recording::{Recording, Request, Response, Step};
use crate::{Error, environment, log};

/// How long a task, or a listing that the status daemon refreshes, may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The time of the server that a step takes.
const STEP: Duration = Duration::from_millis(1);
/// The time of the server that a request takes that was not recorded.
const PREPARATION: Duration = Duration::from_millis(50);
/// The time of the server between two requests for what is waited for.
const PAUSE: Duration = Duration::from_millis(5);

/// An answer as it came.
struct Answer {
    status: u16,
    reason: String,
    headers: HeaderMap,
    body: String,
}

/// A client of one server.
pub struct Player {
    simulators: Vec<Simulator>,
    client: Client,
    endpoint: String,
    /// Of a server that is not the first one's node yet.
    newcomer: Option<String>,
    token: String,
    default_auth: String,
    names: Names,
    /// Ticket and CSRF token by endpoint and user.
    tickets: HashMap<(String, String), (String, String)>,
    /// Something runs that no answer names.
    background: bool,
    /// Secrets of tokens made on the way, by full token id.
    secrets: HashMap<String, String>,
    /// Passwords that users were given on the way.
    passwords: HashMap<String, String>,
}

impl Player {
    pub fn new(server: &Server, newcomer: Option<&Server>, recording: &Recording) -> Result<Self, Error> {
        // Another part of the process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let servers: Vec<&Server> = [Some(server), newcomer].into_iter().flatten().collect();
        let certificates: Vec<Certificate> = servers
            .iter()
            .map(|server| Certificate::from_pem(server.certificate.as_bytes()))
            .collect::<Result<_, _>>()?;
        let endpoint = |server: &Server| server.endpoint.trim_end_matches('/').to_owned();
        let client = Client::builder()
            .http1_only()
            .tls_certs_only(certificates)
            .timeout(Duration::from_secs(20))
            .build()?;
        Ok(Player {
            simulators: servers.iter().map(|server| server.simulator().clone()).collect(),
            client,
            endpoint: endpoint(server),
            newcomer: newcomer.map(endpoint),
            token: server.token.clone(),
            default_auth: recording.default_auth.clone(),
            names: Names::default(),
            tickets: HashMap::new(),
            background: false,
            secrets: HashMap::new(),
            passwords: HashMap::new(),
        })
    }

    /// Moves the clocks on.
    pub fn advance(&self, time: Duration) {
        self.simulators.iter().for_each(|simulator| simulator.advance(time));
    }

    /// The server that a request goes to.
    fn endpoint(&self, request: &Request) -> &str {
        let other =
            self.newcomer.as_ref().filter(|_| request.sent_to.as_deref() == Some(environment::NEWCOMER));
        other.unwrap_or(&self.endpoint)
    }

    /// Brings the server to where the recording begins.
    pub async fn prepare(&mut self, steps: &[environment::Preparation]) -> Result<(), Error> {
        for (method, path, params) in steps {
            let node = path.split('/').nth(2);
            let request: Request = serde_json::from_value(
                json!({ "method": method, "path": path, "params": params, "sent_to": node }),
            )?;
            let answer = self.send(&request).await?;
            if answer.status != 200 {
                return Err(format!("{method} {path}: {} {}", answer.status, answer.reason).into());
            }
            if *method == "DELETE" {
                // Until its task has ended.
                self.advance(PREPARATION);
            }
        }
        Ok(())
    }

    /// Sends a step, again while the recorded answer may still come, and says what differs.
    pub async fn play(&mut self, step: &Step) -> Result<Vec<String>, Error> {
        self.advance(STEP);
        let mut waited = Duration::ZERO;
        if step.request.method != "GET" && std::mem::take(&mut self.background) {
            self.settle(&step.request).await?;
        }
        // A container becomes a template in the background of its answer.
        self.background |= step.request.path.contains("/lxc/") && step.request.path.ends_with("/template");
        loop {
            let answer = self.send(&step.request).await?;
            self.learn(&step.request, &answer);
            let mut names = self.names.clone();
            let mut found = Vec::new();
            compare_answer(step, &answer, &mut names, &mut found);
            let changing = running_task(&step.request, &step.response, &answer)
                || (!found.is_empty() && refreshed(&step.request));
            if !changing || waited > PATIENCE {
                self.names = names;
                return Ok(found);
            }
            self.advance(PAUSE);
            waited += PAUSE;
        }
    }

    /// Waits until nothing runs on the node of a request.
    async fn settle(&mut self, request: &Request) -> Result<(), Error> {
        let node = request.path.split('/').nth(2).unwrap_or("localhost");
        let active: Request = serde_json::from_value(json!({
            "method": "GET", "path": format!("/nodes/{node}/tasks"), "params": { "source": "active" },
        }))?;
        let mut waited = Duration::ZERO;
        while waited < PATIENCE {
            let body: Value = serde_json::from_str(&self.send(&active).await?.body)?;
            if body["data"].as_array().is_none_or(Vec::is_empty) {
                break;
            }
            self.advance(PAUSE);
            waited += PAUSE;
        }
        Ok(())
    }

    async fn send(&mut self, request: &Request) -> Result<Answer, Error> {
        let format = request.format.as_deref().unwrap_or("json");
        let path = self.path(&request.path);
        let mut url = Url::parse(&format!("{}/api2/{format}{path}", self.endpoint(request)))?;
        let method = Method::from_bytes(request.method.as_bytes())?;
        let mut params = match self.names.translate_value(&Value::Object(request.params.clone())) {
            Value::Object(params) => params,
            _ => Map::new(),
        };
        for value in params.values_mut() {
            if let Some(text) = value.as_str() {
                let masked = text == "(masked)";
                *value =
                    json!(if masked { environment::PASSWORD.to_owned() } else { environment::expand(text) });
            }
        }
        let in_query = matches!(request.method.as_str(), "GET" | "DELETE") && request.raw_body.is_none();
        if let Some(query) = &request.raw_query {
            url.set_query(Some(query));
        } else if in_query && !params.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs(&params));
        }
        let mut builder = self.client.request(method, url);
        for (name, value) in self.credentials(request).await? {
            builder = builder.header(name, value);
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            headers.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
        builder = match (&request.raw_body, request.encoding.as_deref()) {
            (Some(body), _) if body == "<multipart>" => {
                let (kind, bytes) = environment::multipart(&params);
                headers.insert("content-type", HeaderValue::from_str(&kind)?);
                builder.body(bytes)
            }
            (Some(body), _) => builder.body(self.names.translate(body)),
            (None, Some("application/json")) => builder.json(&Value::Object(params)),
            (None, _) if in_query => builder,
            // Nothing is sent for a call without parameters.
            (None, _) if params.is_empty() => builder,
            (None, _) => builder.form(&pairs(&params)),
        };
        let response = builder.headers(headers).send().await?;
        let reason = match response.extensions().get::<ReasonPhrase>() {
            Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
            None => response.status().canonical_reason().unwrap_or_default().to_owned(),
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, reason, headers, body: response.text().await? })
    }

    /// The path in this run's names; an encoded one stays encoded.
    fn path(&self, recorded: &str) -> String {
        let recorded = environment::expand(recorded);
        let signs = [(":", "%3A"), ("@", "%40"), ("!", "%21")];
        if !recorded.contains("UPID%3A") {
            return self.names.translate(&recorded);
        }
        let (head, tail) = recorded.split_once("UPID").unwrap_or((&recorded, ""));
        let plain = signs.iter().fold(format!("UPID{tail}"), |text, (sign, code)| text.replace(code, sign));
        let translated = self.names.translate(&plain);
        let coded = signs.iter().fold(translated, |text, (sign, code)| text.replace(sign, code));
        format!("{head}{coded}")
    }

    /// The headers for how the recording was authenticated.
    async fn credentials(&mut self, request: &Request) -> Result<Vec<(&'static str, String)>, Error> {
        let default = self.default_auth.clone();
        let auth = request.auth.as_deref().unwrap_or(&default);
        let who = auth.split(' ').next().unwrap_or_default();
        if auth.starts_with("PVEAPIToken") || auth.starts_with("Bearer") || auth.starts_with("Basic") {
            return Ok(vec![("authorization", auth.to_owned())]);
        }
        if auth == "none" {
            return Ok(Vec::new());
        }
        if auth == "broken ticket" {
            return Ok(vec![("cookie", "PVEAuthCookie=PVE:root@pam:00000000::AAAA".to_owned())]);
        }
        if who.contains('!') {
            let own = self.token.split('=').next() == Some(who);
            let made = self.secrets.get(who).map(|secret| format!("{who}={secret}"));
            let token =
                if own { self.token.clone() } else { made.unwrap_or_else(|| format!("{who}=unknown")) };
            return Ok(vec![("authorization", format!("PVEAPIToken={token}"))]);
        }
        let endpoint = self.endpoint(request).to_owned();
        let (ticket, csrf) = self.ticket(endpoint, who).await?;
        let cookie = ("cookie", format!("PVEAuthCookie={ticket}"));
        Ok(match auth.split_once(' ').map(|(_, how)| how) {
            Some("(ticket cookie, no CSRF)" | "(ticket cookie)") => vec![cookie],
            Some("(ticket cookie, wrong CSRF)") => vec![cookie, ("csrfpreventiontoken", "wrong".to_owned())],
            Some("(ticket in Authorization header)") => {
                vec![("authorization", format!("PVEAuthCookie={ticket}"))]
            }
            _ => vec![cookie, ("csrfpreventiontoken", csrf)],
        })
    }

    async fn ticket(&mut self, endpoint: String, user: &str) -> Result<(String, String), Error> {
        let key = (endpoint, user.to_owned());
        if let Some(known) = self.tickets.get(&key) {
            return Ok(known.clone());
        }
        let password = self.passwords.get(user).map_or(environment::PASSWORD, String::as_str);
        let form = [("username", user), ("password", password)];
        let url = format!("{}/api2/json/access/ticket", key.0);
        let answer: Value =
            serde_json::from_str(&self.client.post(url).form(&form).send().await?.text().await?)
                .unwrap_or_default();
        let field = |name: &str| answer["data"][name].as_str().unwrap_or_default().to_owned();
        let both = (field("ticket"), field("CSRFPreventionToken"));
        self.tickets.insert(key, both.clone());
        Ok(both)
    }

    /// Keeps secrets that the recording masks, and passwords.
    fn learn(&mut self, request: &Request, answer: &Answer) {
        if request.method == "GET" {
            return;
        }
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let field = |name: &str| body["data"][name].as_str().map(str::to_owned);
        let sent = |name: &str| request.params.get(name).and_then(Value::as_str).map(str::to_owned);
        if let (Some(user), Some(password), 200) = (sent("userid"), sent("password"), answer.status) {
            self.passwords.insert(user, password);
        }
        if let (Some(id), Some(secret)) = (field("full-tokenid"), field("value")) {
            self.secrets.insert(id, secret);
        }
    }
}

/// Parameters as a form has them.
fn pairs(params: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let mut pairs = Vec::new();
    for (name, value) in params {
        match value {
            Value::Array(items) => pairs.extend(items.iter().map(|item| (name.clone(), text(item)))),
            one => pairs.push((name.clone(), text(one))),
        }
    }
    pairs
}

/// The recorded task had ended when it was asked for; here it runs still.
fn running_task(request: &Request, recorded: &Response, answer: &Answer) -> bool {
    let ended = |data: Option<&Value>| data.and_then(|data| data["status"].as_str()) == Some("stopped");
    request.path.contains("/tasks/UPID:")
        && request.path.ends_with("/status")
        && ended(recorded.fields.get("data"))
        && serde_json::from_str::<Value>(&answer.body)
            .is_ok_and(|body| body["data"]["status"] == json!("running"))
}

/// What the status daemon or the manager of high availability brings up to date, some time after the change.
fn refreshed(request: &Request) -> bool {
    let late = matches!(request.path.as_str(), "/cluster/resources" | "/cluster/status" | "/cluster/log")
        || request.path.starts_with("/cluster/ha/status/")
        || request.path.ends_with("/status/current");
    request.method == "GET" && late
}

fn compare_answer(step: &Step, answer: &Answer, names: &mut Names, found: &mut Vec<String>) {
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
