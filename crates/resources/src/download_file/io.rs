//! Downloading a file into a datastore, and reading it back.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::{Type, Value};

use super::file_name;
use crate::cluster::{ApiError, Call, Cluster, Step, refused};
use crate::params::Params;
use crate::values::{complete, flag, int, text, with};
use crate::volumes::{Volume, size_of};

/// The volume that the values are about.
pub(crate) fn volume(value: &Value) -> Option<Volume> {
    Some(Volume {
        node: text(value, "node_name")?.to_string(),
        datastore: text(value, "datastore_id")?.to_string(),
        content: text(value, "content_type")?.to_string(),
        name: file_name(value)?,
    })
}

/// The values of a file that is there.
pub(crate) fn values(guide: &Value, volume: &Volume, size: i64) -> Value {
    let value = with(guide, "id", Value::string(volume.id()));
    let value = with(&value, "file_name", Value::string(volume.name.as_str()));
    with(&value, "size", Value::number(size))
}

/// Reads the file. `None` when its datastore does not have it.
pub(crate) async fn read(cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
    let Some(volume) = volume(prior) else { return Ok(None) };
    let Some(entry) = volume.find(cluster).await? else { return Ok(None) };
    let size = size_of(&entry);
    let value = values(prior, &volume, size);
    // Of another size than it was downloaded with, it is another file: its size counts as not known.
    let replaced = int(prior, "size").is_some_and(|known| known != size);
    Ok(Some(match replaced && flag(prior, "overwrite") != Some(false) {
        true => with(&value, "size", Value::null(Type::Number)),
        false => value,
    }))
}

/// Downloads the file.
pub(crate) async fn create(call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
    let Some(volume) = volume(planned) else {
        let message = format!("download {}: the URL has no file name", call.object);
        return Err(refused(message, Some("set file_name")));
    };
    let present = volume.size_now(call.cluster).await.map_err(|error| call.failed(Step::FIND, &error))?;
    if present.is_some() {
        if flag(planned, "overwrite_unmanaged") != Some(true) {
            let message = format!("download {}: {} is there already", call.object, volume.id());
            return Err(refused(
                message,
                Some("import it, choose another file_name, or set overwrite_unmanaged"),
            ));
        }
        volume.delete(call, Step::of("delete", "the file that is there")).await?;
    }
    let mut params = Params::default();
    params.put("url", text(planned, "url"));
    params.put("checksum", text(planned, "checksum"));
    params.put("checksum-algorithm", text(planned, "checksum_algorithm"));
    params.put("compression", text(planned, "decompression_algorithm"));
    params.put_flag("verify-certificates", flag(planned, "verify"));
    let most = int(planned, "upload_timeout").and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(600);
    volume.download(call, params, Duration::from_secs(most)).await?;
    finish(call, planned, &volume).await
}

async fn finish(call: &Call<'_>, planned: &Value, volume: &Volume) -> Result<Value, ProviderError> {
    let size = volume.size_now(call.cluster).await.map_err(|error| call.failed(Step::FIND, &error))?;
    let size =
        size.ok_or_else(|| refused(format!("{} was downloaded but is not there", volume.id()), None))?;
    Ok(complete(planned, &values(planned, volume, size)))
}

/// Nothing of a file that is there can change: the switches are for the next download.
pub(crate) fn update(planned: &Value, prior: &Value) -> Value {
    complete(planned, prior)
}

/// The values of a file that is imported.
pub(crate) fn imported(base: &Value, volume: &Volume, size: i64) -> Value {
    let value = with(base, "node_name", Value::string(volume.node.as_str()));
    let value = with(&value, "datastore_id", Value::string(volume.datastore.as_str()));
    let value = with(&value, "content_type", Value::string(volume.content.as_str()));
    let value = with(&value, "url", Value::null(Type::String));
    values(&value, volume, size)
}
