//! The command-line tools of a node that root runs over SSH, as far as clients need them: `pvesm path`, `qm disk
//! import`, `qm set` of one drive, and `sed -i` of the `lxc.*` lines in a container's file.

use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::guests;
use crate::qemu::{config, drives};
use crate::request::{Outcome, Request};
use crate::schema::{self, Raw};
use crate::state::{Guest, GuestKind};
use crate::volumes;
use crate::{server, shell, storage};

/// How a command went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub stdout: String,
    pub stderr: String,
    /// The exit code.
    pub code: u32,
}

impl Finished {
    /// PVE's tools die with 255.
    pub fn failed(reason: &str) -> Finished {
        Finished { stdout: String::new(), stderr: format!("{reason}\n"), code: 255 }
    }

    pub fn done(stdout: String) -> Finished {
        Finished { stdout, stderr: String::new(), code: 0 }
    }

    fn of(result: Result<String, Failure>) -> Finished {
        match result {
            Ok(stdout) => Finished::done(stdout),
            Err(failure) if failure.errors.is_empty() => Finished::failed(&failure.reason),
            Err(failure) => {
                let errors = failure.errors.iter().map(|(name, text)| format!("\n{name}: {text}"));
                Finished::failed(&format!(
                    "{} {}{}",
                    failure.status,
                    failure.reason,
                    errors.collect::<String>()
                ))
            }
        }
    }
}

/// True if a command line reads what its client sends.
pub(crate) fn reads_input(line: &str) -> bool {
    shell::script_of(line).is_some_and(|script| shell::reads_input(&script))
}

