//! Package repositories of a node, and packages (PVE::API2::APT). Only the repositories are kept; there are never
//! updates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/apt", |_| {
        Ok(["changelog", "repositories", "update", "versions"].map(|id| json!({ "id": id })).into())
    }),
    ("GET", "/nodes/{node}/apt/update", |_| Ok(json!([]))),
    ("POST", "/nodes/{node}/apt/update", |request| Ok(request.submit("aptupdate", "", Outcome::default()))),
    ("GET", "/nodes/{node}/apt/changelog", |_| Ok(json!(""))),
    ("GET", "/nodes/{node}/apt/versions", versions),
    ("GET", "/nodes/{node}/apt/repositories", read),
    ("POST", "/nodes/{node}/apt/repositories", change),
    ("PUT", "/nodes/{node}/apt/repositories", add),
];

/// One entry of a sources file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Repository {
    pub uri: String,
    pub suites: Vec<String>,
    pub components: Vec<String>,
    pub enabled: bool,
}

/// The entries of a node's files by path.
pub(crate) type Files = BTreeMap<String, Vec<Repository>>;

/// Handle, name, file, URI, suite, component of the repositories that Proxmox knows.
const STANDARD: [[&str; 6]; 9] = [
    [
        "enterprise",
        "Enterprise",
        "pve-enterprise",
        "https://enterprise.proxmox.com/debian/pve",
        "trixie",
        "pve-enterprise",
    ],
    [
        "no-subscription",
        "No-Subscription",
        "proxmox",
        "http://download.proxmox.com/debian/pve",
        "trixie",
        "pve-no-subscription",
    ],
    ["test", "Test", "proxmox", "http://download.proxmox.com/debian/pve", "trixie", "pve-test"],
    [
        "ceph-squid-enterprise",
        "Ceph Squid Enterprise",
        "ceph",
        "https://enterprise.proxmox.com/debian/ceph-squid",
        "trixie",
        "enterprise",
    ],
    [
        "ceph-squid-no-subscription",
        "Ceph Squid No-Subscription",
        "ceph",
        "http://download.proxmox.com/debian/ceph-squid",
        "trixie",
        "no-subscription",
    ],
    [
        "ceph-squid-test",
        "Ceph Squid Test",
        "ceph",
        "http://download.proxmox.com/debian/ceph-squid",
        "trixie",
        "test",
    ],
    [
        "ceph-tentacle-enterprise",
        "Ceph Tentacle Enterprise",
        "ceph",
        "https://enterprise.proxmox.com/debian/ceph-tentacle",
        "trixie",
        "enterprise",
    ],
    [
        "ceph-tentacle-no-subscription",
        "Ceph Tentacle No-Subscription",
        "ceph",
        "http://download.proxmox.com/debian/ceph-tentacle",
        "trixie",
        "no-subscription",
    ],
    [
        "ceph-tentacle-test",
        "Ceph Tentacle Test",
        "ceph",
        "http://download.proxmox.com/debian/ceph-tentacle",
        "trixie",
        "test",
    ],
];

fn path(stem: &str) -> String {
    format!("/etc/apt/sources.list.d/{stem}.sources")
}

fn repository([_, _, _, uri, suite, component]: [&str; 6]) -> Repository {
    Repository {
        uri: uri.to_owned(),
        suites: vec![suite.to_owned()],
        components: vec![component.to_owned()],
        enabled: true,
    }
}

/// What an installation has: Debian's, and the enterprise ones of Proxmox.
fn initial() -> Files {
    let debian = |uri: &str, suites: &[&str]| Repository {
        uri: uri.to_owned(),
        suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
        components: ["main", "contrib", "non-free-firmware"].map(str::to_owned).into(),
        enabled: true,
    };
    BTreeMap::from([
        (
            path("debian"),
            vec![
                debian("http://deb.debian.org/debian/", &["trixie", "trixie-updates"]),
                debian("http://security.debian.org/debian-security/", &["trixie-security"]),
            ],
        ),
        (path("pve-enterprise"), vec![repository(STANDARD[0])]),
        (path("ceph"), vec![repository(STANDARD[3])]),
    ])
}

fn files(request: &Request<'_>) -> Files {
    request.state.apt.get(&request.node).cloned().unwrap_or_else(initial)
}

