//! `proxmox_virtual_environment_oci_image`: an image that a node pulls from a registry, to make containers from. It can be
//! imported (the reference cannot) by `NODE_NAME/DATASTORE_ID:vztmpl/FILE_NAME`; it does not tell then where it came from.

use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::rules::{PlanRequest, PlanResponse};
use pve_model::schema::Block;
use pve_model::{Path, Value};

use crate::cluster::{ApiError, Call, Cluster, Method, Step, refused};
use crate::definition::{Fields, flag, number, text};
use crate::operations::{Operations, Proof};
use crate::params::Params;
use crate::registry::Rules;
use crate::values::{self, blank, complete, reasons, settle, with};
use crate::volumes::{Volume, size_of};

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_oci_image", "proxmox_oci_image"];

/// What the API appends to the name that it is given.
const ENDING: &str = ".tar";

/// The attributes.
pub(crate) fn fields() -> Fields {
    vec![
        ("datastore_id", text().required().replaces()),
        ("file_name", text().computed().replaces().checked(tar_name)),
        ("id", text().read_only()),
        ("node_name", text().required().replaces()),
        ("overwrite", flag().computed().or(true)),
        ("overwrite_unmanaged", flag().computed().or(false)),
        ("reference", text().required().means("such as docker.io/library/ubuntu:latest").checked(reference)),
        ("size", number().read_only()),
        ("upload_timeout", number().computed().or(600)),
    ]
}

fn tar_name(name: &str) -> Option<String> {
    let good = name.len() > ENDING.len() && name.ends_with(ENDING) && !name.contains('/');
    (!good).then(|| format!("{name:?} must end in {ENDING}"))
}

/// `[REGISTRY[:PORT]/]PATH:TAG`, as the API takes it (`oci-registry-pull`).
fn reference(text: &str) -> Option<String> {
    let good = text.rsplit_once(':').is_some_and(|(path, tag)| {
        let (first, others) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let is_named = is_part(first) || others.is_some() && is_registry(first);
        is_named && others.is_none_or(|others| others.split('/').all(is_part)) && is_tag(tag)
    });
    (!good).then(|| format!("{text:?} is no image with a tag, such as docker.io/library/ubuntu:latest"))
}

/// Small letters and digits, between which a dot, one or two underscores, or hyphens may be.
fn is_part(text: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let is_between = |run: &str| matches!(run, "" | "." | "_" | "__") || run.chars().all(|c| c == '-');
    text.starts_with(is_plain) && text.ends_with(is_plain) && text.split(is_plain).all(is_between)
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_plain = |letter: char| letter.is_ascii_alphanumeric();
    let is_label = |label: &str| {
        label.starts_with(is_plain)
            && label.ends_with(is_plain)
            && label.chars().all(|letter| is_plain(letter) || letter == '-')
    };
    host.split('.').all(is_label) && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())
}

fn is_tag(text: &str) -> bool {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let fits = |letter: char| is_word(letter) || ".-".contains(letter);
    text.len() <= 128 && text.starts_with(is_word) && text.chars().all(fits)
}

fn claim(planned: &Value) -> Option<String> {
    let volume = volume(planned)?;
    Some(format!("{} on {}", volume.id(), volume.node))
}

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    Rules { plan, claim, ..Rules::default() }
}

fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let Some(prior) = request.prior else {
        let planned = Volume::named_in(request.proposed, volume(request.proposed));
        return PlanResponse { planned: Some(planned), ..PlanResponse::default() };
    };
    let mut planned = settle(prior, request.proposed);
    let mut replace = Vec::new();
    match values::text(prior, "reference") {
        Some(_) => {
            replace =
                reasons(prior, &planned, &Path::default(), &["reference"], "another image has to be pulled");
        }
        // An imported image does not tell where it came from.
        None => {
            if let Some(unknown) = prior.get("reference") {
                planned = with(&planned, "reference", unknown.clone());
            }
        }
    }
    PlanResponse { planned: Some(planned), replace, ..PlanResponse::default() }
}

/// The configured name, or the last part of the reference with `_` before its tag.
fn file_name(value: &Value) -> Option<String> {
    if let Some(name) = values::text(value, "file_name") {
        return Some(name.to_string());
    }
    let last = values::text(value, "reference")?.rsplit('/').next()?.replace(':', "_");
    Some(format!("{last}{ENDING}"))
}

