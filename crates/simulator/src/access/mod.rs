//! Who may ask: API tokens, tickets, and the check against forged requests.

mod built_in;
mod roles;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Digest as _;

use crate::failure::Failure;
use crate::options::Options;
use crate::request::{Answer, Identity, Request};
use crate::router::Route;
use crate::state::State;

pub(crate) use roles::ROUTES as ROLE_ROUTES;
pub(crate) use users::ROUTES as USER_ROUTES;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/access", |_| {
        let names = ["users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password"];
        Ok(names.iter().map(|name| json!({ "subdir": name })).collect())
    }),
    ("GET", "/access/domains", |_| {
        Ok(json!([
            { "realm": "pam", "type": "pam", "comment": "Linux PAM" },
            { "realm": "pve", "type": "pve", "comment": "Proxmox VE authentication server" },
        ]))
    }),
    ("POST", "/access/ticket", login),
];

/// Users, groups, roles and who has which. What they allow is not enforced: only root and its token can log in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Access {
    pub users: BTreeMap<String, users::User>,
    /// Group to comment.
    pub groups: BTreeMap<String, Option<String>>,
    /// Role to privileges, without the built-in ones.
    pub roles: BTreeMap<String, BTreeSet<String>>,
    pub entries: Vec<roles::Entry>,
}

impl Default for Access {
    fn default() -> Self {
        let options = [("enable".to_owned(), "1".to_owned())].into();
        let root = users::User { options, ..users::User::default() };
        Access {
            users: BTreeMap::from([("root@pam".to_owned(), root)]),
            groups: BTreeMap::new(),
            roles: BTreeMap::new(),
            entries: Vec::new(),
        }
    }
}

/// How long a ticket is good (PVE::AccessControl: two hours).
const TICKET_SECONDS: u64 = 2 * 60 * 60;

/// What a client shows.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    pub authorization: Option<String>,
    pub cookie: Option<String>,
    pub csrf: Option<String>,
}

fn sign(state: &State, text: &str) -> String {
    STANDARD_NO_PAD.encode(sha2::Sha256::digest(format!("{}|{text}", state.secret)))
}

fn login(request: &mut Request<'_>) -> Answer {
    let user = match request.get("realm") {
        Some(realm) => format!("{}@{realm}", request.text("username")),
        None => request.text("username"),
    };
    let user = if user.contains('@') { user } else { format!("{user}@pam") };
    let stamp = format!("{:08X}", request.seconds());
    let password = request.text("password");
    let renewed =
        verify_ticket(request.state, &password, request.seconds()).is_some_and(|owner| owner == user);
    if !(renewed || user == "root@pam" && password == request.options.password) {
        return Err(Failure::bare(401, "authentication failure"));
    }
    let ticket = format!("PVE:{user}:{stamp}::{}", sign(request.state, &format!("ticket|{user}|{stamp}")));
    let csrf = format!("{stamp}:{}", sign(request.state, &format!("csrf|{user}|{stamp}")));
    Ok(json!({ "username": user, "ticket": ticket, "CSRFPreventionToken": csrf, "cap": {
        "access": {}, "dc": {}, "mapping": {}, "nodes": {}, "sdn": {}, "storage": {}, "vms": {},
    } }))
}

fn verify_ticket(state: &State, ticket: &str, now: u64) -> Option<String> {
    let (head, signature) = ticket.split_once("::")?;
    let mut parts = head.split(':');
    let (kind, user, stamp) = (parts.next()?, parts.next()?, parts.next()?);
    let made = u64::from_str_radix(stamp, 16).ok()?;
    let valid = kind == "PVE"
        && signature == sign(state, &format!("ticket|{user}|{stamp}"))
        && now.saturating_sub(made) < TICKET_SECONDS;
    valid.then(|| user.to_owned())
}

/// Finds out who asks, or refuses with 401.
pub(crate) fn identify(
    state: &State,
    options: &Options,
    credentials: &Credentials,
    changes: bool,
    now: u64,
) -> Result<Identity, Failure> {
    if let Some(text) = &credentials.authorization {
        let token = text.strip_prefix("PVEAPIToken=").or_else(|| text.strip_prefix("PVEAPIToken "));
        let Some(token) = token else { return Err(Failure::bare(401, "No ticket")) };
        let known = options.token.as_deref().unwrap_or(&state.token);
        if token == known
            && let Some((name, _)) = token.split_once('=')
            && let Some((user, id)) = name.split_once('!')
        {
            return Ok(Identity { user: user.to_owned(), token: Some(id.to_owned()) });
        }
        let same_name = token.split('=').next() == known.split('=').next();
        let reason = if same_name { "invalid token value!" } else { "no such user or token" };
        return Err(Failure::bare(401, reason));
    }
    let Some(ticket) = &credentials.cookie else { return Err(Failure::bare(401, "No ticket")) };
    let Some(user) = verify_ticket(state, ticket, now) else {
        return Err(Failure::bare(401, "permission denied - invalid PVE ticket"));
    };
    if changes {
        let valid = credentials
            .csrf
            .as_deref()
            .and_then(|csrf| csrf.split_once(':'))
            .is_some_and(|(stamp, signature)| signature == sign(state, &format!("csrf|{user}|{stamp}")));
        if !valid {
            return Err(Failure::bare(401, "Permission denied - invalid csrf token"));
        }
    }
    Ok(Identity { user, token: None })
}
