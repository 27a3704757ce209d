//! What virtual machines and containers have in common: reading configurations, locks, lists.

use base64::Engine as _;
use serde_json::{Map, Value, json};
use sha1::Digest as _;

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::schema::{self, Keys, Kind};
use crate::state::{Guest, GuestKind, Options, State};

/// The options of a kind of guest.
pub(crate) fn option_keys(kind: GuestKind) -> &'static Keys {
    match kind {
        GuestKind::Qemu => schema::virtual_machine(),
        GuestKind::Lxc => schema::container(),
    }
}

/// The option in which the `lxc.*` lines of a container's file are kept and shown.
pub(crate) const LXC_LINES: &str = "lxc";

/// An option as it is read back: numbers where the schema has integers and booleans, text otherwise.
pub(crate) fn typed(kind: GuestKind, name: &str, text: &str) -> Value {
    if name == "cipassword" {
        return json!("**********");
    }
    if name == LXC_LINES {
        return text
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(key, value)| json!([key, value]))
            .collect();
    }
    let number = schema::lookup(option_keys(kind), name)
        .is_some_and(|property| matches!(property.kind, Kind::Integer | Kind::Boolean));
    match text.parse::<i64>() {
        Ok(value) if number => json!(value),
        _ => json!(text),
    }
}

/// SHA-1 over the configuration; identical content has the identical digest.
pub(crate) fn digest(guest: &Guest) -> String {
    let text = serde_json::to_string(&(&guest.config, &guest.pending, &guest.snapshots)).unwrap_or_default();
    hex(&sha1::Sha1::digest(text.as_bytes()))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `GET config`.
pub(crate) fn read(request: &mut Request<'_>, kind: GuestKind) -> Answer {
    let guest = request.guest(kind)?;
    let config = match request.get("snapshot") {
        Some(name) => match guest.snapshots.get(name) {
            Some(snapshot) => snapshot.config.clone(),
            None => return Err(Failure::died(format!("snapshot '{name}' does not exist"))),
        },
        None if request.flag("current") => guest.config.clone(),
        None => guest.effective(),
    };
    let mut data: Map<String, Value> =
        config.iter().map(|(name, text)| (name.clone(), typed(kind, name, text))).collect();
    data.insert("digest".to_owned(), json!(digest(guest)));
    Ok(Value::Object(data))
}

/// `GET pending`.
pub(crate) fn pending(request: &mut Request<'_>, kind: GuestKind) -> Answer {
    let guest = request.guest(kind)?;
    let mut rows = Vec::new();
    for (name, text) in guest.config.iter().filter(|(name, _)| *name != LXC_LINES) {
        let mut row = json!({ "key": name, "value": typed(kind, name, text) });
        match guest.pending.get(name) {
            Some(Some(new)) => row["pending"] = typed(kind, name, new),
            Some(None) => row["delete"] = json!(1 + u8::from(guest.forced.contains(name))),
            None => {}
        }
        rows.push(row);
    }
    for (name, value) in &guest.pending {
        if let Some(text) = value.as_ref().filter(|_| !guest.config.contains_key(name)) {
            rows.push(json!({ "key": name, "pending": typed(kind, name, text) }));
        }
    }
    rows.push(json!({ "key": "digest", "value": digest(guest) }));
    Ok(Value::Array(rows))
}

/// What is wrong with a hook script, if anything is (PVE::GuestHelpers, `check_hookscript`).
pub(crate) fn check_hook_script(request: &Request<'_>, script: &str) -> Result<(), Failure> {
    let Some((storage, name)) = crate::volumes::split(script) else { return Ok(()) };
    crate::volumes::storage(request.state, storage)?;
    crate::volumes::check_name(request.state, storage, name)?;
    if !name.starts_with("snippets/") {
        return Err(Failure::died(format!("'{script}' is not in the snippets directory")));
    }
    match crate::volumes::is_on(request.state, script, &request.node) {
        true => Ok(()),
        false => Err(Failure::died(format!("script '{script}' does not exist"))),
    }
}

/// Refuses what is no list of public keys (PVE::Tools, `validate_ssh_public_keys`).
pub(crate) fn check_public_keys(text: &str) -> Result<(), Failure> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    match lines.all(is_public_key) {
        true => Ok(()),
        false => Err(Failure::died("SSH public key validation error")),
    }
}

/// Whether `ssh-keygen -l` may read it as a public key: a type, and data that begin with the same type.
fn is_public_key(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let name = words.find(|word| ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix)));
    let (Some(name), Some(data)) = (name, words.next()) else { return false };
    let whole = data.trim_end_matches('=').len() / 4 * 4;
    let data = base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(data.get(..whole).unwrap_or_default())
        .unwrap_or_default();
    data.get(..4).is_some_and(|length| *length == (name.len() as u32).to_be_bytes())
        && data[4..].starts_with(name.as_bytes())
}

