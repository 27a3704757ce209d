//! Changes that would take permissions from the user or token that makes them are refused: nobody could put them right
//! from here afterwards.

use std::collections::{BTreeMap, BTreeSet};

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::Value as Json;

use super::permissions::{Access, Change, Entry, Held, Holder, Loss};
use crate::cluster::{ApiError, Cluster, Method, elements, failed, refused};
use crate::values::{flag, text};

/// The environment variable that allows it.
pub(crate) const OVERRIDE: &str = "PVE_ALLOW_LOCKOUT";

/// The user and the token, if one is used, that requests are made as.
fn session(cluster: &Cluster) -> (String, Option<String>) {
    let who = cluster.api.user();
    match who.split_once('!') {
        Some((user, _)) => (user.to_string(), Some(who.clone())),
        None => (who, None),
    }
}

/// Those of the changes that may matter to whoever makes them. None of them does where lockouts are allowed.
pub(crate) fn concerning(cluster: &Cluster, changes: Vec<Change>) -> Vec<Change> {
    if cluster.allow_lockout {
        return Vec::new();
    }
    let (user, token) = session(cluster);
    changes.into_iter().filter(|change| Access::concerns(&user, token.as_deref(), change)).collect()
}

/// Refuses what takes a privilege on any path, or the login. What was read is kept for what only leaves a pool after
/// it: that changes nothing of what decides.
///
/// # Errors
/// Also when the permissions cannot be read.
pub(crate) async fn guard(
    cluster: &Cluster,
    kept: &mut Option<Review>,
    changes: &[Change],
) -> Result<(), ProviderError> {
    // Whatever else there is to know.
    if let Some(how) = changes.iter().find_map(Change::shuts) {
        return Err(refuse(&cluster.api.user(), &Loss::Login(how), changes));
    }
    let only_leaves = changes.iter().all(|change| matches!(change, Change::Leave { .. }));
    let mut review = match kept.take().filter(|_| only_leaves) {
        Some(review) => review,
        None => Review::start(cluster).await?,
    };
    let told = review.look_at(changes);
    *kept = only_leaves.then_some(review);
    told
}

/// Changes one after the other, none of which may take away what was there before the first.
pub(crate) struct Review {
    before: Access,
    held: Held,
    made: Vec<Change>,
}

impl Review {
    /// # Errors
    /// When it cannot be read what decides about the permissions.
    pub(crate) async fn start(cluster: &Cluster) -> Result<Review, ProviderError> {
        let (before, held) = read(cluster).await?;
        Ok(Review { before, held, made: Vec::new() })
    }

    /// Looks at changes that follow those before.
    ///
    /// # Errors
    /// When they take something away, or that cannot be told; then they count as not made.
    pub(crate) fn look_at(&mut self, changes: &[Change]) -> Result<(), ProviderError> {
        if let Some((privilege, path)) = self.before.unexplained(&self.held, changes) {
            let message = format!(
                "cannot tell what {} may do afterwards: it has {privilege} on {path}, and the entry that gives it is not shown",
                self.before.who()
            );
            let hint = format!("give it Sys.Audit on /access, or set {OVERRIDE}=1 to do it all the same");
            return Err(refused(message, Some(&hint)));
        }
        let known = self.made.len();
        self.made.extend_from_slice(changes);
        match self.before.loss(&self.made).or_else(|| self.before.leaves(&self.held, &self.made)) {
            Some(loss) => {
                self.made.truncate(known);
                Err(refuse(self.before.who(), &loss, changes))
            }
            None => {
                self.made.retain(|change| !matches!(change, Change::Leave { .. }));
                Ok(())
            }
        }
    }
}

