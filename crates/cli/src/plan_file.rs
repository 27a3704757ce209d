//! Saved plans: a plan with the configuration, variables and place in the log that it was made from, sealed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use pve_config::configuration::Lookups;
use pve_model::plan::Plan;
use pve_model::{InstanceAddress, Value};
use pve_planner::planning::Planning;
use pve_state::Key;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::project::Project;
use crate::replace_file::replace_file;
use crate::workspace::Workspace;

/// The first bytes of every saved plan. The format follows, and the end of the line.
const HEADER: &str = "pve plan ";
/// Raise it with every change of [`SavedPlan`] and what it holds: a build that does not know of something would apply the
/// plan without it.
const FORMAT: u32 = 2;
/// What a sealed plan is bound to.
const PLACE: &str = "saved plan";

/// A saved plan.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    /// The environment.
    pub environment: String,
    /// The cluster, as a run records it.
    pub cluster: String,
    /// The last event of the log that the plan knows.
    pub sequence: u64,
    /// When it was made.
    pub time: Timestamp,
    /// The plan.
    pub plan: Plan,
    /// Moves, from and to.
    pub moves: Vec<(InstanceAddress, InstanceAddress)>,
    /// Deposed objects that it takes back, by their instances.
    pub restored: BTreeMap<InstanceAddress, String>,
    /// What tells the objects that it changes from others with their ids.
    pub identities: BTreeMap<InstanceAddress, String>,
    /// Values of root variables.
    pub variables: BTreeMap<String, Value>,
    /// Files of the configuration, Base64 by path.
    pub files: BTreeMap<String, String>,
    /// Whether there were files that were looked for, by path.
    pub existing: BTreeMap<PathBuf, bool>,
    /// Files below the folders that were listed, by path.
    pub listings: BTreeMap<PathBuf, Vec<String>>,
}

/// The format that a saved plan says that it has, and what follows.
fn format_of(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let rest = bytes.strip_prefix(HEADER.as_bytes())?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    Some((str::from_utf8(&rest[..end]).ok()?.parse().ok()?, &rest[end + 1..]))
}

impl SavedPlan {
    /// What is to be saved.
    pub fn new(
        project: &Project,
        workspace: &Workspace,
        planning: &Planning,
        (cluster, identities): (&str, BTreeMap<InstanceAddress, String>),
        sequence: u64,
    ) -> SavedPlan {
        let files = workspace.recorded_files().into_iter();
        let Lookups { existing, listings } = workspace.lookups();
        SavedPlan {
            environment: project.stream().into(),
            cluster: cluster.into(),
            sequence,
            time: workspace.functions.plan_timestamp,
            plan: planning.plan.clone(),
            moves: planning.moves.clone(),
            restored: planning.restored.clone(),
            identities,
            variables: workspace.variables.clone(),
            files: files.map(|(path, bytes)| (path, STANDARD.encode(bytes))).collect(),
            existing,
            listings,
        }
    }

    /// Writes the plan, sealed with the project's key.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path, key: &Key) -> Result<(), Failure> {
        let json = serde_json::to_vec(self).map_err(|error| Failure::plain(error.to_string()))?;
        let sealed = key.seal(&json, PLACE)?;
        let header = format!("{HEADER}{FORMAT}\n");
        replace_file(path, &[header.as_bytes(), &sealed].concat()).map_err(Failure::writing(path))
    }

    /// Reads a saved plan.
    ///
    /// # Errors
    /// When it is no plan, one of another format, or was sealed with another key.
    pub fn read(path: &Path, key: &Key) -> Result<SavedPlan, Failure> {
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(Failure::reading(path))?;
        let Some((format, sealed)) = format_of(&bytes) else {
            let hint = "Make one with `pve plan -out FILE`.";
            return Err(Failure::hinted(format!("{shown} is no plan of pve"), hint));
        };
        if format != FORMAT {
            let age = if format < FORMAT { "an older" } else { "a newer" };
            let said =
                format!("{shown} is a plan of {age} version of pve, in format {format} instead of {FORMAT}");
            let hint = "Plan again with `pve plan -out FILE`, or apply it with the version that made it.";
            return Err(Failure::hinted(said, hint));
        }
        let json = key.open(sealed, PLACE, &shown.to_string())?;
        serde_json::from_slice(&json).map_err(|error| {
            let hint = "It is of another version of pve, or damaged. Plan again with `pve plan -out FILE`.";
            Failure::hinted(format!("{shown} cannot be read: {error}"), hint)
        })
    }

    /// The configuration that the plan was made from.
    ///
    /// # Errors
    /// When it cannot be restored.
    pub fn workspace(&self, project: &Project) -> Result<Workspace, Failure> {
        let decode = |(path, text): (&String, &String)| {
            let bytes = STANDARD.decode(text).map_err(|error| Failure::plain(error.to_string()))?;
            Ok((path.clone(), bytes))
        };
        let files = self.files.iter().map(decode).collect::<Result<BTreeMap<_, _>, Failure>>()?;
        let lookups = Lookups { existing: self.existing.clone(), listings: self.listings.clone() };
        Workspace::restore(project, files, lookups, self.variables.clone(), self.time)
    }

    /// The plan as the planner gave it.
    pub fn planning(&self) -> Planning {
        Planning {
            plan: self.plan.clone(),
            warnings: Vec::new(),
            doubts: Vec::new(),
            moves: self.moves.clone(),
            restored: self.restored.clone(),
            kept: Vec::new(),
        }
    }
}
