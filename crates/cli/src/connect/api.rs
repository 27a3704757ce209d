//! The provider's port over the real client: HTTPS for the API, SSH for the files that the API does not take.

use std::time::Duration;

use async_trait::async_trait;
use pve_api_client::ssh::{SshError, SshTarget, SshUploader};
use pve_api_client::{Client, WaitOptions};
use pve_resources::{Api, ApiError, Content, Method};
use serde_json::Value as Json;

/// Where the SSH servers of nodes are.
pub enum NodeAddresses {
    /// One server stands for every node.
    Fixed(SshTarget),
    /// Those that the configuration names; the others are asked of the cluster.
    Known {
        /// Name, address, port.
        nodes: Vec<(String, String, u16)>,
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
    /// Files.
    pub uploader: SshUploader,
    /// Where the nodes are.
    pub nodes: NodeAddresses,
}

const SSH_PORT: u16 = 22;

impl RemoteCluster {
    async fn target(&self, node: &str) -> Result<SshTarget, ApiError> {
        let (nodes, by_name, endpoint_host) = match &self.nodes {
            NodeAddresses::Fixed(target) => return Ok(target.clone()),
            NodeAddresses::Known { nodes, by_name, endpoint_host } => (nodes, *by_name, endpoint_host),
        };
        if let Some((_, host, port)) = nodes.iter().find(|(name, ..)| name == node) {
            return Ok(SshTarget { host: host.clone(), port: *port });
        }
        if by_name {
            return Ok(SshTarget { host: node.to_string(), port: SSH_PORT });
        }
        let members = self.client.send(pve_api_client::Method::Get, "/cluster/status", &[]).await;
        let members = members.map_err(translated)?;
        let address = members.as_array().into_iter().flatten().find_map(|member| {
            let is_it = member["type"] == "node" && member["name"] == node;
            is_it.then(|| member["ip"].as_str()).flatten()
        });
        let host = address.unwrap_or(endpoint_host).to_string();
        Ok(SshTarget { host, port: SSH_PORT })
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

    fn user(&self) -> String {
        self.client.user()
    }
}
