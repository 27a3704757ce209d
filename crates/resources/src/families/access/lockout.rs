//! Changes that would take permissions from the user or token that makes them are refused: nobody could put them right
//! from here afterwards.

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::Value as Json;

use crate::cluster::{Call, Method, failed, refused};
use crate::values::{all_blocks, flag, text, texts};

/// The environment variable that allows it.
pub(crate) const OVERRIDE: &str = "PVE_ALLOW_LOCKOUT";

/// The user and the token, if one is used, that requests are made as.
fn session(call: &Call<'_>) -> (String, Option<String>) {
    let who = call.cluster.api.user();
    match who.split_once('!') {
        Some((user, _)) => (user.to_string(), Some(who.clone())),
        None => (who, None),
    }
}

fn refuse(call: &Call<'_>, what: &str) -> Result<(), ProviderError> {
    if call.cluster.allow_lockout {
        return Ok(());
    }
    let (user, token) = session(call);
    let message =
        format!("change {}: {what} {}, which makes this very change", call.object, token.unwrap_or(user));
    let hint = format!("log in as somebody else, or set {OVERRIDE}=1 to do it all the same");
    Err(refused(message, Some(&hint)))
}

fn expires(value: &Value) -> Option<i64> {
    let date: jiff::Timestamp = text(value, "expiration_date")?.parse().ok()?;
    Some(date.as_second()).filter(|seconds| *seconds != 0)
}

/// Whether an expiry is new and has passed.
fn is_expired_by(prior: &Value, planned: &Value) -> bool {
    let now = jiff::Timestamp::now().as_second();
    expires(planned).is_some_and(|date| date <= now && expires(prior) != Some(date))
}

/// A user that is deleted, disabled, expired, taken out of a group, or whose entries change.
pub(super) async fn guard_user(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: Option<&Value>,
) -> Result<(), ProviderError> {
    let Some(prior) = prior else { return Ok(()) };
    let (own, _) = session(call);
    if text(prior, "user_id") != Some(own.as_str()) {
        return Ok(());
    }
    let Some(planned) = planned else { return refuse(call, "deleting it locks out") };
    let groups = texts(planned, "groups");
    match () {
        () if flag(planned, "enabled") == Some(false) && flag(prior, "enabled") != Some(false) => {
            refuse(call, "disabling it locks out")
        }
        () if is_expired_by(prior, planned) => refuse(call, "an expiry that has passed locks out"),
        () if texts(prior, "groups").iter().any(|group| !groups.contains(group)) => {
            refuse(call, "leaving a group takes permissions from")
        }
        () => guard_blocks(call, ("user", &own), prior, planned).await,
    }
}

/// A token that is deleted, expired, or separated from the privileges of its user.
pub(super) fn guard_token(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: Option<&Value>,
) -> Result<(), ProviderError> {
    let Some(prior) = prior else { return Ok(()) };
    let id =
        text(prior, "user_id").zip(text(prior, "token_name")).map(|(user, name)| format!("{user}!{name}"));
    if id.is_none() || id != session(call).1 {
        return Ok(());
    }
    let Some(planned) = planned else { return refuse(call, "deleting it locks out") };
    let separated = |value| flag(value, "privileges_separation") != Some(false);
    match () {
        () if is_expired_by(prior, planned) => refuse(call, "an expiry that has passed locks out"),
        () if separated(planned) && !separated(prior) => {
            refuse(call, "separating its privileges takes permissions from")
        }
        () => Ok(()),
    }
}

/// The groups of the user that requests are made as, and what they may do: `None` for root, who may do everything.
async fn own_entries(call: &Call<'_>) -> Result<Option<(Vec<String>, Vec<Json>)>, ProviderError> {
    let (user, token) = session(call);
    if call.cluster.allow_lockout || user == "root@pam" && token.is_none() {
        return Ok(None);
    }
    let read =
        |error: &_| failed(format!("change {}: look for the permissions of {user}", call.object), error);
    let own = call.cluster.get(&format!("/access/users/{user}")).await.map_err(|error| read(&error))?;
    let groups = match own.get("groups") {
        Some(Json::Array(groups)) => groups.iter().filter_map(Json::as_str).map(str::to_string).collect(),
        Some(Json::String(groups)) => groups.split(',').map(str::to_string).collect(),
        _ => Vec::new(),
    };
    let list = call.cluster.get("/access/acl").await.map_err(|error| read(&error))?;
    Ok(Some((groups, list.as_array().cloned().unwrap_or_default())))
}

fn is_own(call: &Call<'_>, groups: &[String], kind: &str, name: &str) -> bool {
    let (user, token) = session(call);
    match kind {
        "group" => groups.iter().any(|group| group == name),
        "token" => token.as_deref() == Some(name),
        _ => user == name,
    }
}