fn refuse(who: &str, loss: &Loss, changes: &[Change]) -> ProviderError {
    let message = match loss {
        Loss::Login(how) => format!("{how} locks out {who}, which makes this very change"),
        Loss::Privilege { privilege, path, more } => {
            let more = match more {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            format!("it takes {privilege} on {path}{more} from {who}, which makes this very change")
        }
    };
    let mut hint = format!("log in as somebody else, or set {OVERRIDE}=1 to do it all the same");
    if let [Change::Revoke(_)] = changes {
        hint += "; a proxmox_acl that is replaced stays until the other is there with create_before_destroy in its \
                 lifecycle block";
    }
    refused(message, Some(&hint))
}

/// What decides about the permissions of whoever makes requests, and what those are.
async fn read(cluster: &Cluster) -> Result<(Access, Held), ProviderError> {
    let (user, token) = session(cluster);
    let fail =
        |error: &_| failed(format!("cannot tell what {} may do afterwards", cluster.api.user()), error);
    if user == "root@pam" && token.is_none() {
        return Ok((Access { user, ..Access::default() }, Held::new()));
    }
    let entries =
        cluster.get("/access/acl").await.and_then(|list| entries(&list)).map_err(|error| fail(&error))?;
    let separated = match &token {
        Some(token) => is_separated(cluster, token, &entries).await.map_err(|error| fail(&error))?,
        None => false,
    };
    // What root has is not given by entries; nor is what its token has.
    if user == "root@pam" && !separated {
        return Ok((Access { user, token, ..Access::default() }, Held::new()));
    }
    let roles =
        cluster.get("/access/roles").await.and_then(|list| roles(&list)).map_err(|error| fail(&error))?;
    let groups = match user.as_str() {
        "root@pam" => Some(BTreeSet::new()),
        _ => own_groups(cluster, &user).await.map_err(|error| fail(&error))?,
    };
    let own = cluster.get("/access/permissions").await.map_err(|error| fail(&error))?;
    let held = held(&own);
    let is_told = groups.is_some();
    let mut access = Access { user, token, separated, groups: groups.unwrap_or_default(), entries, roles };
    if !is_told {
        access.guess_groups(&held);
    }
    Ok((access, held))
}

/// The groups of a user. `None` where whoever asks may not know them: a token may not read its own user
/// (PVE::API2::User compares with the name of the token).
async fn own_groups(cluster: &Cluster, user: &str) -> Result<Option<BTreeSet<String>>, ApiError> {
    match cluster.get(&format!("/access/users/{user}")).await {
        Ok(answer) => return Ok(Some(groups(&answer))),
        Err(error) if error.status == Some(403) => {}
        Err(error) => return Err(error),
    }
    // The list has at least the user itself.
    let full = [("full".to_string(), "1".to_string())];
    let list = cluster.api.send(Method::Get, "/access/users", &full).await?;
    let own = elements("users", &list)?.iter().find(|entry| entry["userid"] == *user);
    Ok(own.map(groups))
}

fn held(answer: &Json) -> Held {
    let paths = answer.as_object().into_iter().flatten();
    let names = |privileges: &Json| {
        privileges.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    paths.map(|(path, privileges)| (path.clone(), names(privileges))).collect()
}

/// Whether a token is. One that may not read itself is when it has entries of its own: it could do nothing else. Nor may
/// one whose name is too short for the parameter (400), which other ways of making tokens do not refuse.
async fn is_separated(
    cluster: &Cluster,
    token: &str,
    entries: &BTreeMap<Entry, bool>,
) -> Result<bool, ApiError> {
    let (user, name) = token.split_once('!').unwrap_or((token, ""));
    match cluster.get(&format!("/access/users/{user}/token/{name}")).await {
        Ok(answer) => Ok(answer.get("privsep").is_none_or(is_on)),
        Err(error) if matches!(error.status, Some(400 | 403)) => {
            Ok(entries.keys().any(|entry| entry.holder == Holder::Token(token.to_string())))
        }
        Err(error) => Err(error),
    }
}

fn is_on(value: &Json) -> bool {
    match value {
        Json::Bool(value) => *value,
        Json::String(text) => crate::property::is_true(text),
        other => other.as_i64() != Some(0),
    }
}

fn names(value: Option<&Json>) -> BTreeSet<String> {
    match value {
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).map(String::from).collect(),
        Some(Json::String(names)) => {
            names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect()
        }
        _ => BTreeSet::new(),
    }
}

fn groups(user: &Json) -> BTreeSet<String> {
    names(user.get("groups"))
}

fn entries(list: &Json) -> Result<BTreeMap<Entry, bool>, ApiError> {
    let part =
        |entry: &Json, name: &str| entry.get(name).and_then(Json::as_str).unwrap_or_default().to_string();
    let entry = |entry: &Json| {
        let name = part(entry, "ugid");
        let holder = match part(entry, "type").as_str() {
            "group" => Holder::Group(name),
            "token" => Holder::Token(name),
            _ => Holder::User(name),
        };
        let propagate = entry.get("propagate").is_none_or(is_on);
        (Entry { path: part(entry, "path"), holder, role: part(entry, "roleid") }, propagate)
    };
    Ok(elements("permissions", list)?.iter().map(entry).collect())
}

fn roles(list: &Json) -> Result<BTreeMap<String, BTreeSet<String>>, ApiError> {
    let role = |role: &Json| Some((role.get("roleid")?.as_str()?.to_string(), names(role.get("privs"))));
    Ok(elements("roles", list)?.iter().filter_map(role).collect())
}

fn expires(value: &Value) -> Option<i64> {
    let date: jiff::Timestamp = text(value, "expiration_date")?.parse().ok()?;
    Some(date.as_second()).filter(|seconds| *seconds != 0)
}

/// By what a user or token can no longer log in.
pub(super) fn shut(prior: &Value, planned: Option<&Value>) -> Option<&'static str> {
    let Some(planned) = planned else { return Some("deleting it") };
    let is_off = |value| flag(value, "enabled") == Some(false);
    let now = jiff::Timestamp::now().as_second();
    if is_off(planned) && !is_off(prior) {
        return Some("disabling it");
    }
    let has_expired = expires(planned).is_some_and(|date| date <= now && expires(prior) != Some(date));
    has_expired.then_some("an expiry that has passed")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_that_is_no_list_does_not_say_that_there_is_nothing_to_lose() {
        for answer in [json!(null), json!({}), json!("")] {
            assert!(entries(&answer).is_err() && roles(&answer).is_err(), "{answer}");
        }
        assert!(entries(&json!([])).unwrap().is_empty() && roles(&json!([])).unwrap().is_empty());
    }
}
