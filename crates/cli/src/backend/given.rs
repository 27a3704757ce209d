//! Arguments of the backend that stand beside its block: `-backend-config`, kept by `pve init`, and
//! `PVE_BACKEND_CONFIG`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pve_config::configuration::constant;
use pve_config::syntax::{Diagnostic, SourceMap, parse_body, parse_expression};
use pve_model::Value;
use pve_model::codec::{from_plain_json, to_plain_json};
use pve_state_s3::Settings;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Arguments, arguments};
use crate::environment::split_words;
use crate::failure::Failure;
use crate::project::Project;
use crate::replace_file::write_private;

/// The newest format of the file.
const FORMAT: u32 = 1;
/// What is sealed in the file: secrets, a token among what is said of a role, and names of proxies with passwords.
const SECRETS: [&str; 6] =
    ["secret_key", "token", "sse_customer_key", "assume_role_with_web_identity", "http_proxy", "https_proxy"];
/// What the sealed part is bound to.
const PLACE: &str = "backend arguments";
/// More of them: words as a shell splits them.
const VARIABLE: &str = "PVE_BACKEND_CONFIG";

/// The file, without secrets in plain text.
#[derive(Default, Serialize, Deserialize)]
struct Remembered {
    format: u32,
    /// The type of backend that the arguments are for.
    kind: String,
    /// The arguments.
    #[serde(flatten)]
    arguments: Protected,
    /// Remarks about arguments that were shown.
    #[serde(default)]
    told: Vec<String>,
}

/// Arguments as they are kept: without secrets in plain text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Protected {
    /// Those that everybody may read.
    arguments: Json,
    /// The others as JSON, sealed, in Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
}

impl Protected {
    fn is_anything(&self) -> bool {
        self.sealed.is_some() || self.arguments.as_object().is_some_and(|all| !all.is_empty())
    }

    /// Whether an argument that is no secret is among them.
    pub(super) fn names(&self, argument: &str) -> bool {
        self.arguments.get(argument).is_some_and(|value| !value.is_null())
    }
}

/// Seals the secrets among arguments.
///
/// # Errors
/// When there is no key.
pub(super) fn protected(project: &Project, all: &Arguments) -> Result<Protected, Failure> {
    let all = all.clone().into_iter();
    let (secret, open): (Arguments, Arguments) = all.partition(|(name, _)| SECRETS.contains(&&**name));
    let mut sealed = None;
    if !secret.is_empty() {
        let json = zeroize::Zeroizing::new(to_plain_json(&Value::object(secret)).to_string());
        sealed = Some(STANDARD.encode(project.key()?.seal(json.as_bytes(), PLACE)?));
    }
    Ok(Protected { arguments: to_plain_json(&Value::object(open)), sealed })
}

/// The arguments again. `place` is the file that has them.
///
/// # Errors
/// When there is no key, or another one.
pub(super) fn restored(project: &Project, kept: &Protected, place: &Path) -> Result<Arguments, Failure> {
    let mut all = entries(&kept.arguments);
    if let Some(sealed) = &kept.sealed {
        let fail = |error: &dyn std::fmt::Display| damaged(place, error);
        let sealed = STANDARD.decode(sealed).map_err(|error| fail(&error))?;
        let json = project.key()?.open(&sealed, PLACE, &place.display().to_string())?;
        all.extend(entries(&serde_json::from_slice(&json).map_err(|error| fail(&error))?));
    }
    Ok(all)
}

/// What `-backend-config` gave, before it is kept.
pub struct Proposed {
    kind: String,
    arguments: Arguments,
}

/// Takes what `-backend-config` gave in the place of what was given before, and forgets that when `anew`: in this process,
/// until it is kept.
///
/// # Errors
/// When an argument cannot be read, or the backend cannot be used with them.
pub fn propose(
    project: &Project,
    kind: &str,
    words: &[String],
    anew: bool,
) -> Result<Option<Proposed>, Failure> {
    if !anew {
        // What cannot be read is not written over, either, unless that is meant.
        read(project)?;
        if words.is_empty() {
            return Ok(None);
        }
    }
    let arguments = parse(project, words)?;
    let found = project.backend_with(|_| with_environment(project, arguments.clone()))?;
    project.backend.get_or_init(|| found);
    Ok(Some(Proposed { kind: kind.into(), arguments }))
}

impl Proposed {
    /// Keeps it: what it leads to could be used.
    ///
    /// # Errors
    /// When there are secrets and no key to seal them with, or the file cannot be written.
    pub fn keep(self, project: &Project) -> Result<(), Failure> {
        let told = read(project).ok().flatten().map(|remembered| remembered.told).unwrap_or_default();
        let arguments = protected(project, &self.arguments)?;
        write(project, &Remembered { format: FORMAT, kind: self.kind, arguments, told })
    }
}

