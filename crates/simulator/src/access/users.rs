//! Users and their tokens.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema::formats::split_list;
use crate::state::Options;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/access/users", list),
    ("POST", "/access/users", create),
    ("GET", "/access/users/{userid}", read),
    ("PUT", "/access/users/{userid}", update),
    ("DELETE", "/access/users/{userid}", delete),
    ("GET", "/access/users/{userid}/token", tokens),
    ("GET", "/access/users/{userid}/token/{tokenid}", read_token),
    ("POST", "/access/users/{userid}/token/{tokenid}", create_token),
    ("PUT", "/access/users/{userid}/token/{tokenid}", update_token),
    ("DELETE", "/access/users/{userid}/token/{tokenid}", delete_token),
];

/// A user; `options` has what `POST /access/users` was given.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct User {
    pub options: Options,
    pub groups: BTreeSet<String>,
    pub tokens: std::collections::BTreeMap<String, Token>,
    #[serde(default)]
    pub password: Option<String>,
    #[serde(default)]
    pub factors: Vec<super::factors::Factor>,
}

/// An API token. Its secret is answered once, when it is made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Token {
    pub options: Options,
    pub secret: String,
}

impl User {
    /// Whether the user may log in now, in seconds since the epoch.
    pub fn is_active(&self, now: u64) -> bool {
        self.options.get("enable").is_some_and(|value| value == "1") && !has_ended(&self.options, now)
    }
}

/// Whether the time that `expire` names is over; 0 is never.
pub(super) fn has_ended(options: &Options, now: u64) -> bool {
    let ends = options.get("expire").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    ends > 0 && ends < now
}

/// Checks a user's name and gives its realm (PVE::Auth::Plugin, `verify_username`).
///
/// # Errors
/// The name is too short, too long, or has characters that no name has.
pub(crate) fn verify_name(name: &str) -> Result<&str, Failure> {
    let length = name.chars().count();
    if length < 3 {
        return Err(Failure::died(format!("user name '{name}' is too short")));
    }
    if length > 64 {
        return Err(Failure::died(format!("user name '{name}' is too long ({length} > 64)")));
    }
    let realm = name.rsplit_once('@').filter(|(user, realm)| {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        !user.is_empty()
            && !user.contains(|sign: char| sign.is_whitespace() || sign == ':' || sign == '/')
            && realm.len() > 1
            && realm.starts_with(|sign: char| sign.is_ascii_alphabetic())
            && realm.bytes().all(word)
    });
    match realm {
        Some((_, realm)) => Ok(realm),
        None => Err(Failure::died(format!("value '{name}' does not look like a valid user name"))),
    }
}

fn number(text: Option<&String>, default: i64) -> Value {
    json!(text.and_then(|text| text.parse::<i64>().ok()).unwrap_or(default))
}

fn shown(options: &Options) -> Map<String, Value> {
    let mut row = Map::new();
    for (key, text) in options {
        row.insert(
            key.clone(),
            if matches!(key.as_str(), "enable" | "expire" | "privsep") {
                number(Some(text), 0)
            } else {
                json!(text)
            },
        );
    }
    row
}

/// As the line of a user in `user.cfg` is read: nothing is empty but an address before fields that are not.
fn shown_user(user: &User) -> Map<String, Value> {
    let mut row = shown(&user.options);
    row.retain(|_, value| *value != json!(""));
    if ["comment", "keys"].iter().any(|key| row.contains_key(*key)) {
        row.entry("email").or_insert(json!(""));
    }
    row.entry("enable").or_insert(json!(0));
    row
}

fn shown_token(token: &Token) -> Map<String, Value> {
    let mut row = shown(&token.options);
    row.entry("expire").or_insert(json!(0));
    row.entry("privsep").or_insert(json!(1));
    row
}

pub(super) fn missing(user: &str) -> Failure {
    Failure::died(format!("no such user ('{user}')"))
}

fn user<'a>(request: &'a Request<'_>) -> Result<&'a User, Failure> {
    let name = request.text("userid");
    request.state.access.users.get(&name).ok_or_else(|| missing(&name))
}

