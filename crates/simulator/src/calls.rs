//! Calls as a client makes them, for tests of endpoints.

use serde_json::Value;

use crate::access::Credentials;
use crate::failure::Failure;
use crate::options::Options;
use crate::schema::Raw;
use crate::simulator::{Incoming, Reply, Simulator};

/// A simulator whose tasks end at once, and who asks it.
pub(crate) struct Calls {
    pub simulator: Simulator,
    credentials: Credentials,
}

/// Parameters; one that is given several times is a list.
type Parameters<'a> = &'a [(&'a str, &'a str)];

impl Calls {
    /// One node, asked by root with a ticket.
    pub fn new() -> Self {
        Calls::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        Calls::to(&Simulator::new(Options { task_duration: std::time::Duration::ZERO, ..options }))
    }

    /// Root with a ticket, on a simulator that there is.
    pub fn to(simulator: &Simulator) -> Self {
        let nobody = Calls { simulator: simulator.clone(), credentials: Credentials::default() };
        nobody.login("root@pam", &simulator.options().password)
    }

    /// Another server of the cluster, asked by the same one.
    pub fn at(&self, simulator: &Simulator) -> Self {
        let Credentials { authorization, cookie, csrf } = &self.credentials;
        let credentials =
            Credentials { authorization: authorization.clone(), cookie: cookie.clone(), csrf: csrf.clone() };
        Calls { simulator: simulator.clone(), credentials }
    }

    /// The same simulator asked by somebody else.
    pub fn login(&self, user: &str, password: &str) -> Self {
        let nobody = Calls { simulator: self.simulator.clone(), credentials: Credentials::default() };
        let made = nobody.ok("POST", "/access/ticket", &[("username", user), ("password", password)]);
        let field = |name: &str| made[name].as_str().map(str::to_owned);
        let credentials =
            Credentials { authorization: None, cookie: field("ticket"), csrf: field("CSRFPreventionToken") };
        Calls { simulator: self.simulator.clone(), credentials }
    }

    /// The same simulator asked with a token, `USER!ID=SECRET`.
    pub fn token(&self, token: &str) -> Self {
        let authorization = Some(format!("PVEAPIToken={token}"));
        Calls {
            simulator: self.simulator.clone(),
            credentials: Credentials { authorization, ..Credentials::default() },
        }
    }

    /// Adds a user of the realm `pve` with these roles at paths, and asks as that user.
    pub fn user(&self, name: &str, roles: Parameters<'_>) -> Self {
        self.ok("POST", "/access/users", &[("userid", name), ("password", "secret12")]);
        for (path, role) in roles {
            self.ok("PUT", "/access/acl", &[("path", path), ("roles", role), ("users", name)]);
        }
        self.login(name, "secret12")
    }

    fn send(&self, method: &str, path: &str, parameters: Parameters<'_>) -> Result<Value, Failure> {
        let mut sent: std::collections::BTreeMap<String, Raw> = std::collections::BTreeMap::new();
        for (name, value) in parameters {
            let value = (*value).to_owned();
            match sent.remove(*name) {
                None => sent.insert((*name).to_owned(), Raw::Text(value)),
                Some(Raw::Text(first)) => sent.insert((*name).to_owned(), Raw::List(vec![first, value])),
                Some(Raw::List(mut items)) => {
                    items.push(value);
                    sent.insert((*name).to_owned(), Raw::List(items))
                }
                Some(other) => sent.insert((*name).to_owned(), other),
            };
        }
        let credentials = self.at(&self.simulator).credentials;
        let incoming = Incoming {
            method: method.to_owned(),
            path: path.to_owned(),
            parameters: sent,
            credentials,
            ..Incoming::default()
        };
        match self.simulator.handle(incoming) {
            Reply::Data { data, .. } => Ok(data),
            Reply::Text(text) => Ok(Value::String(text)),
            Reply::Failed(failure) => Err(failure),
            Reply::Disconnect => panic!("{method} {path}: no answer"),
        }
    }

    /// The data of a call that is answered.
    pub fn ok(&self, method: &str, path: &str, parameters: Parameters<'_>) -> Value {
        self.send(method, path, parameters).unwrap_or_else(|failure| panic!("{method} {path}: {failure:?}"))
    }

    pub fn get(&self, path: &str) -> Value {
        self.ok("GET", path, &[])
    }

    /// The refusal of a call: status, reason, and the parameters with their errors.
    pub fn refused(&self, method: &str, path: &str, parameters: Parameters<'_>) -> String {
        match self.send(method, path, parameters) {
            Ok(data) => panic!("{method} {path}: {data}"),
            Err(failure) => {
                let errors =
                    failure.errors.iter().map(|(name, text)| format!(" [{name}: {}]", text.trim_end()));
                format!("{} {}{}", failure.status, failure.reason, errors.collect::<String>())
            }
        }
    }

    /// The exit status of a task that has ended, and its log.
    pub fn task(&self, upid: &Value) -> (String, Vec<String>) {
        let upid = upid.as_str().unwrap_or_else(|| panic!("{upid} is no task"));
        let node = upid.split(':').nth(1).unwrap_or_default();
        let base = format!("/nodes/{node}/tasks/{upid}");
        let status = self.get(&format!("{base}/status"));
        let log = self.get(&format!("{base}/log"));
        let lines =
            log.as_array().into_iter().flatten().map(|row| row["t"].as_str().unwrap_or_default().to_owned());
        (status["exitstatus"].as_str().unwrap_or("running").to_owned(), lines.collect())
    }
}
