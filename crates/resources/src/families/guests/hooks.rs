//! What virtual machines do beyond their options: cloning, devices by slot, power, migration.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::rules::Problem;
use pve_model::{Path, PathStep, Type, Value};
use serde_json::{Map, Value as Json, json};

use super::{drives, slots};
use crate::cluster::{Call, Method, Step, refused};
use crate::definition::problem;
use crate::limits;
use crate::object::{Hooks, Planning};
use crate::params::Params;
use crate::property::Properties;
use crate::values::{flag, int, reasons, text, texts, with};

/// `proxmox_vm`
pub(super) struct Vm;

/// `proxmox_cloned_vm`
pub(super) struct Cloned;

fn place(value: &Value) -> String {
    let node = text(value, "node_name").unwrap_or_default();
    format!("/nodes/{node}/qemu/{}", int(value, "id").unwrap_or_default())
}

/// The configured limit of an operation.
fn most(value: &Value, name: &str) -> Duration {
    let stated = value.get("timeouts").and_then(|timeouts| text(timeouts, name));
    stated.and_then(crate::vm::parse_duration).unwrap_or(Duration::from_secs(1800))
}

async fn options(call: &Call<'_>, value: &Value) -> Result<Map<String, Json>, ProviderError> {
    let config = call.cluster.get(&format!("{}/config", place(value))).await;
    let config = config.map_err(|error| call.failed(Step::READ, &error))?;
    Ok(config.as_object().cloned().unwrap_or_default())
}

async fn is_running(call: &Call<'_>, value: &Value) -> Result<bool, ProviderError> {
    let status = call.cluster.get(&format!("{}/status/current", place(value))).await;
    let status = status.map_err(|error| call.failed(Step::of("read", "the status"), &error))?;
    Ok(status.get("status").and_then(Json::as_str) == Some("running"))
}

/// Brings the machine to its planned node from wherever it is: it may have been migrated since it was read.
async fn migrate(call: &Call<'_>, prior: &Value, planned: &Value) -> Result<(), ProviderError> {
    let Some(vmid) = int(prior, "id").and_then(|id| u32::try_from(id).ok()) else { return Ok(()) };
    let (known, wanted) = (text(prior, "node_name"), text(planned, "node_name").unwrap_or_default());
    let node = call.cluster.locate("qemu", vmid, known.unwrap_or_default()).await;
    let node = node.map_err(|error| call.failed(Step::FIND, &error))?;
    let Some(node) = node.filter(|node| node != wanted) else { return Ok(()) };
    let here = with(prior, "node_name", Value::string(node));
    let mut params = Params::default();
    params.put("target", Some(wanted));
    params.put_flag("with-local-disks", Some(true));
    params.put_flag("online", is_running(call, &here).await?.then_some(true));
    let path = format!("{}/migrate", place(&here));
    call.migrate("qemu", vmid, &path, wanted, &params, most(planned, "update")).await
}

/// Destroying begins with a machine that does not run.
async fn stop(call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
    if !is_running(call, prior).await? {
        return Ok(());
    }
    let most = most(prior, "delete");
    if flag(prior, "stop_on_destroy") == Some(true) {
        let path = format!("{}/status/stop", place(prior));
        return call.step(Step::STOP, Method::Post, &path, &Params::default(), most).await;
    }
    shut_down(call, prior, most).await
}

async fn shut_down(call: &Call<'_>, value: &Value, most: Duration) -> Result<(), ProviderError> {
    let mut params = Params::default();
    params.put_flag("forceStop", Some(true));
    params.put("timeout", Some(most.as_secs()));
    let path = format!("{}/status/shutdown", place(value));
    call.step(Step::SHUT_DOWN, Method::Post, &path, &params, most + Duration::from_secs(60)).await
}

