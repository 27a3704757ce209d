//! What is staged of a node's network, and how much of it is this run's own.

use std::collections::BTreeSet;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use crate::cluster::{Call, Cluster, Step};
use crate::values::{changed, int};

/// The timeout of an interface that is staged and perhaps not applied. Nobody configures it and the cluster does not tell
/// it, so that it differs, whatever the cluster says of the rest, until a run has applied the interface.
pub(super) const DUE: i64 = 0;

/// Whether an interface is staged and perhaps not applied.
pub(crate) fn is_unfinished(prior: &Value) -> bool {
    int(prior, "timeout_reload") == Some(DUE)
}

/// What is staged of a node by this run.
#[derive(Default)]
pub(crate) struct Staged {
    /// The difference as it was after the last change. `None` before it was looked, or where there is none.
    own: Option<String>,
    /// How far that is known.
    pub(super) known: Known,
    /// Whether any of it takes something away.
    pub(super) takes_away: bool,
    /// Whether what is being staged does.
    pub(super) would_take_away: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Known {
    /// It was not looked yet.
    #[default]
    NotYet,
    /// As it was after the last change.
    Looked,
    /// A change of this run may be staged beside it: its answer was lost, or nobody could look afterwards.
    Unsure,
}

/// The right to stage changes of a node.
pub(crate) type Turn = tokio::sync::OwnedMutexGuard<Staged>;

impl Staged {
    /// What is staged now, if it is more or less than this run has staged.
    pub(super) async fn foreign(
        &mut self,
        call: &Call<'_>,
        node: &str,
    ) -> Result<Option<String>, ProviderError> {
        let now = look(call, node).await?;
        if self.known == Known::Unsure {
            (self.own, self.known) = (now, Known::Looked);
            self.takes_away |= self.would_take_away;
            return Ok(None);
        }
        // What is applied or reverted already is nobody's.
        let Some(lines) = now.map(|now| changed_lines(&now)) else { return Ok(None) };
        // The head of a difference has times of files.
        let own = self.own.iter().flat_map(|own| changed_lines(own)).collect::<Vec<_>>();
        if lines == own {
            return Ok(None);
        }
        let others: Vec<&str> = lines.iter().filter(|line| !own.contains(line)).map(String::as_str).collect();
        Ok(Some(if others.is_empty() { lines.join("\n") } else { others.join("\n") }))
    }

    pub(super) async fn keep(&mut self, call: &Call<'_>, node: &str) -> Result<(), ProviderError> {
        self.own = look(call, node).await?;
        self.known = Known::Looked;
        Ok(())
    }

    /// Of what is staged: interfaces that are none of `planned` and go, or come with an address. Proxmox VE writes down
    /// ports by itself, without one. None where no plan was looked at. Of what is changed within an interface the difference does not say whose it is.
    pub(super) fn beside(&self, planned: &BTreeSet<String>) -> Vec<String> {
        let lines = self.own.iter().flat_map(|own| changed_lines(own));
        let is_others = |line: &String| {
            let mut words = line.get(1..).unwrap_or_default().split_whitespace();
            let (Some("iface"), Some(name)) = (words.next(), words.next()) else { return false };
            !planned.is_empty()
                && !planned.contains(name)
                && (line.starts_with('-') || words.last() != Some("manual"))
        };
        lines.filter(is_others).collect()
    }

    /// A change may be staged that this run does not see. It is this run's own.
    pub(crate) fn lose_track(&mut self) {
        self.known = Known::Unsure;
    }

    /// Nothing is staged any more.
    pub(super) fn settle(&mut self) {
        *self = Staged { known: Known::Looked, ..Staged::default() };
    }
}

/// Whether a change takes something away from a node, by which it may be reached: all but making an interface, and
/// setting or extending what one has.
pub(super) fn takes_away(prior: Option<&Value>, planned: Option<&Value>) -> bool {
    let (Some(prior), Some(planned)) = (prior, planned) else { return prior.is_some() };
    let is_less = |name: &String| {
        let harmless = ["comment", "id", "timeout_reload"].contains(&name.as_str());
        let Some(before) = prior.get(name).filter(|before| !before.is_null() && !harmless) else {
            return false;
        };
        let lists = (before.elements(), planned.get(name).and_then(Value::elements));
        match lists {
            (Some(before), Some(after)) => !before.iter().all(|one| after.contains(one)),
            (Some(before), None) => !before.is_empty(),
            _ => true,
        }
    };
    is_unfinished(prior) || changed(prior, planned).iter().any(is_less)
}

async fn look(call: &Call<'_>, node: &str) -> Result<Option<String>, ProviderError> {
    let staged = call.cluster.api.staged(node).await;
    staged.map_err(|error| call.failed(Step::of("look for", "staged changes of the node"), &error))
}

/// What others have staged of a node's network, line by line. `None` where there is nothing, or it cannot be asked.
pub(crate) async fn foreign_changes(cluster: &Cluster, node: &str) -> Option<Vec<String>> {
    Some(changed_lines(&cluster.api.staged(node).await.ok()??))
}

/// The lines of a difference that add or take out something.
fn changed_lines(difference: &str) -> Vec<String> {
    let is_change = |line: &&str| {
        line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---") && line.len() > 1
    };
    difference.lines().filter(is_change).map(String::from).collect()
}
