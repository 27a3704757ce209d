//! Measurements over time (PVE::RRD): rows of one moment each, with what there was to measure then.

use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::GuestKind;
use crate::{lxc, qemu, storage, volumes};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/rrddata", node),
    ("GET", "/nodes/{node}/storage/{storage}/rrddata", store),
    ("GET", "/nodes/{node}/qemu/{vmid}/rrddata", guest),
    ("GET", "/nodes/{node}/lxc/{vmid}/rrddata", guest),
];

/// Seconds between the rows of a span of time, and how many there are.
fn resolution(timeframe: &str) -> (u64, u64) {
    match timeframe {
        "day" => (60, 1440),
        "week" => (60 * 30, 336),
        "month" => (60 * 30, 1440),
        "year" => (3600 * 6, 1440),
        "decade" => (86_400 * 7, 570),
        _ => (60, 60),
    }
}

/// The rows of the span that is asked for; what is measured is in those from `since` on, in seconds.
fn rows(request: &Request<'_>, since: u64, measured: &Map<String, Value>) -> Value {
    let (step, count) = resolution(&request.text("timeframe"));
    let last = request.seconds() / step * step;
    (1..=count)
        .map(|number| {
            let time = (last + step * number).saturating_sub(step * count);
            let mut row = if time >= since { measured.clone() } else { Map::new() };
            row.insert("time".to_owned(), json!(time));
            Value::Object(row)
        })
        .collect()
}

/// The numbers of a row of status that are kept over time.
fn kept(row: &Value, names: &[(&str, &str)]) -> Map<String, Value> {
    let number = |(kept, shown): &(&str, &str)| Some(((*kept).to_owned(), row.get(*shown)?.clone()));
    names.iter().filter_map(number).collect()
}

fn missing(path: &str) -> Failure {
    let path = format!("/var/lib/rrdcached/db/{path}");
    Failure::died(format!("RRD error: opening '{path}': No such file or directory"))
}

fn guest(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    let Some(guest) = request.state.guests.get(&vmid) else {
        return Err(missing(&format!("pve-vm-9.0/{vmid}")));
    };
    let row = match guest.kind {
        GuestKind::Qemu => qemu::status(vmid, guest, request.now, request.options.cpus),
        GuestKind::Lxc => lxc::status(vmid, guest, request.now, request.options.cpus),
    };
    let mut names = vec![("maxcpu", "cpus"), ("maxmem", "maxmem"), ("maxdisk", "maxdisk")];
    if guest.running {
        let running = ["cpu", "mem", "disk", "netin", "netout", "diskread", "diskwrite"];
        names.extend(running.map(|name| (name, name)));
    }
    Ok(rows(request, guest.created / 1000, &kept(&row, &names)))
}

fn store(request: &mut Request<'_>) -> Answer {
    let name = request.text("storage");
    let Some(options) = request.state.storages.get(&name) else {
        return Err(missing(&format!("pve-storage-9.0/{}/{name}", request.node)));
    };
    let usable = volumes::usable(request.state, &name, &request.node).is_ok();
    let total = request.options.storage_size;
    let used = storage::used(request, &name, options);
    let measured = json!({ "total": total, "used": used });
    let measured = measured.as_object().filter(|_| usable).cloned().unwrap_or_default();
    Ok(rows(request, 0, &measured))
}

fn node(request: &mut Request<'_>) -> Answer {
    let status = crate::nodes::node_status(request)?;
    let row = json!({
        "maxcpu": status["cpuinfo"]["cpus"], "cpu": status["cpu"], "iowait": status["wait"],
        "loadavg": status["loadavg"].get(0).and_then(Value::as_str).and_then(|text| text.parse::<f64>().ok()),
        "memtotal": status["memory"]["total"], "memused": status["memory"]["used"],
        "swaptotal": status["swap"]["total"], "swapused": status["swap"]["used"],
        "roottotal": status["rootfs"]["total"], "rootused": status["rootfs"]["used"],
    });
    let mut measured = row.as_object().cloned().unwrap_or_default();
    measured.retain(|_, value| !value.is_null());
    Ok(rows(request, 0, &measured))
}

#[cfg(test)]
mod tests {
    use crate::calls::Calls;

    #[test]
    fn a_guest_is_measured_from_its_creation_on() {
        let calls = Calls::new();
        calls.ok("POST", "/nodes/pve/qemu", &[("vmid", "100"), ("memory", "256"), ("cores", "2")]);
        let hour = calls.ok("GET", "/nodes/pve/qemu/100/rrddata", &[("timeframe", "hour")]);
        let rows = hour.as_array().unwrap();
        assert_eq!(rows.len(), 60);
        assert!(rows[0].get("maxcpu").is_none() && rows[0]["time"].is_u64());
        let times = rows.iter().map(|row| row["time"].as_u64().unwrap());
        assert!(times.clone().zip(times.skip(1)).all(|(one, next)| next == one + 60));
        let year = calls.ok("GET", "/nodes/pve/storage/local/rrddata", &[("timeframe", "year")]);
        assert_eq!((year.as_array().unwrap().len(), year[0]["total"].is_u64()), (1440, true));
        let node = calls.ok("GET", "/nodes/pve/rrddata", &[("timeframe", "day")]);
        assert!(node[0]["memtotal"].is_u64());
        assert_eq!(
            calls.refused("GET", "/nodes/pve/qemu/999/rrddata", &[("timeframe", "hour")]),
            "500 RRD error: opening '/var/lib/rrdcached/db/pve-vm-9.0/999': No such file or directory"
        );
    }
}
