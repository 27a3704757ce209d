//! The deprecated `acl` blocks of users and groups: entries of the access control list, set one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::rules::Problem;
use pve_model::{Path, PathStep, Value};
use serde_json::{Value as Json, json};

use super::permissions::{Change, Entry, Holder};
use crate::cluster::{ApiError, Call, Cluster, Method, Step, elements, refused};
use crate::definition::{Fields, flag, problem, text};
use crate::limits;
use crate::params::Params;
use crate::values::{all_blocks, flag as flag_of, text as text_of, with_elements};

const MOST: Duration = Duration::from_secs(60);

/// The step that says of an entry that blocks had that it is going to be taken out.
const LEAVE: &str = "leave";

/// The blocks after a change broke off: they still have what was to be taken out, so that the next run does that.
pub(super) fn unfinished(value: &Value, done: &[String]) -> Value {
    let mut blocks = all_blocks(value, "acl").to_vec();
    let left = done.iter().filter_map(|step| step.strip_prefix(LEAVE)?.strip_prefix(' ')?.split_once('?'));
    for (path, role) in left {
        let is_it =
            |block: &Value| text_of(block, "path") == Some(path) && text_of(block, "role_id") == Some(role);
        if !blocks.iter().any(is_it) {
            let parts = [
                ("path", Value::string(path)),
                ("propagate", Value::bool(false)),
                ("role_id", Value::string(role)),
            ];
            blocks
                .push(Value::object(parts.into_iter().map(|(name, part)| (Arc::from(name), part)).collect()));
        }
    }
    with_elements(value, "acl", blocks)
}

/// The attributes of a block.
pub(super) fn fields() -> Fields {
    vec![
        ("path", text().required().checked(limits::acl_path)),
        ("propagate", flag().or(false)),
        ("role_id", text().required().param("roleid")),
    ]
}

/// A path has a role once: with two opposite words on whether it propagates, the later one would win.
pub(super) fn validate(config: &Value) -> Vec<Problem> {
    let mut seen: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    let mut faults = Vec::new();
    for (index, block) in all_blocks(config, "acl").iter().enumerate() {
        let (Some(path), Some(role)) = (text_of(block, "path"), text_of(block, "role_id")) else { continue };
        let propagates = flag_of(block, "propagate") == Some(true);
        if seen.insert((path, role), propagates).is_some_and(|other| other != propagates) {
            let detail =
                format!("{role} on {path} propagates according to one block and does not to another");
            let at = Path::attribute("acl").child(PathStep::Index(index as u64));
            faults.push(problem(at, "A permission that contradicts another", detail));
        }
    }
    faults
}

/// Whom the blocks of a user or group give permissions; `None` while that is not known.
fn holder(value: &Value) -> Option<Holder> {
    let group = || text_of(value, "group_id").map(|name| Holder::Group(name.into()));
    text_of(value, "user_id").map(|name| Holder::User(name.into())).or_else(group)
}

fn entry(holder: &Holder, block: &Value) -> Option<Entry> {
    let (path, role) = (text_of(block, "path")?.to_string(), text_of(block, "role_id")?.to_string());
    Some(Entry { path, holder: holder.clone(), role })
}

/// What the blocks change, in order: nobody is without permissions in between.
pub(super) fn changes(prior: Option<&Value>, planned: Option<&Value>) -> Vec<Change> {
    let Some(holder) = planned.or(prior).and_then(holder) else { return Vec::new() };
    let blocks = |value: Option<&Value>| -> BTreeMap<Entry, bool> {
        let blocks = value.map(|value| all_blocks(value, "acl")).unwrap_or_default().iter();
        let propagate = |block| flag_of(block, "propagate") == Some(true);
        blocks.filter_map(|block| Some((entry(&holder, block)?, propagate(block)))).collect()
    };
    let (before, after) = (blocks(prior), blocks(planned));
    let new = after.iter().filter(|(entry, propagate)| before.get(entry) != Some(propagate));
    let gone = before.keys().filter(|entry| !after.contains_key(entry));
    let new = new.map(|(entry, propagate)| Change::Grant(entry.clone(), *propagate));
    new.chain(gone.map(|entry| Change::Revoke(entry.clone()))).collect()
}

