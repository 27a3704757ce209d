//! What the status daemon last told the cluster about the guests (pvestatd, `PVE::API2Tools::extract_vm_stats`): lists
//! of the whole cluster show this, not what has changed since.

use serde_json::{Map, Value, json};

use crate::options::Options;
use crate::state::{GuestKind, State};

/// A guest as it was at the last round.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Milliseconds since the epoch.
    at: u64,
    pub fields: Map<String, Value>,
}

/// Looks again at the guests that were not looked at for a cycle. A new guest is seen one cycle after its creation.
pub(crate) fn settle(state: &mut State, options: &Options, now: u64) {
    let cycle = options.status_cycle.as_millis() as u64;
    let due = |vmid: &u32, created: u64| now >= state.seen.get(vmid).map_or(created, |seen| seen.at) + cycle;
    let guests: Vec<u32> =
        state.guests.iter().filter(|(vmid, guest)| due(vmid, guest.created)).map(|(vmid, _)| *vmid).collect();
    for vmid in guests {
        let fields = look(state, options, vmid, now);
        state.seen.insert(vmid, Sample { at: now, fields });
    }
}

fn look(state: &State, options: &Options, vmid: u32, now: u64) -> Map<String, Value> {
    let guest = &state.guests[&vmid];
    let status = match guest.kind {
        GuestKind::Qemu => crate::qemu::status(vmid, guest, now, options.cpus),
        GuestKind::Lxc => crate::lxc::status(vmid, guest, now, options.cpus),
    };
    let mut fields = Map::new();
    for key in
        ["name", "status", "cpu", "mem", "maxmem", "memhost", "disk", "maxdisk", "netin", "netout", "uptime"]
    {
        if let Some(value) = status.get(key) {
            fields.insert(key.to_owned(), value.clone());
        }
    }
    let cpus = &status["cpus"];
    let cpus =
        cpus.as_str().and_then(|text| text.parse().ok()).map_or(cpus.clone(), |number: f64| json!(number));
    fields.insert("maxcpu".to_owned(), cpus);
    fields.insert("template".to_owned(), json!(u8::from(guest.is_template())));
    for key in ["memhost", "diskread", "diskwrite"] {
        fields.entry(key).or_insert(json!(0));
    }
    fields
}
