//! Starting and stopping containers. Most refusals are the call's.

use serde_json::{Value, json};

use super::{KIND, config};
use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::schema;
use crate::{guests, ha};

/// `GET status`.
pub(crate) fn index(request: &mut Request<'_>) -> Answer {
    request.guest(KIND)?;
    let names = ["current", "start", "stop", "shutdown", "suspend", "resume", "reboot"];
    Ok(names.iter().map(|name| json!({ "subdir": name })).collect())
}

/// `POST status/start`.
pub(crate) fn start(request: &mut Request<'_>) -> Answer {
    guests::check_skip_lock(request)?;
    let vmid = request.vmid();
    if request.guest(KIND)?.running {
        return Err(Failure::died(format!("CT {vmid} already running")));
    }
    if ha::is_managed(request.state, vmid) {
        return ha::request_start(request, vmid);
    }
    Ok(start_task(request, vmid))
}

/// Starts a container as a task; also after a create with `start=1`.
pub(crate) fn start_task(request: &mut Request<'_>, vmid: u32) -> Value {
    let skip = request.flag("skiplock") || request.get("start").is_some();
    request.task("vzstart", &vmid.to_string(), |request, _| {
        let guest = crate::request::guest(request.state, KIND, vmid, &request.node)?;
        if guest.is_template() {
            return Err(Failure::died("you can't start a CT if it's a template"));
        }
        if !skip {
            guests::check_lock(guest)?;
        }
        config::apply_pending(request, vmid);
        check_bridges(request, vmid)?;
        guests::run(request, vmid);
        Ok(())
    })
}

fn check_bridges(request: &Request<'_>, vmid: u32) -> Result<(), Failure> {
    let Some(guest) = request.state.guests.get(&vmid) else { return Ok(()) };
    for (name, text) in &guest.config {
        if schema::indexed(name).is_some_and(|(stem, _)| stem == "net")
            && let Some(bridge) = text.split(',').find_map(|part| part.strip_prefix("bridge="))
            && !crate::nodes::has_bridge(request, bridge)
        {
            return Err(Failure::died("startup for container '".to_owned() + &vmid.to_string() + "' failed"));
        }
    }
    Ok(())
}

fn check_running(request: &Request<'_>, label: &str) -> Result<(), Failure> {
    match request.guest(KIND)?.running {
        true => Ok(()),
        false => Err(Failure::died(format!("{label} {} not running", request.vmid()))),
    }
}

fn on_running(
    request: &mut Request<'_>,
    kind: &str,
    label: &str,
    work: impl FnOnce(&mut Request<'_>, &mut Outcome, u32) -> Result<(), Failure>,
) -> Answer {
    guests::check_skip_lock(request)?;
    let vmid = request.vmid();
    check_running(request, label)?;
    Ok(request.task(kind, &vmid.to_string(), |request, outcome| {
        if !request.flag("skiplock") {
            guests::check_lock(request.guest(KIND)?)?;
        }
        work(request, outcome, vmid)
    }))
}

/// `POST status/stop`.
pub(crate) fn stop(request: &mut Request<'_>) -> Answer {
    if ha::is_managed(request.state, request.vmid()) {
        check_running(request, "CT")?;
        if request.flag("overrule-shutdown") {
            return Err(Failure::parameter("overrule-shutdown", "Not applicable for HA resources."));
        }
        return ha::request_stop(request, request.vmid(), true);
    }
    stop_task(request)
}

/// Stops a container as a task.
pub(crate) fn stop_task(request: &mut Request<'_>) -> Answer {
    on_running(request, "vzstop", "CT", |request, _, vmid| {
        request.guest_mut(KIND)?.running = false;
        config::apply_pending(request, vmid);
        Ok(())
    })
}

/// `POST status/shutdown`.
pub(crate) fn shutdown(request: &mut Request<'_>) -> Answer {
    if ha::is_managed(request.state, request.vmid()) {
        check_running(request, "CT")?;
        return ha::request_stop(request, request.vmid(), request.get("timeout") == Some("0"));
    }
    shutdown_task(request)
}

/// Shuts a container down as a task.
pub(crate) fn shutdown_task(request: &mut Request<'_>) -> Answer {
    on_running(request, "vzshutdown", "CT", |request, _, vmid| {
        request.guest_mut(KIND)?.running = false;
        config::apply_pending(request, vmid);
        Ok(())
    })
}

/// `POST status/reboot`.
pub(crate) fn reboot(request: &mut Request<'_>) -> Answer {
    on_running(request, "vzreboot", "VM", |request, _, vmid| {
        config::apply_pending(request, vmid);
        guests::run(request, vmid);
        Ok(())
    })
}

/// `POST status/suspend`.
pub(crate) fn suspend(request: &mut Request<'_>) -> Answer {
    on_running(request, "vzsuspend", "CT", |_, _, vmid| Err(no_checkpoint(vmid, "-s")))
}

/// `POST status/resume`.
pub(crate) fn resume(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    if request.guest(KIND)?.running {
        return Err(Failure::died(format!("CT {vmid} already running")));
    }
    Ok(request.task("vzresume", &vmid.to_string(), |_, _| Err(no_checkpoint(vmid, "-r --foreground"))))
}

/// Checkpoints need criu, which a default installation does not have.
fn no_checkpoint(vmid: u32, flags: &str) -> Failure {
    Failure::died(format!(
        "command 'lxc-checkpoint -n {vmid} {flags} -D /var/lib/vz/dump' failed: exit code 1"
    ))
}

/// `GET interfaces`.
pub(crate) fn interfaces(request: &mut Request<'_>) -> Answer {
    let guest = request.guest(KIND)?;
    if !guest.running {
        return Ok(Value::Null);
    }
    let address = |ip: &str, kind: &str, prefix: &str| json!({ "ip-address": ip, "ip-address-type": kind, "prefix": prefix });
    let mut cards = vec![json!({
        "name": "lo", "hwaddr": "00:00:00:00:00:00", "hardware-address": "00:00:00:00:00:00",
        "inet": "127.0.0.1/8", "inet6": "::1/128",
        "ip-addresses": [address("127.0.0.1", "inet", "8"), address("::1", "inet6", "128")],
    })];
    for index in 0..32 {
        let Some(text) = guest.config.get(&format!("net{index}")) else { continue };
        let part = |key: &str| {
            text.split(',').find_map(|part| part.strip_prefix(&format!("{key}="))).map(str::to_owned)
        };
        let mac = part("hwaddr").unwrap_or_default().to_lowercase();
        let mut card =
            json!({ "name": part("name"), "hwaddr": mac, "hardware-address": mac, "ip-addresses": [] });
        // Where guests have no operating system, nobody sets addresses.
        let set = |ip: &String| ip != "manual" && request.options.guests_obey;
        if let Some(ip) = part("ip").filter(set) {
            let settings = format!("ip={ip}");
            let (ip, prefix) = crate::qemu::address_of(Some(&settings), &mac);
            card["inet"] = json!(format!("{ip}/{prefix}"));
            card["ip-addresses"] = json!([address(&ip, "inet", &prefix.to_string())]);
        }
        cards.push(card);
    }
    Ok(Value::Array(cards))
}
