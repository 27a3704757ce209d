//! Addresses of a running container, from `/nodes/N/lxc/ID/interfaces`.

use std::time::Duration;

use pve_model::{Type, Value};
use serde_json::Value as Json;

use super::apply::Target;
use crate::values::{block, flag, with};

/// The longest wait for an address.
const MOST: Duration = Duration::from_secs(300);

/// The values with the addresses of a running container. Those that `wait_for_ip` names are waited for, but not for
/// ever; without them the addresses come with a later refresh.
pub(super) async fn with_addresses(target: &Target<'_>, planned: &Value, read: Value) -> Value {
    let call = &target.call;
    let most = MOST.min(call.cluster.agent_wait);
    let until = tokio::time::Instant::now() + most;
    let mut pause = Duration::from_millis(200);
    let mut said = false;
    loop {
        let answer = call.cluster.get(&target.path("/interfaces")).await.ok();
        let value = answer.map_or_else(|| read.clone(), |answer| with_interfaces(&read, &answer));
        if has_wanted(&value, block(planned, "wait_for_ip")) {
            return value;
        }
        if tokio::time::Instant::now() + pause > until || call.progress.is_cancelled() {
            call.progress.status("the container has no address yet; it comes with a later refresh");
            return value;
        }
        if !said {
            call.progress.status(&format!("waiting for an address, at most {} s", most.as_secs_f32().ceil()));
            said = true;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Whether the addresses are there that are waited for.
fn has_wanted(value: &Value, waits: Option<&Value>) -> bool {
    ["ipv4", "ipv6"].into_iter().all(|family| {
        let wanted = waits.and_then(|waits| flag(waits, family)) == Some(true);
        let usable = |address: &Value| address.as_str().is_some_and(|address| !address.starts_with("fe80"));
        let found = value.get(family).and_then(Value::entries);
        !wanted || found.is_some_and(|entries| entries.values().any(usable))
    })
}

/// The values with the addresses of an answer, by interface.
pub(crate) fn with_interfaces(value: &Value, answer: &Json) -> Value {
    let of = |key: &str| {
        let list = answer.as_array().cloned().unwrap_or_default();
        let entries = list.iter().filter_map(|one| {
            let name = one.get("name")?.as_str().filter(|name| *name != "lo")?;
            let address = one.get(key)?.as_str()?.split('/').next()?.to_string();
            Some((std::sync::Arc::from(name), Value::string(address)))
        });
        Value::map(Type::String, entries.collect())
    };
    with(&with(value, "ipv4", of("inet")), "ipv6", of("inet6"))
}

#[cfg(test)]
mod tests {
    use pve_model::codec::decode;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_is_waited_for_only_where_it_is_asked_for() {
        let ty = crate::definition::Definition::new(crate::container::fields()).schema.block.implied_type();
        let value = |json: Json| decode(&json, &ty).unwrap();
        let empty = value(json!({}));
        let local = json!([{"name": "lo", "inet": "127.0.0.1/8"}, {"name": "eth0", "inet6": "fe80::1/64"}]);
        let both = json!([{"name": "eth0", "inet": "192.0.2.5/24", "inet6": "2001:db8::5/64"}]);
        let wants = |json: Json| value(json!({ "wait_for_ip": [json] }));
        let has = |answer: &Json, wanted: &Value| {
            has_wanted(&with_interfaces(&empty, answer), block(wanted, "wait_for_ip"))
        };
        assert!(has(&local, &empty));
        assert!(!has(&local, &wants(json!({"ipv4": true}))) && !has(&local, &wants(json!({"ipv6": true}))));
        assert!(has(&both, &wants(json!({"ipv4": true, "ipv6": true}))));
    }
}