fn user_mut<'a>(request: &'a mut Request<'_>) -> Result<&'a mut User, Failure> {
    let name = request.text("userid");
    request.state.access.users.get_mut(&name).ok_or_else(|| missing(&name))
}

fn list(request: &mut Request<'_>) -> Answer {
    let (full, enabled) = (request.flag("full"), request.get("enabled").map(str::to_owned));
    let audit = ["User.Modify", "Sys.Audit"];
    let all = request.allows_any("/access/groups", &audit);
    let may_see = |name: &String, user: &User| {
        all || *name == request.identity.full_name()
            || user.groups.iter().any(|group| request.allows_any(&format!("/access/groups/{group}"), &audit))
    };
    let rows =
        request.state.access.users.iter().filter(|(name, user)| may_see(name, user)).filter(|(_, user)| {
            let on = user.options.get("enable").is_some_and(|value| value == "1");
            enabled.as_deref().is_none_or(|wanted| (wanted == "1") == on)
        });
    Ok(rows
        .map(|(name, user)| {
            let mut row = shown_user(user);
            row.insert("userid".to_owned(), json!(name));
            let realm = name.rsplit('@').next().unwrap_or_default();
            if let Some(kind) = super::realms::kind(request.state, realm) {
                row.insert("realm-type".to_owned(), json!(kind));
            }
            if full {
                let groups: Vec<&str> = user.groups.iter().map(String::as_str).collect();
                row.insert("groups".to_owned(), json!(groups.join(",")));
                row.insert("tokens".to_owned(), token_list(user));
            }
            Value::Object(row)
        })
        .collect())
}

fn token_list(user: &User) -> Value {
    if user.tokens.is_empty() {
        return Value::Null;
    }
    let rows = user.tokens.iter().map(|(name, token)| {
        let mut row = shown_token(token);
        row.insert("tokenid".to_owned(), json!(name));
        Value::Object(row)
    });
    rows.collect()
}

