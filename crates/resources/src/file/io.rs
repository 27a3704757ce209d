//! Uploading a file into a datastore, and reading it back.

use std::path::Path;
use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::{Type, Value};

use super::{content_type, file_name};
use crate::cluster::{ApiError, Call, Cluster, Content, Step, refused};
use crate::params::Params;
use crate::values::{all_blocks, block, complete, flag, int, text, with, with_elements};
use crate::volumes::{Volume, local_stamp, size_of};

/// The volume that the values are about.
pub(crate) fn volume(value: &Value) -> Option<Volume> {
    let name = file_name(value).or_else(|| text(value, "file_name").map(str::to_string))?;
    Some(Volume {
        node: text(value, "node_name")?.to_string(),
        datastore: text(value, "datastore_id")?.to_string(),
        content: content_type(value)?,
        name,
    })
}

/// The values of a file that is there. The stamp is that of the local file it was made from.
pub(crate) fn values(guide: &Value, volume: &Volume, size: i64) -> Value {
    let source = block(guide, "source_file").and_then(|source| text(source, "path"));
    let stamp = source.and_then(|path| local_stamp(Path::new(path)));
    let no_text = Value::null(Type::String);
    let (date, tag) =
        stamp.map_or((no_text.clone(), no_text), |(date, _, tag)| (Value::string(date), Value::string(tag)));
    let value = with(guide, "id", Value::string(volume.id()));
    let value = with(&value, "file_name", Value::string(volume.name.as_str()));
    let value = with(&value, "content_type", Value::string(volume.content.as_str()));
    let value = with(&value, "file_size", Value::number(size));
    with(&with(&value, "file_modification_date", date), "file_tag", tag)
}

/// Reads the file. `None` when its datastore does not have it. A local source that was changed since is shown as
/// `source_file.changed`, which the next apply puts right.
pub(crate) async fn read(cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
    let Some(volume) = volume(prior) else { return Ok(None) };
    let Some(entry) = volume.find(cluster).await? else { return Ok(None) };
    let value = with(prior, "file_size", Value::number(size_of(&entry)));
    let path = block(prior, "source_file").and_then(|source| text(source, "path"));
    let stamp = path.and_then(|path| local_stamp(Path::new(path)));
    let changed = stamp.is_some_and(|(_, _, tag)| text(prior, "file_tag").is_some_and(|known| known != tag));
    if !changed {
        return Ok(Some(value));
    }
    let sources = all_blocks(&value, "source_file").iter();
    let sources = sources.map(|source| with(source, "changed", Value::bool(true))).collect();
    Ok(Some(with_elements(&value, "source_file", sources)))
}

/// Reads a file that was just written, however far that came.
pub(crate) async fn read_again(cluster: &Cluster, planned: &Value) -> Result<Option<Value>, ApiError> {
    let Some(volume) = volume(planned) else { return Ok(None) };
    Ok(volume.find(cluster).await?.map(|entry| values(planned, &volume, size_of(&entry))))
}

/// Uploads the file, over one of the same name if `overwrite` allows it or the file is ours.
pub(crate) async fn write(call: &Call<'_>, planned: &Value, ours: bool) -> Result<Value, ProviderError> {
    let Some(volume) = volume(planned) else {
        let message = format!("upload {}: the content type does not follow from the file name", call.object);
        return Err(refused(message, Some("set content_type")));
    };
    if !ours && flag(planned, "overwrite") == Some(false) {
        let present = volume.size_now(call.cluster).await.map_err(|error| call.failed(Step::FIND, &error))?;
        if present.is_some() {
            let message = format!("upload {}: {} is there already", call.object, volume.id());
            return Err(refused(message, Some("import it, choose another name, or set overwrite = true")));
        }
    }
    let seconds =
        int(planned, "timeout_upload").and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(1800);
    let most = Duration::from_secs(seconds);
    let mode = text(planned, "file_mode").and_then(|mode| u32::from_str_radix(mode, 8).ok());
    match (block(planned, "source_raw"), block(planned, "source_file")) {
        (Some(raw), _) => {
            volume.upload(call, Content::Bytes(padded(raw)), mode, most).await?;
        }
        (None, Some(source)) => write_source(call, &volume, source, mode, most).await?,
        (None, None) => return Err(refused(format!("upload {}: it has no source", call.object), None)),
    }
    let size = volume.size_now(call.cluster).await.map_err(|error| call.failed(Step::FIND, &error))?;
    let Some(size) = size else {
        let message = format!("upload {}: {} is not there afterwards", call.object, volume.id());
        let hint = "look whether the datastore takes this type of content and file name on this node";
        return Err(refused(message, Some(hint)));
    };
    Ok(complete(planned, &values(planned, &volume, size)))
}

/// `resize` fills up with zeros to a size.
fn padded(raw: &Value) -> Vec<u8> {
    let mut data = text(raw, "data").unwrap_or_default().as_bytes().to_vec();
    let wanted = int(raw, "resize").and_then(|size| usize::try_from(size).ok()).unwrap_or_default();
    if wanted > data.len() {
        data.resize(wanted, 0);
    }
    data
}

async fn write_source(
    call: &Call<'_>,
    volume: &Volume,
    source: &Value,
    mode: Option<u32>,
    most: Duration,
) -> Result<(), ProviderError> {
    let path = text(source, "path").unwrap_or_default();
    if path.starts_with("http://") || path.starts_with("https://") {
        let mut params = Params::default();
        params.put("url", Some(path));
        params.put_flag("verify-certificates", Some(flag(source, "insecure") != Some(true)));
        if let Some(checksum) = text(source, "checksum") {
            params.put("checksum", Some(checksum));
            params.put("checksum-algorithm", Some("sha256"));
        }
        volume.delete(call, Step::of("delete", "the older file")).await?;
        return volume.download(call, params, most).await;
    }
    let local = Path::new(path);
    if let Some(wanted) = text(source, "checksum") {
        check_sum(call, local, wanted).await?;
    }
    if local_stamp(local).is_none() {
        let message = format!("upload {}: cannot read {path}", call.object);
        return Err(refused(message, Some("source_file.path is relative to the folder that pve runs in")));
    }
    volume.upload(call, Content::File(local), mode, most).await
}

async fn check_sum(call: &Call<'_>, path: &Path, wanted: &str) -> Result<(), ProviderError> {
    use sha2::Digest;
    let data = tokio::fs::read(path).await;
    let data =
        data.map_err(|error| refused(format!("upload {}: {}: {error}", call.object, path.display()), None))?;
    let found: String = sha2::Sha256::digest(&data).iter().map(|byte| format!("{byte:02x}")).collect();
    if found.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let message = format!("upload {}: {} has SHA-256 {found}, not {wanted}", call.object, path.display());
    Err(refused(message, None))
}

/// The values of a file that is imported; its source is not known.
pub(crate) fn imported(base: &Value, volume: &Volume, size: i64) -> Value {
    let value = with(base, "node_name", Value::string(volume.node.as_str()));
    let value = with(&value, "datastore_id", Value::string(volume.datastore.as_str()));
    values(&value, volume, size)
}
