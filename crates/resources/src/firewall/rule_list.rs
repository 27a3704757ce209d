//! Lists of firewall rules in the API: in order, new ones on top. They are changed by their places: a digest goes with
//! each request, so that a place is that of the rule that was seen there.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{ApiError, Call, Cluster, Method, Step, elements, if_there, refused};
use crate::definition::{Item, blocks, flag as switch, number, problem, text as word};
use crate::params::Params;
use crate::values::{all_blocks, flag, text, with, with_elements, with_unknown};

/// One request.
const MOST: Duration = Duration::from_secs(60);

/// How often a request is sent again that met a change of something else in the same file.
const COLLISIONS: usize = 32;

/// The `rule` blocks of a kind.
pub(crate) fn rule_blocks() -> Item {
    blocks(vec![
        ("action", word().one_of(&["ACCEPT", "REJECT", "DROP"])),
        ("comment", word()),
        ("dest", word()),
        ("dport", word()),
        ("enabled", switch().or(true)),
        ("iface", word()),
        ("log", word()),
        ("macro", word()),
        ("pos", number().read_only()),
        ("proto", word()),
        ("security_group", word()),
        ("source", word()),
        ("sport", word()),
        ("type", word().one_of(&["in", "out", "forward"])),
    ])
}

/// Rules that say too little.
pub(crate) fn validate(config: &Value) -> Vec<pve_model::rules::Problem> {
    let mut problems = super::validate_owner(config);
    for (index, rule) in all_blocks(config, "rule").iter().enumerate() {
        let path = pve_model::Path::attribute("rule").child(pve_model::PathStep::Index(index as u64));
        let unset = |name: &str| rule.get(name).is_some_and(Value::is_null);
        if unset("security_group") && (unset("action") || unset("type")) {
            let detail = "a rule needs type and action, or security_group";
            problems.push(problem(path, "Incomplete firewall rule", detail));
        }
    }
    problems
}

/// The position of a rule that is there is its place in the list. That of a new one is the cluster's to tell, as for
/// the reference.
pub(crate) fn planned_positions(proposed: &Value, prior: Option<&Value>) -> Value {
    let present = prior.map_or(0, |prior| all_blocks(prior, "rule").len());
    let placed = with_positions(proposed);
    let rules = all_blocks(&placed, "rule").iter().enumerate();
    let rules =
        rules.map(|(index, rule)| if index < present { rule.clone() } else { with_unknown(rule, "pos") });
    with_elements(&placed, "rule", rules.collect())
}

/// Every rule with its place in the list.
pub(crate) fn with_positions(proposed: &Value) -> Value {
    let rules = all_blocks(proposed, "rule").iter().enumerate();
    let rules = rules.map(|(index, rule)| with(rule, "pos", Value::number(index as i64)));
    with_elements(proposed, "rule", rules.collect())
}

fn encode_rule(rule: &Value) -> Params {
    let mut params = Params::default();
    match text(rule, "security_group") {
        Some(group) => {
            params.put("type", Some("group"));
            params.put("action", Some(group));
        }
        None => {
            params.put("type", text(rule, "type"));
            params.put("action", text(rule, "action"));
        }
    }
    for name in ["comment", "dest", "dport", "iface", "log", "macro", "proto", "source", "sport"] {
        params.put(name, text(rule, name));
    }
    params.put_flag("enable", Some(flag(rule, "enabled") != Some(false)));
    params
}

fn decode_rule(rule: &Json, position: usize) -> Json {
    let field = |name: &str| rule.get(name).cloned().unwrap_or(Json::Null);
    let group = field("type") == "group";
    let mut read = Map::new();
    read.insert("pos".into(), json!(position));
    read.insert("enabled".into(), json!(field("enable") == json!(1) || field("enable") == json!("1")));
    for name in ["comment", "dest", "dport", "iface", "log", "macro", "proto", "source", "sport"] {
        read.insert(name.into(), field(name));
    }
    read.insert("security_group".into(), if group { field("action") } else { Json::Null });
    read.insert("type".into(), if group { Json::Null } else { field("type") });
    read.insert("action".into(), if group { Json::Null } else { field("action") });
    Json::Object(read)
}

/// The rules at `base`, in order.
pub(crate) async fn list(cluster: &Cluster, base: &str) -> Result<Vec<Json>, ApiError> {
    let mut rules = elements("firewall rules", &cluster.get(base).await?)?.clone();
    rules.sort_by_key(|rule| rule.get("pos").and_then(Json::as_i64));
    Ok(rules)
}

/// The rules as the `rule` blocks of a value.
pub(crate) fn decode(rules: &[Json]) -> Json {
    rules.iter().enumerate().map(|(position, rule)| decode_rule(rule, position)).collect()
}