/// CD drives of the plan that are not as they were.
fn cdroms(params: &mut Params, prior: Option<&Value>, planned: &Value) {
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

type ReadDevice = fn(&str, Option<&Value>) -> Json;

/// The devices of a map as they are: those that are configured, or all of them to import them.
fn read_devices(
    prior: &Value,
    answer: &Json,
    name: &str,
    is_device: fn(&str, &str) -> bool,
    read: ReadDevice,
) -> Json {
    let known = slots::of(prior, name);
    let is_import = prior.get("timeouts").is_some() && is_new(prior);
    let options = answer.as_object().into_iter().flatten();
    let options = options.filter_map(|(slot, option)| Some((slot, option.as_str()?)));
    let mine = options.filter(|(slot, option)| match is_import {
        true => is_device(slot, option),
        false => known.contains_key(slot.as_str()),
    });
    let entries: Map<String, Json> =
        mine.map(|(slot, option)| (slot.clone(), read(option, known.get(slot.as_str()).copied()))).collect();
    if entries.is_empty() && prior.get(name).is_none_or(Value::is_null) {
        Json::Null
    } else {
        Json::Object(entries)
    }
}

/// Whether nothing is known but where it is.
fn is_new(prior: &Value) -> bool {
    prior.get("stop_on_destroy").is_none_or(Value::is_null)
}

fn is_cdrom(_: &str, option: &str) -> bool {
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
fn keep_to(prior: &Value, read: &mut Map<String, Json>) {
    if is_new(prior) {
        read.retain(|_, part| !part.as_object().is_some_and(|parts| parts.values().all(Json::is_null)));
        return;
    }
    for (name, part) in read {
        let guide = prior.get(name).filter(|guide| !guide.is_null());
        if let (Some(guide), Json::Object(parts)) = (guide, &mut *part) {
            let open = |name: &String| guide.get(name).is_some_and(Value::is_null);
            parts.iter_mut().filter(|(name, _)| open(name)).for_each(|(_, part)| *part = Json::Null);
        }
    }
}

#[async_trait]
impl Hooks for Vm {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = validate_cpu(config);
        problems.extend(validate_slots(config));
        problems
    }

    async fn before(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<(), ProviderError> {
        match prior {
            Some(prior) => migrate(call, prior, planned).await,
            None => Ok(()),
        }
    }

    async fn before_delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        stop(call, prior).await
    }

    fn params(&self, params: &mut Params, prior: Option<&Value>, planned: &Value) {
        cdroms(params, prior, planned);
    }

    async fn after(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        call.cluster.forget_guests().await;
        match (prior, planned) {
            (None, Some(planned)) if flag(planned, "template") == Some(true) => {
                let path = format!("{}/template", place(planned));
                call.step(Step::TEMPLATE, Method::Post, &path, &Params::default(), most(planned, "create"))
                    .await
            }
            _ => Ok(()),
        }
    }

    fn reads(&self, name: &str) -> bool {
        name == "cdrom"
    }

    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        keep_to(prior, read);
        read.insert("cdrom".into(), read_devices(prior, answer, "cdrom", is_cdrom, slots::read_cdrom));
    }
}

/// What is brought about after the options: devices, sizes, deletions.
async fn bring_devices(call: &Call<'_>, prior: Option<&Value>, planned: &Value) -> Result<(), ProviderError> {
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
        if let (Some(option), Some(store)) =
            (current(&slot), current(&slot).and_then(|now| drives::move_to(disk, now)))
        {
            move_disk(call, planned, &slot, store, option).await?;
        }
    }
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

async fn move_disk(
    call: &Call<'_>,
    planned: &Value,
    slot: &str,
    store: &str,
    _: &str,
) -> Result<(), ProviderError> {
    let mut params = Params::default();
    params.put("disk", Some(slot));
    params.put("storage", Some(store));
    params.put_flag("delete", Some(true));
    let path = format!("{}/move_disk", place(planned));
    call.step(Step::of("move", slot), Method::Post, &path, &params, most(planned, "update")).await
}

