//! Package repositories of nodes. Proxmox VE adds, enables and disables them; it does not take them out.

use async_trait::async_trait;
use pve_model::Value;
use pve_model::codec::to_plain_json;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{ApiError, Cluster, Method};
use crate::definition::{flag, number, text, texts};
use crate::limits;
use crate::object::{Delete, Hooks, Object, Read, Removal};
use crate::operations::Proof;
use crate::values::{int, text as text_of};

const PLACE: &str = "/nodes/{node}/apt/repositories";

/// What a data source tells of a repository that is not there: null, and of a standard one what the node knows of it.
/// `None` for other kinds.
///
/// # Errors
/// The repositories of the node cannot be read.
pub(crate) async fn told_absent(
    kind: &str,
    cluster: &Cluster,
    named: &Value,
) -> Result<Option<Map<String, Json>>, ApiError> {
    let Json::Object(mut told) = to_plain_json(named) else { return Ok(None) };
    match kind {
        "proxmox_apt_repository" => drop(told.insert("id".into(), json!(repository_id(named)))),
        "proxmox_apt_standard_repository" => {
            let node = text_of(named, "node").unwrap_or_default();
            let answer = cluster.get(&PLACE.replace("{node}", node)).await?;
            Standard.read(named, &answer, &mut told);
        }
        _ => return Ok(None),
    }
    Ok(Some(told))
}

/// The kinds of this family.
pub(super) fn objects() -> Vec<Object> {
    vec![repository(), standard()]
}

/// `proxmox_apt_repository`
fn repository() -> Object {
    Object {
        names: &["proxmox_apt_repository", "proxmox_virtual_environment_apt_repository"],
        what: "APT repository",
        about: "Whether a repository in a file of a node is enabled. Destroying it changes nothing.",
        fields: vec![
            ("comment", text().read_only().param("Comment")),
            ("components", texts().read_only().param("Components")),
            ("enabled", flag().computed().or(true)),
            ("file_path", text().required().replaces().param("path").checked(limits::absolute_path)),
            ("file_type", text().read_only().param("FileType")),
            ("id", text().read_only()),
            ("index", number().required().replaces().range(0, i64::MAX)),
            ("node", text().required().replaces().unsent().checked(limits::not_empty)),
            ("package_types", texts().read_only().param("Types")),
            ("suites", texts().read_only().param("Suites")),
            ("uris", texts().read_only().param("URIs")),
        ],
        create: (Method::Post, PLACE),
        read: Read::At(PLACE),
        update: (Method::Post, PLACE),
        delete: Delete::Stays,
        removal: Removal::Absence,
        whole: true,
        import: "{node},{file_path},{index}",
        proof: Proof::Presence,
        example: r#"
  node      = "pve"
  file_path = "/etc/apt/sources.list.d/pve-enterprise.sources"
  index     = 0
  enabled   = false
"#,
        hooks: &Repository,
        ..Object::default()
    }
}

/// A part of an id as the reference writes it: only letters, digits from 1 to 9 and `_`.
fn id_part(text: &str) -> String {
    let keeps = |letter: char| letter.is_ascii_alphabetic() || ('1'..='9').contains(&letter) || letter == '_';
    text.chars().map(|letter| if keeps(letter) { letter } else { '_' }).collect()
}

struct Repository;

fn repository_of<'j>(prior: &Value, answer: &'j Json) -> Option<&'j Json> {
    let path = text_of(prior, "file_path")?;
    let files = answer.get("files").and_then(Json::as_array)?;
    let file = files.iter().find(|file| file.get("path").and_then(Json::as_str) == Some(path))?;
    file.get("repositories")?.get(usize::try_from(int(prior, "index")?).ok()?)
}

#[async_trait]
impl Hooks for Repository {
    fn is_it(&self, prior: &Value, answer: &Json) -> bool {
        repository_of(prior, answer).is_some()
    }

    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        let Some(found) = repository_of(prior, answer) else { return };
        let params = [
            ("comment", "Comment"),
            ("components", "Components"),
            ("enabled", "Enabled"),
            ("file_type", "FileType"),
            ("package_types", "Types"),
            ("suites", "Suites"),
            ("uris", "URIs"),
        ];
        for (name, param) in params {
            read.insert(name.into(), found.get(param).cloned().unwrap_or(Json::Null));
        }
        read.insert("enabled".into(), json!([json!(1), json!(true)].contains(&found["Enabled"])));
        if let Some(comment) = found.get("Comment").and_then(Json::as_str) {
            read.insert("comment".into(), json!(comment.trim_end()));
        }
        read.insert("id".into(), json!(repository_id(prior)));
    }
}

