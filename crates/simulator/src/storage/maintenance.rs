//! Images from registries, and what is known of a file before it is imported.

use serde_json::json;

use super::pruning;

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::{Effect, Volume};
use crate::volumes;

pub(crate) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/storage/{storage}/oci-registry-pull", pull),
    ("GET", "/nodes/{node}/query-oci-repo-tags", |_| Ok(json!(["latest"]))),
    ("GET", "/nodes/{node}/storage/{storage}/prunebackups", pruning::preview),
    ("DELETE", "/nodes/{node}/storage/{storage}/prunebackups", pruning::prune),
    ("GET", "/nodes/{node}/storage/{storage}/import-metadata", |request| {
        let volume = request.text("volume");
        Err(Failure::died(format!("unable to parse directory volume name '{volume}'")))
    }),
];

/// Bytes of an image, whichever it is.
const IMAGE: u64 = 8 << 20;

/// Pulls an image as a container template.
fn pull(request: &mut Request<'_>) -> Answer {
    let (storage, reference) = (request.text("storage"), request.text("reference"));
    let options = volumes::usable(request.state, &storage, &request.node)?;
    if volumes::is_block(options) {
        let kind = options.get("type").cloned().unwrap_or_default();
        return Err(Failure::died(format!(
            "can't upload to storage type '{kind}', not a file based storage!"
        )));
    }
    if !volumes::allows(options, "vztmpl") {
        return Err(Failure::died(format!(
            "storage '{storage}' is not configured for content-type 'vztmpl'"
        )));
    }
    let name = request.get("filename").unwrap_or(&reference);
    let name = name.rsplit('/').next().unwrap_or_default();
    let plain = |sign: char| if sign.is_ascii_alphanumeric() || "-_.".contains(sign) { sign } else { '_' };
    let file = format!("{}.tar", name.chars().map(plain).collect::<String>());
    let id = format!("{storage}:vztmpl/{file}");
    if volumes::is_on(request.state, &id, &request.node) {
        return Err(Failure::died(format!("refusing to override existing file '{file}'")));
    }
    let volume = Volume {
        content: "vztmpl".to_owned(),
        format: "tar".to_owned(),
        size: IMAGE,
        file_size: IMAGE,
        owner: None,
        parent: None,
        created: request.seconds(),
        bytes: None,
        backup: None,
        nodes: volumes::place(request, &storage),
    };
    Ok(request.task("ociregistrypull", &file, |_, outcome| {
        outcome.say("Getting image source signatures");
        outcome.say("Writing manifest to image destination");
        outcome.effects.push(Effect::AddVolume { id, volume: Box::new(volume) });
        Ok(())
    }))
}