/// Makes the list what is planned: missing rules go on top, so in reverse; then each place that differs is written.
pub(crate) async fn write(call: &Call<'_>, base: &str, planned: &Value) -> Result<(), ProviderError> {
    let wanted: Vec<Params> = all_blocks(planned, "rule").iter().map(encode_rule).collect();
    let present = list(call.cluster, base).await.map_err(|error| call.failed(Step::READ, &error))?;
    let missing = wanted.len().saturating_sub(present.len());
    let mut rules = Rules { call, base, present };
    for position in (wanted.len()..rules.present.len()).rev() {
        rules.edit(Edit::Delete, position, &Params::default()).await?;
    }
    for (position, rule) in wanted.iter().enumerate().take(missing).rev() {
        rules.edit(Edit::Add, position, rule).await?;
    }
    for (position, rule) in wanted.iter().enumerate().skip(missing) {
        let now = rules.present.get(position).map(present_params).unwrap_or_default();
        let (set, delete) = rule.since(&now);
        if set.0.is_empty() && delete.is_empty() {
            continue;
        }
        let mut params = rule.clone();
        if !delete.is_empty() {
            params.put("delete", Some(delete.into_iter().collect::<Vec<_>>().join(",")));
        }
        rules.edit(Edit::Change, position, &params).await?;
    }
    Ok(())
}

/// What is done to a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    /// A new rule goes on top.
    Add,
    Change,
    Delete,
}

/// A list as it was seen last.
struct Rules<'a> {
    call: &'a Call<'a>,
    base: &'a str,
    present: Vec<Json>,
}

impl Rules<'_> {
    /// One step, unless somebody else has changed the list since it was seen. The digest is that of a file which other
    /// things are in too: where the list is as it was seen, the request is sent again.
    async fn edit(&mut self, edit: Edit, position: usize, params: &Params) -> Result<(), ProviderError> {
        let name = format!("rule {position}");
        let place = format!("{}/{position}", self.base);
        let (step, method, path) = match edit {
            Edit::Add => (Step::of("add", &name), Method::Post, self.base),
            Edit::Change => (Step::of("change", &name), Method::Put, &*place),
            Edit::Delete => (Step::of("delete", &name), Method::Delete, &*place),
        };
        let mut tries = 0..COLLISIONS;
        loop {
            let mut params = params.clone();
            let digest = self.present.first().and_then(|rule| rule.get("digest")?.as_str());
            params.put("digest", digest);
            let done = self.call.step(step, method, path, &params, MOST).await;
            let now = match &done {
                Err(error) if error.message.contains("detected modified configuration") => {
                    self.list().await?
                }
                Err(_) => return done,
                Ok(()) => break,
            };
            if others(&now, None) != others(&self.present, None) || tries.next().is_none() {
                return done;
            }
            self.present = now;
        }
        let now = self.list().await?;
        let (before, after) = match edit {
            Edit::Add => (None, Some(0)),
            Edit::Change => (Some(position), Some(position)),
            Edit::Delete => (Some(position), None),
        };
        if others(&self.present, before) != others(&now, after) {
            let message = format!("{}: somebody else changes these rules", step.on(&self.call.object));
            return Err(refused(message, Some("look at them and plan again")));
        }
        self.present = now;
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Json>, ProviderError> {
        list(self.call.cluster, self.base).await.map_err(|error| self.call.failed(Step::READ, &error))
    }
}

/// The rules but the one at a place, without what changes with others.
fn others(rules: &[Json], but: Option<usize>) -> Vec<Json> {
    let bare = |rule: &Json| {
        let parts = rule.as_object().into_iter().flatten();
        let parts = parts.filter(|(name, _)| !matches!(name.as_str(), "pos" | "digest"));
        parts.map(|(name, part)| (name.clone(), part.clone())).collect::<Map<_, _>>().into()
    };
    rules.iter().enumerate().filter(|(at, _)| Some(*at) != but).map(|(_, rule)| bare(rule)).collect()
}

/// A rule of the list as it would have been sent.
fn present_params(rule: &Json) -> Params {
    let mut params = Params::default();
    let names = [
        "type", "action", "comment", "dest", "dport", "iface", "log", "macro", "proto", "source", "sport",
        "enable",
    ];
    for name in names {
        match rule.get(name) {
            Some(Json::String(text)) if !text.is_empty() => params.put(name, Some(text)),
            Some(Json::Number(number)) => params.put(name, Some(number)),
            _ => {}
        }
    }
    params
}

/// Takes all rules away.
pub(crate) async fn clear(call: &Call<'_>, base: &str) -> Result<(), ProviderError> {
    let present =
        if_there(list(call.cluster, base).await).map_err(|error| call.failed(Step::READ, &error))?;
    let Some(present) = present else { return Ok(()) };
    let mut rules = Rules { call, base, present };
    for position in (0..rules.present.len()).rev() {
        rules.edit(Edit::Delete, position, &Params::default()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pve_model::codec;

    use super::*;
    use crate::definition::Definition;

    // The reference: positions are computed, and so not known of rules that are not there.
    #[test]
    fn a_rule_has_a_position_when_it_is_there() {
        let definition = Definition::new(crate::firewall_rules::fields());
        let list = |ports: &[&str]| {
            let rules: Vec<Json> = ports.iter().map(|port| json!({"dport": port})).collect();
            codec::decode(&json!({"rule": rules}), &definition.schema.block.implied_type()).unwrap()
        };
        let positions = |prior: Option<&Value>, proposed: &Value| -> Vec<Option<Value>> {
            let planned = planned_positions(proposed, prior);
            let found = all_blocks(&planned, "rule").iter().map(|rule| rule.get("pos").unwrap().clone());
            found.map(|position| position.is_known().then_some(position)).collect()
        };
        let proposed = list(&["80", "22"]);
        assert_eq!(positions(None, &proposed), [None, None]);
        assert_eq!(positions(Some(&list(&["22"])), &proposed), [Some(Value::number(0)), None]);
    }
}
