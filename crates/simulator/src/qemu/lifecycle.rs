//! Starting and stopping machines. Refusals are the task's, not the call's.

use serde_json::{Value, json};

use super::{KIND, drives, pending};
use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::schema;
use crate::{guests, ha, volumes};

/// `GET status`.
pub(crate) fn index(request: &mut Request<'_>) -> Answer {
    request.guest(KIND)?;
    let names = ["current", "start", "stop", "reset", "shutdown", "suspend", "reboot"];
    Ok(names.iter().map(|name| json!({ "subdir": name })).collect())
}

/// `POST status/start`.
pub(crate) fn start(request: &mut Request<'_>) -> Answer {
    guests::check_skip_lock(request)?;
    let vmid = request.vmid();
    if ha::is_managed(request.state, vmid) {
        return ha::request_start(request, vmid);
    }
    Ok(start_task(request, vmid))
}

/// Starts a machine as a task; also after a create with `start=1`.
pub(crate) fn start_task(request: &mut Request<'_>, vmid: u32) -> Value {
    let skip = request.flag("skiplock") || request.get("start").is_some();
    request.task("qmstart", &vmid.to_string(), |request, outcome| {
        let guest = crate::request::guest(request.state, KIND, vmid, &request.node)?;
        if guest.is_template() {
            return Err(Failure::died("you can't start a vm if it's a template"));
        }
        if !skip && !is_suspended(guest) {
            guests::check_lock(guest)?;
        }
        if guest.running {
            return Err(Failure::died(format!("VM {vmid} already running")));
        }
        start_machine(request, outcome, vmid)
    })
}

fn start_machine(request: &mut Request<'_>, outcome: &mut Outcome, vmid: u32) -> Result<(), Failure> {
    let saved = request.state.guests.get(&vmid).and_then(|guest| guest.config.get("vmstate").cloned());
    // A machine that was suspended goes on as it was.
    if let Some(volume) = saved {
        outcome.say("Resuming suspended VM");
        if let Some(guest) = request.state.guests.get_mut(&vmid) {
            guest.config.retain(|key, _| !matches!(key.as_str(), "vmstate" | "lock"));
        }
        volumes::remove(request.state, outcome, &volume);
        guests::run(request, vmid);
        outcome.say("Resumed VM, removing state");
        return Ok(());
    }
    pending::apply(request, vmid);
    check_devices(request, vmid)?;
    generate_cloud_init(request, outcome, vmid)?;
    guests::run(request, vmid);
    Ok(())
}

fn check_devices(request: &Request<'_>, vmid: u32) -> Result<(), Failure> {
    let Some(guest) = request.state.guests.get(&vmid) else { return Ok(()) };
    for (name, text) in &guest.config {
        if schema::indexed(name).is_some_and(|(stem, _)| stem == "net")
            && let Some(bridge) = text.split(',').find_map(|part| part.strip_prefix("bridge="))
            && !crate::nodes::has_bridge(request, bridge)
        {
            return Err(Failure::died(format!("bridge '{bridge}' does not exist")));
        }
        if drives::is_drive(name) {
            let file = drives::file_of(text);
            if let Some((storage, _)) = volumes::split(&file).filter(|_| !file.starts_with('/')) {
                volumes::usable(request.state, storage, &request.node)?;
            }
            if file != "none"
                && file != "cdrom"
                && !file.starts_with('/')
                && !crate::volumes::is_on(request.state, &file, &request.node)
            {
                return Err(crate::volumes::missing_volume(request.state, &file));
            }
        }
    }
    Ok(())
}

fn generate_cloud_init(request: &mut Request<'_>, outcome: &mut Outcome, vmid: u32) -> Result<(), Failure> {
    let Some(guest) = request.state.guests.get_mut(&vmid) else { return Ok(()) };
    let drive = guest.config.iter().find_map(|(name, text)| {
        let values = drives::parse(name, text)
            .filter(|values| drives::is_drive(name) && drives::is_cloud_init(values))?;
        Some((name.clone(), values))
    });
    let Some((name, mut values)) = drive else { return Ok(()) };
    let custom = guest.config.get("cicustom").cloned();
    super::cloud_init::check_files(request, custom.as_deref())?;
    outcome.say("generating cloud-init ISO");
    let Some(guest) = request.state.guests.get_mut(&vmid) else { return Ok(()) };
    values.insert("size".to_owned(), "4M".to_owned());
    guest.config.insert(name.clone(), drives::print(&name, &values));
    guest.cloud_init = Some(guest.config.clone());
    Ok(())
}