pub(crate) fn volume(value: &Value) -> Option<Volume> {
    Some(Volume {
        node: values::text(value, "node_name")?.to_string(),
        datastore: values::text(value, "datastore_id")?.to_string(),
        content: "vztmpl".to_string(),
        name: file_name(value)?,
    })
}

fn filled(guide: &Value, volume: &Volume, size: i64) -> Value {
    let value = with(guide, "id", Value::string(volume.id()));
    let value = with(&value, "file_name", Value::string(volume.name.as_str()));
    with(&value, "size", Value::number(size))
}

/// The operations of the kind.
pub(crate) struct Kind;

#[async_trait]
impl Operations for Kind {
    async fn read(&self, _: &Block, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
        let Some(volume) = volume(prior) else { return Ok(None) };
        Ok(volume.find(cluster).await?.map(|entry| filled(prior, &volume, size_of(&entry))))
    }

    async fn create(&self, call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
        let Some(volume) = volume(planned) else {
            return Err(refused(format!("pull {}: it has no name", call.object), Some("set file_name")));
        };
        let find = |error: &ApiError| call.failed(Step::FIND, error);
        if volume.size_now(call.cluster).await.map_err(|error| find(&error))?.is_some() {
            if values::flag(planned, "overwrite_unmanaged") != Some(true) {
                let message = format!("pull {}: {} is there already", call.object, volume.id());
                let hint = "import it, choose another file_name, or set overwrite_unmanaged";
                return Err(refused(message, Some(hint)));
            }
            volume.delete(call, Step::of("delete", "the image that is there")).await?;
        }
        let mut params = Params::default();
        params.put("reference", values::text(planned, "reference"));
        params.put("filename", volume.name.strip_suffix(ENDING));
        let path = format!("/nodes/{}/storage/{}/oci-registry-pull", volume.node, volume.datastore);
        let seconds = values::int(planned, "upload_timeout").and_then(|seconds| u64::try_from(seconds).ok());
        let most = Duration::from_secs(seconds.unwrap_or(600));
        call.step(Step::PULL, Method::Post, &path, &params, most).await?;
        let size = volume.size_now(call.cluster).await.map_err(|error| find(&error))?;
        let size =
            size.ok_or_else(|| refused(format!("{} was pulled but is not there", volume.id()), None))?;
        Ok(complete(planned, &filled(&blank(planned), &volume, size)))
    }

    /// Nothing of an image that is there can change: the switches are for the next pull.
    async fn update(&self, _: &Call<'_>, prior: &Value, planned: &Value) -> Result<Value, ProviderError> {
        Ok(complete(planned, prior))
    }

    async fn delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        match volume(prior) {
            Some(volume) => volume.delete(call, Step::DELETE).await,
            None => Ok(()),
        }
    }

    fn located(&self, base: &Value, id: &str) -> Option<Value> {
        let (node, rest) = id.split_once('/')?;
        let volume = Volume::parse(node, rest).filter(|volume| volume.content == "vztmpl")?;
        let value = with(base, "node_name", Value::string(volume.node.as_str()));
        let value = with(&value, "datastore_id", Value::string(volume.datastore.as_str()));
        Some(with(&value, "file_name", Value::string(volume.name.as_str())))
    }

    fn shape(&self) -> &'static str {
        "NODE_NAME/DATASTORE_ID:vztmpl/FILE_NAME"
    }

    fn proof(&self) -> Proof {
        Proof::Steps
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_image_is_named_as_the_api_takes_it() {
        let good = [
            "ubuntu:latest",
            "docker.io/library/ubuntu:24.04",
            "localhost:5000/a__b/c--d.e:V1_x",
            "Registry.Example/a/b:x",
        ];
        let bad = [
            "",
            "ubuntu",
            "ubuntu:",
            ":x",
            "aa:bb:cc",
            "a/b:c/d",
            "docker.io/Library/x:1",
            "docker.io/x@sha256:0123",
            "-a/x:1",
            "a..b:1",
            "a___b:1",
            "host:x/a:1",
            "a:.1",
        ];
        assert_eq!(good.map(super::reference), [const { None }; 4]);
        for text in bad {
            assert!(super::reference(text).is_some(), "{text:?}");
        }
        assert!(super::reference(&format!("a:{}", "x".repeat(129))).is_some());
    }
}
