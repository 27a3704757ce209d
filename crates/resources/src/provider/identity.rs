//! Whether the guest that has an id now is the one that is known by it: the one rule, for every kind of guest.

use std::collections::BTreeSet;

use pve_model::Value;
use serde_json::{Map, Value as Json};

use crate::known_volumes::volumes_in_words;
use crate::limits;
use crate::observed::Observed;
use crate::property::Properties;
use crate::values::{all_blocks, block, text, texts};

/// The parts of an identity that tell one guest from another.
const IDENTIFYING: &[&str] = &["uuid", "vmgenid", "ctime"];

/// What a guest is known by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traits {
    /// Its name, or its host name.
    pub(crate) name: Option<String>,
    /// The hardware addresses of its network devices.
    addresses: BTreeSet<String>,
    /// What tells it from any other guest with its id.
    pub(crate) identity: Option<String>,
    /// Its options, as they will be after its next start.
    pub(crate) options: Map<String, Json>,
    /// Its options until then, where they are others.
    pub(crate) in_force: Option<Map<String, Json>>,
}

impl Traits {
    /// A guest with these values and this identity, as it was recorded.
    pub(crate) fn recorded(guest: &Value, identity: Option<&str>) -> Traits {
        let name = text(guest, "name")
            .or_else(|| block(guest, "initialization").and_then(|of| text(of, "hostname")));
        Traits {
            name: name.map(str::to_string),
            addresses: recorded_addresses(guest),
            identity: identity.map(str::to_string),
            ..Traits::default()
        }
    }

    /// A guest as it was found.
    pub(crate) fn found(observed: &Observed) -> Traits {
        Traits {
            name: observed.written("name").or_else(|| observed.written("hostname")),
            addresses: found_addresses(observed),
            identity: identity_of(observed),
            options: observed.config.clone(),
            in_force: observed.in_force.clone(),
        }
    }

    /// Why the guest that was found is another one than this, if it is.
    ///
    /// One that was restored from a backup has another generation, one whose UUID was set by hand another UUID: the same is
    /// what has one of them. Where these cannot be compared, another one has another name and none of the hardware
    /// addresses, which Proxmox VE draws anew for each guest: one of these alone is a change from outside.
    pub(crate) fn is_another(&self, found: &Traits) -> Option<&'static str> {
        match self.is_same(found) {
            Some(true) => None,
            Some(false) => Some("it has another UUID, and nothing tells that it is the same"),
            None => {
                let other = self.is_renamed(found)
                    && !self.addresses.is_empty()
                    && self.addresses.is_disjoint(&found.addresses);
                other.then_some("it has none of the network devices of the one that is known")
            }
        }
    }

    /// Why the guest that is about to be changed is not the one that this was planned for, if that is so. Where the
    /// identities do not tell it is more careful than reading: nothing is lost by planning again.
    pub(crate) fn is_replaced(&self, found: &Traits) -> Option<String> {
        if let Some(same) = self.is_same(found) {
            return (!same).then(|| "has another UUID than when this was planned".to_string());
        }
        if let Some(known) = self.name.as_deref().filter(|_| self.is_renamed(found)) {
            let now = found.name.as_deref().unwrap_or_default();
            return Some(format!("is named {now:?} now and was {known:?} when this was planned"));
        }
        let is_other = self.has_other_devices(found);
        is_other.then(|| "has none of the network devices that it had when this was planned".to_string())
    }

    /// Why a container that was read is another one than this, if it is. Nothing but its hardware addresses tells it from one
    /// that was made under its id and its name: here reading is as careful as changing.
    pub(crate) fn is_another_container(&self, found: &Traits) -> Option<&'static str> {
        self.has_other_devices(found).then_some(
            "it has none of the network devices of the one that is known; if it is yours all the same, take it in again \
             (pve state rm, then pve import)",
        )
    }

    fn has_other_devices(&self, found: &Traits) -> bool {
        !self.addresses.is_empty()
            && !found.addresses.is_empty()
            && self.addresses.is_disjoint(&found.addresses)
    }

    fn is_renamed(&self, found: &Traits) -> bool {
        self.name.is_some() && self.name != found.name
    }

    /// Whether the identities are those of one guest. `None` where they have nothing that can be compared.
    ///
    /// When they were made counts only where nothing else can be compared: two may be made in one second.
    pub(crate) fn is_same(&self, found: &Traits) -> Option<bool> {
        let parts = |known: &Traits| Properties::parse(known.identity.as_deref().unwrap_or_default());
        let (before, now) = (parts(self), parts(found));
        let both = before.pairs().iter();
        let same = both.filter_map(|(key, value)| Some((key, now.get(key)? == value.as_str())));
        let same = same.filter(|(key, _)| IDENTIFYING.contains(&key.as_str()));
        let (weak, strong): (Vec<_>, Vec<_>) = same.partition(|(key, _)| *key == "ctime");
        let compared = if strong.is_empty() { weak } else { strong };
        (!compared.is_empty()).then(|| compared.iter().any(|(_, same)| *same))
    }
}

/// What tells a VM from another one with its id: the UUID that its operating system sees, the id of its generation, and
/// when it was made (`qm.conf(5)`). Containers have none of these. A generation of 0 is none.
///
/// With them go the volumes that it has: they tell what may be taken out of it, not which VM it is.
fn identity_of(observed: &Observed) -> Option<String> {
    let key = |option: &str, key: &str| {
        let parts = Properties::parse(&observed.written(option)?);
        parts.get(key).map(|value| format!("{key}={value}"))
    };
    let generation = observed.written("vmgenid").filter(|id| id != "0").map(|id| format!("vmgenid={id}"));
    let parts = [key("smbios1", "uuid"), generation, key("meta", "ctime")];
    Some(parts.into_iter().flatten().chain(volumes_in_words(observed)).collect::<Vec<_>>().join(","))
}

fn recorded_addresses(guest: &Value) -> BTreeSet<String> {
    let blocks = ["network_device", "network_interface"].into_iter().flat_map(|name| all_blocks(guest, name));
    let blocks = blocks.filter_map(|device| text(device, "mac_address"));
    // The newer kinds have their devices by slot.
    let slots = guest.get("network").filter(|part| part.is_known() && !part.is_null());
    let slots = slots.and_then(Value::entries).into_iter().flatten();
    let slots = slots.filter_map(|(_, device)| text(device, "mac_address"));
    let listed = texts(guest, "mac_addresses");
    let listed = listed.iter().map(AsRef::as_ref);
    let loopback = "00:00:00:00:00:00";
    let addresses = blocks.chain(slots).chain(listed).map(str::to_uppercase);
    addresses.filter(|address| !address.is_empty() && address != loopback).collect()
}

/// A VM has the address as the value of the model, a container under a key of its own.
fn found_addresses(found: &Observed) -> BTreeSet<String> {
    let devices = found.numbered("net").into_iter().filter_map(|(_, slot)| found.text(&slot));
    let parts = devices.flat_map(|device| {
        let device = Properties::parse(&device);
        device.pairs().iter().map(|(_, value)| value.to_uppercase()).collect::<Vec<_>>()
    });
    parts.filter(|value| limits::mac_address(value).is_none()).collect()
}
