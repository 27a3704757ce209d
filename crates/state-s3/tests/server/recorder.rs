//! What passes every request on and keeps what it said: before a server, and as an HTTP proxy.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Listens on 127.0.0.1. One request on each connection.
pub struct Recorder {
    /// Where.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// One before the server at `server`.
    pub fn start(server: SocketAddr) -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                // A connection that breaks is what the client must cope with.
                std::thread::spawn(move || pass(client, server, &kept).ok());
            }
        });
        Recorder { address, requests }
    }

    /// What came since this was last asked: each request's first line, and its body.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

fn pass(mut client: TcpStream, server: SocketAddr, kept: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let (end, head) = loop {
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
            break (end, head);
        }
    };
    let line = head.lines().next().unwrap_or_default().to_string();
    kept.lock().unwrap().push(format!("{line}\n{}", String::from_utf8_lossy(&bytes[end + 4..])));
    if line.starts_with("CONNECT ") {
        // What is behind it is not on this machine.
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    // To a proxy the whole URL is said.
    let rest = head.split_once("\r\n").map_or("", |(_, rest)| rest);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    let mut connection = TcpStream::connect(server)?;
    connection
        .write_all(format!("{method} {path} HTTP/1.1\r\n{rest}\r\nconnection: close\r\n\r\n").as_bytes())?;
    connection.write_all(&bytes[end + 4..])?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    client.write_all(&answer)
}
