//! Creating and destroying containers.

use super::{KIND, config, mounts};
use crate::access::guest_options;
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request, missing_guest};
use crate::state::{Effect, Guest, Options};
use crate::volumes;

/// `POST /nodes/{node}/lxc`.
pub(crate) fn create(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    let mut options = config::options(request);
    let unprivileged = request.get("unprivileged").is_none_or(|value| value == "1");
    if request.flag("restore") {
        return super::restore::restore(request, options);
    }
    if let Some(other) = request.state.guests.get(&vmid) {
        let (label, node) = (other.kind.label(), &other.node);
        return Err(Failure::died(format!("{label} {vmid} already exists on node '{node}'")));
    }
    guests::check_pool(request)?;
    guest_options::check_create(request, vmid)?;
    config::check_root_options(request, &Options::new(), (&options, &[]), unprivileged)?;
    guest_options::check_options(request, KIND, vmid, options.keys())?;
    check_template(request)?;
    guests::check_public_keys(request.get("ssh-public-keys").unwrap_or_default())?;
    options.retain(|name, _| !name.starts_with("unused"));
    if !options.contains_key("rootfs") {
        if options.keys().any(|name| mounts::is_mount(name)) {
            return Err(Failure::died("mount points configured, but 'rootfs' not set - aborting"));
        }
        let storage = request.get("storage").unwrap_or("local").to_owned();
        volumes::storage(request.state, &storage)?;
        options.insert("rootfs".to_owned(), format!("{storage}:4"));
    }
    for (name, text) in &options {
        if mounts::is_mount(name)
            && let Some(values) = mounts::parse(name, text)
        {
            mounts::check(request, &values)?;
        }
    }
    guest_options::check_resources(request, KIND, vmid, &options)?;
    if let Some(script) = options.get("hookscript") {
        guests::check_hook_script(request, script)?;
    }
    config::normalise(request.state, &mut options);
    options.remove("unprivileged");
    if unprivileged {
        options.insert("unprivileged".to_owned(), "1".to_owned());
    }
    let start = request.flag("start");
    let upid = request.task("vzcreate", &vmid.to_string(), |request, outcome| {
        build(request, outcome, vmid, options).map_err(|failure| {
            guests::remove_created(request.state, outcome);
            Failure::died(format!("unable to create CT {vmid} - {}", failure.reason))
        })
    });
    if start && request.state.guests.contains_key(&vmid) {
        super::lifecycle::start_task(request, vmid);
    }
    Ok(upid)
}

/// The archive has to be in the right place for what it is used for.
fn check_template(request: &Request<'_>) -> Result<(), Failure> {
    let template = request.text("ostemplate");
    let Some((storage, name)) = volumes::split(&template) else { return Ok(()) };
    volumes::storage(request.state, storage)?;
    volumes::check_name(request.state, storage, name)?;
    if name.starts_with("vztmpl/") {
        return Ok(());
    }
    Err(Failure::died(format!("unable to use volume {template} - content type needs to be 'vztmpl'")))
}

fn build(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    vmid: u32,
    options: Options,
) -> Result<(), Failure> {
    let template = request.text("ostemplate");
    let mut guest = Guest::new(KIND, request.now, &request.node);
    let mut names: Vec<&String> = options.keys().collect();
    // The root's volume gets the first number.
    names.sort_by_key(|name| (*name != "rootfs", name.len(), (*name).clone()));
    for name in names {
        let text = &options[name];
        let existing = |text: &str| {
            volumes::split(text).is_some_and(|(_, rest)| volumes::allocation_size(KIND, rest).is_none())
        };
        let text = match mounts::parse(name, text).filter(|_| mounts::is_mount(name)) {
            Some(values)
                if existing(&values["volume"]) && request.state.volumes.contains_key(&values["volume"]) =>
            {
                text.clone()
            }
            Some(values) => mounts::realise(request, outcome, vmid, name, values)?,
            None => text.clone(),
        };
        guest.config.insert(name.clone(), text);
    }
    if !volumes::is_on(request.state, &template, &request.node) {
        let missing = volumes::missing_volume(request.state, &template);
        outcome.say(missing.reason.clone());
        return Err(missing);
    }
    outcome.say(format!("extracting archive '{}'", volumes::path(request.state, &template)));
    outcome.say("Detected container architecture: amd64");
    let defaults = [
        ("arch", "amd64".to_owned()),
        ("memory", "512".to_owned()),
        ("swap", "512".to_owned()),
        ("hostname", format!("CT{vmid}")),
        ("ostype", os_type(&template).to_owned()),
    ];
    for (key, value) in defaults {
        guest.config.entry(key.to_owned()).or_insert(value);
    }
    guest.template = Some(template);
    guest.config.insert("lock".to_owned(), "create".to_owned());
    outcome.effects.push(Effect::RemoveOption { guest: vmid, key: "lock".to_owned() });
    request.state.guests.insert(vmid, guest);
    guests::join_pool(request, vmid);
    Ok(())
}

