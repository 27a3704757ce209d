//! The server a recording was made on, as its `environment` says, and the files that lay on it.

use std::collections::BTreeMap;
use std::time::Duration;

use pve_simulator::{Options, RemoteFile, Seed, Server, Simulator, serve};
use serde_json::{Map, Value, json};

use crate::Error;

/// Password of every user (the recordings mask theirs).
pub const PASSWORD: &str = "secret-of-the-recording";

/// Files that lay on the first recorded server, and their bytes.
const LAB_FILES: [(&str, usize); 5] = [
    ("lab:import/cloud.qcow2", 196_640),
    ("lab:import/disk.raw", 64 << 20),
    ("lab:snippets/hook.pl", 17),
    ("lab:iso/test.iso", 409_617),
    ("lab:vztmpl/debian-12-fake_12.5-1_amd64.tar.gz", 649),
];

/// The same for the second one.
const LOCAL_FILES: [(&str, usize); 6] = [
    ("local:import/small.qcow2", 196_616),
    ("local:import/odd.raw", 10_487_296),
    ("local:import/c.vmdk", 3_276_800),
    ("local:iso/tiny.iso", 409_600),
    ("local:snippets/user.yaml", 27),
    ("local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst", 1_112_018),
];

/// What was behind the URLs of the recordings: URL, bytes, bytes of the disk in it, type, SHA-256.
const REMOTE_FILES: [(&str, u64, u64, &str, &str); 9] = [
    ("http://127.0.0.1:18080/test.iso", 409_617, 409_617, "application/x-iso9660-image", ""),
    ("http://127.0.0.1:18080/cloud.img", 409_617, 409_617, "application/octet-stream", ""),
    (
        "http://127.0.0.1:18080/cloud.qcow2",
        196_640,
        2 << 30,
        "application/octet-stream",
        "08587a3503226a49b8739afba6a79783190995c042d6f0c330a988bd44ec0d49",
    ),
    ("http://127.0.0.1:18080/disk.raw", 64 << 20, 64 << 20, "application/octet-stream", ""),
    ("http://127.0.0.1:18080/debian-12-fake_12.5-1_amd64.tar.gz", 649, 649, "application/gzip", ""),
    ("http://127.0.0.1:18081/slow.iso", 1_000_000, 1_000_000, "", ""),
    ("http://127.0.0.1:8080/tiny.iso", 409_600, 409_600, "application/x-iso9660-image", ""),
    (
        "http://127.0.0.1:8080/debian-13-genericcloud-amd64.qcow2",
        3_538_944,
        48 << 20,
        "application/octet-stream",
        CLOUD,
    ),
    (
        "https://mirror.lab.local:8443/debian-13-genericcloud-amd64.qcow2",
        3_538_944,
        48 << 20,
        "application/octet-stream",
        CLOUD,
    ),
];
const CLOUD: &str = "1cc7e8a7fdfc8ffaded3843a38d3233ad9fcbb35e61fd874e0439f58a4859329";
/// And what was not there.
const MISSING: [&str; 2] = ["http://127.0.0.1:18080/missing.iso", "http://127.0.0.1:8080/none.qcow2"];

fn remote_file(size: u64, disk: u64, mime_type: &str, sha256: &str) -> RemoteFile {
    let sums = BTreeMap::from([("sha256".to_owned(), sha256.to_owned())]);
    RemoteFile {
        size,
        virtual_size: disk,
        checksums: if sha256.is_empty() { BTreeMap::new() } else { sums },
        mime_type: mime_type.to_owned(),
        exists: true,
        trusted: true,
    }
}

/// A request that brings the server to where the recording begins.
pub type Preparation = (&'static str, &'static str, Value);

/// Long enough for what was asked at once after a change.
const HA_CYCLE: Duration = Duration::from_millis(300);

/// What was done after the server had been left alone for this long.
pub fn later(name: &str) -> Option<(Duration, Preparation)> {
    let unmanaged = ("DELETE", "/cluster/ha/resources/vm:100", json!({}));
    (name == "cluster-ha.json").then_some((4 * HA_CYCLE, unmanaged))
}

/// The node of a recording that is a server of its own until it joins.
pub const NEWCOMER: &str = "pve2";

