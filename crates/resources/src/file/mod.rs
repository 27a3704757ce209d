//! `proxmox_virtual_environment_file`: a file that is uploaded into a datastore. Where it departs from the reference:
//! other content under the same name is a change in place.

mod io;
mod schema;

use pve_model::rules::{PlanRequest, PlanResponse, Problem, ReplaceReason};
use pve_model::{Path, PathStep, Value};

use crate::definition::{problem, warning};
use crate::registry::Rules;
use crate::values::{all_blocks, block, changed, flag, settle, text, with, with_unknown};
use crate::volumes::Volume;

pub(crate) use io::{imported, read, read_again, volume, write};
pub(crate) use schema::fields;

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_file"];

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    Rules { validate, plan, claim, shares_claim: overwrites, of_cluster, ..Rules::default() }
}

fn validate(config: &Value) -> Vec<Problem> {
    let known = |name: &str| config.get(name).is_none_or(Value::is_known);
    let sources = all_blocks(config, "source_file").len() + all_blocks(config, "source_raw").len();
    if known("source_file") && known("source_raw") && sources != 1 {
        let detail = "set exactly one of source_file and source_raw";
        return vec![problem(Path::default(), "A file needs one source", detail)];
    }
    let name = file_name(config).unwrap_or_default();
    if name.contains('/') || name == ".." {
        let detail =
            format!("{name:?} is no name of a file: datastores have one folder for each type of content");
        return vec![problem(Path::default(), "A file name with a folder", detail)];
    }
    missing_source(config).into_iter().chain(unfit_name(config)).collect()
}

/// The local file may yet be made: it is read during apply.
fn missing_source(config: &Value) -> Option<Problem> {
    let source = text(block(config, "source_file")?, "path")?;
    if source.contains("://") || crate::volumes::local_stamp(std::path::Path::new(source)).is_some() {
        return None;
    }
    let path = Path::attribute("source_file").child(PathStep::Index(0));
    let path = path.child(PathStep::Attribute("path".to_string()));
    let detail = "it is uploaded during apply; the path is relative to the folder that pve runs in";
    Some(warning(path, format!("There is no file {source:?}"), detail))
}

/// The API takes files by the ends of their names (`PVE::Storage`, `ISO_EXT_RE_0` and its like).
fn unfit_name(config: &Value) -> Option<Problem> {
    let (content, name) = (content_type(config)?, file_name(config)?);
    let ends: &[&str] = match content.as_str() {
        "iso" => &[".iso", ".img"],
        "vztmpl" => &[".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2"],
        "import" => &[".ova", ".qcow2", ".raw", ".vmdk"],
        _ => return None,
    };
    let lower = name.to_lowercase();
    let detail = || format!("{name:?} as {content}: its name has to end with {}", ends.join(", "));
    let is_fit = ends.iter().any(|end| lower.ends_with(end));
    (!is_fit).then(|| warning(path_of_name(config), "Proxmox VE does not take this file", detail()))
}

fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let Some(prior) = request.prior else {
        return PlanResponse {
            planned: Some(named(&with_content_type(request.proposed))),
            ..PlanResponse::default()
        };
    };
    let mut planned = settle(prior, request.proposed);
    let changes = changed(prior, &planned);
    if changes.contains("source_raw") || changes.contains("source_file") {
        for name in ["file_modification_date", "file_size", "file_tag"] {
            planned = with_unknown(&planned, name);
        }
    }
    let mut replace = Vec::new();
    if let (Some(before), Some(after)) = (text(prior, "file_name"), file_name(&planned))
        && before != after
    {
        let reason = format!("{before} becomes {after}: another file");
        replace.push(ReplaceReason { path: path_of_name(&planned), reason });
        planned = with_unknown(&with_unknown(&planned, "file_name"), "id");
    }
    let edited = block(prior, "source_file").is_some_and(|source| flag(source, "changed") == Some(true));
    let notes = match replace.is_empty() && edited {
        true => vec!["the local file has changed: it is uploaded again".to_string()],
        false => Vec::new(),
    };
    PlanResponse { planned: Some(planned), replace, notes, ..PlanResponse::default() }
}

/// That the local file was edited is a change of what is wanted: nobody has touched the cluster.
fn of_cluster(recorded: &Value, read: &Value) -> Value {
    match recorded.get("source_file") {
        Some(source) => with(read, "source_file", source.clone()),
        None => read.clone(),
    }
}

fn named(planned: &Value) -> Value {
    Volume::named_in(planned, volume(planned))
}

/// Without a configured content type it follows from the name.
fn with_content_type(proposed: &Value) -> Value {
    let unknown = proposed.get("content_type").is_some_and(|value| !value.is_known());
    match content_type(proposed).filter(|_| unknown) {
        Some(content) => with(proposed, "content_type", Value::string(content)),
        None => proposed.clone(),
    }
}

/// The configured content type, or the one that the file name tells.
pub(crate) fn content_type(value: &Value) -> Option<String> {
    if let Some(content) = text(value, "content_type") {
        return Some(content.to_string());
    }
    let name = file_name(value)?;
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    if ends(&[".tar.gz", ".tar.xz", ".tar.zst"]) {
        return Some("vztmpl".to_string());
    }
    if ends(&[".iso", ".img"]) {
        return Some("iso".to_string());
    }
    ends(&[".yaml", ".yml", ".cfg"]).then(|| "snippets".to_string())
}

/// The name in the datastore.
pub(crate) fn file_name(value: &Value) -> Option<String> {
    if let Some(raw) = block(value, "source_raw") {
        return text(raw, "file_name").map(str::to_string);
    }
    let source = block(value, "source_file")?;
    if let Some(name) = text(source, "file_name") {
        return Some(name.to_string());
    }
    let path = text(source, "path")?.split(['?', '#']).next()?;
    path.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_string)
}

/// The attribute that the name comes from.
fn path_of_name(value: &Value) -> Path {
    let (source, name) = match (block(value, "source_raw"), block(value, "source_file")) {
        (Some(_), _) => ("source_raw", "file_name"),
        (None, Some(file)) if text(file, "file_name").is_none() => ("source_file", "path"),
        _ => ("source_file", "file_name"),
    };
    Path::attribute(source).child(PathStep::Index(0)).child(PathStep::Attribute(name.to_string()))
}

/// Files that may be overwritten: modules that each bring the same file are common.
fn overwrites(planned: &Value) -> bool {
    flag(planned, "overwrite") != Some(false)
}

fn claim(planned: &Value) -> Option<String> {
    let (datastore, node) = (text(planned, "datastore_id")?, text(planned, "node_name")?);
    Some(format!("{datastore}:{}/{} on {node}", content_type(planned)?, file_name(planned)?))
}
