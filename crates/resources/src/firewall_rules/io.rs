//! Firewall rules in the API: one list per owner, new rules on top.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::schema::Block;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{ApiError, Call, Cluster, Method, refused};
use crate::observed::{in_words_of, overlay};
use crate::params::Params;
use crate::values::{all_blocks, blank, complete, flag, int, text, with};

/// The path of an owner's firewall.
pub(crate) fn path(value: &Value) -> String {
    let node = text(value, "node_name").unwrap_or_default();
    match (int(value, "vm_id").filter(|id| *id > 0), int(value, "container_id").filter(|id| *id > 0)) {
        (Some(id), _) => format!("/nodes/{node}/qemu/{id}/firewall"),
        (None, Some(id)) => format!("/nodes/{node}/lxc/{id}/firewall"),
        (None, None) if node.is_empty() => "/cluster/firewall".to_string(),
        (None, None) => format!("/nodes/{node}/firewall"),
    }
}

/// The id that users import it by: `cluster`, `node/NODE`, `vm/NODE/ID`, `container/NODE/ID`.
pub(crate) fn id(value: &Value) -> String {
    let node = text(value, "node_name").unwrap_or_default();
    match (int(value, "vm_id").filter(|id| *id > 0), int(value, "container_id").filter(|id| *id > 0)) {
        (Some(id), _) => format!("vm/{node}/{id}"),
        (None, Some(id)) => format!("container/{node}/{id}"),
        (None, None) if node.is_empty() => "cluster".to_string(),
        (None, None) => format!("node/{node}"),
    }
}

/// The owner of an id that users import by, put into a value.
pub(crate) fn owner_of(base: &Value, id: &str) -> Option<Value> {
    let parts: Vec<&str> = id.split('/').collect();
    let number = |text: &str| text.parse::<i64>().ok().map(Value::number);
    match parts.as_slice() {
        ["cluster"] => Some(base.clone()),
        ["node", node] => Some(with(base, "node_name", Value::string(*node))),
        ["vm", node, vmid] => {
            Some(with(&with(base, "node_name", Value::string(*node)), "vm_id", number(vmid)?))
        }
        ["container", node, vmid] => {
            Some(with(&with(base, "node_name", Value::string(*node)), "container_id", number(vmid)?))
        }
        _ => None,
    }
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

async fn list(cluster: &Cluster, value: &Value) -> Result<Vec<Json>, ApiError> {
    let mut rules =
        cluster.get(&format!("{}/rules", path(value))).await?.as_array().cloned().unwrap_or_default();
    rules.sort_by_key(|rule| rule.get("pos").and_then(Json::as_i64));
    Ok(rules)
}

/// Reads all rules of the owner. `None` when there are none though some were known, or the owner is gone.
pub(crate) async fn read(block: &Block, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
    let rules = match list(cluster, prior).await {
        Ok(rules) => rules,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    if rules.is_empty() && !all_blocks(prior, "rule").is_empty() {
        return Ok(None);
    }
    let rules = rules.iter().enumerate().map(|(position, rule)| decode_rule(rule, position)).collect();
    let read = Map::from_iter([("id".to_string(), json!(id(prior))), ("rule".to_string(), rules)]);
    let value = overlay(block, prior, read);
    Ok(Some(in_words_of(prior, &value)))
}

/// Sets the rules of an owner that has none. An owner with rules of somebody else is refused.
pub(crate) async fn create(call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
    let present = list(call.cluster, planned).await.map_err(|error| call.failed("read", &error))?;
    if !present.is_empty() {
        let message = format!("create {}: there are {} rules already", call.object, present.len());
        let hint = format!("import them with the id {:?} and plan again", id(planned));
        return Err(refused(message, Some(&hint)));
    }
    update(call, planned).await
}

/// Makes the list what is planned: missing rules go on top, so in reverse; then each place that differs is written.
pub(crate) async fn update(call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
    let most = Duration::from_secs(60);
    let base = format!("{}/rules", path(planned));
    let wanted: Vec<Params> = all_blocks(planned, "rule").iter().map(encode_rule).collect();
    let present = list(call.cluster, planned).await.map_err(|error| call.failed("read", &error))?;
    for position in (wanted.len()..present.len()).rev() {
        let step = format!("delete rule {position}");
        call.step(&step, Method::Delete, &format!("{base}/{position}"), &Params::default(), most).await?;
    }
    let missing = wanted.len().saturating_sub(present.len());
    for (position, rule) in wanted.iter().enumerate().take(missing).rev() {
        call.step(&format!("add rule {position}"), Method::Post, &base, rule, most).await?;
    }
    for (position, rule) in wanted.iter().enumerate().skip(missing) {
        let now = present.get(position - missing).map(present_params).unwrap_or_default();
        let (set, delete) = rule.since(&now);
        if set.0.is_empty() && delete.is_empty() {
            continue;
        }
        let mut params = rule.clone();
        if !delete.is_empty() {
            params.put("delete", Some(delete.into_iter().collect::<Vec<_>>().join(",")));
        }
        call.step(
            &format!("change rule {position}"),
            Method::Put,
            &format!("{base}/{position}"),
            &params,
            most,
        )
        .await?;
    }
    Ok(complete(planned, &with(&blank(planned), "id", Value::string(id(planned)))))
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
pub(crate) async fn delete(call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
    let rules = match list(call.cluster, prior).await {
        Ok(rules) => rules,
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(call.failed("read", &error)),
    };
    let base = format!("{}/rules", path(prior));
    for position in (0..rules.len()).rev() {
        let step = format!("delete rule {position}");
        let path = format!("{base}/{position}");
        call.step(&step, Method::Delete, &path, &Params::default(), Duration::from_secs(60)).await?;
    }
    Ok(())
}
