//! The provider's port over the real client: HTTPS for the API, SSH for what the API does not take.

use std::time::Duration;

use async_trait::async_trait;
use pve_api_client::ssh::{SshError, SshErrorKind, SshExit, SshOutput, SshTarget, SshUploader};
use pve_api_client::{Client, WaitOptions};
use pve_resources::{Api, ApiError, Content, Method, NodeNetwork};
use serde_json::Value as Json;

/// Where the SSH servers of nodes are.
pub enum NodeAddresses {
    /// One server stands for every node.
    Fixed(SshTarget),
    /// Those that the configuration names; the others are asked of the cluster.
    Known {
        /// Name, address, port.
        nodes: Vec<(String, String, u16)>,
        /// The port of the others.
        port: u16,
        /// The others are reached by their names instead of being asked of the cluster.
        by_name: bool,
        /// The host of the API, for a node that the cluster knows no address of.
        endpoint_host: String,
    },
}

/// A cluster that is reached by its API and by SSH.
pub struct RemoteCluster {
    /// The API.
    pub client: Client,
    /// Files and commands.
    pub uploader: SshUploader,
    /// Where the nodes are.
    pub nodes: NodeAddresses,
}

impl RemoteCluster {
    async fn target(&self, node: &str) -> Result<SshTarget, ApiError> {
        let (nodes, port, by_name, endpoint_host) = match &self.nodes {
            NodeAddresses::Fixed(target) => return Ok(target.clone()),
            NodeAddresses::Known { nodes, port, by_name, endpoint_host } => {
                (nodes, *port, *by_name, endpoint_host)
            }
        };
        if let Some((_, host, port)) = nodes.iter().find(|(name, ..)| name == node) {
            return Ok(SshTarget { host: host.clone(), port: *port });
        }
        if by_name {
            return Ok(SshTarget { host: node.to_string(), port });
        }
        let members = self.client.send(pve_api_client::Method::Get, "/cluster/status", &[]).await;
        let members = members.map_err(translated)?;
        let address = members.as_array().into_iter().flatten().find_map(|member| {
            let is_it = member["type"] == "node" && member["name"] == node;
            is_it.then(|| member["ip"].as_str()).flatten()
        });
        let host = address.unwrap_or(endpoint_host).to_string();
        Ok(SshTarget { host, port })
    }
}

fn translated(error: pve_api_client::ApiError) -> ApiError {
    ApiError {
        hint: error.hint().map(String::from),
        status: error.status(),
        lost: error.is_lost(),
        message: error.message,
    }
}

/// Writing a file is repeated whole, so that a lost answer leaves nothing in doubt.
fn untransferred(error: &SshError) -> ApiError {
    ApiError { hint: error.hint().map(String::from), status: None, lost: false, message: error.to_string() }
}

/// A command that may have run without an answer leaves its effect in doubt.
fn unrun(error: &SshError) -> ApiError {
    let hint = match error.kind {
        SshErrorKind::LoginRefused => {
            "this needs a login on the node: set username and private_key, agent or password in the ssh block of the \
             provider. For a disk that is made from an image it does not if the image has content_type = \"import\" (with a name that ends in .qcow2, .raw or \
             .vmdk)"
        }
        SshErrorKind::Lost => "it may have run, or still run, on the node: apply again when it has ended",
        _ => error.hint().unwrap_or_default(),
    };
    ApiError {
        hint: Some(hint.to_string()).filter(|hint| !hint.is_empty()),
        status: None,
        lost: error.kind == SshErrorKind::Lost,
        message: error.to_string(),
    }
}

/// What a command printed, or why it failed, in its own words.
fn finished(user: &str, target: &SshTarget, program: &str, output: SshOutput) -> Result<String, ApiError> {
    let code = match output.exit {
        SshExit::Code(0) => return Ok(output.stdout),
        SshExit::Code(code) => format!("exit code {code}"),
        SshExit::Signal(name) => format!("signal {name}"),
    };
    let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = lines.join("; ");
    let hint = if said.contains("command not found") {
        Some(format!("is a node of Proxmox VE at {target}? See the ssh block of the provider"))
    } else if lines.iter().any(|line| line.starts_with("sudo:") || line.contains(" sudo: ")) {
        Some(format!(
            "log in as root, or let {user} do it without a password, in /etc/sudoers.d on the node: \
             {user} ALL=(root) NOPASSWD: {}",
            if program == "flock" { "/usr/bin/flock" } else { "/usr/sbin/pvesm, /usr/sbin/qm" }
        ))
    } else {
        None
    };
    let message = format!("run {program} on {target}: {}", if said.is_empty() { &code } else { &said });
    Err(ApiError { message, hint, status: None, lost: false })
}

