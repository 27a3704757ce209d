//! Whether the machine that has an id now is the one that is known by it, for the kinds that are described as data.

use std::collections::BTreeSet;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use crate::cluster::{ApiError, Call, refused};
use crate::limits;
use crate::observed::Observed;
use crate::property::Properties;
use crate::values::text;

/// Whether a machine that was found has another name than the known one and none of its network devices. One of these
/// alone is a change from outside.
pub(super) fn is_another(known: &Value, found: &Observed) -> bool {
    let before = known_addresses(known);
    let renamed = text(known, "name").is_some_and(|name| found.written("name").as_deref() != Some(name));
    renamed && !before.is_empty() && before.is_disjoint(&addresses(found))
}

/// The refusal to take one for the other.
pub(super) fn another(found: &Observed) -> ApiError {
    let message = format!(
        "the guest with the id {} on {} is another one: it is named {}, and has none of the network devices of the one \
         that is known",
        found.vmid,
        found.node,
        found.written("name").unwrap_or_default()
    );
    let hint = "nothing was changed: if yours is gone, take it out of the state (pve state rm), then choose another id \
                for it or import that guest";
    ApiError { message, hint: Some(hint.to_string()), status: None, lost: false }
}

/// A machine is not touched that has another name than when this was planned, or, where it had none, other network
/// devices throughout.
pub(super) fn refuse_other(call: &Call<'_>, known: &Value, found: &Observed) -> Result<(), ProviderError> {
    let name = text(known, "name");
    call.refuse_other(name, found.written("name").as_deref())?;
    let (before, now) = (known_addresses(known), addresses(found));
    if name.is_none() && !before.is_empty() && !now.is_empty() && before.is_disjoint(&now) {
        let message = format!(
            "{} has none of the network devices that it had when this was planned: it may be another guest",
            call.object
        );
        return Err(refused(message, Some("it was not touched: look at it in the cluster and plan again")));
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