fn repository_id(prior: &Value) -> String {
    let path = text_of(prior, "file_path").unwrap_or_default().trim_start_matches('/');
    let node = text_of(prior, "node").unwrap_or_default().to_lowercase();
    let index = int(prior, "index").unwrap_or_default();
    format!("apt_repository_{node}_{}_{index}", id_part(path).to_lowercase())
}

/// `proxmox_apt_standard_repository`
fn standard() -> Object {
    Object {
        names: &["proxmox_apt_standard_repository", "proxmox_virtual_environment_apt_standard_repository"],
        what: "standard APT repository",
        about: "A repository of Proxmox itself. It is added; destroying it changes nothing.",
        fields: vec![
            ("description", text().read_only()),
            ("file_path", text().read_only()),
            ("handle", text().required().replaces().checked(limits::not_empty)),
            ("id", text().read_only()),
            ("index", number().read_only()),
            ("name", text().read_only()),
            ("node", text().required().replaces().unsent().checked(limits::not_empty)),
            ("status", number().read_only()),
        ],
        create: (Method::Put, PLACE),
        read: Read::At(PLACE),
        update: (Method::Put, ""),
        delete: Delete::Stays,
        removal: Removal::Absence,
        import: "{node},{handle}",
        proof: Proof::Presence,
        example: r#"
  node   = "pve"
  handle = "no-subscription"
"#,
        hooks: &Standard,
        ..Object::default()
    }
}

struct Standard;

/// A standard repository that a node knows, whether it has been added or not.
fn known_standard<'j>(prior: &Value, answer: &'j Json) -> Option<&'j Json> {
    let handle = text_of(prior, "handle")?;
    let list = answer.get("standard-repos").and_then(Json::as_array)?;
    list.iter().find(|entry| entry.get("handle").and_then(Json::as_str) == Some(handle))
}

/// The file and the place in it that have the packages of a handle: the component is named after it, and those of Ceph
/// are told apart by their addresses.
fn place_of<'j>(handle: &str, answer: &'j Json) -> Option<(&'j Json, usize)> {
    let ceph = handle.rsplit_once('-').filter(|_| handle.starts_with("ceph-"));
    let release = ceph.map(|_| handle.split('-').take(2).collect::<Vec<_>>().join("-"));
    let component = match &release {
        Some(release) => {
            vec![handle.trim_start_matches(release.as_str()).trim_start_matches('-').to_string()]
        }
        None => vec![format!("pve-{handle}"), format!("pve{handle}")],
    };
    let fits = |repository: &Json| {
        let list = |name: &str| repository.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
        let components = list("Components").iter().any(|one| component.iter().any(|wanted| one == wanted));
        let address = |release: &String| {
            list("URIs").iter().any(|uri| uri.as_str().is_some_and(|uri| uri.contains(release.as_str())))
        };
        components && release.as_ref().is_none_or(address)
    };
    let files = answer.get("files").and_then(Json::as_array)?;
    files.iter().find_map(|file| {
        let repositories = file.get("repositories").and_then(Json::as_array)?;
        Some((file.get("path")?, repositories.iter().position(fits)?))
    })
}

#[async_trait]
impl Hooks for Standard {
    fn is_it(&self, prior: &Value, answer: &Json) -> bool {
        known_standard(prior, answer).is_some_and(|found| !found["status"].is_null())
    }

    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        let Some(found) = known_standard(prior, answer) else { return };
        let handle = text_of(prior, "handle").unwrap_or_default();
        let node = text_of(prior, "node").unwrap_or_default().to_lowercase();
        let status = match &found["status"] {
            Json::Bool(status) => json!(i64::from(*status)),
            other => other.clone(),
        };
        let place = place_of(handle, answer);
        read.insert("description".into(), found.get("description").cloned().unwrap_or(Json::Null));
        read.insert("name".into(), found.get("name").cloned().unwrap_or(Json::Null));
        read.insert("status".into(), status);
        read.insert("file_path".into(), place.map_or(Json::Null, |(path, _)| path.clone()));
        read.insert("index".into(), place.map_or(Json::Null, |(_, index)| json!(index)));
        read.insert("id".into(), json!(format!("apt_standard_repository_{node}_{}", id_part(handle))));
    }
}
