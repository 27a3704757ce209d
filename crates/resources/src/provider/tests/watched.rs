//! A cluster behind somebody who sees every request first, and may refuse it or put another one before it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value as Json;

use crate::cluster::{Api, ApiError, Content, Method, NodeNetwork};

/// What stands before a cluster. Everything that it does not say is as the cluster has it.
#[async_trait]
pub(super) trait Watch: Send + Sync {
    /// Comes before a request, also that of an upload. An error is the answer to it: the cluster does not see it.
    async fn before(
        &self,
        cluster: &dyn Api,
        method: Method,
        path: &str,
        params: &[(String, String)],
    ) -> Result<(), ApiError>;

    /// Comes before a command on a node.
    async fn before_command(&self, cluster: &dyn Api, node: &str, command: &[&str]) -> Result<(), ApiError> {
        let _ = (cluster, node, command);
        Ok(())
    }

    /// The network of a node, and what is staged of it.
    async fn node_network(&self, cluster: &dyn Api, node: &str) -> Result<Option<NodeNetwork>, ApiError> {
        cluster.node_network(node).await
    }
}

/// A cluster and what stands before it.
pub(super) struct Watched<W> {
    cluster: Arc<dyn Api>,
    watch: W,
}

impl<W> Watched<W> {
    pub(super) fn over(cluster: &Arc<dyn Api>, watch: W) -> Arc<Watched<W>> {
        Arc::new(Watched { cluster: cluster.clone(), watch })
    }
}

impl<W> Deref for Watched<W> {
    type Target = W;

    fn deref(&self) -> &W {
        &self.watch
    }
}

#[async_trait]
impl<W: Watch> Api for Watched<W> {
    async fn send(&self, method: Method, path: &str, params: &[(String, String)]) -> Result<Json, ApiError> {
        self.watch.before(&*self.cluster, method, path, params).await?;
        self.cluster.send(method, path, params).await
    }

    async fn node_network(&self, node: &str) -> Result<Option<NodeNetwork>, ApiError> {
        self.watch.node_network(&*self.cluster, node).await
    }

    fn server(&self) -> Option<String> {
        self.cluster.server()
    }

    async fn wait(&self, upid: &str, most: Duration) -> Result<(), ApiError> {
        self.cluster.wait(upid, most).await
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
        let path = format!("/nodes/{node}/storage/{store}/upload");
        self.watch.before(&*self.cluster, Method::Post, &path, &[]).await?;
        self.cluster.upload(node, store, kind, name, content, most).await
    }

    async fn write_file(
        &self,
        node: &str,
        path: &str,
        content: Content<'_>,
        mode: Option<u32>,
    ) -> Result<(), ApiError> {
        self.cluster.write_file(node, path, content, mode).await
    }

    async fn run(&self, node: &str, command: &[&str], most: Duration) -> Result<String, ApiError> {
        self.watch.before_command(&*self.cluster, node, command).await?;
        self.cluster.run(node, command, most).await
    }

    fn user(&self) -> String {
        self.cluster.user()
    }
}
