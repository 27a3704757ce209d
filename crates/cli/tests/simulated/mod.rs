//! A project scaffolded by `pve init` and a simulated cluster beside it, in this process: it outlives every `pve`.

#![allow(dead_code, reason = "each test file uses its part")]

#[path = "../common/binary.rs"]
mod binary;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use binary::pve;
pub use binary::text;

use pve_simulator::{Conformity, Options, RequestRecord, Server, Simulator, serve};

/// A simulated cluster on a socket.
pub struct Cluster {
    runtime: tokio::runtime::Runtime,
    pub server: Server,
}

impl Cluster {
    pub fn start(options: Options) -> Cluster {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = runtime.block_on(serve(Simulator::new(options), listen)).unwrap();
        Cluster { runtime, server }
    }

    pub fn requests(&self) -> Vec<RequestRecord> {
        self.server.requests()
    }

    pub fn forget_requests(&self) {
        self.server.simulator().clear_requests();
    }

    /// Asks the cluster, by a client that is not pve's.
    pub fn get(&self, path: &str) -> serde_json::Value {
        self.send("GET", path, &[])
    }

    /// Somebody else's request, by a client that is not pve's.
    pub fn send(&self, method: &str, path: &str, params: &[(&str, &str)]) -> serde_json::Value {
        self.answer(method, path, params)["data"].clone()
    }

    /// What a request is answered beside the data, too.
    pub fn whole(&self, path: &str) -> serde_json::Value {
        self.answer("GET", path, &[])
    }

    fn answer(&self, method: &str, path: &str, params: &[(&str, &str)]) -> serde_json::Value {
        let url = format!("{}api2/json{path}", self.server.endpoint);
        let token = format!("PVEAPIToken={}", self.server.token);
        self.runtime.block_on(async {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
            let request = client.request(method.parse().unwrap(), url).header("Authorization", token);
            let request = if params.is_empty() { request } else { request.form(params) };
            let answer = request.send().await.unwrap();
            answer.json::<serde_json::Value>().await.unwrap()
        })
    }

    /// Every guest by id and name, and every volume: what an orphan would be among.
    pub fn inventory(&self) -> BTreeSet<String> {
        let resources = self.get("/cluster/resources?type=vm");
        let guests = resources.as_array().unwrap().iter().map(|guest| guest["vmid"].as_u64().unwrap());
        let mut found = BTreeSet::new();
        for vmid in guests {
            let kind =
                if self.get(&format!("/nodes/pve/qemu/{vmid}/config")).is_null() { "lxc" } else { "qemu" };
            let config = self.get(&format!("/nodes/pve/{kind}/{vmid}/config"));
            let name = config["name"].as_str().or(config["hostname"].as_str()).unwrap();
            let status = self.get(&format!("/nodes/pve/{kind}/{vmid}/status/current"));
            found.insert(format!("{kind} {vmid} {name} {}", status["status"].as_str().unwrap()));
        }
        for storage in ["local", "local-lvm"] {
            let volumes = self.get(&format!("/nodes/pve/storage/{storage}/content"));
            for volume in volumes.as_array().unwrap() {
                found.insert(format!("volume {}", volume["volid"].as_str().unwrap()));
            }
        }
        found
    }
}

/// Every request of every test here has to be one that the API's description allows: known parameters only, each as
/// it is described, none missing.
impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let Conformity { conforming, violations } = self.server.simulator().conformity();
            assert!(
                violations.is_empty(),
                "requests that the API's description does not allow: {violations:#?}"
            );
            println!("{conforming} requests, all as the API's description has them");
        }
    }
}

/// A project in a folder of its own.
pub struct Project {
    pub folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Project {
    /// What `pve init` makes.
    pub fn scaffolded() -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap(), variables: Vec::new() };
        let output = project.command_in(project.folder.path(), &["init", "infra"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        project
    }

    /// One with this configuration, for a cluster.
    pub fn of(cluster: &Cluster, main: &str) -> Project {
        let mut project = Project { folder: tempfile::tempdir().unwrap(), variables: Vec::new() };
        project.write("main.tf", main);
        project.reach(cluster);
        project
    }

    /// The same, for a cluster: what `pve simulator` prints about it is in the environment.
    pub fn on(cluster: &Cluster) -> Project {
        let mut project = Project::scaffolded();
        project.reach(cluster);
        project
    }

    fn reach(&mut self, cluster: &Cluster) {
        let (project, server) = (self, &cluster.server);
        project.set("PROXMOX_VE_ENDPOINT", &server.endpoint);
        project.set("PROXMOX_VE_API_TOKEN", &server.token);
        project.set("PROXMOX_VE_INSECURE", "true");
        project.set("PROXMOX_VE_SSH_USERNAME", &server.ssh.username);
        project.set("PROXMOX_VE_SSH_PASSWORD", &server.ssh.password);
        project.set("PROXMOX_VE_SSH_PORT", &server.ssh.address.port().to_string());
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.into(), value.into()));
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("infra")
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn command_in(&self, folder: &Path, words: &[&str]) -> Command {
        let mut command = pve(folder, words);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn command(&self, words: &[&str]) -> Command {
        self.command_in(&self.root(), words)
    }

    /// Runs a command that must succeed and returns what it prints.
    pub fn ok(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command and returns its exit code and what it prints.
    pub fn ends(&self, words: &[&str]) -> (i32, String) {
        let output = self.command(words).output().unwrap();
        (output.status.code().unwrap(), text(&output))
    }

    /// Runs a command that must end with 1, and returns what it says.
    pub fn fails(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output));
        text(&output)
    }
}

/// A number that looks random, the same for the same seed (SplitMix64).
pub fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The seed of a test, and how to give another one.
pub fn seed() -> u64 {
    let seed = std::env::var("PVE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_125);
    println!("seed {seed} (set PVE_TEST_SEED to try another)");
    seed
}

/// What a configuration of one test begins with.
pub const PROVIDER: &str = "provider \"proxmox\" {}\n";

/// A project of one file, for a cluster that has a template file.
pub fn project_with(cluster: &Cluster, main: &str) -> Project {
    let project = Project::on(cluster);
    for entry in std::fs::read_dir(project.root()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "tf") {
            std::fs::remove_file(path).unwrap();
        }
    }
    cluster.server.simulator().add_file("local:vztmpl/t.tar.zst", b"template");
    project.write("main.tf", &format!("{PROVIDER}{main}"));
    project
}

/// Nothing is planned, and a plan that nobody reads says so too.
pub fn settled(project: &Project) {
    let (code, plan) = project.ends(&["plan", "-detailed-exitcode"]);
    assert!(code == 0 && plan.contains("No changes."), "{code} {plan}");
}
