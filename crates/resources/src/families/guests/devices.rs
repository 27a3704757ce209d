//! Devices by slot: bringing about what is planned, and reading what is there.

use std::collections::BTreeSet;
use std::sync::Arc;

use pve_executor::ports::ProviderError;
use pve_model::{Value, ValueKind};
use serde_json::{Map, Value as Json};

use super::requests::{most, options, place};
use super::{drives, slots};
use crate::cluster::{Call, Method, Step};
use crate::known_volumes::volume_of;
use crate::params::Params;
use crate::property::Properties;
use crate::resizing::Place;
use crate::values::{int, text, texts};

/// CD drives of the plan that are not as they were.
pub(super) fn cdroms(params: &mut Params, prior: Option<&Value>, planned: &Value) {
    let before = prior.map(|prior| slots::of(prior, "cdrom")).unwrap_or_default();
    let after = slots::of(planned, "cdrom");
    for (slot, drive) in &after {
        if before.get(slot) != Some(drive) {
            params.put(slot, Some(slots::cdrom(drive)));
        }
    }
    for slot in before.keys().filter(|slot| !after.contains_key(*slot)) {
        let delete = params.0.get("delete").map_or(slot.to_string(), |names| format!("{names},{slot}"));
        params.put("delete", Some(delete));
    }
}

/// What is brought about after the options: devices, sizes, deletions.
pub(super) async fn bring_devices(
    call: &Call<'_>,
    prior: Option<&Value>,
    planned: &Value,
) -> Result<(), ProviderError> {
    take_back(call, prior, planned).await?;
    let config = options(call, planned).await?;
    let current = |slot: &str| config.get(slot).and_then(Json::as_str);
    let mut params = Params::default();
    let before = |name: &str, slot: &str| {
        prior.and_then(|prior| slots::of(prior, name).get(slot).map(|one| (*one).clone()))
    };
    for (slot, device) in slots::of(planned, "network") {
        let option = slots::net(device, before("network", &slot).as_ref(), current(&slot)).to_string();
        params.put(&slot, Some(option).filter(|option| current(&slot) != Some(option)));
    }
    for (slot, disk) in slots::of(planned, "disk") {
        if let Some(to) = current(&slot).and_then(|now| drives::move_to(disk, now)) {
            move_disk(call, planned, &slot, to).await?;
        }
    }
    // A line that waits for a reboot has the size from before a growth that follows it.
    grow(call, planned).await?;
    let config = options(call, planned).await?;
    let current = |slot: &str| config.get(slot).and_then(Json::as_str);
    for (slot, disk) in slots::of(planned, "disk") {
        let option = drives::option(disk, before("disk", &slot).as_ref(), current(&slot));
        let differs = current(&slot).is_none_or(|now| sorted(&Properties::parse(now)) != sorted(&option));
        params.put(&slot, differs.then_some(option));
    }
    let gone = planned.get("delete").filter(|delete| !delete.is_null());
    let gone: BTreeSet<String> = gone
        .map(|gone| ["disk", "network"].iter().flat_map(|name| texts(gone, name)).collect())
        .unwrap_or_default();
    let gone: Vec<String> = gone.into_iter().filter(|slot| config.contains_key(slot)).collect();
    params.put("delete", Some(gone.join(",")).filter(|names| !names.is_empty()));
    if !params.0.is_empty() {
        // What is sent was made from what was there.
        params.put("digest", config.get("digest").and_then(Json::as_str));
        let path = format!("{}/config", place(planned));
        call.step(Step::of("change", "devices"), Method::Post, &path, &params, most(planned, "update"))
            .await?;
    }
    grow(call, planned).await
}

fn sorted(option: &Properties) -> Vec<String> {
    let mut parts: Vec<String> = option.to_string().split(',').map(String::from).collect();
    parts.sort();
    parts
}

/// Takes back what waits for the next start in slots of disks that are made, moved or grown: a disk whose removal waits is
/// still there.
async fn take_back(call: &Call<'_>, prior: Option<&Value>, planned: &Value) -> Result<(), ProviderError> {
    let disks = slots::of(planned, "disk");
    if prior.is_none() || disks.is_empty() {
        return Ok(());
    }
    let config = options(call, planned).await?;
    let changes = |(slot, disk): &(Arc<str>, &Value)| match config.get(&**slot).and_then(Json::as_str) {
        Some(now) => drives::move_to(disk, now).is_some() || drives::growth(disk, now).is_some(),
        None => true,
    };
    let changed: Vec<_> = disks.into_iter().filter(changes).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let waiting = call.look_at_waiting(&place(planned)).await?;
    let present = |slot: &str| waiting.until_start().and_then(|present| present.text(slot));
    let names_another = |slot: &str, disk: &Value| {
        let is_missing = !waiting.config.contains_key(slot);
        let named = text(disk, "file").filter(|_| is_missing);
        named.is_some_and(|named| present(slot).and_then(|drive| volume_of(&drive)).as_deref() != Some(named))
    };
    let changed = changed.into_iter();
    let changed =
        changed.filter(|(slot, disk)| waiting.changes_with_start(slot) && !names_another(slot, disk));
    let changed: Vec<String> = changed.map(|(slot, _)| slot.to_string()).collect();
    call.take_back(&place(planned), &changed, &waiting, most(planned, "update")).await
}

