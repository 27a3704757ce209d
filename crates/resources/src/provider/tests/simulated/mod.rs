//! The kinds against the simulator over HTTPS: every attribute is set, changed and taken out again, and nothing is
//! planned in between.

mod broken_off;
mod clones;
mod containers;
mod data_sources;
mod exchanged;
mod files;
mod firewalls;
mod ha;
mod inherited;
mod inherited_by_containers;
mod lockout;
mod meddling;
mod media;
mod moves;
mod newer_drives;
mod newer_vm_identity;
mod newer_vms;
mod objects;
mod outside;
mod pool_rights;
mod power;
pub(super) mod refused;
mod removals;
mod samples;
mod turns;
mod vms;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pve_api_client::ssh::{HostKeyPolicy, SshAuthentication, SshExit, SshSettings, SshTarget, SshUploader};
use pve_api_client::{Client, ClientOptions, Credentials, Trust, WaitOptions};
use pve_simulator::{Options, Server, Simulator, serve};
use serde_json::Value as Json;

use super::World;
use crate::cluster::{Api, ApiError, Content, Method, NodeNetwork};

/// The port of the provider over HTTPS, as the binary has it.
pub(super) struct OverHttps(Client, SshUploader, SshTarget);

fn translated(error: pve_api_client::ApiError) -> ApiError {
    ApiError {
        hint: error.hint().map(String::from),
        status: error.status(),
        lost: error.is_lost(),
        message: error.message,
    }
}

#[async_trait]
impl Api for OverHttps {
    async fn send(&self, method: Method, path: &str, params: &[(String, String)]) -> Result<Json, ApiError> {
        let method = match method {
            Method::Get => pve_api_client::Method::Get,
            Method::Post => pve_api_client::Method::Post,
            Method::Put => pve_api_client::Method::Put,
            Method::Delete => pve_api_client::Method::Delete,
        };
        self.0.send(method, path, params).await.map_err(translated)
    }

    async fn node_network(&self, node: &str) -> Result<Option<NodeNetwork>, ApiError> {
        let path = format!("/nodes/{node}/network");
        let whole = self.0.send_whole(pve_api_client::Method::Get, &path, &[]).await.map_err(translated)?;
        let interfaces = whole["data"].as_array().cloned().unwrap_or_default();
        Ok(Some(NodeNetwork { interfaces, changes: whole["changes"].as_str().map(String::from) }))
    }

    fn server(&self) -> Option<String> {
        Some(self.0.server())
    }

    async fn wait(&self, upid: &str, most: Duration) -> Result<(), ApiError> {
        self.0.wait(upid, WaitOptions { most, ..WaitOptions::default() }).await.map_err(translated)
    }

    async fn upload(
        &self,
        node: &str,
        store: &str,
        kind: &str,
        name: &str,
        content: Content<'_>,
        most: Duration,
    ) -> Result<String, ApiError> {
        let part = match content {
            Content::Bytes(bytes) => Client::bytes_part(bytes),
            Content::File(path) => Client::file_part(path).await.map_err(translated)?,
        };
        self.0.upload(node, store, kind, name, part, most).await.map_err(translated)
    }

    async fn write_file(&self, _: &str, _: &str, _: Content<'_>, _: Option<u32>) -> Result<(), ApiError> {
        panic!("nothing is written by SSH in these tests")
    }

    async fn run(&self, _: &str, command: &[&str], most: Duration) -> Result<String, ApiError> {
        let output = self.1.run_as_root(&self.2, command, most).await.unwrap();
        assert_eq!(output.exit, SshExit::Code(0), "{command:?}: {}", output.stderr);
        Ok(output.stdout)
    }

    fn user(&self) -> String {
        self.0.user()
    }
}

/// The port of the provider to a simulator.
fn connect(server: &Server, credentials: Credentials) -> Arc<OverHttps> {
    let client = Client::new(ClientOptions {
        endpoint: server.endpoint.clone(),
        credentials,
        trust: Trust::Anything,
        timeout: Duration::from_secs(30),
        parallelism: 4,
    });
    let login = SshAuthentication::Password(server.ssh.password.clone().into());
    let mut settings = SshSettings::new(server.ssh.username.clone(), vec![login]);
    settings.host_keys = HostKeyPolicy::Pinned(vec![server.ssh.host_key.clone()]);
    let target = SshTarget { host: server.ssh.address.ip().to_string(), port: server.ssh.address.port() };
    Arc::new(OverHttps(client.unwrap(), SshUploader::new(settings), target))
}

/// A cluster with the storages, pools and files that the samples name, and a kind on it.
pub(super) async fn world(kind: &'static str) -> (World, Server) {
    world_with(kind, Options { status_cycle: Duration::ZERO, ..Options::default() }).await
}

async fn world_with(kind: &'static str, options: Options) -> (World, Server) {
    world_in_time(kind, Options { task_duration: Duration::ZERO, ..options }).await
}

/// The same where tasks take the time that the options give them.
async fn world_in_time(kind: &'static str, options: Options) -> (World, Server) {
    pve_api_client::install_crypto_provider();
    let password = options.password.clone();
    let simulator = Simulator::new(options);
    for file in
        ["import/d.qcow2", "import/e.qcow2", "vztmpl/t.tar.zst", "vztmpl/u.tar.zst", "iso/a.iso", "iso/b.iso"]
    {
        simulator.add_file(&format!("local:{file}"), b"content");
    }
    for file in ["a.yaml", "b.yaml", "a.sh", "b.sh"] {
        simulator.add_file(&format!("local:snippets/{file}"), b"content");
    }
    simulator.add_thin_pool("pve", "pve", "more");
    let server = serve(simulator, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let api = connect(&server, Credentials::Password("root@pam".into(), password.into()));
    for (path, params) in [
        ("/storage", "storage=other,type=lvmthin,vgname=pve,thinpool=more,content=images rootdir"),
        ("/storage", "storage=files,type=dir,path=/srv/files,content=images rootdir"),
        ("/pools", "poolid=one"),
        ("/pools", "poolid=two"),
    ] {
        let pairs = params.split(',').filter_map(|pair| pair.split_once('='));
        let pairs: Vec<_> = pairs.map(|(name, text)| (name.to_string(), text.replace(' ', ","))).collect();
        api.send(Method::Post, path, &pairs).await.unwrap();
    }
    (World::over(kind, api), server)
}
