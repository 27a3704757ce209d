//! Disks made from files that the API does not import: it takes only content of type import and disks of guests, unless
//! root@pam itself names a path. So the node is told, over SSH, as the reference does.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
use super::drives::{Volume, encode_disk};
use crate::cluster::{ApiError, Method, Step, lock_pauses};
use crate::guest::timeout;
use crate::params::Params;
use crate::values::{all_blocks, block, is_unset, text, with};

/// A new disk and the file that it is made from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ImageImport {
    interface: String,
    /// `local:iso/debian.img`
    image: String,
    disk: Value,
}

/// The longest wait for a path: nothing is read for it but the list of datastores.
const PATH_MOST: Duration = Duration::from_secs(60);

impl ImageImport {
    /// What has to be imported for a new disk; nothing if the API does it.
    pub(super) fn of(disk: &Value) -> Option<ImageImport> {
        let image = text(disk, "file_id").filter(|_| disk.get("import_from").is_none_or(is_unset))?;
        let (content, _) = image.split_once(':')?.1.split_once('/')?;
        let imports = content == "import" || content.parse::<u32>().is_ok();
        (!imports).then_some(ImageImport {
            interface: text(disk, "interface")?.to_string(),
            image: image.to_string(),
            disk: disk.clone(),
        })
    }

    /// The slot of the disk: `scsi0`.
    pub(super) fn interface(&self) -> &str {
        &self.interface
    }

    fn drive(&self, path: &str) -> String {
        encode_disk(&with(&self.disk, "file_id", Value::string(path)), Volume::New).to_string()
    }
}

impl Target<'_> {
    /// Imports one after the other. A disk that is there by now is left alone.
    pub(super) async fn import_images(
        &self,
        imports: &[ImageImport],
        planned: &Value,
    ) -> Result<(), ProviderError> {
        let most = timeout(planned, "timeout_create");
        for import in imports {
            let step = Step::of("import", &import.interface);
            self.call.go_on(step)?;
            self.refuse_taken_over().await?;
            if self.call.cluster.api.user() == "root@pam" {
                self.import_by_path(step, import, most).await?;
            } else {
                self.call.progress.status(&step.to_string());
                self.import_on_node(step, import, most).await?;
                self.call.completed(step).await?;
            }
        }
        Ok(())
    }

    async fn has(&self, import: &ImageImport) -> Result<bool, ProviderError> {
        Ok(self.look_at_options().await?.config.contains_key(&import.interface))
    }

    /// Not for tokens, not even root's.
    async fn import_by_path(
        &self,
        step: Step<'_>,
        import: &ImageImport,
        most: Duration,
    ) -> Result<(), ProviderError> {
        if self.has(import).await? {
            return Ok(());
        }
        let datastore = import.image.split(':').next().unwrap_or_default();
        let path = format!("/nodes/{}/storage/{datastore}/content/{}", self.node, import.image);
        let volume = self.call.cluster.get(&path).await.map_err(|error| self.call.failed(step, &error))?;
        let path = volume.get("path").and_then(serde_json::Value::as_str).unwrap_or_default();
        let path = checked_path(path, &import.image).map_err(|error| self.call.failed(step, &error))?;
        let mut params = Params::default();
        params.put(&import.interface, Some(import.drive(path)));
        self.call.step(step, Method::Post, &self.path("/config"), &params, most).await
    }

    /// Looks before each try: what holds the lock may be an import that an earlier run began.
    async fn import_on_node(
        &self,
        step: Step<'_>,
        import: &ImageImport,
        most: Duration,
    ) -> Result<(), ProviderError> {
        let mut pauses = lock_pauses();
        while !self.has(import).await? {
            let Err(error) = self.try_on_node(import, most).await else { break };
            match pauses.next().filter(|_| error.is_locked() && !error.lost) {
                Some(pause) => {
                    self.call.pause(pause, error).await.map_err(|error| self.call.failed(step, &error))?;
                }
                None => return Err(self.call.failed(step, &error)),
            }
        }
        Ok(())
    }

    async fn try_on_node(&self, import: &ImageImport, most: Duration) -> Result<(), ApiError> {
        let api = &self.call.cluster.api;
        let printed = api.run(&self.node, &["pvesm", "path", &import.image], PATH_MOST).await;
        // Whatever became of the question, nothing was changed by it.
        let printed = printed.map_err(|error| ApiError { lost: false, ..error })?;
        let drive = import.drive(checked_path(printed.trim(), &import.image)?);
        let (vmid, option) = (self.vmid.to_string(), format!("--{}", import.interface));
        api.run(&self.node, &["qm", "set", &vmid, &option, &drive], most).await.map(|_| ())
    }
}

/// Whether the boot order of a new VM may be whole only after an import. A clone has its template's.
pub(super) fn boots_from_import(planned: &Value) -> bool {
    block(planned, "clone").is_none()
        && all_blocks(planned, "disk").iter().any(|disk| ImageImport::of(disk).is_some())
}

/// The API refuses a boot order with disks that are not there yet.
pub(super) fn without_missing(order: &str, planned: &Value) -> Option<String> {
    let imports: Vec<_> = all_blocks(planned, "disk").iter().filter_map(ImageImport::of).collect();
    let devices = order.trim_start_matches("order=").split(';');
    let present: Vec<&str> =
        devices.filter(|device| !imports.iter().any(|import| import.interface() == *device)).collect();
    (!present.is_empty()).then(|| format!("order={}", present.join(";")))
}

/// A path that can stand in a drive's options.
fn checked_path<'a>(path: &'a str, image: &str) -> Result<&'a str, ApiError> {
    if path.starts_with('/') && !path.contains([',', '\n']) {
        return Ok(path);
    }
    Err(ApiError {
        message: format!("{image} is at {path:?}, which is no path that a disk can be imported from"),
        hint: None,
        status: None,
        lost: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Definition;
    use crate::observed::{defaults, overlay};

    fn disk(json: serde_json::Value) -> Value {
        let block = Definition::new(super::super::fields()).schema.block;
        let serde_json::Value::Object(json) = serde_json::json!({ "disk": [json] }) else { unreachable!() };
        all_blocks(&overlay(&block, &defaults(&block), json), "disk")[0].clone()
    }

    #[test]
    fn only_what_the_api_refuses_is_imported_on_the_node() {
        let made = |name: &str, image: &str| {
            ImageImport::of(&disk(serde_json::json!({"interface": "scsi0", name: image}))).is_some()
        };
        for image in ["local:iso/a.img", "local:vztmpl/a.tar", "nfs:snippets/a.raw"] {
            assert!(made("file_id", image), "{image}");
            assert!(!made("import_from", image), "{image}");
        }
        for image in
            ["local:import/a.qcow2", "local:100/vm-100-disk-0.raw", "local-lvm:vm-100-disk-0", "/dev/sdb"]
        {
            assert!(!made("file_id", image), "{image}");
        }
    }

    #[test]
    fn the_options_of_a_disk_go_along() {
        let import = ImageImport::of(&disk(serde_json::json!({
            "interface": "scsi0", "file_id": "local:iso/a.img", "datastore_id": "local-lvm", "size": 20,
            "discard": "on", "ssd": true, "iothread": true,
        })));
        assert_eq!(
            import.unwrap().drive("/var/lib/vz/template/iso/a.img"),
            "local-lvm:0,import-from=/var/lib/vz/template/iso/a.img,discard=on,iothread=1,ssd=1"
        );
        assert!(checked_path("/a", "x").is_ok() && checked_path("rbd:a", "x").is_err());
        assert!(checked_path("/a,b", "x").is_err() && checked_path("", "x").is_err());
    }
}