/// Starts the server that joins the first one's cluster in a recording.
pub async fn newcomer(name: &str, first: &Simulator) -> Result<Option<Server>, Error> {
    if name != "cluster-join.json" {
        return Ok(None);
    }
    let server = start_node(name, NEWCOMER).await?;
    first.connect(server.simulator());
    Ok(Some(server))
}

/// Starts a simulator for a recording.
pub async fn start(name: &str) -> Result<Server, Error> {
    start_node(name, if is_cluster(name) { "pve1" } else { "pve" }).await
}

async fn start_node(name: &str, node: &str) -> Result<Server, Error> {
    let cluster = is_cluster(name);
    // The other nodes had not joined yet.
    let alone = name == "cluster-join.json";
    let default_installation = is_second_server(name);
    let options = Options {
        token: Some("root@pam!cap=11111111-2222-4333-8444-555555555555".to_owned()),
        password: PASSWORD.to_owned(),
        node: node.to_owned(),
        storage_size: if cluster {
            10
        } else if default_installation {
            24
        } else {
            250
        } << 30,
        other_nodes: if cluster && !alone { vec!["pve2".to_owned(), "pve3".to_owned()] } else { Vec::new() },
        // Guests of the second server have no operating system.
        agent_delay: Duration::from_secs(if default_installation { 86_400 } else { 0 }),
        guests_obey: !default_installation,
        // That takes Proxmox's own QEMU.
        live_migration: !default_installation,
        cpus: if default_installation { 4 } else { 2 },
        task_duration: Duration::from_millis(25),
        status_cycle: Duration::from_millis(1500),
        // No manager ran on the first server.
        ha_cycle: if cluster { HA_CYCLE } else { Duration::from_secs(86_400) },
        ..Options::default()
    };
    let simulator = Simulator::new(options);
    simulator.stop_clock();
    simulator.seed(&Seed { interfaces: interfaces(default_installation), ..Seed::default() })?;
    for (url, size, disk, mime_type, sha256) in REMOTE_FILES {
        let file = remote_file(size, disk, mime_type, sha256);
        simulator.register_remote_file(url, RemoteFile { trusted: !url.starts_with("https"), ..file });
    }
    for url in MISSING {
        simulator.register_remote_file(url, RemoteFile { exists: false, ..remote_file(0, 0, "", "") });
    }
    let files = match name {
        _ if is_second_server(name) => LOCAL_FILES.as_slice(),
        "storage.json" => &[],
        _ => LAB_FILES.as_slice(),
    };
    for (volume, size) in files {
        simulator.add_file(volume, &image(volume, *size));
    }
    Ok(serve(simulator, "127.0.0.1:0".parse()?).await?)
}

/// The interfaces of a node: the first server had no address that Proxmox knew of.
fn interfaces(default_installation: bool) -> BTreeMap<String, BTreeMap<String, String>> {
    let options = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
    };
    let mut card = options(&[("type", "eth"), ("active", "1"), ("exists", "1")]);
    let mut bridge =
        options(&[("type", "bridge"), ("active", "1"), ("autostart", "1"), ("bridge_ports", "")]);
    if default_installation {
        card.insert("altnames".to_owned(), "enx525400990011".to_owned());
        bridge.extend(options(&[
            ("bridge_ports", "eth0"),
            ("cidr", "10.99.0.11/24"),
            ("gateway", "10.99.0.1"),
        ]));
    }
    [("eth0", card), ("vmbr0", bridge)].map(|(name, options)| (name.to_owned(), options)).into()
}

fn is_cluster(name: &str) -> bool {
    name.starts_with("cluster-") || name == "sdn-apply.json"
}

fn is_second_server(name: &str) -> bool {
    is_cluster(name) || name.starts_with("lvmthin-")
}

