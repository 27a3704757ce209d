//! Connects to the clusters that the provider blocks name.

use std::collections::BTreeMap;

use pve_model::Value;
use pve_model::state::State;
use pve_resources::ProxmoxProvider;

use crate::failure::Failure;
use crate::project::Workspace;
use crate::session::provider_values;

/// The clusters of a run.
pub struct Clusters {
    /// Talks to them.
    pub provider: ProxmoxProvider,
    /// What a run records as its cluster.
    pub name: String,
}

/// Connects. A configuration that uses no cluster needs none.
///
/// # Errors
/// When a provider block cannot be used, or the log is about another cluster.
pub fn connect(workspace: &Workspace, state: &State, simulate: bool) -> Result<Clusters, Failure> {
    let values: BTreeMap<String, Value> = provider_values(workspace, state)?;
    if simulate {
        return Err(Failure::plain("the simulator is not part of this build yet"));
    }
    let endpoint =
        values.values().find_map(|value| value.get("endpoint").and_then(Value::as_str).map(String::from));
    let name = endpoint.unwrap_or_else(|| "none".into());
    Ok(Clusters { provider: ProxmoxProvider::over(Vec::new()), name })
}
