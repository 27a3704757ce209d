//! Mappings of hardware and directories to nodes (PVE::API2::Cluster::Mapping).

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::sections::{File, MODIFIED, Texts, Type, check_options, delete_options, digest};
use crate::state::{Options, State};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/mapping", |_| Ok(["dir", "pci", "usb"].map(|name| json!({ "name": name })).into())),
    ("GET", "/cluster/mapping/dir", |request| list(request, &DIR)),
    ("POST", "/cluster/mapping/dir", |request| create(request, &DIR)),
    ("GET", "/cluster/mapping/dir/{id}", |request| read(request, &DIR)),
    ("PUT", "/cluster/mapping/dir/{id}", |request| update(request, &DIR)),
    ("DELETE", "/cluster/mapping/dir/{id}", |request| delete(request, &DIR)),
    ("GET", "/cluster/mapping/pci", |request| list(request, &PCI)),
    ("POST", "/cluster/mapping/pci", |request| create(request, &PCI)),
    ("GET", "/cluster/mapping/pci/{id}", |request| read(request, &PCI)),
    ("PUT", "/cluster/mapping/pci/{id}", |request| update(request, &PCI)),
    ("DELETE", "/cluster/mapping/pci/{id}", |request| delete(request, &PCI)),
    ("GET", "/cluster/mapping/usb", |request| list(request, &USB)),
    ("POST", "/cluster/mapping/usb", |request| create(request, &USB)),
    ("GET", "/cluster/mapping/usb/{id}", |request| read(request, &USB)),
    ("PUT", "/cluster/mapping/usb/{id}", |request| update(request, &USB)),
    ("DELETE", "/cluster/mapping/usb/{id}", |request| delete(request, &USB)),
];

const fn file(
    name: &'static str,
    schema: &'static str,
    types: &'static [Type],
    prefixes: [&'static str; 3],
    texts: [&'static str; 2],
) -> File {
    let [create, update, delete] = prefixes;
    let [exists, missing] = texts;
    let texts = Texts { create, update, delete, exists, missing };
    File { name, id: "id", schema, types, default_type: None, secrets: &[], texts }
}

const DIR: File = file(
    "mapping/directory.cfg",
    "/cluster/mapping/dir",
    &[Type { name: "dir", required: &["map"], options: &["description"], fixed: &[] }],
    ["create directory mapping failed: ", "update directory mapping failed: ", "delete dir mapping failed: "],
    ["dir ID '{}' already defined", "dir ID '{}' does not exist"],
);
const PCI: File = file(
    "mapping/pci.cfg",
    "/cluster/mapping/pci",
    &[Type {
        name: "pci",
        required: &["map"],
        options: &["description", "mdev", "live-migration-capable"],
        fixed: &[],
    }],
    ["create hardware mapping failed: ", "update hardware mapping failed: ", "delete pci mapping failed: "],
    ["pci ID '{}' already defined", "pci ID '{}' does not exist"],
);
const USB: File = file(
    "mapping/usb.cfg",
    "/cluster/mapping/usb",
    &[Type { name: "usb", required: &["map"], options: &["description"], fixed: &[] }],
    ["create hardware mapping failed: ", "update hardware mapping failed: ", "delete usb mapping failed: "],
    ["usb ID '{}' already defined", "usb ID '{}' does not exist"],
);

/// Whether a mapping has an entry for a node.
pub(crate) fn is_mapped(state: &State, id: &str, node: &str) -> bool {
    let maps = [&DIR, &PCI, &USB].into_iter().filter_map(|file| file.sections(state).get(id)?.get("map"));
    let wanted = format!("node={node}");
    maps.into_iter().any(|map| {
        map.split(|sign: char| !sign.is_alphanumeric() && !"=-.".contains(sign)).any(|part| part == wanted)
    })
}

fn kind(file: &File) -> &'static Type {
    &file.types[0]
}

fn list(request: &mut Request<'_>, file: &File) -> Answer {
    let any = ["Mapping.Audit", "Mapping.Use", "Mapping.Modify"];
    let path = format!("/mapping/{}", kind(file).name);
    let checked = request.get("check-node").is_some();
    let rows = file.sections(request.state).iter();
    let seen = rows.filter(|(id, _)| request.allows_any(&format!("{path}/{id}"), &any));
    Ok(seen
        .map(|(id, options)| {
            let mut row = file.shown(request.state, id, options);
            if checked {
                row.insert("checks".to_owned(), json!([]));
            }
            Value::Object(row)
        })
        .collect())
}

fn read(request: &mut Request<'_>, file: &File) -> Answer {
    let id = request.text("id");
    match file.sections(request.state).get(&id) {
        Some(options) => Ok(Value::Object(file.shown(request.state, &id, options))),
        None => Err(Failure::died(format!("mapping '{id}' not found"))),
    }
}

/// A node has one entry in a mapping of directories.
fn check_nodes(file: &File, prefix: &str, set: &Options) -> Result<(), Failure> {
    let entries = set.get("map").map(String::as_str).unwrap_or_default();
    let mut nodes: Vec<&str> = entries
        .split('\0')
        .filter_map(|entry| entry.split(',').find_map(|part| part.strip_prefix("node=")))
        .collect();
    nodes.sort_unstable();
    let twice = nodes.chunk_by(|left, right| left == right).find(|run| run.len() > 1);
    match twice.filter(|_| file.name == DIR.name) {
        Some(run) => {
            let text = format!("Node '{}' is specified {} times.", run[0], run.len());
            Err(Failure::died(format!("{prefix}{text}")))
        }
        None => Ok(()),
    }
}

fn create(request: &mut Request<'_>, file: &File) -> Answer {
    let (id, mut set) = (request.text("id"), file.set(request));
    check_options(kind(file), &set, true)?;
    check_nodes(file, "", &set)?;
    file.check_new(request.state, &id)?;
    set.insert("type".to_owned(), kind(file).name.to_owned());
    file.sections_mut(request.state).insert(id, set);
    Ok(Value::Null)
}

fn update(request: &mut Request<'_>, file: &File) -> Answer {
    let (id, set, prefix) = (request.text("id"), file.set(request), file.texts.update);
    let failed = |failure| file.prefixed(prefix, failure);
    let sections = file.sections(request.state);
    request.check_digest(&digest(sections), MODIFIED).map_err(failed)?;
    let mut present = sections.get(&id).cloned().ok_or_else(|| file.missing(prefix, &id))?;
    // The whole map has to be sent with every change.
    check_options(kind(file), &set, true).map_err(failed)?;
    check_nodes(file, prefix, &set)?;
    delete_options(kind(file), &mut present, &set, request.get("delete").unwrap_or_default())
        .map_err(failed)?;
    present.extend(set);
    file.sections_mut(request.state).insert(id, present);
    Ok(Value::Null)
}

/// One that is not there is no error.
fn delete(request: &mut Request<'_>, file: &File) -> Answer {
    let id = request.text("id");
    file.sections_mut(request.state).remove(&id);
    Ok(Value::Null)
}