async fn grow(call: &Call<'_>, planned: &Value) -> Result<(), ProviderError> {
    let disks = slots::of(planned, "disk");
    if disks.is_empty() {
        return Ok(());
    }
    let config = options(call, planned).await?;
    for (slot, disk) in disks {
        let current = config.get(&*slot).and_then(Json::as_str).unwrap_or_default();
        let Some(size) = drives::growth(disk, current) else { continue };
        let mut params = Params::default();
        params.put("disk", Some(&slot));
        params.put("size", Some(format!("{size}G")));
        let path = format!("{}/resize", place(planned));
        call.step(Step::of("resize", &slot), Method::Put, &path, &params, most(planned, "update")).await?;
    }
    Ok(())
}

async fn clone_source(call: &Call<'_>, planned: &Value) -> Result<(), ProviderError> {
    let Some(clone) = planned.get("clone").filter(|clone| !clone.is_null()) else { return Ok(()) };
    let source = int(clone, "source_vm_id").unwrap_or_default();
    let node = match text(clone, "source_node_name") {
        Some(node) => node.to_string(),
        None => {
            let guests = call.cluster.guests().await;
            let guests = guests.map_err(|error| call.failed(Step::of("find", "the template"), &error))?;
            let found = guests.iter().find(|guest| i64::from(guest.vmid) == source);
            found.map(|guest| guest.node.clone()).ok_or_else(|| {
                refused(format!("clone {}: there is no vm {source}", call.object), Some("check source_vm_id"))
            })?
        }
    };
    let target = text(planned, "node_name").filter(|target| *target != node);
    let mut params = Params::default();
    params.put("newid", int(planned, "id"));
    params.put("name", text(planned, "name"));
    params.put("target", target);
    params.put_flag("full", flag(clone, "full"));
    params.put("snapname", text(clone, "snapshot_name"));
    params.put("pool", text(clone, "pool_id"));
    params.put("storage", text(clone, "target_datastore"));
    params.put("format", text(clone, "target_format"));
    params.put("bwlimit", int(clone, "bandwidth_limit"));
    let path = format!("/nodes/{node}/qemu/{source}/clone");
    let most = most(planned, "create");
    // The template may be busy with another clone.
    for _ in 1..int(clone, "retries").unwrap_or(1) {
        match call.step(Step::CLONE, Method::Post, &path, &params, most).await {
            Err(error) if crate::vm::is_busy(&error) && !is_there(call, planned).await? => {
                call.progress.status("the template is busy; cloning it once more");
            }
            done => return done,
        }
    }
    call.step(Step::CLONE, Method::Post, &path, &params, most).await
}

async fn is_there(call: &Call<'_>, planned: &Value) -> Result<bool, ProviderError> {
    let vmid = int(planned, "id").and_then(|id| u32::try_from(id).ok()).unwrap_or_default();
    let looked =
        call.cluster.look_at_options("qemu", vmid, text(planned, "node_name").unwrap_or_default()).await;
    Ok(looked.map_err(|error| call.failed(Step::READ, &error))?.is_some())
}

async fn power(call: &Call<'_>, planned: &Value) -> Result<(), ProviderError> {
    let wanted = flag(planned, "started") != Some(false);
    match (is_running(call, planned).await?, wanted) {
        (false, true) => {
            let path = format!("{}/status/start", place(planned));
            call.step(Step::START, Method::Post, &path, &Params::default(), most(planned, "update")).await
        }
        (true, false) => shut_down(call, planned, most(planned, "update")).await,
        _ => Ok(()),
    }
}

/// The plan with what a device is by itself wherever nothing is configured: taking that out changes no device.
fn with_own_parts(prior: &Value, planned: &Value) -> Value {
    let own = [("disk", &["file"][..]), ("network", &["mac_address", "model"])];
    own.into_iter().fold(planned.clone(), |planned, (name, parts)| {
        let (before, after) = (slots::of(prior, name), slots::of(&planned, name));
        let devices = after.iter().map(|(slot, device)| {
            let old = before.get(slot);
            let kept = parts.iter().fold((*device).clone(), |device, part| {
                match old.and_then(|old| old.get(part)) {
                    Some(old) if device.get(part).is_some_and(Value::is_null) => {
                        with(&device, part, old.clone())
                    }
                    _ => device,
                }
            });
            (slot.clone(), kept)
        });
        match planned.get(name).map(Value::ty) {
            Some(Type::Map(ty)) if !after.is_empty() => {
                with(&planned, name, Value::map((*ty).clone(), devices.collect()))
            }
            _ => planned,
        }
    })
}