fn file_digest(entries: &[Repository]) -> Vec<u8> {
    sha2::Sha256::digest(serde_json::to_string(entries).unwrap_or_default()).to_vec()
}

fn digest(files: &Files) -> String {
    let text = serde_json::to_string(files).unwrap_or_default();
    crate::guests::hex(&sha2::Sha256::digest(text))
}

fn shown(entry: &Repository) -> Value {
    json!({
        "Types": ["deb"], "URIs": [entry.uri], "Suites": entry.suites, "Components": entry.components,
        "Enabled": u8::from(entry.enabled), "FileType": "sources",
        "Options": [{ "Key": "Signed-By", "Values": ["/usr/share/keyrings/proxmox-archive-keyring.gpg"] }],
    })
}

fn is_same(entry: &Repository, standard: [&str; 6]) -> bool {
    let [_, _, _, uri, suite, component] = standard;
    entry.uri.trim_end_matches('/') == uri
        && entry.suites.iter().any(|name| name == suite)
        && entry.components.iter().any(|name| name == component)
}

fn read(request: &mut Request<'_>) -> Answer {
    let files = files(request);
    let list: Vec<Value> = files
        .iter()
        .map(|(path, entries)| {
            let rows: Vec<Value> = entries.iter().map(shown).collect();
            json!({ "path": path, "file-type": "sources", "digest": file_digest(entries), "repositories": rows })
        })
        .collect();
    let standard: Vec<Value> = STANDARD
        .iter()
        .map(|known| {
            let mut row = json!({ "handle": known[0], "name": known[1], "description": format!("{} repository", known[1]) });
            if let Some(entry) = files.values().flatten().find(|entry| is_same(entry, *known)) {
                row["status"] = json!(u8::from(entry.enabled));
            }
            row
        })
        .collect();
    Ok(json!({
        "digest": digest(&files), "errors": [], "files": list, "infos": [], "standard-repos": standard,
    }))
}

fn check_digest(request: &Request<'_>, files: &Files) -> Result<(), Failure> {
    request.check_digest(
        &digest(files),
        "detected modified configuration - file changed by other user? Try again.",
    )
}

/// Turns one entry on or off.
fn change(request: &mut Request<'_>) -> Answer {
    let mut files = files(request);
    check_digest(request, &files)?;
    let (path, index) = (request.text("path"), request.number("index").unwrap_or(0) as usize);
    let Some(entries) = files.get_mut(&path) else {
        return Err(Failure::died(format!("invalid path - {path}")));
    };
    let Some(entry) = entries.get_mut(index) else {
        return Err(Failure::died(format!("invalid index - {index}")));
    };
    if let Some(enabled) = request.get("enabled") {
        entry.enabled = enabled == "1";
    }
    request.state.apt.insert(request.node.clone(), files);
    Ok(Value::Null)
}

/// Adds one of those that Proxmox knows, or turns it on.
fn add(request: &mut Request<'_>) -> Answer {
    let mut files = files(request);
    check_digest(request, &files)?;
    let handle = request.text("handle");
    let Some(known) = STANDARD.iter().find(|known| known[0] == handle).copied() else {
        return Err(Failure::died(format!("unknown repository handle '{handle}'")));
    };
    match files.values_mut().flatten().find(|entry| is_same(entry, known)) {
        Some(entry) => entry.enabled = true,
        None => files.entry(path(known[2])).or_default().push(repository(known)),
    }
    request.state.apt.insert(request.node.clone(), files);
    Ok(Value::Null)
}

fn versions(_: &mut Request<'_>) -> Answer {
    let row = |package: &str, version: &str| {
        json!({
            "Package": package, "Version": version, "OldVersion": version, "CurrentState": "Installed", "Arch": "all",
            "Origin": "Proxmox", "Section": "admin", "Priority": "optional", "Title": package, "Description": package,
        })
    };
    let mut first = row("proxmox-ve", "9.2.0");
    first["RunningKernel"] = json!("6.14.11-4-pve");
    let mut second = row("pve-manager", "9.2.11");
    second["ManagerVersion"] = json!("9.2.11/14a22df35955d97d");
    Ok(json!([first, second, row("qemu-server", "9.2.6"), row("pve-container", "6.1.10")]))
}
