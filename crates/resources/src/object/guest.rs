//! Whether the machine that has an id now is the one that is known by it, for the kinds that are described as data.

use std::collections::BTreeSet;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use crate::cluster::{ApiError, Call, Cluster, refused};
use crate::limits;
use crate::observed::Observed;
use crate::property::Properties;
use crate::provider::identity::{ANOTHER, identity_of, is_same};
use crate::values::text;

/// Why a machine that was found is another one than the known one, if it is: by what tells them apart, and where that is
/// not known, when it has another name and none of the network devices. One of these alone is a change from outside.
pub(super) fn is_another(cluster: &Cluster, known: &Value, found: &Observed) -> Option<&'static str> {
    if let Some(same) = is_the_recorded(cluster, found) {
        return (!same).then_some(ANOTHER);
    }
    let before = known_addresses(known);
    let renamed = text(known, "name").is_some_and(|name| found.written("name").as_deref() != Some(name));
    let other = renamed && !before.is_empty() && before.is_disjoint(&addresses(found));
    other.then_some("it has none of the network devices of the one that is known")
}

fn is_the_recorded(cluster: &Cluster, found: &Observed) -> Option<bool> {
    is_same(cluster.recorded_identity(found.vmid).as_deref(), identity_of(found).as_deref())
}

const UNTOUCHED: &str = "it was not touched: look at it in the cluster and plan again";

/// The refusal to take one for the other.
pub(super) fn another(found: &Observed, why: &str) -> ApiError {
    let message = format!(
        "the guest with the id {} on {} is another one: it is named {}, and {why}",
        found.vmid,
        found.node,
        found.written("name").unwrap_or_default()
    );
    let hint = "nothing was changed: if yours is gone, take it out of the state (pve state rm), then choose another id \
                for it or import that guest";
    ApiError { message, hint: Some(hint.to_string()), status: None, lost: false }
}

/// A machine is not touched that is another one, or, where that cannot be told, that has another name than when this was planned, or, where it had none, other network
/// devices throughout.
pub(super) fn refuse_other(call: &Call<'_>, known: &Value, found: &Observed) -> Result<(), ProviderError> {
    match is_the_recorded(call.cluster, found) {
        Some(true) => return Ok(()),
        Some(false) => {
            let message = format!(
                "{} has another UUID than when this was planned: it may be another guest",
                call.object
            );
            return Err(refused(message, Some(UNTOUCHED)));
        }
        None => {}
    }
    let name = text(known, "name");
    call.refuse_other(name, found.written("name").as_deref())?;
    let (before, now) = (known_addresses(known), addresses(found));
    if name.is_none() && !before.is_empty() && !now.is_empty() && before.is_disjoint(&now) {
        let message = format!(
            "{} has none of the network devices that it had when this was planned: it may be another guest",
            call.object
        );
        return Err(refused(message, Some(UNTOUCHED)));
    }
    Ok(())
}

fn known_addresses(known: &Value) -> BTreeSet<String> {
    let devices = known.get("network").filter(|part| part.is_known() && !part.is_null());
    let devices = devices.and_then(Value::entries).into_iter().flatten();
    devices.filter_map(|(_, device)| text(device, "mac_address")).map(str::to_uppercase).collect()
}

/// Proxmox VE writes the address as the value of the model.
fn addresses(found: &Observed) -> BTreeSet<String> {
    let devices = found.numbered("net").into_iter().filter_map(|(_, slot)| found.text(&slot));
    let parts = devices.flat_map(|device| {
        let device = Properties::parse(&device);
        device.pairs().iter().map(|(_, value)| value.to_uppercase()).collect::<Vec<_>>()
    });
    parts.filter(|value| limits::mac_address(value).is_none()).collect()
}