/// Devices are named by slots.
fn validate_slots(config: &Value) -> Vec<Problem> {
    type Limit = fn(&str) -> Option<String>;
    let maps: [(&str, Limit); 3] = [
        ("cdrom", limits::media_interface),
        ("disk", limits::disk_interface),
        ("network", limits::network_slot),
    ];
    let slots = maps.into_iter().flat_map(|(name, limit)| {
        slots::of(config, name).into_keys().filter_map(move |slot| {
            let path = Path::attribute(name).child(PathStep::Key(slot.to_string()));
            limit(&slot).map(|detail| problem(path, "No such slot", detail))
        })
    });
    slots.collect()
}

/// Flags are a part of the option that begins with the type.
fn validate_cpu(config: &Value) -> Vec<Problem> {
    let Some(cpu) = config.get("cpu").filter(|cpu| cpu.is_known() && !cpu.is_null()) else {
        return Vec::new();
    };
    let unset = |name: &str| cpu.get(name).is_none_or(Value::is_null);
    if unset("flags") || !unset("type") {
        return Vec::new();
    }
    let path = Path::attribute("cpu").child(PathStep::Attribute("flags".to_string()));
    vec![problem(path, "Flags of which CPU?", "cpu.flags needs cpu.type beside it")]
}

#[async_trait]
impl Hooks for Cloned {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = validate_cpu(config);
        problems.extend(validate_slots(config));
        problems
    }

    /// How it was made cannot be read of one that was imported.
    fn plan(&self, planning: &mut Planning<'_>) {
        let Some(prior) = planning.prior else { return };
        planning.planned = with_own_parts(prior, &planning.planned);
        match (prior.get("clone"), planning.planned.get("clone")) {
            (Some(before), Some(_)) if before.is_null() => {
                planning.planned = with(&planning.planned, "clone", before.clone());
            }
            (Some(before), Some(after)) if before != after && after.is_known() => {
                let names: Vec<&str> =
                    after.entries().into_iter().flatten().map(|(name, _)| &**name).collect();
                let reason = "a guest is made from its source only once";
                let path = Path::attribute("clone");
                planning.replace.extend(reasons(before, after, &path, &names, reason));
            }
            _ => {}
        }
    }

    async fn before(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<(), ProviderError> {
        match prior {
            Some(prior) => migrate(call, prior, planned).await,
            None => clone_source(call, planned).await,
        }
    }

    async fn before_delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        stop(call, prior).await
    }

    /// The clone has its id and name already.
    fn params(&self, params: &mut Params, prior: Option<&Value>, planned: &Value) {
        params.0.remove("vmid");
        cdroms(params, prior, planned);
    }

    async fn after(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        call.cluster.forget_guests().await;
        let Some(planned) = planned else { return Ok(()) };
        bring_devices(call, prior, planned).await?;
        power(call, planned).await?;
        call.cluster.forget_guests().await;
        Ok(())
    }

    fn reads(&self, name: &str) -> bool {
        ["cdrom", "disk", "network", "started"].contains(&name)
    }

    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        keep_to(prior, read);
        read.insert("cdrom".into(), read_devices(prior, answer, "cdrom", is_cdrom, slots::read_cdrom));
        read.insert("disk".into(), read_devices(prior, answer, "disk", is_disk, drives::read));
        read.insert("network".into(), read_devices(prior, answer, "network", is_net, slots::read_net));
        if let Some(running) = answer.get("running") {
            read.insert("started".into(), json!(running));
        }
    }
}
