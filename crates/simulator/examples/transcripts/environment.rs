//! The server a recording was made on, as its `environment` says, and the files that lay on it.

use std::time::Duration;

use pve_simulator::{Options, Server, Simulator, serve};
use serde_json::{Map, Value, json};

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

/// A request that brings the server to where the recording begins.
pub type Preparation = (&'static str, &'static str, Value);

/// Starts a simulator for a recording.
pub async fn start(name: &str) -> Result<Server, Box<dyn std::error::Error>> {
    let cluster = is_cluster(name);
    let default_installation = is_second_server(name);
    let options = Options {
        token: Some("root@pam!cap=11111111-2222-4333-8444-555555555555".to_owned()),
        password: PASSWORD.to_owned(),
        node: if cluster { "pve1" } else { "pve" }.to_owned(),
        storage_size: if cluster {
            10
        } else if default_installation {
            24
        } else {
            250
        } << 30,
        task_duration: Duration::from_millis(8),
        status_cycle: Duration::from_millis(400),
        ..Options::default()
    };
    let simulator = Simulator::new(options);
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

fn is_cluster(name: &str) -> bool {
    name.starts_with("cluster-") || name == "sdn-apply.json"
}

fn is_second_server(name: &str) -> bool {
    is_cluster(name) || name.starts_with("lvmthin-")
}

/// What was done on the server before the recording: the storages of its environment, and guests of earlier
/// recordings that this one uses.
pub fn preparations(name: &str) -> Vec<Preparation> {
    if is_second_server(name) {
        return Vec::new();
    }
    let all = "images,rootdir,iso,vztmpl,snippets,backup,import";
    let mut steps = vec![("DELETE", "/storage/local-lvm", json!({}))];
    if name == "storage.json" {
        // A fresh installation without a storage configuration.
        steps.push(("DELETE", "/storage/local", json!({})));
        return steps;
    }
    steps.push(("PUT", "/storage/local", json!({ "content": all })));
    for (storage, path) in [("lab", "/var/lib/pve/storage"), ("lab2", "/var/lib/pve/storage2")] {
        let options = json!({ "storage": storage, "type": "dir", "path": path, "content": all });
        steps.push(("POST", "/storage", options));
    }
    if name == "qemu-disks.json" {
        // Made by the recording itself, beside a volume left over from an earlier one.
        steps.retain(|(_, _, options)| options["storage"] != "lab2");
        steps.push(left_over("vm-110-disk-4.raw"));
    }
    steps
}

fn left_over(file: &'static str) -> Preparation {
    ("POST", "/nodes/pve/storage/lab/content", json!({ "vmid": 110, "filename": file, "size": "528" }))
}

/// What a step that failed for want of a program left behind.
pub fn aftermath(name: &str, number: usize) -> Vec<Preparation> {
    if (name, number) == ("qemu-disks.json", 34) { vec![left_over("vm-110-disk-5.raw")] } else { Vec::new() }
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

/// Bytes of a file of this size; a `.qcow2` starts with the header of an image, of 16 MiB on the second recorded
/// server and 2 GiB on the first.
pub fn image(name: &str, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let disk: u64 = if name.starts_with("local:") { 16 << 20 } else { 2 << 30 };
    if name.ends_with(".qcow2") && size >= 32 {
        bytes[..4].copy_from_slice(b"QFI\xfb");
        bytes[4..8].copy_from_slice(&3_u32.to_be_bytes());
        bytes[24..32].copy_from_slice(&disk.to_be_bytes());
    }
    bytes
}