#[async_trait]
impl Api for RemoteCluster {
    async fn send(&self, method: Method, path: &str, params: &[(String, String)]) -> Result<Json, ApiError> {
        let method = match method {
            Method::Get => pve_api_client::Method::Get,
            Method::Post => pve_api_client::Method::Post,
            Method::Put => pve_api_client::Method::Put,
            Method::Delete => pve_api_client::Method::Delete,
        };
        self.client.send(method, path, params).await.map_err(translated)
    }

    async fn node_network(&self, node: &str) -> Result<Option<NodeNetwork>, ApiError> {
        let path = format!("/nodes/{node}/network");
        let whole =
            self.client.send_whole(pve_api_client::Method::Get, &path, &[]).await.map_err(translated)?;
        let changes = whole.get("changes").and_then(Json::as_str).filter(|text| !text.is_empty());
        let interfaces = whole.get("data").and_then(Json::as_array).cloned().unwrap_or_default();
        Ok(Some(NodeNetwork { interfaces, changes: changes.map(String::from) }))
    }

    fn server(&self) -> Option<String> {
        Some(self.client.server())
    }

    async fn wait(&self, upid: &str, most: Duration) -> Result<(), ApiError> {
        let options = WaitOptions { most, ..WaitOptions::default() };
        self.client.wait(upid, options).await.map_err(translated)
    }

    async fn upload(
        &self,
        node: &str,
        datastore: &str,
        content_type: &str,
        file_name: &str,
        content: Content<'_>,
        most: Duration,
    ) -> Result<String, ApiError> {
        let part = match content {
            Content::Bytes(bytes) => Client::bytes_part(bytes),
            Content::File(path) => Client::file_part(path).await.map_err(translated)?,
        };
        self.client.upload(node, datastore, content_type, file_name, part, most).await.map_err(translated)
    }

    async fn write_file(
        &self,
        node: &str,
        path: &str,
        content: Content<'_>,
        mode: Option<u32>,
    ) -> Result<(), ApiError> {
        let bytes = match content {
            Content::Bytes(bytes) => bytes,
            Content::File(local) => tokio::fs::read(local).await.map_err(|error| ApiError {
                message: format!("{} cannot be read: {error}", local.display()),
                hint: None,
                status: None,
                lost: false,
            })?,
        };
        let target = self.target(node).await?;
        self.uploader.write_file(&target, path, &bytes, mode).await.map_err(|error| untransferred(&error))
    }

    async fn run(&self, node: &str, command: &[&str], most: Duration) -> Result<String, ApiError> {
        let target = self.target(node).await?;
        let output =
            self.uploader.run_as_root(&target, command, most).await.map_err(|error| unrun(&error))?;
        let program = command.first().copied().unwrap_or_default();
        finished(self.uploader.username(), &target, program, output)
    }

    fn user(&self) -> String {
        self.client.user()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(exit: SshExit, stderr: &str) -> ApiError {
        let target = SshTarget { host: "192.0.2.1".into(), port: 22 };
        let output = SshOutput { exit, stdout: String::new(), stderr: stderr.into() };
        finished("terraform", &target, "qm", output).unwrap_err()
    }

    #[test]
    fn a_failed_command_speaks_for_itself_and_the_hint_says_what_to_do() {
        let error = failure(
            SshExit::Code(255),
            "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout\n",
        );
        assert!(error.is_locked() && error.hint.is_none() && !error.lost, "{error:?}");
        let error = failure(SshExit::Code(1), "sudo: a password is required\n");
        assert_eq!(error.message, "run qm on 192.0.2.1:22: sudo: a password is required");
        assert!(error.hint.unwrap().contains("terraform ALL=(root) NOPASSWD"));
        let error = failure(SshExit::Code(127), "sh: 1: qm: command not found\n");
        assert!(error.hint.unwrap().contains("node of Proxmox VE"));
        assert_eq!(
            failure(SshExit::Signal("KILL".into()), " ").message,
            "run qm on 192.0.2.1:22: signal KILL"
        );
    }
}
