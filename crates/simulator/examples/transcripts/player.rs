//! Sends the steps of a recording and compares what comes back.

use std::collections::HashMap;
use std::time::Duration;

use hyper::ext::ReasonPhrase;
use pve_simulator::{Server, Simulator};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, Url};
use serde_json::{Map, Value, json};

use crate::answer::{Answer, compare_answer, refreshed, running_task};
use crate::compare::Names;
use crate::recording::{Recording, Request, Step};
use crate::{Error, environment};

/// How long a task, or a listing that the status daemon refreshes, may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The time of the server that a step takes.
const STEP: Duration = Duration::from_millis(1);
/// The time of the server that a request takes that was not recorded.
const PREPARATION: Duration = Duration::from_millis(50);
/// The time of the server between two requests for what is waited for.
const PAUSE: Duration = Duration::from_millis(5);

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
