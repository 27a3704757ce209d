//! Nodes that came to the cluster while it ran: what is known of them when.

use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::state::State;

/// A node that was added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Member {
    /// When the cluster's configuration has it, in milliseconds since the epoch.
    pub since: u64,
    /// It was not only added: it joined.
    pub present: bool,
}

/// How far the others are with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It does not answer.
    Offline,
    /// It answers, but its status and its certificate have not come yet.
    Young,
    Known,
}

/// How far the others are with a node: it is online one task's time after it was added, and known a status cycle later.
pub(crate) fn standing(state: &State, settings: &Options, node: &str, now: u64) -> Standing {
    if state.down.contains_key(node) {
        return Standing::Offline;
    }
    let Some(member) = state.members.get(node) else { return Standing::Known };
    let online = member.since + settings.task_duration.as_millis() as u64;
    if !member.present || now < online {
        Standing::Offline
    } else if now < online + settings.status_cycle.as_millis() as u64 {
        Standing::Young
    } else {
        Standing::Known
    }
}

/// More than half of the nodes have to be online.
pub(crate) fn is_quorate(state: &State, settings: &Options, now: u64) -> bool {
    let online = settings.nodes().filter(|node| standing(state, settings, node, now) != Standing::Offline);
    2 * online.count() > settings.nodes().count()
}

/// Lets the nodes whose time has come be nodes of the cluster.
pub(crate) fn arrive(state: &State, settings: &mut Options, now: u64) {
    for (node, _) in state.members.iter().filter(|(_, member)| member.since <= now) {
        if !settings.nodes().any(|known| known == node) {
            settings.other_nodes.push(node.clone());
        }
    }
}
