//! Logging in: tickets, API tokens, the check against forged requests, and passwords.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::Digest as _;

use super::users::{self, Token};
use super::{enforcement, permissions};
use crate::cluster::log::{self, Priority};
use crate::failure::Failure;
use crate::options::Options;
use crate::request::{Answer, Identity, Request};
use crate::router::Route;
use crate::state::State;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/access/ticket", |_| Ok(Value::Null)),
    ("POST", "/access/ticket", login),
    ("PUT", "/access/password", set_password),
    ("POST", "/access/vncticket", check_console_ticket),
    ("GET", "/access/openid", |_| Ok(json!([{ "subdir": "auth-url" }, { "subdir": "login" }]))),
    ("POST", "/access/openid/auth-url", authorization_url),
    // There is no provider that could have made a code.
    ("POST", "/access/openid/login", |_| Err(refused())),
];

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

/// Calls that need no login (PVE::HTTPServer, `auth_handler`).
pub(crate) fn is_open(method: &str, path: &str) -> bool {
    matches!(
        (method, path.trim_end_matches('/')),
        ("GET", "/access/domains" | "/access/ticket")
            | (
                "POST",
                "/access/ticket" | "/access/vncticket" | "/access/openid/login" | "/access/openid/auth-url"
            )
    )
}

/// Makes the token of the options one of its user's, without which nobody could begin.
pub(crate) fn register(state: &mut State, token: &str) {
    let Some((name, secret)) = token.split_once('=') else { return };
    let Some((user, id)) = name.split_once('!') else { return };
    let options = [("privsep".to_owned(), "0".to_owned())].into();
    let owner = state.access.users.entry(user.to_owned()).or_insert_with(|| users::User {
        options: [("enable", "1"), ("expire", "0")]
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .into(),
        ..users::User::default()
    });
    let token = owner.tokens.entry(id.to_owned()).or_insert(Token { options, secret: String::new() });
    token.secret = secret.to_owned();
    let all = super::roles::Entry {
        path: "/".to_owned(),
        kind: "user".to_owned(),
        member: user.to_owned(),
        role: "Administrator".to_owned(),
        propagate: true,
    };
    if user != "root@pam" && !state.access.entries.contains(&all) {
        state.access.entries.push(all);
    }
}

fn refused() -> Failure {
    Failure { status: 401, ..Failure::died("authentication failure") }
}

/// Whether this is a user's password; the options have that of `root@pam` until another one is set.
pub(crate) fn is_password(state: &State, settings: &Options, user: &str, password: &str) -> bool {
    let default = (user == "root@pam").then_some(&settings.password);
    let known = state.access.users.get(user).and_then(|account| account.password.as_ref()).or(default);
    known.is_some_and(|known| known == password)
}

fn login(request: &mut Request<'_>) -> Answer {
    let user = match request.get("realm") {
        Some(realm) => format!("{}@{realm}", request.text("username")),
        None => request.text("username"),
    };
    let stamp = format!("{:08X}", request.seconds());
    let password = request.text("password");
    let renewed =
        verify_ticket(request.state, &password, request.seconds()).is_some_and(|owner| owner == user);
    let Some(account) = request.state.access.users.get(&user) else { return Err(refused()) };
    let known = is_password(request.state, request.options, &user, &password);
    if !account.is_active(request.seconds()) || !(renewed || known) {
        return Err(refused());
    }
    let ticket = format!("PVE:{user}:{stamp}::{}", sign(request.state, &format!("ticket|{user}|{stamp}")));
    let csrf = format!("{stamp}:{}", sign(request.state, &format!("csrf|{user}|{stamp}")));
    let text = format!("successful auth for user '{user}'");
    log::write(request, Priority::Info, "root@pam", text);
    let capabilities = capabilities(request.state, &user);
    let mut row =
        json!({ "username": user, "ticket": ticket, "CSRFPreventionToken": csrf, "cap": capabilities });
    if let Some(name) = crate::cluster::name(request)
        && permissions::of(request.state, &user, "/").contains_key("Sys.Audit")
    {
        row["clustername"] = json!(name);
    }
    Ok(row)
}