/// What was given for a backend of this type; what the environment gives comes last and wins.
///
/// # Errors
/// When it cannot be read.
pub(super) fn given(project: &Project, kind: &str) -> Result<Arguments, Failure> {
    let mut all = Arguments::new();
    if let Some(remembered) = read(project)?.filter(|remembered| remembered.kind == kind) {
        all.extend(restored(project, &remembered.arguments, &path(project))?);
    }
    with_environment(project, all)
}

/// What to add to a hint of `-reconfigure`, where that forgets something.
pub(super) fn to_give_again(project: &Project) -> &'static str {
    match read(project) {
        Ok(Some(remembered)) if remembered.arguments.is_anything() => {
            " It forgets what -backend-config gave: give that with it."
        }
        _ => "",
    }
}

fn with_environment(project: &Project, mut all: Arguments) -> Result<Arguments, Failure> {
    let words = std::env::var(VARIABLE).map(|text| split_words(&text)).unwrap_or_default();
    all.extend(parse(project, &words)?);
    Ok(all)
}

/// Says which arguments have no effect and why, once in a project.
///
/// # Errors
/// When it cannot be remembered.
pub fn tell_once(project: &Project, settings: &Settings) -> Result<(), Failure> {
    let mut remembered = read(project)?.unwrap_or_default();
    let news: Vec<&String> =
        settings.remarks.iter().filter(|remark| !remembered.told.contains(remark)).collect();
    if news.is_empty() {
        return Ok(());
    }
    for remark in &news {
        eprintln!("Note: backend \"s3\": {remark}.");
    }
    remembered.format = FORMAT;
    remembered.told.extend(news.into_iter().cloned());
    write(project, &remembered)
}

fn entries(json: &Json) -> Arguments {
    let value = from_plain_json(json);
    value.entries().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn path(project: &Project) -> PathBuf {
    project.project_data_folder().join("backend.json")
}

fn damaged(place: &Path, error: &dyn std::fmt::Display) -> Failure {
    let message = format!("{} cannot be read: {error}", place.display());
    Failure::hinted(message, "Give the arguments again: pve init -reconfigure -backend-config=...")
}

fn read(project: &Project) -> Result<Option<Remembered>, Failure> {
    let text = match std::fs::read(path(project)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(damaged(&path(project), &error)),
    };
    let found: Remembered = serde_json::from_slice(&text).map_err(|error| damaged(&path(project), &error))?;
    if found.format > FORMAT {
        return Err(damaged(&path(project), &format!("it has format {}; update pve", found.format)));
    }
    Ok(Some(found))
}

fn write(project: &Project, remembered: &Remembered) -> Result<(), Failure> {
    let path = path(project);
    let text = serde_json::to_vec_pretty(remembered).map_err(|error| Failure::plain(error.to_string()))?;
    write_private(&path, &text, true).map_err(Failure::writing(&path))
}

/// Arguments as they are typed: `KEY=VALUE`, or files of them.
fn parse(project: &Project, words: &[String]) -> Result<Arguments, Failure> {
    let mut sources = SourceMap::new();
    let mut all = Arguments::new();
    for word in words.iter().filter(|word| !word.is_empty()) {
        let read = match word.split_once('=') {
            Some((name, text)) => {
                typed(text, &mut sources).map(|value| Arguments::from([(Arc::from(name.trim()), value)]))
            }
            None => of_file(&project.root.join(word), word, &mut sources)?,
        };
        all.extend(read.map_err(|diagnostics| Failure::Diagnosed { diagnostics, sources: sources.clone() })?);
    }
    Ok(all)
}

/// A text as it stands; only lists and objects are written in the language.
fn typed(text: &str, sources: &mut SourceMap) -> Result<Value, Vec<Diagnostic>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return Ok(Value::string(text));
    }
    let parsed = parse_expression(sources.add("-backend-config", text), text);
    match parsed.value {
        Some(expression) if parsed.diagnostics.is_empty() => constant(&expression),
        _ => Err(parsed.diagnostics),
    }
}

fn of_file(
    path: &Path,
    shown: &str,
    sources: &mut SourceMap,
) -> Result<Result<Arguments, Vec<Diagnostic>>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let hint = "-backend-config takes KEY=VALUE, or a file of such lines.";
        Failure::hinted(format!("{shown} cannot be read: {error}"), hint)
    })?;
    let parsed = parse_body(sources.add(shown, &*text), &text);
    Ok(if parsed.has_errors() { Err(parsed.diagnostics) } else { arguments(&parsed.value) })
}