async fn move_disk(
    call: &Call<'_>,
    planned: &Value,
    slot: &str,
    (store, format): (&str, Option<&str>),
) -> Result<(), ProviderError> {
    let node = text(planned, "node_name").unwrap_or_default();
    call.refuse_ignored_format((node, store), slot, (format, "format")).await?;
    let config = options(call, planned).await?;
    let mut params = Params::default();
    params.put("disk", Some(slot));
    params.put("storage", Some(store));
    params.put("format", format);
    params.put_flag("delete", Some(true));
    // The volume that is moved is the one that was looked at.
    params.put("digest", config.get("digest").and_then(Json::as_str));
    let path = format!("{}/move_disk", place(planned));
    call.step(Step::of("move", slot), Method::Post, &path, &params, most(planned, "update")).await
}

async fn grow(call: &Call<'_>, planned: &Value) -> Result<(), ProviderError> {
    let disks = slots::of(planned, "disk");
    if disks.is_empty() {
        return Ok(());
    }
    let config = options(call, planned).await?;
    let vmid = int(planned, "id").and_then(|id| u32::try_from(id).ok()).unwrap_or_default();
    let node = text(planned, "node_name").unwrap_or_default();
    let guest = Place { kind: "qemu", vmid, node };
    for (slot, disk) in disks {
        let current = config.get(&*slot).and_then(Json::as_str).unwrap_or_default();
        let Some(size) = drives::growth(disk, current) else { continue };
        call.grow(&guest, &slot, &format!("{size}G"), most(planned, "update")).await?;
    }
    Ok(())
}

/// The devices of a map as they are: those that are configured, or all of them to import them.
pub(super) fn read_devices(prior: &Value, answer: &Json, name: &str) -> Json {
    type IsDevice = fn(&str, &str) -> bool;
    type ReadDevice = fn(&str, Option<&Value>) -> Json;
    let (is_device, read): (IsDevice, ReadDevice) = match name {
        "disk" => (is_disk, drives::read),
        "network" => (is_net, slots::read_net),
        _ => (is_cdrom, slots::read_cdrom),
    };
    let known = slots::of(prior, name);
    let is_import = prior.get("timeouts").is_some() && is_new(prior);
    let options = answer.as_object().into_iter().flatten();
    let options = options.filter_map(|(slot, option)| Some((slot, option.as_str()?)));
    let mine = options.filter(|(slot, option)| match is_import {
        true => is_device(slot, option),
        // Something else may have taken its place.
        false => known.contains_key(slot.as_str()) && is_device(slot, option),
    });
    let entries: Map<String, Json> =
        mine.map(|(slot, option)| (slot.clone(), read(option, known.get(slot.as_str()).copied()))).collect();
    if entries.is_empty() && prior.get(name).is_none_or(Value::is_null) {
        Json::Null
    } else {
        Json::Object(entries)
    }
}

/// Whether an option is a CD drive, other than that of cloud-init.
pub(super) fn is_cdrom(_: &str, option: &str) -> bool {
    Properties::parse(option).get("media") == Some("cdrom") && !option.contains("cloudinit")
}

fn is_net(slot: &str, _: &str) -> bool {
    slot.strip_prefix("net").is_some_and(|number| number.parse::<u32>().is_ok())
}

fn is_disk(slot: &str, option: &str) -> bool {
    let bus = ["scsi", "virtio", "sata", "ide"].iter().find_map(|bus| slot.strip_prefix(bus));
    bus.is_some_and(|number| number.parse::<u32>().is_ok()) && !option.contains("media=cdrom")
}

/// Keeps to what is configured: the parts of objects that are left out are not looked at.
pub(super) fn keep_to(prior: &Value, read: &mut Map<String, Json>) {
    if is_new(prior) {
        read.retain(|_, part| !part.as_object().is_some_and(|parts| parts.values().all(Json::is_null)));
        return;
    }
    for (name, part) in read {
        let guide = prior.get(name).filter(|guide| !guide.is_null());
        // An object of which nothing is stated is as good as none.
        if let (Some(ValueKind::Object(parts)), true) = (guide.map(|guide| &guide.kind), part.is_null())
            && parts.values().all(Value::is_null)
        {
            *part = parts.keys().map(|name| (name.to_string(), Json::Null)).collect::<Map<_, _>>().into();
        }
        if let (Some(guide), Json::Object(parts)) = (guide, &mut *part) {
            let open = |name: &String| guide.get(name).is_some_and(Value::is_null);
            parts.iter_mut().filter(|(name, _)| open(name)).for_each(|(_, part)| *part = Json::Null);
        }
    }
}

/// Whether nothing is known but where it is.
fn is_new(prior: &Value) -> bool {
    prior.get("stop_on_destroy").is_none_or(Value::is_null)
}
