//! Addresses as the guest agent reports them.

use std::time::Duration;

use pve_model::{Type, Value};
use serde_json::Value as Json;

use super::apply::Target;
use super::decode::agent_enabled;
use crate::values::{block, flag, text, text_list, with};

/// The values with the addresses of a running VM. Waits for the agent no longer than `agent.timeout`; without one
/// the addresses stay as they are.
pub(super) async fn with_addresses(target: &Target<'_>, planned: &Value, read: Value) -> Value {
    let agent = block(planned, "agent");
    let waits = agent.and_then(|agent| block(agent, "wait_for_ip"));
    if !agent_enabled(planned) || waits.and_then(|wait| flag(wait, "disabled")) == Some(true) {
        return read;
    }
    let most = agent.and_then(|agent| text(agent, "timeout")).and_then(parse_duration);
    let most = most.unwrap_or(Duration::from_secs(900)).min(target.call.cluster.agent_wait);
    let until = tokio::time::Instant::now() + most;
    let mut pause = Duration::from_millis(200);
    let mut said = false;
    loop {
        if let Ok(answer) = target.call.cluster.get(&target.interfaces_path()).await
            && let Some(value) = addresses(&answer, waits, &read)
        {
            return value;
        }
        if tokio::time::Instant::now() + pause > until || target.call.progress.is_cancelled() {
            target
                .call
                .progress
                .status("the guest agent did not answer; addresses come with a later refresh");
            return read;
        }
        if !said {
            let wait = format!("waiting for the guest agent, at most {} s", most.as_secs_f32().ceil());
            target.call.progress.status(&wait);
            said = true;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// The values with the addresses of an answer; `None` while an address that is waited for is missing.
pub(crate) fn addresses(answer: &Json, waits: Option<&Value>, value: &Value) -> Option<Value> {
    let interfaces = answer.get("result")?.as_array()?;
    let name =
        |interface: &Json| interface.get("name").and_then(Json::as_str).unwrap_or_default().to_string();
    let mac = |interface: &Json| {
        interface.get("hardware-address").and_then(Json::as_str).unwrap_or_default().to_uppercase()
    };
    let family = |interface: &Json, family: &str| -> Vec<String> {
        let list = interface.get("ip-addresses").and_then(Json::as_array).cloned().unwrap_or_default();
        let of_family =
            |address: &&Json| address.get("ip-address-type").and_then(Json::as_str) == Some(family);
        let text = |address: &Json| Some(address.get("ip-address")?.as_str()?.to_string());
        list.iter().filter(of_family).filter_map(text).collect()
    };
    let has = |wanted: &str| {
        interfaces.iter().filter(|one| name(one) != "lo").any(|one| {
            family(one, wanted)
                .iter()
                .any(|ip| !ip.starts_with("127.") && ip != "::1" && !ip.starts_with("fe80"))
        })
    };
    let wants = |name: &str| waits.and_then(|wait| flag(wait, name)) == Some(true);
    let satisfied = match (wants("ipv4"), wants("ipv6")) {
        (false, false) => has("ipv4") || has("ipv6"),
        (v4, v6) => (!v4 || has("ipv4")) && (!v6 || has("ipv6")),
    };
    if !satisfied {
        return None;
    }
    let lists = |wanted: &str| {
        let lists = interfaces.iter().map(|interface| text_list(family(interface, wanted)));
        Value::list(Type::list(Type::String), lists.collect())
    };
    let value = with(value, "ipv4_addresses", lists("ipv4"));
    let value = with(&value, "ipv6_addresses", lists("ipv6"));
    let value = with(&value, "network_interface_names", text_list(interfaces.iter().map(name)));
    Some(with(&value, "mac_addresses", text_list(interfaces.iter().map(mac))))
}

/// A span of time as Go writes it: `15m`, `90s`, `1h30m`, `500ms`, `0`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = 0.0;
    while let Some(end) = rest.find(|c: char| !c.is_ascii_digit() && c != '.') {
        let (number, after) = rest.split_at(end);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let factor = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    (rest.is_empty() && !text.trim().is_empty()).then(|| Duration::try_from_secs_f64(total).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_provider_writes_them() {
        assert_eq!(parse_duration("15m"), Some(Duration::from_secs(900)));
        assert_eq!(parse_duration("1h30m10s"), Some(Duration::from_secs(5410)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("1m500ms"), Some(Duration::from_millis(60500)));
        assert_eq!(parse_duration("0"), Some(Duration::ZERO));
        assert_eq!(parse_duration("15"), None);
        assert_eq!(parse_duration(""), None);
        assert_eq!(parse_duration("x"), None);
    }
}