/// Runs a command line, as the shell and the tools of the node would.
pub(crate) fn run(request: &mut Request<'_>, line: &str, input: &[u8]) -> Finished {
    if let Some(script) = shell::script_of(line) {
        return shell::run(request, &script, input);
    }
    let words = words(line).unwrap_or_else(|| vec![line.to_owned()]);
    let mut words: &[String] = &words;
    if let [sudo, rest @ ..] = words
        && sudo == "sudo"
    {
        words = rest.strip_prefix(&["-n".to_owned()]).unwrap_or(rest);
    }
    program(request, &words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Runs one program.
pub(crate) fn program(request: &mut Request<'_>, words: &[&str]) -> Finished {
    match words {
        ["pvesm", "path", volume] => Finished::of(path(request, volume)),
        ["qm", "disk", "import", vmid, source, storage, "-format", format] => {
            Finished::of(import(request, vmid, source, storage, format))
        }
        ["qm", "set", vmid, option, value] => {
            match option
                .strip_prefix('-')
                .map(|name| name.strip_prefix('-').unwrap_or(name))
                .filter(|name| drives::is_drive(name))
            {
                Some(name) => Finished::of(set(request, vmid, name, value)),
                None => not_found("qm"),
            }
        }
        ["flock", "-w", _, _, rest @ ..] if rest.first() == Some(&"sed") => edit(request, rest),
        ["sed", ..] => edit(request, words),
        words => not_found(words.first().unwrap_or(&"")),
    }
}

pub(crate) fn not_found(name: &str) -> Finished {
    Finished { code: 127, ..Finished::failed(&format!("sh: 1: {name}: command not found")) }
}

/// The path of a volume, whether it is there or not (PVE::Storage::path).
fn path(request: &Request<'_>, volume: &str) -> Result<String, Failure> {
    let (storage, name) = volumes::split(volume)
        .ok_or_else(|| Failure::died(format!("unable to parse volume ID '{volume}'")))?;
    volumes::check_name(request.state, storage, name)?;
    Ok(format!("{}\n", volumes::path(request.state, volume)))
}

/// A copy of an image on a storage, as an unused disk of a machine (PVE::CLI::qm, PVE::QemuServer::ImportDisk).
fn import(
    request: &mut Request<'_>,
    vmid: &str,
    source: &str,
    storage: &str,
    format: &str,
) -> Result<String, Failure> {
    let id: u32 = vmid.parse().unwrap_or(0);
    if request.state.guests.get(&id).is_none_or(|guest| guest.kind != GuestKind::Qemu) {
        let node = &request.node;
        return Err(Failure::died(format!(
            "Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist"
        )));
    }
    if volumes::by_path(request.state, source).is_none() {
        return Err(Failure::died(format!("{source}: non-existent or non-regular file")));
    }
    let mut outcome = Outcome::default();
    let (volume, _) = drives::import_disk(request, &mut outcome, id, "scsi0", storage, Some(format), source)?;
    let said = format!("importing disk '{source}' to VM {vmid} ...\n");
    let slot = request.state.guests.get_mut(&id).and_then(|guest| {
        let slot = (0..256).map(|n| format!("unused{n}")).find(|slot| !guest.config.contains_key(slot))?;
        guest.config.insert(slot.clone(), volume.clone());
        Some(slot)
    });
    Ok(format!("{said}{}: successfully imported disk '{volume}'\n", slot.unwrap_or_default()))
}

/// Writes a file of a storage, or lines behind those of a container's file.
pub(crate) fn write(request: &mut Request<'_>, file: &str, bytes: &[u8], append: bool) -> Finished {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let seconds = request.seconds();
    if let Some(guest) = container(request, file).filter(|_| append) {
        let lines = guest.config.entry(guests::LXC_LINES.to_owned()).or_default();
        let apart = if lines.is_empty() { "" } else { "\n" };
        *lines = format!("{lines}{apart}{}", text.trim_end());
        return Finished::done(text);
    }
    match server::volume_at(request.state, file).filter(|_| !append) {
        Some(volume) => {
            storage::store_file(request.state, &volume, bytes, seconds);
            Finished::done(text)
        }
        None => Finished { code: 1, ..Finished::failed(&format!("tee: {file}: No such file or directory")) },
    }
}

/// The container whose file this is.
fn container<'a>(request: &'a mut Request<'_>, file: &str) -> Option<&'a mut Guest> {
    let own = format!("nodes/{}/lxc/", request.options.node);
    let rest = file.strip_prefix("/etc/pve/")?.strip_suffix(".conf")?;
    let rest = rest.strip_prefix("lxc/").map_or_else(|| rest.to_owned(), |vmid| own + vmid);
    let (node, vmid) = rest.strip_prefix("nodes/")?.split_once("/lxc/")?;
    let guest = request.state.guests.get_mut(&vmid.parse::<u32>().ok()?)?;
    (guest.kind == GuestKind::Lxc && guest.node == node).then_some(guest)
}

/// `PUT config` on the node that has the machine.
fn set(request: &mut Request<'_>, vmid: &str, name: &str, value: &str) -> Result<String, Failure> {
    let guest = vmid.parse().ok().and_then(|vmid: u32| request.state.guests.get(&vmid));
    if let Some(guest) = guest {
        request.node = guest.node.clone();
    }
    let node = request.node.clone();
    let raw = [("node", node.as_str()), ("vmid", vmid), (name, value)];
    let raw: BTreeMap<String, Raw> =
        raw.iter().map(|(name, text)| ((*name).to_owned(), Raw::Text((*text).to_owned()))).collect();
    let empty = schema::Keys::new();
    let keys = schema::endpoint("PUT", "/nodes/{node}/qemu/{vmid}/config").unwrap_or(&empty);
    request.parameters = schema::normalise(keys, &raw).map_err(Failure::parameters)?;
    Ok(config::set(request)?.into_iter().map(|line| line + "\n").collect())
}

/// `sed -i` with scripts that insert and delete `lxc.*` lines.
fn edit(request: &mut Request<'_>, words: &[&str]) -> Finished {
    let ["sed", "-i", scripts @ .., file] = words else { return not_found("sed") };
    let failed = |reason: String, code: u32| Finished { code, ..Finished::failed(&reason) };
    let Some(guest) = container(request, file) else {
        return failed(format!("sed: can't read {file}: No such file or directory"), 2);
    };
    let text = guest.config.get(guests::LXC_LINES).cloned().unwrap_or_default();
    let mut before: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut inserted = Vec::new();
    for pair in scripts.chunks(2) {
        match pair {
            [r"/^lxc\.idmap:/d"] => before.retain(|line| !line.starts_with("lxc.idmap:")),
            ["-e", r"1,/^\[/{/^lxc\.idmap/d}"] => before.retain(|line| !line.starts_with("lxc.idmap")),
            ["-e", script] if script.starts_with("1i lxc.") => inserted.push(script[3..].to_owned()),
            _ => return failed(format!("sed: -e expression {pair:?}: unknown command"), 1),
        }
    }
    let lines: Vec<String> = inserted.into_iter().chain(before).collect();
    match lines.is_empty() {
        true => guest.config.remove(guests::LXC_LINES),
        false => guest.config.insert(guests::LXC_LINES.to_owned(), lines.join("\n")),
    };
    Finished::of(Ok(String::new()))
}

/// The words of a simple command; nothing where the shell would do more than to run one program.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '\'' => break,
                        quoted => word.push(quoted),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(characters.next()?),
            character if "\"$`;&|<>()*?[]{}~#!\n".contains(character) => return None,
            character => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use crate::{Options, Simulator};

    fn cluster() -> Simulator {
        let simulator = Simulator::new(Options::default());
        simulator.add_file("local:iso/a.img", &[7; 4096]);
        let seed = serde_json::json!({"guests": [{"kind": "qemu", "node": "pve", "vmid": 100}]});
        simulator.seed(&serde_json::from_value(seed).unwrap()).unwrap();
        simulator
    }

    fn failed(simulator: &Simulator, line: &str) -> (u32, String) {
        let finished = simulator.execute(line, b"").unwrap();
        assert_eq!(finished.stdout, "", "{line}");
        (finished.code, finished.stderr)
    }

    #[test]
    fn root_imports_a_disk_from_the_path_of_an_iso_volume() {
        let simulator = cluster();
        let found = simulator.execute("sudo -n pvesm path local:iso/a.img", b"").unwrap();
        assert_eq!((found.stdout.as_str(), found.code), ("/var/lib/vz/template/iso/a.img\n", 0));
        let set = "qm set 100 --scsi0 'local-lvm:0,import-from=/var/lib/vz/template/iso/a.img,ssd=1'";
        let done = simulator.execute(set, b"").unwrap();
        assert_eq!((done.code, done.stderr.as_str()), (0, ""));
        let last = done.stdout.lines().last().unwrap();
        assert_eq!(last, "scsi0: successfully created disk 'local-lvm:vm-100-disk-0,size=4M,ssd=1'");
        simulator.change(|state, _| assert!(state.guests[&100].config.contains_key("scsi0"))).unwrap();
    }

    #[test]
    fn what_the_api_refuses_is_refused_in_its_words() {
        let simulator = cluster();
        let (code, said) = failed(&simulator, "qm set 100 --scsi0 'local-lvm:0,import-from=local:iso/a.img'");
        let why = "scsi0: local:iso/a.img has wrong type 'iso' - needs to be 'images' or 'import'";
        assert_eq!((code, said), (255, format!("400 Parameter verification failed.\n{why}\n")));
        let (_, said) =
            failed(&simulator, "qm set 100 --scsi0 local-lvm:0,import-from=/var/lib/vz/template/iso/b.img");
        assert_eq!(said, "failed to stat '/var/lib/vz/template/iso/b.img'\n");
        let (_, said) = failed(&simulator, "qm set 101 --scsi0 local-lvm:1");
        assert_eq!(said, "Configuration file 'nodes/pve/qemu-server/101.conf' does not exist\n");
        assert_eq!(failed(&simulator, "pvesm path none:iso/a.img").1, "storage 'none' does not exist\n");
    }

    #[test]
    fn lines_of_a_container_s_file_are_shown_by_the_api() {
        let simulator = cluster();
        simulator.add_file("local:vztmpl/t.tar.zst", b"root");
        let options = serde_json::json!({"ostemplate": "local:vztmpl/t.tar.zst", "rootfs": "local-lvm:1"});
        let guest = serde_json::json!({"kind": "lxc", "node": "pve", "vmid": 101, "options": options});
        let seed = serde_json::json!({"guests": [guest]});
        simulator.seed(&serde_json::from_value(seed).unwrap()).unwrap();
        let edit = |scripts: &str, file: &str| {
            let line = format!("flock -w 10 /run/lock/lxc/pve-config-101.lock sed -i {scripts} {file}");
            simulator.execute(&line, b"").unwrap()
        };
        let delete = r"-e '1,/^\[/{/^lxc\.idmap/d}'";
        let file = "/etc/pve/nodes/pve/lxc/101.conf";
        let lines = || {
            let shown = |state: &mut crate::state::State| {
                let text = state.guests[&101].config.get("lxc")?;
                Some(crate::guests::typed(crate::state::GuestKind::Lxc, "lxc", text))
            };
            simulator.change(|state, _| shown(state)).unwrap()
        };
        let done =
            edit(&format!("-e '1i lxc.idmap: u 0 100000 9' -e '1i lxc.idmap: g 0 100000 9' {delete}"), file);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""));
        let both = serde_json::json!([["lxc.idmap", "u 0 100000 9"], ["lxc.idmap", "g 0 100000 9"]]);
        assert_eq!(lines(), Some(both));
        assert_eq!(edit(delete, file).code, 0);
        assert_eq!(lines(), None);
        assert_eq!(edit(delete, "/etc/pve/nodes/pve/lxc/100.conf").code, 2, "no container");
        assert_eq!(edit("-e 1d", file).code, 1);
    }

    #[test]
    fn nothing_else_is_run() {
        let simulator = cluster();
        for line in [
            "ls",
            "sudo -n id",
            "qm set 100 --name x",
            "qm list",
            "pvesm path a:b; id",
            "",
            "pvesm path \"$(id)\"",
        ] {
            assert_eq!(failed(&simulator, line).0, 127, "{line}");
        }
    }
}