/// A group that is deleted, or whose entries change, and that the user is in.
pub(super) async fn guard_group(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: Option<&Value>,
) -> Result<(), ProviderError> {
    let Some(prior) = prior else { return Ok(()) };
    let name = text(prior, "group_id").unwrap_or_default();
    if let Some(planned) = planned {
        return guard_blocks(call, ("group", name), prior, planned).await;
    }
    match own_entries(call).await? {
        Some((groups, _)) if groups.iter().any(|group| group == name) => {
            refuse(call, "deleting it takes permissions from")
        }
        _ => Ok(()),
    }
}

/// A role that loses privileges, and that the user or token has somewhere.
pub(super) async fn guard_role(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: Option<&Value>,
) -> Result<(), ProviderError> {
    let Some(prior) = prior else { return Ok(()) };
    let left = planned.map(|planned| texts(planned, "privileges")).unwrap_or_default();
    if texts(prior, "privileges").iter().all(|privilege| left.contains(privilege)) {
        return Ok(());
    }
    let name = text(prior, "role_id").unwrap_or_default();
    let Some((groups, entries)) = own_entries(call).await? else { return Ok(()) };
    let part =
        |entry: &Json, name: &str| entry.get(name).and_then(Json::as_str).unwrap_or_default().to_string();
    let has = |entry: &Json| {
        part(entry, "roleid") == name && is_own(call, &groups, &part(entry, "type"), &part(entry, "ugid"))
    };
    if entries.iter().any(has) { refuse(call, "it takes privileges from") } else { Ok(()) }
}

/// An entry that is deleted or no longer propagates, and that is the user's or token's own or its group's.
pub(super) async fn guard_acl(
    call: &Call<'_>,
    holder: Option<(&'static str, &str)>,
    prior: Option<&Value>,
    planned: Option<&Value>,
) -> Result<(), ProviderError> {
    let (Some((kind, name)), Some(prior)) = (holder, prior) else { return Ok(()) };
    let stays = planned.is_some_and(|planned| {
        flag(planned, "propagate") == Some(true) || flag(prior, "propagate") == Some(false)
    });
    if stays {
        return Ok(());
    }
    match own_entries(call).await? {
        Some((groups, _)) if is_own(call, &groups, kind, name) => refuse(call, "it takes permissions from"),
        _ => Ok(()),
    }
}

/// An entry that is new and may say less than what counts on its path so far: of a user, a token and their groups the
/// nearest entry counts, in place of all above it (PVE::AccessControl::roles).
pub(super) async fn guard_new_entry(
    call: &Call<'_>,
    (kind, name): (&'static str, &str),
    entry: &Value,
) -> Result<(), ProviderError> {
    if kind != "group" && !is_own(call, &[], kind, name) {
        return Ok(());
    }
    let Some((groups, entries)) = own_entries(call).await? else { return Ok(()) };
    if !is_own(call, &groups, kind, name) {
        return Ok(());
    }
    let (path, role) = (text(entry, "path").unwrap_or_default(), text(entry, "role_id").unwrap_or_default());
    let is_beside = |other: &Json| other["path"] == path && other["type"] == kind && other["ugid"] == name;
    if role != "NoAccess" && entries.iter().any(is_beside) {
        return Ok(());
    }
    let read =
        |error: &_| failed(format!("change {}: look for the permissions on {path}", call.object), error);
    let params = [("path".to_string(), path.to_string())];
    let held = call.cluster.api.send(Method::Get, "/access/permissions", &params).await;
    let held = held.map_err(|error| read(&error))?;
    let given = call.cluster.get(&format!("/access/roles/{role}")).await.map_err(|error| read(&error))?;
    let mut held = held.get(path).and_then(Json::as_object).into_iter().flatten();
    match held.all(|(privilege, _)| given.get(privilege).is_some()) {
        true => Ok(()),
        false => refuse(call, &format!("on {path}, {role} says less than what counts there so far for")),
    }
}

/// Entries that are blocks of a user or a group.
async fn guard_blocks(
    call: &Call<'_>,
    holder: (&'static str, &str),
    prior: &Value,
    planned: &Value,
) -> Result<(), ProviderError> {
    let (before, after) = (all_blocks(prior, "acl"), all_blocks(planned, "acl"));
    let is_same =
        |a: &Value, b: &Value| ["path", "role_id"].iter().all(|name| text(a, name) == text(b, name));
    for entry in before {
        let stays = after.iter().find(|other| is_same(entry, other));
        guard_acl(call, Some(holder), Some(entry), stays).await?;
    }
    for entry in after.iter().filter(|entry| !before.iter().any(|other| is_same(entry, other))) {
        guard_new_entry(call, holder, entry).await?;
    }
    Ok(())
}