/// The OS that is detected in the template.
fn os_type(template: &str) -> &'static str {
    let name = template.rsplit('/').next().unwrap_or_default();
    let known = [
        ("debian", "debian"),
        ("devuan", "devuan"),
        ("ubuntu", "ubuntu"),
        ("centos", "centos"),
        ("rocky", "centos"),
        ("alma", "centos"),
        ("fedora", "fedora"),
        ("opensuse", "opensuse"),
        ("arch", "archlinux"),
        ("alpine", "alpine"),
        ("gentoo", "gentoo"),
        ("nixos", "nixos"),
    ];
    known.iter().find(|(prefix, _)| name.contains(prefix)).map_or("unmanaged", |(_, kind)| kind)
}

/// `DELETE /nodes/{node}/lxc/{vmid}`.
pub(crate) fn destroy(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    let guest = request.guest(KIND)?;
    if guest.is_protected() {
        return Err(Failure::died(format!("can't remove CT {vmid} - protection mode enabled")));
    }
    if !guest.destroying {
        guests::check_lock(guest)?;
    }
    guests::check_unmanaged(request)?;
    if guest.running && !request.flag("force") {
        return Err(Failure::died(format!("unable to destroy CT {vmid} - container is running")));
    }
    let node = request.node.clone();
    Ok(request.task("vzdestroy", &vmid.to_string(), |request, outcome| {
        let guest = request.guest(KIND)?;
        if guest.destroying {
            return Err(missing_guest(KIND, vmid, &node));
        }
        let files: Vec<String> = guest
            .config
            .iter()
            .filter(|(name, _)| mounts::is_mount(name) || name.starts_with("unused"))
            .map(|(_, text)| crate::qemu::drives::file_of(text))
            .collect();
        for file in files {
            if let Some((storage, name)) = volumes::split(&file)
                && volumes::check_name(request.state, storage, name).is_err()
            {
                return volumes::check_name(request.state, storage, name);
            }
            if volumes::owner(&file) == Some(vmid) {
                volumes::remove(request.state, outcome, &file);
            }
        }
        if request.flag("destroy-unreferenced-disks") {
            let own = request.state.volumes.iter().filter(|(_, volume)| volume.owner == Some(vmid));
            let own = own.filter(|(_, volume)| volume.content == "rootdir");
            let unreferenced: Vec<String> = own.map(|(id, _)| id.clone()).collect();
            for id in unreferenced {
                volumes::remove(request.state, outcome, &id);
            }
        }
        if request.flag("purge") {
            outcome.say(format!("purging CT {vmid} from related configurations.."));
            crate::datacenter::forget_replication(request.state, vmid);
            crate::jobs::forget_backups(request.state, vmid);
            if crate::ha::forget(request, vmid) {
                outcome.say(format!("NOTE: removed CT {vmid} from HA resource configuration."));
            }
        }
        outcome.effects.push(Effect::RemoveGuest(vmid));
        let guest = request.guest_mut(KIND)?;
        guest.destroying = true;
        guest.running = false;
        Ok(())
    }))
}
