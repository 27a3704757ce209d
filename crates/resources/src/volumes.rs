//! Files in datastores: finding, downloading, uploading and deleting volumes.

use std::path::Path;
use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::Value as Json;

use crate::cluster::{ApiError, Call, Cluster, Content, Method, Step, refused};
use crate::params::Params;
use crate::values::with;

/// The file that a volume is in: a disk of an appliance is written behind its archive, as `local:import/x.ova/disk.vmdk`,
/// and only the archive is listed (PVE::Storage::Plugin, `parse_volname`).
pub(crate) fn file_of(id: &str) -> &str {
    let archive = id.split_once(":import/").and_then(|(_, name)| name.split_once('/')).map(|(file, _)| file);
    match archive.filter(|file| file.ends_with(".ova")) {
        Some(file) => &id[..id.find(":import/").unwrap_or_default() + ":import/".len() + file.len()],
        None => id,
    }
}

/// A file in a datastore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) node: String,
    pub(crate) datastore: String,
    pub(crate) content: String,
    pub(crate) name: String,
}

impl Volume {
    /// `local:iso/x.iso`
    pub(crate) fn id(&self) -> String {
        format!("{}:{}/{}", self.datastore, self.content, self.name)
    }

    /// What is planned of a file with its id, where it is known by then what the file will be.
    pub(crate) fn named_in(planned: &Value, volume: Option<Volume>) -> Value {
        let is_open = planned.get("id").is_some_and(|id| !id.is_known());
        match volume.filter(|_| is_open) {
            Some(volume) => with(planned, "id", Value::string(volume.id())),
            None => planned.clone(),
        }
    }

    /// The volume of an id such as `local:iso/x.iso`.
    pub(crate) fn parse(node: &str, id: &str) -> Option<Volume> {
        let (datastore, rest) = id.split_once(':')?;
        let (content, name) = rest.split_once('/')?;
        Some(Volume {
            node: node.to_string(),
            datastore: datastore.to_string(),
            content: content.to_string(),
            name: name.to_string(),
        })
    }

    fn storage_is_gone(&self) -> String {
        format!("storage '{}' does not exist", self.datastore)
    }

    fn path(&self, rest: &str) -> String {
        format!("/nodes/{}/storage/{}{rest}", self.node, self.datastore)
    }

    /// The entry of the volume in the list of its datastore, if it is there.
    pub(crate) async fn find(&self, cluster: &Cluster) -> Result<Option<Json>, ApiError> {
        let list = match cluster.content(&self.node, &self.datastore).await {
            // With its storage the file went too (PVE::Storage, `storage_config`).
            Err(error) if error.is_missing() && error.message.contains(&self.storage_is_gone()) => {
                return Ok(None);
            }
            list => list?,
        };
        let id = self.id();
        Ok(list.iter().find(|entry| entry.get("volid").and_then(Json::as_str) == Some(&id)).cloned())
    }

    /// The size in bytes, past every cache.
    pub(crate) async fn size_now(&self, cluster: &Cluster) -> Result<Option<i64>, ApiError> {
        cluster.forget_content().await;
        Ok(self.find(cluster).await?.map(|entry| size_of(&entry)))
    }

    /// Deletes the volume. One that is gone already is no error.
    pub(crate) async fn delete(&self, call: &Call<'_>, step: Step<'_>) -> Result<(), ProviderError> {
        if self.size_now(call.cluster).await.map_err(|error| call.failed(Step::FIND, &error))?.is_none() {
            return Ok(());
        }
        let path = self.path(&format!("/content/{}", self.id()));
        let deleted =
            call.step(step, Method::Delete, &path, &Params::default(), Duration::from_secs(600)).await;
        call.cluster.forget_content().await;
        deleted
    }

    /// Has the node download the volume.
    pub(crate) async fn download(
        &self,
        call: &Call<'_>,
        mut params: Params,
        most: Duration,
    ) -> Result<(), ProviderError> {
        params.put("content", Some(&self.content));
        params.put("filename", Some(&self.name));
        call.step(Step::DOWNLOAD, Method::Post, &self.path("/download-url"), &params, most).await
    }

    /// Uploads the volume: through the API where it takes the content type, else by SSH into the datastore's folder.
    pub(crate) async fn upload(
        &self,
        call: &Call<'_>,
        content: Content<'_>,
        mode: Option<u32>,
        most: Duration,
    ) -> Result<(), ProviderError> {
        call.go_on(Step::UPLOAD)?;
        let api = &call.cluster.api;
        if matches!(self.content.as_str(), "iso" | "vztmpl" | "import") {
            let upid =
                api.upload(&self.node, &self.datastore, &self.content, &self.name, content, most).await;
            let upid = upid.map_err(|error| call.failed(Step::UPLOAD, &error))?;
            if upid.starts_with("UPID:") {
                call.await_task(Step::UPLOAD, &upid, most).await?;
            }
        } else {
            let path = self.path_on_node(call).await?;
            let written = api.write_file(&self.node, &path, content, mode).await;
            written.map_err(|error| call.failed(Step::UPLOAD, &error))?;
        }
        call.completed(Step::UPLOAD).await
    }

    /// The folders of a directory storage (`pvesm(1)`, "Directory Backend").
    async fn path_on_node(&self, call: &Call<'_>) -> Result<String, ProviderError> {
        let storage = call.cluster.get(&format!("/storage/{}", self.datastore)).await;
        let storage = storage.map_err(|error| call.failed(Step::of("find", "the folder"), &error))?;
        if let Some(taken) = storage.get("content").and_then(Json::as_str)
            && !taken.split(',').any(|content| content.trim() == self.content)
        {
            let (datastore, content) = (&self.datastore, &self.content);
            let message = format!(
                "upload {}: the datastore {datastore} does not take content of type {content}, only {taken}",
                call.object
            );
            let hint = format!("pvesm set {datastore} --content {taken},{content}, or another datastore_id");
            return Err(refused(message, Some(&hint)));
        }
        let folder = match self.content.as_str() {
            "backup" => "dump",
            other => other,
        };
        match storage.get("path").and_then(Json::as_str) {
            Some(path) => Ok(format!("{}/{folder}/{}", path.trim_end_matches('/'), self.name)),
            None => {
                let message = format!("upload {}: {} is no storage with files", call.object, self.datastore);
                Err(refused(message, Some("use a directory, NFS or CIFS storage with this content type")))
            }
        }
    }
}

/// The size in bytes of an entry of a content list.
pub(crate) fn size_of(entry: &Json) -> i64 {
    entry.get("size").and_then(Json::as_i64).unwrap_or_default()
}

/// When a local file was changed and how large it is: RFC 3339, bytes, and both as one tag.
pub(crate) fn local_stamp(path: &Path) -> Option<(String, i64, String)> {
    let metadata = std::fs::metadata(path).ok()?;
    let modified = jiff::Timestamp::try_from(metadata.modified().ok()?).ok()?;
    let size = i64::try_from(metadata.len()).ok()?;
    let tag = format!("{:x}-{size:x}", modified.as_second());
    Some((modified.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), size, tag))
}
