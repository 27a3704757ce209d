//! Whether the guest that has an id now is the one that is known by it.

use std::collections::BTreeSet;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use crate::cluster::{Call, refused};
use crate::observed::Observed;
use crate::property::Properties;
use crate::values::{all_blocks, block, text, texts};

/// What tells a VM from another one with its id: the UUID that its operating system sees, the id of its generation, and
/// when it was made (`qm.conf(5)`). Containers have none of these.
pub(crate) fn identity_of(observed: &Observed) -> Option<String> {
    let key = |option: &str, key: &str| {
        let parts = Properties::parse(&observed.written(option)?);
        parts.get(key).map(|value| format!("{key}={value}"))
    };
    let generation = observed.written("vmgenid").map(|id| format!("vmgenid={id}"));
    let parts = [key("smbios1", "uuid"), generation, key("meta", "ctime")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

/// Why a guest is another one, where the identities tell.
pub(crate) const ANOTHER: &str = "it has another UUID, and nothing tells that it is the same";

/// Whether two identities are those of one guest. `None` where they have nothing that can be compared.
pub(crate) fn is_same(known: Option<&str>, found: Option<&str>) -> Option<bool> {
    let compared = compared(known, found);
    (!compared.is_empty()).then(|| compared.contains(&true))
}

/// Why the guest that was found is another one than the known one, if it is; both with their identities.
///
/// One that was restored from a backup has another generation, one whose UUID was set by hand another UUID: the same is
/// what has one of them. Where none is known, another one has another name and none of the hardware
/// addresses, which Proxmox VE draws anew for each guest.
pub(super) fn is_another(
    (known, known_identity): (&Value, Option<&str>),
    (found, found_identity): (&Value, Option<&str>),
) -> Option<&'static str> {
    if let Some(same) = is_same(known_identity, found_identity) {
        return (!same).then_some(ANOTHER);
    }
    let (addresses, now) = (hardware_addresses(known), hardware_addresses(found));
    let other = name(known).is_some_and(|known| name(found) != Some(known))
        && !addresses.is_empty()
        && addresses.is_disjoint(&now);
    other.then_some("has none of the network devices of the one that is known")
}

/// For each part of an identity that both have, whether it is the same. When they were made counts only where not both other
/// parts can be compared: two may be made in one second.
fn compared(known: Option<&str>, found: Option<&str>) -> Vec<bool> {
    let parts = |identity: Option<&str>| Properties::parse(identity.unwrap_or_default());
    let (before, now) = (parts(known), parts(found));
    let both = before.pairs().iter();
    let same = both.filter_map(|(key, value)| Some((key, now.get(key)? == value.as_str())));
    let (weak, mut parts): (Vec<_>, Vec<_>) = same.partition(|(key, _)| *key == "ctime");
    if parts.len() < 2 {
        parts.extend(weak);
    }
    parts.into_iter().map(|(_, same)| same).collect()
}

/// Why the guest that is about to be changed is not the one that this was planned for, if that is so. Where no identity is
/// known it is more careful than reading: nothing is lost by planning again.
pub(super) fn is_replaced(
    (known, known_identity): (&Value, Option<&str>),
    (found, found_identity): (&Value, Option<&str>),
) -> Option<String> {
    if is_same(known_identity, found_identity).is_some() {
        let is_another = is_another((known, known_identity), (found, found_identity)).is_some();
        return is_another.then(|| "has another UUID than when this was planned".to_string());
    }
    if let Some(known) = name(known).filter(|known| name(found) != Some(known)) {
        let now = name(found).unwrap_or_default();
        return Some(format!("is named {now:?} now and was {known:?} when this was planned"));
    }
    let is_other = has_other_devices(known, found);
    is_other.then(|| "has none of the network devices that it had when this was planned".to_string())
}

/// Why a container that was read is another one than the known one, if it is. Nothing but its hardware addresses tells it
/// from one that was made under its id and its name: here reading is as careful as changing.
pub(super) fn is_another_container(known: &Value, found: &Value) -> Option<&'static str> {
    has_other_devices(known, found).then_some(
        "it has none of the network devices of the one that is known; if it is yours all the same, take it in again \
         (pve state rm, then pve import)",
    )
}

fn has_other_devices(known: &Value, found: &Value) -> bool {
    let (addresses, now) = (hardware_addresses(known), hardware_addresses(found));
    !addresses.is_empty() && !now.is_empty() && addresses.is_disjoint(&now)
}

/// A VMID may have been given to another guest since the plan was made: that one is not touched.
pub(crate) fn refuse_other(
    call: &Call<'_>,
    known: (&Value, Option<&str>),
    (found, observed): (&Value, &Observed),
) -> Result<(), ProviderError> {
    let identity = identity_of(observed);
    let Some(why) = is_replaced(known, (found, identity.as_deref())) else { return Ok(()) };
    let message = format!("{} {why}: it may be another guest", call.object);
    Err(refused(message, Some("it was not touched: look at it in the cluster and plan again")))
}

pub(super) fn name(guest: &Value) -> Option<&str> {
    text(guest, "name").or_else(|| text(block(guest, "initialization")?, "hostname"))
}

fn hardware_addresses(guest: &Value) -> BTreeSet<String> {
    let devices =
        ["network_device", "network_interface"].into_iter().flat_map(|name| all_blocks(guest, name));
    let configured = devices.filter_map(|device| text(device, "mac_address"));
    let listed = texts(guest, "mac_addresses");
    let loopback = "00:00:00:00:00:00";
    let addresses = configured.map(str::to_uppercase).chain(listed.iter().map(|mac| mac.to_uppercase()));
    addresses.filter(|address| !address.is_empty() && address != loopback).collect()
}
