//! A store of objects that tests start, projects whose log is in it, and a proxy that cuts it off.

#![allow(dead_code, reason = "each test file uses its part")]

#[path = "../common/binary.rs"]
mod binary;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub use binary::text;

/// A running server.
pub struct Server {
    process: Child,
    address: SocketAddr,
    _data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// A server with a bucket `team`, if the variable names one.
    pub fn start() -> Option<Server> {
        let Some(program) = std::env::var_os("PVE_TEST_MINISTACK") else {
            // Past the capture of tests that pass.
            let told =
                "skipped: PVE_TEST_MINISTACK does not name the program ministack (.ci/run installs it)";
            let _ = writeln!(std::io::stderr(), "{told}");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = tempfile::tempdir().unwrap();
        let process = Command::new(program)
            .envs([
                ("BIND_HOST", "127.0.0.1"),
                ("SERVICES", "s3,dynamodb"),
                ("GATEWAY_PORT", &port.to_string()),
            ])
            .env("S3_DATA_DIR", data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server { process, address: ([127, 0, 0, 1], port).into(), _data: data };
        while server.try_request("PUT", "/team", "").is_none_or(|(status, _)| status >= 300) {
            std::thread::yield_now();
        }
        Some(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it, by a client that is not pve's: the status and the body.
    pub fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.try_request(method, path, body).unwrap()
    }

    fn try_request(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        self.send(&format!("{method} {path} HTTP/1.1"), &format!("host: {}", self.address), body)
    }

    fn send(&self, line: &str, head: &str, body: &str) -> Option<(u16, String)> {
        let mut connection = TcpStream::connect(self.address).ok()?;
        let length = body.len();
        let head = format!("{line}\r\n{head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        connection.write_all(head.as_bytes()).ok()?;
        connection.write_all(body.as_bytes()).ok()?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_string()))
    }

    /// Asks its tables.
    pub fn dynamodb(&self, operation: &str, body: &str) {
        let head = format!(
            "host: {}\r\nx-amz-target: DynamoDB_20120810.{operation}\r\ncontent-type: application/x-amz-json-1.0",
            self.address
        );
        let answer = self.send("POST / HTTP/1.1", &head, body);
        assert!(matches!(answer, Some((200, _))), "{operation} {body}: {answer:?}");
    }

    /// The keys in the bucket.
    pub fn keys(&self) -> Vec<String> {
        let (status, body) = self.request("GET", "/team?list-type=2", "");
        assert_eq!(status, 200, "{body}");
        body.split("<Key>").skip(1).map(|part| part.split('<').next().unwrap().to_string()).collect()
    }
}

/// The block for a bucket behind an address.
pub fn backend(address: SocketAddr, key: &str) -> String {
    format!(
        "terraform {{\n  backend \"s3\" {{\n    bucket = \"team\"\n    key = \"{key}\"\n    \
         region = \"us-east-1\"\n    endpoints = {{ s3 = \"http://{address}\" }}\n    use_path_style = true\n  }}\n}}\n"
    )
}

/// A project whose log is in the bucket.
pub fn project(address: SocketAddr, main: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("backend.tf"), backend(address, "infra/terraform.tfstate")).unwrap();
    std::fs::write(folder.path().join("main.tf"), main).unwrap();
    folder
}

/// The binary with the keys of the store and a team's passphrase.
pub fn pve(folder: &Path, words: &[&str]) -> Command {
    let mut command = binary::pve(folder, words);
    command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
    command.env("PVE_ENCRYPTION_PASSPHRASE", "a team's passphrase");
    command
}

/// Runs a command that must succeed and returns what it says.
pub fn ok(folder: &Path, words: &[&str]) -> String {
    let output: Output = pve(folder, words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", text(&output));
    text(&output)
}

/// Runs a command that must end with 1, and returns what it says.
pub fn fails(folder: &Path, words: &[&str]) -> String {
    let output = pve(folder, words).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output));
    text(&output)
}

/// A proxy before a store. One request on each connection.
pub struct Proxy {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    requests: AtomicUsize,
    /// Writes of batches of the log that arrived.
    batches: AtomicUsize,
    /// How many of them may; after that the store is away.
    most: AtomicUsize,
    /// Whether the last one before it goes away takes effect without an answer.
    lands: AtomicBool,
}

impl Proxy {
    /// A proxy that lets everything through.
    pub fn start(store: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner { most: AtomicUsize::new(usize::MAX), ..Inner::default() });
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let inner = Arc::clone(&shared);
                // A connection that breaks is what the client must cope with.
                std::thread::spawn(move || inner.pass(client, store).ok());
            }
        });
        Proxy { address, inner }
    }

    /// Lets so many more batches of the log through, then nothing at all. The one after them may land all the same.
    pub fn cut_after(&self, batches: usize, lands: bool) {
        self.inner.lands.store(lands, Ordering::SeqCst);
        self.inner.batches.store(0, Ordering::SeqCst);
        self.inner.most.store(batches, Ordering::SeqCst);
    }

    /// Lets everything through again.
    pub fn open(&self) {
        self.inner.most.store(usize::MAX, Ordering::SeqCst);
    }

    /// How many batches of the log arrived since that was last set.
    pub fn batches(&self) -> usize {
        self.inner.batches.load(Ordering::SeqCst)
    }

    /// How many requests came since this was last asked.
    pub fn requests(&self) -> usize {
        self.inner.requests.swap(0, Ordering::SeqCst)
    }
}

impl Inner {
    fn pass(&self, mut client: TcpStream, store: SocketAddr) -> std::io::Result<()> {
        let request = read_request(&mut client)?;
        self.requests.fetch_add(1, Ordering::SeqCst);
        let first = request.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first);
        let most = self.most.load(Ordering::SeqCst);
        if first.starts_with("PUT ") && first.contains(".pve/log/") {
            let before = self.batches.fetch_add(1, Ordering::SeqCst);
            if before == most && self.lands.load(Ordering::SeqCst) {
                return ask(store, &request).map(drop);
            }
        }
        if self.batches.load(Ordering::SeqCst) > most {
            return Ok(());
        }
        client.write_all(&ask(store, &request)?)
    }
}

/// The request with its body, changed so that the server closes the connection behind its answer.
fn read_request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = client.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if bytes.len() >= end + 4 + length.unwrap_or(0) {
            bytes.splice(end..end, *b"\r\nconnection: close");
            return Ok(bytes);
        }
    }
}

fn ask(store: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(store)?;
    connection.write_all(request)?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(answer)
}
