//! The command-line tools of a node that root runs over SSH, as far as clients need them: `pvesm path` and `qm set` of
//! one drive.

use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::qemu::{config, drives};
use crate::request::Request;
use crate::schema::{self, Raw};
use crate::volumes;

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

    fn of(result: Result<String, Failure>) -> Finished {
        match result {
            Ok(stdout) => Finished { stdout, stderr: String::new(), code: 0 },
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

/// Runs a command line, as the shell and the tools of the node would.
pub(crate) fn run(request: &mut Request<'_>, line: &str) -> Finished {
    let words = words(line).unwrap_or_else(|| vec![line.to_owned()]);
    let mut words: &[String] = &words;
    if let [sudo, rest @ ..] = words
        && sudo == "sudo"
    {
        words = rest.strip_prefix(&["-n".to_owned()]).unwrap_or(rest);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["pvesm", "path", volume] => Finished::of(path(request, volume)),
        ["qm", "set", vmid, option, value] => {
            match option.strip_prefix("--").filter(|name| drives::is_drive(name)) {
                Some(name) => Finished::of(set(request, vmid, name, value)),
                None => not_found("qm"),
            }
        }
        words => not_found(words.first().unwrap_or(&"")),
    }
}

fn not_found(name: &str) -> Finished {
    Finished { code: 127, ..Finished::failed(&format!("sh: 1: {name}: command not found")) }
}

/// The path of a volume, whether it is there or not (PVE::Storage::path).
fn path(request: &Request<'_>, volume: &str) -> Result<String, Failure> {
    let (storage, name) = volumes::split(volume)
        .ok_or_else(|| Failure::died(format!("unable to parse volume ID '{volume}'")))?;
    volumes::check_name(request.state, storage, name)?;
    Ok(format!("{}\n", volumes::path(request.state, volume)))
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
        let finished = simulator.execute(line).unwrap();
        assert_eq!(finished.stdout, "", "{line}");
        (finished.code, finished.stderr)
    }

    #[test]
    fn root_imports_a_disk_from_the_path_of_an_iso_volume() {
        let simulator = cluster();
        let found = simulator.execute("sudo -n pvesm path local:iso/a.img").unwrap();
        assert_eq!((found.stdout.as_str(), found.code), ("/var/lib/vz/template/iso/a.img\n", 0));
        let set = "qm set 100 --scsi0 'local-lvm:0,import-from=/var/lib/vz/template/iso/a.img,ssd=1'";
        let done = simulator.execute(set).unwrap();
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
