//! The entries of an IP set.

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::MOST;
use crate::cluster::{Call, Method, Step, elements};
use crate::firewall::same_network;
use crate::params::Params;
use crate::values::{flag, text};

fn network(entry: &Value) -> &str {
    text(entry, "name").unwrap_or_default()
}

fn found(entry: &Json) -> &str {
    entry.get("cidr").and_then(Json::as_str).unwrap_or_default()
}

fn details(entry: &Value) -> (Option<&str>, bool) {
    (text(entry, "comment"), flag(entry, "nomatch") == Some(true))
}

fn found_details(entry: &Json) -> (Option<&str>, bool) {
    let comment = entry.get("comment").and_then(Json::as_str).filter(|text| !text.is_empty());
    (comment, entry.get("nomatch").and_then(Json::as_i64) == Some(1))
}

/// Whether both have the same entries, in whatever order.
pub(super) fn are_same(before: &[Value], after: &[Value]) -> bool {
    let known = after.iter().all(Value::is_wholly_known);
    let has =
        |old: &Value, new: &Value| same_network(network(old), network(new)) && details(old) == details(new);
    known && before.len() == after.len() && after.iter().all(|new| before.iter().any(|old| has(old, new)))
}

/// The entries that are there: those that are known in their order and words, then the others.
pub(super) fn decode(present: &[Json], guide: &[Value]) -> Json {
    let block = |entry: &Json, name: &str| {
        let (comment, nomatch) = found_details(entry);
        json!({ "name": name, "comment": comment, "nomatch": nomatch })
    };
    let known = guide.iter().filter_map(|known| {
        let entry = present.iter().find(|entry| same_network(found(entry), network(known)))?;
        Some(block(entry, network(known)))
    });
    let others =
        present.iter().filter(|entry| !guide.iter().any(|known| same_network(found(entry), network(known))));
    known.chain(others.map(|entry| block(entry, found(entry)))).collect()
}

fn encode(entry: &Value) -> Params {
    let mut params = Params::default();
    let (comment, nomatch) = details(entry);
    params.put("comment", comment);
    params.put_flag("nomatch", nomatch.then_some(true));
    params
}

/// Makes the set at `place` have just these entries.
pub(super) async fn write(call: &Call<'_>, place: &str, wanted: &[Value]) -> Result<(), ProviderError> {
    let present = call.cluster.get(place).await.map_err(|error| call.failed(Step::READ, &error))?;
    let present =
        elements("entries of the set", &present).map_err(|error| call.failed(Step::READ, &error))?;
    for entry in present {
        let cidr = found(entry);
        if !wanted.iter().any(|new| same_network(cidr, network(new))) {
            let path = format!("{place}/{cidr}");
            call.step(Step::of("delete", cidr), Method::Delete, &path, &Params::default(), MOST).await?;
        }
    }
    for entry in wanted {
        let cidr = network(entry);
        match present.iter().find(|old| same_network(found(old), cidr)) {
            None => {
                let mut params = encode(entry);
                params.put("cidr", Some(cidr));
                call.step(Step::of("add", cidr), Method::Post, place, &params, MOST).await?;
            }
            Some(old) if found_details(old) != details(entry) => {
                let path = format!("{place}/{}", found(old));
                call.step(Step::of("change", cidr), Method::Put, &path, &encode(entry), MOST).await?;
            }
            Some(_) => {}
        }
    }
    Ok(())
}