/// The fields a request sets.
fn fields(request: &Request<'_>) -> Options {
    let kept = ["comment", "email", "enable", "expire", "firstname", "lastname", "keys"];
    let set = request.parameters.iter().filter(|(key, _)| kept.contains(&key.as_str()));
    set.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn wanted_groups(request: &Request<'_>, prefix: &str) -> Result<Option<BTreeSet<String>>, Failure> {
    let Some(list) = request.get("groups") else { return Ok(None) };
    let groups: BTreeSet<String> = split_list(list).map(str::to_owned).collect();
    match groups.iter().find(|group| !request.state.access.groups.contains_key(*group)) {
        Some(group) => Err(Failure::died(format!("{prefix}no such group '{group}'"))),
        None => Ok(Some(groups)),
    }
}

fn create(request: &mut Request<'_>) -> Answer {
    let name = request.text("userid");
    if request.state.access.users.contains_key(&name) {
        return Err(Failure::died(format!("create user failed: user '{name}' already exists")));
    }
    let realm = verify_name(&name)?;
    if request.get("password").is_some() {
        super::realms::check_password(request.state, realm)
            .map_err(|failure| Failure::died(format!("create user failed: {}", failure.reason)))?;
    }
    let groups = wanted_groups(request, "create user failed: ")?.unwrap_or_default();
    let mut options = fields(request);
    options.entry("enable".to_owned()).or_insert_with(|| "1".to_owned());
    options.entry("expire".to_owned()).or_insert_with(|| "0".to_owned());
    let password = request.get("password").map(str::to_owned);
    request.state.access.users.insert(name, User { options, groups, password, ..User::default() });
    Ok(Value::Null)
}

fn read(request: &mut Request<'_>) -> Answer {
    let user = user(request)?;
    let mut row = shown_user(user);
    row.insert("groups".to_owned(), json!(user.groups));
    let tokens: Map<String, Value> =
        user.tokens.iter().map(|(name, token)| (name.clone(), Value::Object(shown_token(token)))).collect();
    row.insert("tokens".to_owned(), if tokens.is_empty() { Value::Null } else { Value::Object(tokens) });
    Ok(Value::Object(row))
}

fn update(request: &mut Request<'_>) -> Answer {
    user(request)?;
    let (set, append) = (fields(request), request.flag("append"));
    let groups = wanted_groups(request, "update user failed: ")?;
    let user = user_mut(request)?;
    user.options.extend(set);
    if let Some(groups) = groups {
        if !append {
            user.groups.clear();
        }
        user.groups.extend(groups);
    }
    Ok(Value::Null)
}

fn delete(request: &mut Request<'_>) -> Answer {
    let name = request.text("userid");
    let removed = request.state.access.users.remove(&name);
    // Root's permissions are not checked, and nothing else looks whether the user is there.
    if removed.is_none() && !request.identity.is_root() {
        return Err(missing(&name));
    }
    if name == "root@pam" {
        // It is always there, whatever the file says (PVE::AccessControl, `userconfig_force_defaults`).
        let options = [("enable".to_owned(), "1".to_owned())].into();
        request.state.access.users.insert(name.clone(), User { options, ..User::default() });
    }
    let token = format!("{name}!");
    request.state.access.entries.retain(|entry| entry.member != name && !entry.member.starts_with(&token));
    Ok(Value::Null)
}

fn missing_token(request: &Request<'_>) -> Failure {
    let (user, token) = (request.text("userid"), request.text("tokenid"));
    Failure::died(format!("no such token '{token}' for user '{user}'"))
}

fn tokens(request: &mut Request<'_>) -> Answer {
    Ok(match token_list(user(request)?) {
        Value::Null => json!([]),
        rows => rows,
    })
}

fn read_token(request: &mut Request<'_>) -> Answer {
    let token = user(request)?.tokens.get(&request.text("tokenid"));
    Ok(Value::Object(shown_token(token.ok_or_else(|| missing_token(request))?)))
}

fn token_fields(request: &Request<'_>) -> Options {
    let kept = ["comment", "expire", "privsep"];
    let set = request.parameters.iter().filter(|(key, _)| kept.contains(&key.as_str()));
    set.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn create_token(request: &mut Request<'_>) -> Answer {
    let (name, token) = (request.text("userid"), request.text("tokenid"));
    let owner = user(request)?;
    if owner.tokens.contains_key(&token) {
        return Err(Failure::parameter("tokenid", "Token already exists."));
    }
    let mut options = token_fields(request);
    options.retain(|key, text| key != "comment" || !text.is_empty());
    let mut info = json!(options);
    if !options.contains_key("privsep") {
        options.insert("privsep".to_owned(), "1".to_owned());
        info["privsep"] = json!(1);
    }
    let secret = uuid::Uuid::new_v4().to_string();
    user_mut(request)?.tokens.insert(token.clone(), Token { options, secret: secret.clone() });
    Ok(json!({ "full-tokenid": format!("{name}!{token}"), "value": secret, "info": info }))
}

fn update_token(request: &mut Request<'_>) -> Answer {
    let (token, set) = (request.text("tokenid"), token_fields(request));
    user(request)?.tokens.get(&token).ok_or_else(|| missing_token(request))?;
    let delete: Vec<String> =
        split_list(request.get("delete").unwrap_or_default()).map(str::to_owned).collect();
    if let Some(other) = delete.iter().find(|key| *key != "comment") {
        let text = format!("unknown option '{other}'");
        return Err(Failure::nested("updating token info failed: ", "delete", &text));
    }
    let present = user_mut(request)?.tokens.entry(token).or_default();
    present.options.extend(set.clone());
    present.options.retain(|key, text| key != "comment" || !(text.is_empty() || delete.contains(key)));
    let mut row = shown_token(present);
    // What was sent comes back as it came.
    let kept = set.into_iter().filter(|(key, _)| present.options.contains_key(key));
    row.extend(kept.map(|(key, value)| (key, json!(value))));
    Ok(Value::Object(row))
}

fn delete_token(request: &mut Request<'_>) -> Answer {
    let missing = missing_token(request);
    let (user, token) = (request.text("userid"), request.text("tokenid"));
    user_mut(request)?.tokens.remove(&token).ok_or(missing)?;
    let member = format!("{user}!{token}");
    request.state.access.entries.retain(|entry| entry.member != member);
    Ok(Value::Null)
}
