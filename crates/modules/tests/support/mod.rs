//! A project, a git repository and a web server, each of the test's own.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use pve_config::configuration::Version;
use pve_modules::{Installation, Reporter, Settings, install};

/// A root module.
pub struct Project {
    pub folder: tempfile::TempDir,
    pub settings: Settings,
}

/// Remembers what was told.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<String>>);

impl Reporter for Told {
    fn waiting(&self) {
        self.0.lock().unwrap().push("waiting".into());
    }

    fn fetching(&self, key: &str, source: &str, version: Option<&Version>) {
        let version = version.map(|version| format!(" {version}")).unwrap_or_default();
        self.0.lock().unwrap().push(format!("{key}: {source}{version}"));
    }
}

impl Project {
    pub fn new(main: &str) -> Project {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let project = Project { folder: tempfile::tempdir().unwrap(), settings: Settings::default() };
        project.write("main.tf", main);
        project
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        write(self.path(), name, text);
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn install(&self, upgrade: bool) -> (Installation, Vec<String>) {
        let told = Told::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = runtime.block_on(install(self.path(), &self.settings, upgrade, &told));
        (result.unwrap(), told.0.into_inner().unwrap())
    }

    /// Installs what must succeed; returns what was told.
    pub fn installed(&self) -> Vec<String> {
        let (installation, told) = self.install(false);
        assert_eq!(said(&installation), "");
        told
    }

    /// Installs what must fail; returns what is said.
    pub fn fails(&self) -> String {
        let said = said(&self.install(false).0);
        assert_ne!(said, "");
        said
    }

    /// What stands in the folder of modules, without the lock.
    pub fn folders(&self) -> Vec<String> {
        self.names(".pve/modules").into_iter().filter(|name| name != ".lock").collect()
    }

    /// The names in a folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path().join(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// The diagnostics of an installation, each with its line.
pub fn said(installation: &Installation) -> String {
    let loaded = &installation.loaded;
    let line = |found: &pve_config::syntax::Diagnostic| {
        let place = found.span.and_then(|span| {
            let source = loaded.sources.get(span.source)?;
            Some(format!("{}:{}: ", source.name, source.line_column(span.start).0))
        });
        let hint = found.hint.clone().map(|hint| format!(" | {hint}")).unwrap_or_default();
        format!("{}{}: {}{hint}\n", place.unwrap_or_default(), found.summary, found.detail)
    };
    loaded.diagnostics.iter().map(line).collect()
}

pub fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Whether there is a git, which a test cannot do without.
pub fn has_git() -> bool {
    let found = Command::new("git").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: there is no git on this machine");
    }
    found
}

/// A git repository.
pub struct Repository(pub tempfile::TempDir);

impl Repository {
    pub fn new() -> Repository {
        let repository = Repository(tempfile::tempdir().unwrap());
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
        let mut command = Command::new("git");
        command.args(identity).args(arguments).current_dir(self.0.path());
        let output = command.env_remove("GIT_DIR").env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    /// Writes files and commits them; returns the commit.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            write(self.0.path(), name, text);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn source(&self) -> String {
        format!("git::file://{}", self.0.path().display())
    }
}

/// An answer: status, headers, content.
#[derive(Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub content: Vec<u8>,
}

impl Answer {
    pub fn bytes(content: impl Into<Vec<u8>>) -> Answer {
        Answer { status: 200, headers: Vec::new(), content: content.into() }
    }

    pub fn status(status: u16) -> Answer {
        Answer { status, ..Answer::default() }
    }

    /// `X-Terraform-Get`
    pub fn refer(address: impl Into<String>) -> Answer {
        let headers = vec![("X-Terraform-Get".to_string(), address.into())];
        Answer { status: 204, headers, content: Vec::new() }
    }
}

/// A web server on a free port; it answers until the test ends.
pub struct Server {
    pub port: u16,
    /// The path of each request and its `Authorization`.
    requests: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
}

impl Server {
    pub fn start() -> Server {
        Server::serve(|stream| stream)
    }

    /// A server whose connections are wrapped, for instance in TLS.
    pub fn serve<S: Read + Write + 'static>(wrap: impl Fn(TcpStream) -> S + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server {
            port: listener.local_addr().unwrap().port(),
            requests: Arc::default(),
            answers: Arc::default(),
        };
        let (requests, answers) = (server.requests.clone(), server.answers.clone());
        let wrap = Arc::new(wrap);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (requests, answers, wrap) = (requests.clone(), answers.clone(), wrap.clone());
                std::thread::spawn(move || answer(&mut wrap(stream), &requests, &answers));
            }
        });
        server
    }

    pub fn on(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.into(), answer);
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host())
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn answer(
    stream: &mut (impl Read + Write),
    requests: &Mutex<Vec<String>>,
    answers: &Mutex<BTreeMap<String, Answer>>,
) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_string();
    let token = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then(|| format!(" {value}"))
    });
    requests.lock().unwrap().push(format!("{path}{}", token.unwrap_or_default()));
    let found = answers.lock().unwrap().get(&path).cloned().unwrap_or_else(|| Answer::status(404));
    let mut text = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", found.status);
    if found.status != 204 {
        text.push_str(&format!("content-length: {}\r\n", found.content.len()));
    }
    for (name, value) in &found.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    // A client that went away is no fault of the test.
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(&found.content));
    let _ = stream.flush();
}

/// A gzipped tar archive.
pub fn tar_gz(files: &[(&str, &str)]) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut builder = tar::Builder::new(encoder);
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}