/// What was done on the server before the recording: the storages of its environment, and guests of earlier
/// recordings that this one uses.
pub fn preparations(name: &str) -> Vec<Preparation> {
    let all = "images,rootdir,iso,vztmpl,snippets,backup,import";
    if is_second_server(name) {
        // One recording made this change, the later ones were made on that server.
        let later = ["lvmthin-move.json", "lvmthin-clone.json", "lvmthin-template-one-disk.json"];
        let nas =
            json!({ "storage": "nas", "type": "dir", "path": "/mnt/shared", "shared": 1, "content": all });
        let nas = ("POST", "/storage", nas);
        let widened = ("PUT", "/storage/local", json!({ "content": all }));
        return match name {
            "cluster-status.json" => vec![guest("pve1", 100, "one", false)],
            "cluster-migrate.json" => {
                vec![guest("pve1", 100, "one", false), guest("pve2", 201, "remote", true)]
            }
            "sdn-apply.json" => {
                vec![guest("pve1", 100, "one", false), guest("pve2", 201, "remote", true), nas]
            }
            "cluster-ha.json" => vec![
                guest("pve1", 100, "one", false),
                guest("pve2", 201, "remote", true),
                nas,
                // The manager had been in use.
                ("POST", "/cluster/ha/resources", json!({ "sid": "vm:100", "state": "stopped" })),
            ],
            "lvmthin-template-one-disk.json" => vec![widened, left_over_thin()],
            _ if later.contains(&name) => vec![widened],
            _ => Vec::new(),
        };
    }
    let mut steps = vec![("DELETE", "/storage/local-lvm", json!({}))];
    if name == "storage.json" {
        // A fresh installation without a storage configuration.
        steps.push(("DELETE", "/storage/local", json!({})));
        return steps;
    }
    steps.push(("PUT", "/storage/local", json!({ "content": all })));
    for (storage, path) in [("lab", "/var/lib/pve/storage"), ("lab2", "/var/lib/pve/storage2")] {
        let content = if storage == "lab" { all } else { "images,rootdir" };
        let options = json!({ "storage": storage, "type": "dir", "path": path, "content": content });
        steps.push(("POST", "/storage", options));
    }
    if name == "cluster.json" {
        let hosts = "127.0.0.1 localhost\n198.51.100.10 pve.example.test pve\n";
        steps.push(("POST", "/nodes/pve/hosts", json!({ "data": hosts })));
        steps.push(("PUT", "/nodes/pve/dns", json!({ "dns1": "127.0.0.1", "search": "" })));
        steps.push(("PUT", "/nodes/pve/time", json!({ "timezone": "Etc/UTC" })));
        // Somebody had given a guest a tag.
        steps.push(("POST", "/nodes/pve/qemu", json!({ "vmid": 101, "tags": "q" })));
    }
    if name == "access.json" {
        steps.push(("POST", "/access/users", json!({ "userid": "alice@nope" })));
    }
    if name == "qemu-clone.json" {
        steps.extend([("vm-110-disk-4.raw", 110), ("vm-110-disk-5.raw", 110)].map(left_over));
        steps
            .extend([("anything.raw", 900), ("vm-901-disk-1.raw", 900)].map(|file| left_over_of(file, "1M")));
    }
    if name == "qemu-disks.json" {
        // Made by the recording itself, beside a volume left over from an earlier one.
        steps.retain(|(_, _, options)| options["storage"] != "lab2");
        steps.push(left_over(("vm-110-disk-4.raw", 110)));
    }
    steps
}

/// A guest of an earlier recording.
fn guest(node: &str, vmid: u32, name: &str, card: bool) -> Preparation {
    let mut options =
        json!({ "vmid": vmid, "name": name, "memory": 64, "kvm": 0, "scsi0": "local-lvm:0.25" });
    if card {
        options["net0"] = json!("virtio,bridge=vmbr0");
    }
    ("POST", if node == "pve1" { "/nodes/pve1/qemu" } else { "/nodes/pve2/qemu" }, options)
}

fn left_over_thin() -> Preparation {
    let volume = json!({ "vmid": 123, "filename": "vm-123-disk-0", "size": "1G" });
    ("POST", "/nodes/pve/storage/local-lvm/content", volume)
}

fn left_over(file: (&str, u32)) -> Preparation {
    left_over_of(file, "528")
}

fn left_over_of((file, vmid): (&str, u32), size: &str) -> Preparation {
    ("POST", "/nodes/pve/storage/lab/content", json!({ "vmid": vmid, "filename": file, "size": size }))
}

/// What happened on the server before a step, without the API.
pub fn meanwhile(name: &str, number: usize, simulator: &Simulator) {
    if (name, number) == ("lvmthin-errors.json", 101) {
        simulator.add_thin_pool("pve", "pve", "tiny");
    }
    if (name, number) == ("lvmthin-errors.json", 109) {
        simulator.fill_storage("tiny");
    }
    if (name, number) == ("cluster-ha.json", 99) {
        simulator.silence_manager("pve3", Duration::from_secs(48));
    }
}

