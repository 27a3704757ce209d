//! Starting and stopping machines. Refusals are the task's, not the call's.

use serde_json::{Value, json};

use super::{KIND, config, drives};
use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::schema;
use crate::{guests, ha};

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
        if !skip {
            guests::check_lock(guest)?;
        }
        if guest.running {
            return Err(Failure::died(format!("VM {vmid} already running")));
        }
        config::apply_pending(request, vmid);
        check_devices(request, vmid)?;
        generate_cloud_init(request, outcome, vmid);
        run(request, vmid);
        Ok(())
    })
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

fn generate_cloud_init(request: &mut Request<'_>, outcome: &mut Outcome, vmid: u32) {
    let Some(guest) = request.state.guests.get_mut(&vmid) else { return };
    let drive = guest.config.iter().find_map(|(name, text)| {
        let values = drives::parse(name, text)
            .filter(|values| drives::is_drive(name) && drives::is_cloud_init(values))?;
        Some((name.clone(), values))
    });
    let Some((name, mut values)) = drive else { return };
    outcome.say("generating cloud-init ISO");
    values.insert("size".to_owned(), "4M".to_owned());
    guest.config.insert(name.clone(), drives::print(&name, &values));
    guest.cloud_init = Some(guest.config.clone());
}

fn run(request: &mut Request<'_>, vmid: u32) {
    let process = request.state.process();
    let now = request.now;
    if let Some(guest) = request.state.guests.get_mut(&vmid) {
        guest.process = process;
        guest.paused = false;
        guest.started = now.max(guest.busy_until);
        guest.running = true;
    }
}

fn halt(request: &mut Request<'_>, vmid: u32) {
    if let Some(guest) = request.state.guests.get_mut(&vmid) {
        guest.running = false;
        guest.paused = false;
    }
    // What waited for the stop is applied when the process has gone (`vm_stop_cleanup`).
    config::apply_pending(request, vmid);
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

/// `POST status/stop`: a stopped machine is fine.
pub(crate) fn stop(request: &mut Request<'_>) -> Answer {
    if ha::is_managed(request.state, request.vmid()) {
        return ha::request_stop(request, request.vmid());
    }
    on_running(request, "qmstop", |request, _, vmid| {
        halt(request, vmid);
        Ok(())
    })
}

/// `POST status/shutdown`: the simulated guests obey, unless they are paused.
pub(crate) fn shutdown(request: &mut Request<'_>) -> Answer {
    if ha::is_managed(request.state, request.vmid()) {
        return ha::request_stop(request, request.vmid());
    }
    shutdown_task(request)
}

/// Shuts a machine down as a task.
pub(crate) fn shutdown_task(request: &mut Request<'_>) -> Answer {
    on_running(request, "qmshutdown", |request, outcome, vmid| {
        let guest = request.guest(KIND)?;
        if !guest.running {
            return Err(not_running(vmid));
        }
        if guest.paused && !request.flag("forceStop") {
            return Err(Failure::died("VM is paused - cannot shutdown"));
        }
        if !guest.paused && !request.options.guests_obey && !request.flag("forceStop") {
            return Err(Failure::died("VM quit/powerdown failed - got timeout"));
        }
        if guest.paused || !request.options.guests_obey {
            outcome.say("VM still running - terminating now with SIGTERM");
        }
        halt(request, vmid);
        Ok(())
    })
}

/// `POST status/reboot`: also applies pending changes.
pub(crate) fn reboot(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    if !request.guest(KIND)?.running {
        return Err(not_running(vmid));
    }
    on_running(request, "qmreboot", |request, outcome, vmid| {
        if !request.options.guests_obey {
            return Err(Failure::died("VM quit/powerdown failed - got timeout"));
        }
        halt(request, vmid);
        config::apply_pending(request, vmid);
        generate_cloud_init(request, outcome, vmid);
        run(request, vmid);
        Ok(())
    })
}

/// `POST status/reset`.
pub(crate) fn reset(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    if !request.guest(KIND)?.running {
        return Err(not_running(vmid));
    }
    on_running(request, "qmreset", |_, _, _| Ok(()))
}

/// `POST status/suspend`.
pub(crate) fn suspend(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    if !request.guest(KIND)?.running {
        return Err(not_running(vmid));
    }
    on_running(request, "qmpause", |request, _, _| {
        request.guest_mut(KIND)?.paused = true;
        Ok(())
    })
}

/// `POST status/resume`.
pub(crate) fn resume(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    if !request.guest(KIND)?.running {
        return Err(not_running(vmid));
    }
    on_running(request, "qmresume", |request, _, _| {
        request.guest_mut(KIND)?.paused = false;
        Ok(())
    })
}
