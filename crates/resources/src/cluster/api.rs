//! The few verbs in which this crate speaks to a cluster. `pve-api-client` implements them; tests may script them.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value as Json;

/// The verb of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or acts.
    Post,
    /// Changes.
    Put,
    /// Destroys.
    Delete,
}

impl Method {
    /// As it stands in a request.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// Why a request or a task failed.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// What the cluster said, without secrets.
    pub message: String,
    /// What the user can do, if anything is known.
    pub hint: Option<String>,
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// The request may have taken effect without a response.
    pub lost: bool,
}

impl ApiError {
    /// A guest, volume, storage or Ceph pool is not there, in the words of Proxmox VE: with status 500, with 400 where a
    /// parameter names it, and with 404 for notifications. Without a status nothing was answered, and a proxy in front of the
    /// cluster has other words for what it does not know.
    pub fn is_missing(&self) -> bool {
        matches!(self.status, Some(400 | 404 | 500))
            && [
                "does not exist",
                "no such",
                "No such",
                "doesn't exist",
                "unable to find",
                "not found",
                "not defined",
                "unrecognized pool",
            ]
            .iter()
            .any(|text| self.message.contains(text))
    }

    /// A VMID or file is taken already.
    pub fn is_taken(&self) -> bool {
        ["already exists", "config file already exists"].iter().any(|text| self.message.contains(text))
    }

    /// Somebody else works on the guest or storage just now. What is hibernated stays locked until it is started.
    pub fn is_locked(&self) -> bool {
        !self.is_hibernated()
            && ["can't lock file", "is locked", "got lock timeout", "got lock request timeout"]
                .iter()
                .any(|text| self.message.contains(text))
    }

    /// The guest's memory is on a disk (`suspend` with `todisk`): it takes no change before it was started.
    pub fn is_hibernated(&self) -> bool {
        self.message.contains("is locked (suspended)")
    }
}

/// An answer about something that may not be there: `None` when it is not.
pub(crate) fn if_there<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Content to be uploaded.
pub enum Content<'a> {
    /// Bytes that are there already.
    Bytes(Vec<u8>),
    /// A local file.
    File(&'a Path),
}

/// The network of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeNetwork {
    /// Its interfaces as they are once what is staged is applied.
    pub interfaces: Vec<Json>,
    /// What is staged and not applied yet, as a difference of the file of interfaces: `changes` of the answer.
    pub changes: Option<String>,
}

/// A cluster.
#[async_trait]
pub trait Api: Send + Sync {
    /// Sends one request and returns its `data`.
    async fn send(&self, method: Method, path: &str, params: &[(String, String)]) -> Result<Json, ApiError>;

    /// The network of a node, as `GET /nodes/{node}/network` answers. `None` when nobody can tell what is staged of it.
    async fn node_network(&self, node: &str) -> Result<Option<NodeNetwork>, ApiError> {
        let _ = node;
        Ok(None)
    }

    /// What the cluster is reached by: two of the same are one cluster. `None` for one that is like no other.
    fn server(&self) -> Option<String> {
        None
    }

    /// Waits for a task. An error when it failed, or still runs after `most`.
    async fn wait(&self, upid: &str, most: Duration) -> Result<(), ApiError>;

    /// Uploads through the API, in at most the time of `most`, and returns the UPID of the task that moves it into place.
    async fn upload(
        &self,
        node: &str,
        datastore: &str,
        content_type: &str,
        file_name: &str,
        content: Content<'_>,
        most: Duration,
    ) -> Result<String, ApiError>;

    /// Writes a file on a node by SSH, with the mode if one is given. Folders are made.
    async fn write_file(
        &self,
        node: &str,
        path: &str,
        content: Content<'_>,
        mode: Option<u32>,
    ) -> Result<(), ApiError>;

    /// Runs a command on a node as root, by SSH, for at most this long, and returns what it prints. The command is a
    /// program and its arguments: no shell reads them, and they show in the node's list of processes, so that secrets
    /// have no place there.
    async fn run(&self, node: &str, command: &[&str], most: Duration) -> Result<String, ApiError>;

    /// The user that the requests are made as, for instance `root@pam`.
    fn user(&self) -> String;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_of_the_api_says_that_something_is_missing() {
        let error = |status, message: &str| ApiError {
            message: message.into(),
            hint: None,
            status,
            lost: status.is_none(),
        };
        for (status, message) in [
            (500, "Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist"),
            (500, "no such user ('ann@pve')"),
            (400, "Parameter verification failed: iface: interface does not exist"),
            (404, "endpoint 'mail' does not exist"),
        ] {
            assert!(error(Some(status), message).is_missing(), "{status} {message}");
        }
        for (status, message) in [
            (Some(404), "Not Found"),
            (Some(502), "upstream not found"),
            (Some(403), "Permission check failed (pool 'p' does not exist)"),
            (None, "error trying to connect: dns error: No such host is known. (os error 11001)"),
            (None, "/etc/pve/key.pem: No such file or directory"),
        ] {
            assert!(!error(status, message).is_missing(), "{status:?} {message}");
        }
    }
}