/// Requests before a step that were made and not recorded: guests that were cleared away.
pub fn unrecorded(name: &str, number: usize) -> Vec<Preparation> {
    if (name, number) == ("cluster-join.json", 29) {
        return vec![("POST", "/nodes/pve2/qemu", json!({ "vmid": 900 }))];
    }
    let guests: &[&'static str] = match (name, number) {
        ("cluster-join.json", 32) => &["/nodes/pve2/qemu/900"],
        ("lvmthin-errors.json", 64) => &["/nodes/pve/qemu/122", "/nodes/pve/qemu/130"],
        ("lvmthin-lxc.json", 139) => {
            &["/nodes/pve/lxc/223", "/nodes/pve/lxc/224", "/nodes/pve/lxc/225", "/nodes/pve/lxc/227"]
        }
        _ => &[],
    };
    guests.iter().map(|path| ("DELETE", *path, json!({}))).collect()
}

/// What a step that failed for want of a program left behind.
pub fn aftermath(name: &str, number: usize) -> Vec<Preparation> {
    if (name, number) == ("qemu-normalise.json", 297) {
        return vec![left_over(("vm-500-disk-16.raw", 500))];
    }
    if (name, number) != ("qemu-disks.json", 34) {
        return Vec::new();
    }
    vec![
        left_over(("vm-110-disk-5.raw", 110)),
        ("PUT", "/nodes/pve/qemu/110/config", json!({ "machine": "q35" })),
    ]
}

/// The multipart body for recorded parameters; a file is `<file "NAME" of N bytes>`.
pub fn multipart(params: &Map<String, Value>) -> (String, Vec<u8>) {
    let boundary = "----pvecap";
    let mut body = Vec::new();
    for (name, value) in params {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"");
        body.extend_from_slice(head.as_bytes());
        match file(&text) {
            Some((file, bytes)) => {
                let head = format!("; filename=\"{file}\"\r\nContent-Type: application/octet-stream\r\n\r\n");
                body.extend_from_slice(head.as_bytes());
                body.extend_from_slice(&bytes);
            }
            None => body.extend_from_slice(format!("\r\n\r\n{text}").as_bytes()),
        }
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

fn file(text: &str) -> Option<(String, Vec<u8>)> {
    let (name, rest) = text.strip_prefix("<file \"")?.split_once("\" of ")?;
    let size: usize = rest.strip_suffix(" bytes>")?.parse().ok()?;
    Some((name.to_owned(), image(name, size)))
}

/// Writes out `<70000 x one letter>` and `yy<3000 letters y>`.
pub fn expand(text: &str) -> String {
    let Some((head, rest)) = text.split_once('<') else { return text.to_owned() };
    let Some((inside, tail)) = rest.split_once('>') else { return text.to_owned() };
    let count = inside.split(' ').next().and_then(|count| count.parse::<usize>().ok());
    match count {
        Some(count) if inside.ends_with(" x one letter") => format!("{head}{}{tail}", "x".repeat(count)),
        // The letters that are shown are among the counted ones.
        Some(count) if inside.ends_with(" letters y") => {
            let shown = head.bytes().rev().take_while(|byte| *byte == b'y').count();
            format!("{head}{}{tail}", "y".repeat(count - shown))
        }
        _ => text.to_owned(),
    }
}

/// Bytes of a file of this size; a `.vmdk` begins with the header of a 48 MiB disk, a `.qcow2` starts with the header of an image, of 16 MiB on the second recorded
/// server and 2 GiB on the first.
pub fn image(name: &str, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    if name.ends_with(".vmdk") && size >= 20 {
        bytes[..4].copy_from_slice(b"KDMV");
        bytes[12..20].copy_from_slice(&((48_u64 << 20) / 512).to_le_bytes());
    }
    let disk: u64 = if name.starts_with("local:") { 16 << 20 } else { 2 << 30 };
    if name.ends_with(".qcow2") && size >= 32 {
        bytes[..4].copy_from_slice(b"QFI\xfb");
        bytes[4..8].copy_from_slice(&3_u32.to_be_bytes());
        bytes[24..32].copy_from_slice(&disk.to_be_bytes());
    }
    bytes
}