/// Lets a guest run, in a new process.
pub(crate) fn run(request: &mut Request<'_>, vmid: u32) {
    let (process, now) = (request.state.process(), request.now);
    if let Some(guest) = request.state.guests.get_mut(&vmid) {
        guest.process = process;
        guest.started = now.max(guest.busy_until);
        guest.running = true;
        guest.paused = false;
    }
}

/// Refuses a locked guest.
pub(crate) fn check_lock(guest: &Guest) -> Result<(), Failure> {
    match guest.config.get("lock") {
        Some(lock) => Err(Failure::died(format!("{} is locked ({lock})", guest.kind.label()))),
        None => Ok(()),
    }
}

/// Refuses `skiplock` to anybody but root.
pub(crate) fn check_skip_lock(request: &Request<'_>) -> Result<(), Failure> {
    if request.flag("skiplock") && !request.identity.is_root() {
        return Err(Failure::parameter("skiplock", "Only root may use this option."));
    }
    Ok(())
}

/// Refuses to destroy what is looked after, unless it is to be purged.
pub(crate) fn check_unmanaged(request: &Request<'_>) -> Result<(), Failure> {
    let vmid = request.vmid();
    if crate::ha::is_configured(request.state, vmid) && !request.flag("purge") {
        let label = request.state.guests.get(&vmid).map_or("VM", |guest| guest.kind.label());
        let text =
            format!("unable to remove {label} {vmid} - used in HA resources and purge parameter not set.");
        return Err(Failure::died(text));
    }
    if request.flag("purge") { Ok(()) } else { crate::datacenter::check_replication(request.state, vmid) }
}

/// The prefix of network addresses where the cluster has none of its own.
pub(crate) const PREFIX: &str = "BC:24:11";

/// A network address with the cluster's prefix.
pub(crate) fn new_mac(state: &State) -> String {
    let prefix = state.cluster_options.get("mac_prefix").map_or(PREFIX, String::as_str);
    let mut parts: Vec<String> =
        prefix.split(':').filter(|part| !part.is_empty()).map(str::to_uppercase).collect();
    while parts.len() < 6 {
        parts.push(format!("{:02X}", fastrand::u8(..)));
    }
    parts.join(":")
}

/// Puts a tag list in order: unique, lower case, sorted, joined by `;`.
pub(crate) fn normalise_tags(text: &str) -> String {
    let mut tags: Vec<String> = schema::formats::split_list(text).map(str::to_ascii_lowercase).collect();
    tags.sort();
    tags.dedup();
    if tags.is_empty() { " ".to_owned() } else { tags.join(";") }
}

/// Says that the volumes of a create that failed are gone again; the task takes its changes back.
pub(crate) fn remove_created(state: &mut State, outcome: &mut crate::request::Outcome) {
    for id in std::mem::take(&mut outcome.created) {
        crate::volumes::remove(state, outcome, &id);
    }
}

/// A clone has the firewall of its source.
pub(crate) fn copy_firewall(state: &mut State, from: u32, to: u32) {
    if let Some(firewall) = state.firewalls.get(&format!("guest/{from}")).cloned() {
        state.firewalls.insert(format!("guest/{to}"), firewall);
    }
}

/// Removes a guest that is destroyed, with what is permitted on it and its place in a pool (PVE::AccessControl,
/// `remove_vm_access`).
pub(crate) fn forget(state: &mut State, vmid: u32) {
    state.guests.remove(&vmid);
    state.guest_files.remove(&vmid);
    state.seen.remove(&vmid);
    state.firewalls.remove(&format!("guest/{vmid}"));
    let path = format!("/vms/{vmid}");
    state.access.entries.retain(|entry| entry.path != path);
    for pool in state.pools.values_mut() {
        pool.guests.retain(|member| *member != vmid);
    }
}

/// Puts a new guest into a pool, if one is named.
pub(crate) fn check_pool(request: &Request<'_>) -> Result<(), Failure> {
    match request.get("pool") {
        Some(pool) if !request.state.pools.contains_key(pool) => {
            Err(Failure::forbidden(&format!("pool '{pool}' does not exist")))
        }
        _ => Ok(()),
    }
}

/// Adds the guest to the pool of the request.
pub(crate) fn join_pool(request: &mut Request<'_>, vmid: u32) {
    if let Some(name) = request.get("pool").map(str::to_owned)
        && let Some(pool) = request.state.pools.get_mut(&name)
    {
        pool.guests.retain(|member| *member != vmid);
        pool.guests.push(vmid);
    }
}

/// The pool of a guest.
pub(crate) fn pool_of(state: &State, vmid: u32) -> Option<&String> {
    state.pools.iter().find(|(_, pool)| pool.guests.contains(&vmid)).map(|(name, _)| name)
}

/// Bytes of the first disk, for lists.
pub(crate) fn disk_size(config: &Options, name: &str) -> u64 {
    let size = config.get(name).and_then(|text| text.split(',').find_map(|part| part.strip_prefix("size=")));
    size.and_then(crate::volumes::parse_size).unwrap_or(0)
}