fn halt(request: &mut Request<'_>, vmid: u32) {
    if let Some(guest) = request.state.guests.get_mut(&vmid) {
        guest.running = false;
        guest.paused = false;
    }
    // What waited for the stop is applied when the process has gone (`vm_stop_cleanup`).
    pending::apply(request, vmid);
}

fn on_running(
    request: &mut Request<'_>,
    kind: &str,
    work: impl FnOnce(&mut Request<'_>, &mut Outcome, u32) -> Result<(), Failure>,
) -> Answer {
    guests::check_skip_lock(request)?;
    let vmid = request.vmid();
    Ok(request.task(kind, &vmid.to_string(), |request, outcome| {
        let missing = matches!(kind, "qmstop" | "qmshutdown");
        let guest = request
            .guest(KIND)
            .map_err(|failure| if missing { super::clone::no_configuration(request) } else { failure })?;
        if !request.flag("skiplock") {
            guests::check_lock(guest)?;
        }
        work(request, outcome, vmid)
    }))
}

fn not_running(vmid: u32) -> Failure {
    Failure::died(format!("VM {vmid} not running"))
}

/// Refuses parameters that migrations use among themselves.
fn check_root_parameters(request: &Request<'_>, names: &[&str]) -> Result<(), Failure> {
    guests::check_skip_lock(request)?;
    let set = |name: &&&str| request.get(name).is_some_and(|value| value != "0");
    match names.iter().find(set).filter(|_| !request.identity.is_root()) {
        Some(name) => Err(Failure::parameter(name, "Only root may use this option.")),
        None => Ok(()),
    }
}

/// `POST status/stop`: a stopped machine is fine.
pub(crate) fn stop(request: &mut Request<'_>) -> Answer {
    check_root_parameters(request, &["keepActive", "migratedfrom"])?;
    if ha::is_managed(request.state, request.vmid()) {
        if request.flag("overrule-shutdown") {
            return Err(Failure::parameter("overrule-shutdown", "Not applicable for HA resources."));
        }
        return ha::request_stop(request, request.vmid(), true);
    }
    stop_task(request)
}

/// Stops a machine as a task.
pub(crate) fn stop_task(request: &mut Request<'_>) -> Answer {
    on_running(request, "qmstop", |request, _, vmid| {
        halt(request, vmid);
        Ok(())
    })
}

/// `POST status/shutdown`: the simulated guests obey, unless they are paused.
pub(crate) fn shutdown(request: &mut Request<'_>) -> Answer {
    check_root_parameters(request, &["keepActive"])?;
    if is_paused(request) && !request.flag("forceStop") {
        return Err(Failure::died("VM is paused - cannot shutdown"));
    }
    if ha::is_managed(request.state, request.vmid()) {
        return ha::request_stop(request, request.vmid(), request.get("timeout") == Some("0"));
    }
    shutdown_task(request)
}

fn is_paused(request: &Request<'_>) -> bool {
    request.guest(KIND).is_ok_and(|guest| guest.running && guest.paused)
}

/// Shuts a machine down as a task; one that does not run is fine.
pub(crate) fn shutdown_task(request: &mut Request<'_>) -> Answer {
    on_running(request, "qmshutdown", |request, outcome, vmid| {
        let guest = request.guest(KIND)?;
        if !guest.running {
            return Ok(());
        }
        if !guest.paused && !request.options.guests_obey {
            say_no_agent(outcome, guest, vmid);
            if !request.flag("forceStop") {
                return Err(Failure::died("VM quit/powerdown failed - got timeout"));
            }
            outcome.say("VM still running - terminating now with SIGTERM");
        }
        halt(request, vmid);
        Ok(())
    })
}

/// A machine with an agent that does not answer is asked by ACPI.
fn say_no_agent(outcome: &mut Outcome, guest: &crate::state::Guest, vmid: u32) {
    if guest.config.get("agent").is_some_and(|text| super::agent::enabled(text)) {
        outcome.say(format!(
            "QEMU Guest Agent is not running - VM {vmid} qga command 'guest-ping' failed - got timeout"
        ));
    }
}

/// Refuses where there is no running machine; a machine that is not there is missed in other words here.
fn check_running(request: &Request<'_>) -> Result<(), Failure> {
    match request.guest(KIND).map_err(|_| super::clone::no_configuration(request))?.running {
        true => Ok(()),
        false => Err(not_running(request.vmid())),
    }
}

/// `POST status/reboot`: also applies pending changes. What HA manages is started by that, after the task (`qm cleanup`).
pub(crate) fn reboot(request: &mut Request<'_>) -> Answer {
    if is_paused(request) {
        return Err(Failure::died("VM is paused - cannot shutdown"));
    }
    check_running(request)?;
    let managed = ha::is_managed(request.state, request.vmid());
    let answer = on_running(request, "qmreboot", |request, outcome, vmid| {
        if !request.options.guests_obey {
            say_no_agent(outcome, request.guest(KIND)?, vmid);
            return Err(Failure::died("VM quit/powerdown failed - got timeout"));
        }
        halt(request, vmid);
        pending::apply(request, vmid);
        if !managed {
            generate_cloud_init(request, outcome, vmid)?;
            guests::run(request, vmid);
        }
        Ok(())
    })?;
    let vmid = request.vmid();
    if managed && request.guest(KIND).is_ok_and(|guest| !guest.running) {
        ha::request_start(request, vmid)?;
    }
    Ok(answer)
}

/// `POST status/reset`.
pub(crate) fn reset(request: &mut Request<'_>) -> Answer {
    guests::check_skip_lock(request)?;
    check_running(request)?;
    on_running(request, "qmreset", |_, _, _| Ok(()))
}

/// `POST status/suspend`.
pub(crate) fn suspend(request: &mut Request<'_>) -> Answer {
    guests::check_skip_lock(request)?;
    check_running(request)?;
    if request.flag("todisk") {
        return suspend_to_disk(request);
    }
    on_running(request, "qmpause", |request, _, _| {
        request.guest_mut(KIND)?.paused = true;
        Ok(())
    })
}

/// `POST status/resume`.
pub(crate) fn resume(request: &mut Request<'_>) -> Answer {
    check_root_parameters(request, &["nocheck"])?;
    let vmid = request.vmid();
    if request.guest(KIND).is_ok_and(is_suspended) {
        return Ok(request
            .task("qmresume", &vmid.to_string(), |request, outcome| start_machine(request, outcome, vmid)));
    }
    check_running(request)?;
    on_running(request, "qmresume", |request, _, _| {
        request.guest_mut(KIND)?.paused = false;
        Ok(())
    })
}

fn is_suspended(guest: &crate::state::Guest) -> bool {
    guest.config.get("lock").is_some_and(|lock| lock == "suspended")
}

/// Writes the memory to a volume and ends the machine; the next start goes on from there.
fn suspend_to_disk(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    if ha::is_managed(request.state, vmid) {
        return Err(Failure::died("Cannot suspend HA managed VM to disk"));
    }
    if request.guest(KIND)?.config.keys().any(|key| key.starts_with("hostpci")) {
        return Err(Failure::died(
            "cannot suspend VM to disk due to passed-through PCI device(s), which lack the possibility to save/restore their internal state",
        ));
    }
    on_running(request, "qmsuspend", |request, outcome, vmid| {
        let date = crate::tasks::clock(request.seconds());
        let name = format!("suspend-{}", date.split(' ').next().unwrap_or_default());
        let given = request.get("statestorage").map(str::to_owned);
        let volume = drives::save_memory(request, outcome, vmid, &name, given)?;
        outcome.say("State saved, quitting");
        let guest = request.guest_mut(KIND)?;
        guest.running = false;
        guest.config.insert("vmstate".to_owned(), volume);
        guest.config.insert("lock".to_owned(), "suspended".to_owned());
        Ok(())
    })
}

/// `POST monitor`.
pub(crate) fn monitor(request: &mut Request<'_>) -> Answer {
    let command = request.text("command");
    let name = command.split_whitespace().next().unwrap_or_default().to_owned();
    if name.is_empty() {
        let text = format!("unexpected command '{command}'");
        return Err(Failure::died(if command.is_empty() { "no command specified" } else { &text }));
    }
    let guest = request.guest(KIND)?;
    if !guest.running {
        return Ok(json!(format!("ERROR: VM {} not running\n", request.vmid())));
    }
    let state = if guest.paused { "paused" } else { "running" };
    Ok(json!(match command.trim() {
        "info status" => format!("VM status: {state}\r\n"),
        text if text.starts_with("info ") => String::new(),
        _ => format!("unknown command: '{name}'\r\n"),
    }))
}

/// `PUT sendkey`.
pub(crate) fn send_key(request: &mut Request<'_>) -> Answer {
    guests::check_skip_lock(request)?;
    if request.guest(KIND)?.running { Ok(Value::Null) } else { Err(not_running(request.vmid())) }
}