/// What the web interface may show (PVE::RPCEnvironment, `compute_api_permission`).
fn capabilities(state: &State, user: &str) -> Value {
    let starts = |name: &str, prefixes: &[&str]| {
        name == "Permissions.Modify" || prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut found: Map<String, Value> = ["vms", "access", "storage", "nodes", "sdn", "dc", "mapping"]
        .map(|name| (name.to_owned(), json!({})))
        .into_iter()
        .collect();
    let top = ["/", "/nodes", "/access/groups", "/vms", "/storage", "/sdn", "/mapping"].map(str::to_owned);
    for path in top.into_iter().chain(state.access.entries.iter().map(|entry| entry.path.clone())) {
        let area = path.split('/').nth(1).filter(|area| !area.is_empty()).unwrap_or("dc").to_owned();
        for name in permissions::of(state, user, &path).into_keys() {
            let areas: &[&str] = match area.as_str() {
                "pool" if name.starts_with("VM.") => &["vms"],
                "pool" if name.starts_with("Datastore.") => &["storage"],
                "pool" if name == "Permissions.Modify" => &["storage", "vms"],
                "vms" if starts(&name, &["VM."]) => &["vms"],
                "access" if starts(&name, &["User.", "Group."]) => &["access"],
                "storage" if starts(&name, &["Datastore."]) => &["storage"],
                "nodes" if starts(&name, &["Sys."]) => &["nodes"],
                "sdn" if starts(&name, &["SDN."]) => &["sdn"],
                "mapping" if starts(&name, &["Mapping."]) => &["mapping"],
                "dc" if ["Sys.Audit", "Sys.Modify"].contains(&name.as_str()) || name.starts_with("SDN.") => {
                    &["dc"]
                }
                _ => &[],
            };
            for area in areas {
                if let Some(list) = found.get_mut(*area).and_then(Value::as_object_mut) {
                    list.insert(name.clone(), json!(1));
                }
            }
        }
    }
    Value::Object(found)
}

/// Refuses to change a user unless the caller is root or confirms with its own password
/// (PVE::RPCEnvironment, `reauth_user_for_user_modification`).
pub(super) fn confirm(request: &Request<'_>, parameter: &str) -> Result<(), Failure> {
    let (user, asker) = (request.text("userid"), request.identity.full_name());
    users::verify_name(&user)?;
    if !request.state.access.users.contains_key(&user) {
        return Err(users::missing(&user));
    }
    if asker == "root@pam" {
        return Ok(());
    }
    if user == "root@pam" {
        return Err(enforcement::refused());
    }
    let Some(given) = request.get(parameter) else {
        return Err(Failure::parameter(parameter, "password is required to modify user"));
    };
    let own = request.state.access.users.get(&asker).and_then(|account| account.password.as_deref());
    if own == Some(given) { Ok(()) } else { Err(Failure::died("authentication failure")) }
}

fn set_password(request: &mut Request<'_>) -> Answer {
    let (user, asker) = (request.text("userid"), request.identity.full_name());
    let realm = users::verify_name(&user)?.to_owned();
    if !request.state.access.users.contains_key(&user) {
        return Err(users::missing(&user));
    }
    if asker != "root@pam" && asker != user && realm == "pam" {
        return Err(enforcement::refused());
    }
    confirm(request, "confirmation-password")?;
    super::realms::check_password(request.state, &realm)?;
    let password = request.text("password");
    if let Some(account) = request.state.access.users.get_mut(&user) {
        account.password = Some(password);
    }
    let text = format!("changed password for user '{user}'");
    log::write(request, Priority::Info, "root@pam", text);
    Ok(Value::Null)
}

/// A ticket for one console, good for 40 s (PVE::AccessControl, `assemble_vnc_ticket`).
pub(crate) fn console_ticket(request: &Request<'_>, path: &str, port: u64) -> String {
    let stamp = format!("{:08X}", request.seconds());
    let who = request.identity.full_name();
    format!("PVEVNC:{stamp}::{}", sign(request.state, &format!("vnc|{who}|{path}|{port}|{stamp}")))
}

/// Refuses a ticket that was not made for this console.
pub(crate) fn check_console(
    request: &Request<'_>,
    who: &str,
    path: &str,
    port: u64,
    ticket: &str,
) -> Result<(), Failure> {
    let parts = ticket.strip_prefix("PVEVNC:").and_then(|rest| rest.split_once("::"));
    let valid = parts.is_some_and(|(stamp, signature)| {
        let made = u64::from_str_radix(stamp, 16).unwrap_or(0);
        signature == sign(request.state, &format!("vnc|{who}|{path}|{port}|{stamp}"))
            && request.seconds().saturating_sub(made) <= 40
    });
    if valid {
        Ok(())
    } else {
        Err(Failure { status: 401, ..Failure::died("permission denied - invalid PVEVNC ticket") })
    }
}

fn check_console_ticket(request: &mut Request<'_>) -> Answer {
    let (who, path) = (request.text("authid"), super::roles::normal_path(&request.text("path")));
    let port = request.number("port").unwrap_or(0);
    check_console(request, &who, &path, port, &request.text("vncticket")).map_err(|_| refused())?;
    let privileges = request.text("privs");
    let privileges: Vec<&str> = crate::schema::formats::split_list(&privileges).collect();
    let allowed = enforcement::privileges(request.state, &who, &path, &privileges, false).is_ok();
    if allowed && !privileges.is_empty() { Ok(Value::Null) } else { Err(refused()) }
}

/// Nobody answers at the issuer's address.
fn authorization_url(request: &mut Request<'_>) -> Answer {
    let realm = request.text("realm");
    let Some(options) = super::realms::FILE.sections(request.state).get(&realm) else {
        return Err(Failure::died(format!("authentication domain '{realm}' does not exist")));
    };
    let kind = options.get("type").map_or("", String::as_str);
    Err(Failure::died(match kind {
        "openid" => "Request failed".to_owned(),
        _ => format!("wrong realm type ({kind} != openid)"),
    }))
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
    credentials: &Credentials,
    changes: bool,
    now: u64,
) -> Result<Identity, Failure> {
    let failed = || Failure::bare(401, "Authentication failed!");
    let header = credentials.authorization.as_deref();
    let token = header
        .and_then(|text| text.strip_prefix("PVEAPIToken=").or_else(|| text.strip_prefix("PVEAPIToken ")));
    if let Some(token) = token {
        return verify_token(state, token, now).ok_or_else(failed);
    }
    let in_header = header.and_then(|text| text.strip_prefix("PVEAuthCookie="));
    let Some(ticket) = in_header.or(credentials.cookie.as_deref()) else {
        return Err(Failure::bare(401, "No ticket"));
    };
    let user = verify_ticket(state, ticket, now).ok_or_else(failed)?;
    if !state.access.users.get(&user).is_some_and(|account| account.is_active(now)) {
        return Err(failed());
    }
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

fn verify_token(state: &State, text: &str, now: u64) -> Option<Identity> {
    let (name, secret) = text.rsplit_once('=')?;
    let (user, id) = name.split_once('!')?;
    let owner = state.access.users.get(user).filter(|owner| owner.is_active(now))?;
    let token = owner.tokens.get(id).filter(|token| !users::has_ended(&token.options, now))?;
    (token.secret == secret).then(|| Identity { user: user.to_owned(), token: Some(id.to_owned()) })
}
