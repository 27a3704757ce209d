//! `proxmox_virtual_environment_download_file`: a file that a node downloads into a datastore.

mod io;
mod schema;

use pve_model::rules::{PlanRequest, PlanResponse, Problem, ReplaceReason};
use pve_model::{Path, Value};

use crate::definition::problem;
use crate::registry::Rules;
use crate::values::{flag, reasons, settle, text, with, with_unknown};
use crate::volumes::Volume;

pub(crate) use io::{create, imported, read, update, volume};
pub(crate) use schema::fields;

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_download_file", "proxmox_download_file"];

/// What a file is made from.
const ORIGIN: &[&str] = &["checksum", "checksum_algorithm", "decompression_algorithm", "url"];

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    Rules { validate, plan, claim, ..Rules::default() }
}

fn validate(config: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(url) = config.get("url").and_then(Value::as_str)
        && !url.starts_with("http://")
        && !url.starts_with("https://")
    {
        let detail = format!("{url} must begin with http:// or https://");
        problems.push(problem(Path::attribute("url"), "Invalid URL", detail));
    }
    let known = |name: &str| config.get(name).is_some_and(Value::is_known);
    let set = |name: &str| text(config, name).is_some();
    if known("checksum") && known("checksum_algorithm") && set("checksum") != set("checksum_algorithm") {
        let detail = "checksum and checksum_algorithm belong together: set both or neither";
        problems.push(problem(Path::attribute("checksum"), "Half a checksum", detail));
    }
    problems
}

fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let Some(prior) = request.prior else {
        let planned = Volume::named_in(request.proposed, volume(request.proposed));
        return PlanResponse { planned: Some(planned), ..PlanResponse::default() };
    };
    let planned = settle(prior, request.proposed);
    // An imported file does not tell where it came from.
    let mut planned = planned;
    let mut replace = match text(prior, "url") {
        Some(_) => reasons(prior, &planned, &Path::default(), ORIGIN, "another file has to be downloaded"),
        None => Vec::new(),
    };
    if prior.get("size").is_some_and(Value::is_null) && flag(&planned, "overwrite") != Some(false) {
        let reason =
            "the file in the datastore has another size than the one that was downloaded".to_string();
        replace.push(ReplaceReason { path: Path::attribute("size"), reason });
        planned = with_unknown(&planned, "size");
    }
    if text(prior, "url").is_none() {
        for name in ORIGIN {
            if let Some(unknown) = prior.get(name) {
                planned = with(&planned, name, unknown.clone());
            }
        }
    }
    if let Some(first) = replace.first_mut().filter(|_| takes_same_place(prior, request.config)) {
        first.reason.push_str(GOES_FIRST);
    }
    PlanResponse { planned: Some(planned), replace, ..PlanResponse::default() }
}

/// The API refuses to download over a file, and cannot rename one.
const GOES_FIRST: &str = "; the file that is there goes first, and a download that fails leaves none: with another file_name \
                          and create_before_destroy it stays until the new one is there";

/// Whether the new file is where the old one is.
fn takes_same_place(prior: &Value, config: &Value) -> bool {
    let same = |name: &str| text(prior, name) == text(config, name);
    ["node_name", "datastore_id", "content_type"].into_iter().all(same)
        && file_name(prior) == file_name(config)
}

/// The file name that the configuration leads to: the configured one, else the last part of the URL.
pub(crate) fn file_name(value: &Value) -> Option<String> {
    if let Some(name) = text(value, "file_name") {
        return Some(name.to_string());
    }
    let url = text(value, "url")?;
    let path = url.split(['?', '#']).next()?;
    path.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_string)
}

fn claim(planned: &Value) -> Option<String> {
    let (datastore, content) = (text(planned, "datastore_id")?, text(planned, "content_type")?);
    // Datastores of one name on two nodes are two, unless they are shared.
    let node = text(planned, "node_name")?;
    Some(format!("{datastore}:{content}/{} on {node}", file_name(planned)?))
}

#[cfg(test)]
mod tests {
    use pve_model::codec::decode;
    use serde_json::json;

    use super::*;
    use crate::definition::Definition;

    #[test]
    fn a_file_is_claimed_by_name_or_by_the_end_of_its_url() {
        let ty = Definition::new(fields()).schema.block.implied_type();
        let value = |json| decode(&json, &ty).unwrap();
        let from_url = json!({"node_name": "n", "datastore_id": "local", "content_type": "iso", "url": "https://x.test/a/b.img?c=/d"});
        assert_eq!(claim(&value(from_url)).as_deref(), Some("local:iso/b.img on n"));
        let named = json!({"node_name": "n", "datastore_id": "local", "content_type": "iso", "file_name": "n.iso", "url": "https://x/y"});
        assert_eq!(claim(&value(named)).as_deref(), Some("local:iso/n.iso on n"));
        assert_eq!(validate(&value(json!({"url": "ftp://x", "checksum": "00"}))).len(), 2);
    }
}