/// Sets what is planned and takes out what is not.
pub(super) async fn bring(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: &Value,
) -> Result<(), ProviderError> {
    let changes = changes(prior, Some(planned));
    // What a run that broke off has not taken out is still known then.
    for change in &changes {
        if let Change::Revoke(entry) = change {
            call.completed(Step::of(LEAVE, &format!("{}?{}", entry.path, entry.role))).await?;
        }
    }
    for change in changes {
        let (entry, propagate) = match &change {
            Change::Grant(entry, propagate) => (entry, Some(*propagate)),
            Change::Revoke(entry) => (entry, None),
            _ => continue,
        };
        // What another object of this run has set meanwhile is that one's.
        let mut granted = call.cluster.shared.granted.lock().await;
        match (propagate, granted.get(entry)) {
            (None, Some(Grantor::Object)) => continue,
            (Some(_), Some(Grantor::Object)) => return Err(claimed_twice(entry)),
            (Some(_), None) => drop(granted.insert(entry.clone(), Grantor::Block)),
            _ => {}
        }
        let mut params = Params::default();
        params.put("path", Some(&entry.path));
        params.put("roles", Some(&entry.role));
        params.put_flag("propagate", propagate);
        params.put_flag("delete", propagate.is_none().then_some(true));
        let (kind, name) = parameter(&entry.holder);
        params.put(kind, Some(name));
        let (step, path) = (Step::of("set", "permissions"), "/access/acl");
        match propagate {
            Some(_) => call.step(step, Method::Put, path, &params, MOST).await?,
            // An entry goes with its role, which may have been replaced by the same run.
            None => call.take_out((step, Method::Put), path, &params, MOST, is_given(call, entry)).await?,
        }
    }
    Ok(())
}

/// Whether an entry is in the list.
async fn is_given(call: &Call<'_>, entry: &Entry) -> Result<bool, ApiError> {
    let list = call.cluster.get("/access/acl").await?;
    let mut given = elements("permissions", &list)?.iter();
    Ok(given.any(|given| {
        given["path"] == *entry.path && given["roleid"] == *entry.role && is_of(given, &entry.holder)
    }))
}

/// Whether an entry of the list is a holder's.
fn is_of(given: &Json, holder: &Holder) -> bool {
    let (kind, name) = match holder {
        Holder::User(name) => ("user", name),
        Holder::Group(name) => ("group", name),
        Holder::Token(name) => ("token", name),
    };
    given["type"] == kind && given["ugid"] == **name
}

/// Who has given an entry in this run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grantor {
    /// An object of its own: `proxmox_acl`.
    Object,
    /// A block of a user or a group.
    Block,
}

/// Two of one run want the same entry: known only now, since a part of it was not known before.
pub(super) fn claimed_twice(entry: &Entry) -> ProviderError {
    let message = format!(
        "{} on {} is given by a proxmox_acl and by an `acl` block of the same holder",
        entry.role, entry.path
    );
    refused(message, Some("take the block out"))
}

/// The parameter that names a holder.
fn parameter(holder: &Holder) -> (&'static str, &str) {
    match holder {
        Holder::User(name) => ("users", name),
        Holder::Group(name) => ("groups", name),
        Holder::Token(name) => ("tokens", name),
    }
}

/// The answer with the entries that are those of the blocks: others are somebody else's matter. Of what is imported, all
/// are looked at.
pub(super) async fn complete(cluster: &Cluster, prior: &Value, mut answer: Json) -> Result<Json, ApiError> {
    let Some(holder) = holder(prior) else { return Ok(answer) };
    let own: BTreeSet<Entry> =
        all_blocks(prior, "acl").iter().filter_map(|block| entry(&holder, block)).collect();
    let is_imported = prior.get("id").is_none_or(Value::is_null);
    let is_own = |path: &str, role: &str| {
        let entry = Entry { path: path.to_string(), holder: holder.clone(), role: role.to_string() };
        is_imported || own.contains(&entry)
    };
    if own.is_empty() && !is_imported {
        answer["acl"] = json!([]);
        return Ok(answer);
    }
    let list = cluster.get("/access/acl").await?;
    let of_holder = elements("permissions", &list)?.iter().filter(|given| is_of(given, &holder));
    let part = |entry: &Json, name: &str| entry[name].as_str().unwrap_or_default().to_string();
    let own = of_holder.filter(|entry| is_own(&part(entry, "path"), &part(entry, "roleid")));
    answer["acl"] = own.cloned().collect();
    Ok(answer)
}

/// What only one object may have, in the words of `proxmox_acl`.
pub(super) fn claims(planned: &Value) -> Vec<String> {
    let Some(holder) = holder(planned) else { return Vec::new() };
    let entries = all_blocks(planned, "acl").iter().filter_map(|block| entry(&holder, block));
    let claim = |entry: Entry| format!("permission {}?{}?{}", entry.path, parameter(&holder).1, entry.role);
    entries.map(claim).collect()
}

/// Of the entries of an imported holder, those that blocks are configured for.
pub(super) fn adopted(imported: &Value, config: &Value) -> Value {
    let name =
        |block: &Value| Some((text_of(block, "path")?.to_string(), text_of(block, "role_id")?.to_string()));
    let wanted: BTreeSet<_> = all_blocks(config, "acl").iter().filter_map(name).collect();
    let kept = all_blocks(imported, "acl")
        .iter()
        .filter(|block| name(block).is_some_and(|name| wanted.contains(&name)));
    with_elements(imported, "acl", kept.cloned().collect())
}
