//! What is staged of a node's network, and how much of it is this run's own.

use std::collections::BTreeSet;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Map, Value as Json};

use super::change::{Change, Entries, entries, is_part_of};
use super::difference::read;
use super::intended::intended;
use crate::cluster::{ApiError, Call, Cluster, Step, refused};
use crate::values::{changed, int};

/// The timeout of an interface that is staged and perhaps not applied. Nobody configures it and the cluster does not tell
/// it, so that it differs, whatever the cluster says of the rest, until a run has applied the interface.
pub(super) const DUE: i64 = 0;

/// Whether an interface is staged and perhaps not applied.
pub(crate) fn is_unfinished(prior: &Value) -> bool {
    int(prior, "timeout_reload") == Some(DUE)
}

/// The network of a node as it was seen.
#[derive(Default)]
pub(super) struct Seen {
    /// The interfaces as they are once what is staged is applied.
    pub(super) entries: Entries,
    /// What is staged.
    pub(super) changes: Vec<Change>,
}

/// What is staged of a node by this run.
#[derive(Default)]
pub(crate) struct Staged {
    /// The interfaces as they are while nothing is staged, but for those in `unknown`.
    pub(super) base: Entries,
    /// Those that an earlier run had changed or deleted before this one looked.
    pub(super) unknown: BTreeSet<String>,
    /// These, and those that it had made.
    accepted: BTreeSet<String>,
    /// The interfaces as they were after the last change, by what this run has asked for.
    own: Entries,
    /// The interfaces that this run has staged something of, in order.
    pub(super) touched: Vec<String>,
    /// How far that is known.
    known: Known,
    /// Whether any of it takes something away.
    pub(super) takes_away: bool,
    /// Whether somebody else has reverted it.
    pub(super) is_undone: bool,
    /// What is being staged: the name of the interface, and whether it takes something away.
    pub(super) staging: Option<(String, bool)>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Known {
    /// It was not looked yet.
    #[default]
    NotYet,
    /// As it was after the last change.
    Looked,
    /// The change in `staging` may be staged beside it: its answer was lost, or nobody could look afterwards.
    Unsure,
}

/// The right to stage changes of a node.
pub(crate) type Turn = tokio::sync::OwnedMutexGuard<Staged>;

/// What is staged on a node by others than this run.
#[derive(Default)]
pub(super) struct Foreign {
    /// By nobody that is known.
    pub(super) others: Vec<Change>,
    /// By an earlier run of the same log, and this plan is not about it.
    pub(super) left: Vec<Change>,
}

impl Foreign {
    pub(super) fn is_empty(&self) -> bool {
        self.others.is_empty() && self.left.is_empty()
    }

    /// Tells what earlier runs have staged (of the interfaces in `left`) from what others have. `planned` are the interfaces
    /// that the plan is about; `None` where no plan was looked at, and nothing is beside it.
    pub(super) fn among(
        changes: &[Change],
        left: &BTreeSet<String>,
        planned: Option<&BTreeSet<String>>,
    ) -> Foreign {
        let (own, others): (Vec<Change>, Vec<Change>) =
            changes.iter().cloned().partition(|change| left.contains(&change.name));
        let is_beside = |change: &Change| planned.is_some_and(|planned| !planned.contains(&change.name));
        Foreign { others, left: own.into_iter().filter(is_beside).collect() }
    }
}

impl Staged {
    /// What others have staged. Before the first change, what earlier runs have staged and the plan is about is this run's.
    pub(super) async fn foreign(
        &mut self,
        call: &Call<'_>,
        node: &str,
        left: &BTreeSet<String>,
        planned: Option<&BTreeSet<String>>,
    ) -> Result<Foreign, ProviderError> {
        let Some(now) = look(call, node).await? else { return Ok(Foreign::default()) };
        match self.known {
            Known::NotYet => {
                let found = Foreign::among(&now.changes, left, planned);
                if found.is_empty() {
                    self.begin(now);
                }
                return Ok(found);
            }
            Known::Unsure => {
                self.adopt(&now.entries, None);
            }
            Known::Looked => {}
        }
        if now.changes.is_empty() && self.was_undone(&now.entries) {
            self.is_undone = true;
            return Err(undone(node));
        }
        if now.changes.is_empty() {
            // What is applied already is nobody's.
            let (touched, takes_away) = (std::mem::take(&mut self.touched), self.takes_away);
            self.begin(now);
            (self.touched, self.takes_away) = (touched, takes_away);
            return Ok(Foreign::default());
        }
        let names: BTreeSet<&String> = self.own.keys().chain(now.entries.keys()).collect();
        let others = names
            .into_iter()
            .filter_map(|name| Change::between(name, self.own.get(name), now.entries.get(name)));
        Ok(Foreign { others: others.collect(), left: Vec::new() })
    }

    fn begin(&mut self, now: Seen) {
        let unknown: BTreeSet<String> = now
            .changes
            .iter()
            .filter(|change| change.before.is_some())
            .map(|change| change.name.clone())
            .collect();
        let accepted: BTreeSet<String> = now.changes.iter().map(|change| change.name.clone()).collect();
        let base = now.entries.iter().filter(|(name, _)| !accepted.contains(*name));
        let base = base.map(|(name, entry)| (name.clone(), entry.clone())).collect();
        *self =
            Staged { base, unknown, accepted, own: now.entries, known: Known::Looked, ..Staged::default() };
    }

    /// Whether what was staged is gone without having been applied. An interface tells it whose staging changed something:
    /// it is as it was before, or, where nobody knows how that was, not as it was staged.
    fn was_undone(&self, now: &Entries) -> bool {
        let is_back = |name: &&String| {
            let (was, own, is) = (self.base.get(*name), self.own.get(*name), now.get(*name));
            own != is && (was == is || self.unknown.contains(*name))
        };
        !self.touched.is_empty() && self.touched.iter().chain(&self.accepted).any(|name| is_back(&name))
    }

    /// Takes note of a change as it was asked for: what others did at the same time, of the interface or of others, is not
    /// this run's.
    pub(super) async fn keep(
        &mut self,
        call: &Call<'_>,
        node: &str,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        self.known = Known::Unsure;
        if let Some(now) = look(call, node).await? {
            self.adopt(&now.entries, planned);
        }
        self.known = Known::Looked;
        Ok(())
    }

    /// Makes what was being staged this run's own, with the values that were planned of it as far as [`intended`] knows how
    /// the API tells them.
    fn adopt(&mut self, now: &Entries, planned: Option<&Value>) {
        self.known = Known::Looked;
        let Some((name, takes_away)) = self.staging.take() else { return };
        self.takes_away |= takes_away;
        let entry = match planned {
            Some(planned) => Some(intended(planned, now.get(&name).cloned().unwrap_or_default())),
            None => now.get(&name).cloned(),
        };
        match entry {
            Some(entry) => {
                // Proxmox VE writes down what it is made of.
                let is_new = |(part, new): &(&String, &Map<String, Json>)| {
                    !self.own.contains_key(*part) && is_part_of(part, &entry) && !new.contains_key("cidr")
                };
                let parts: Entries =
                    now.iter().filter(is_new).map(|(name, entry)| (name.clone(), entry.clone())).collect();
                self.base.extend(parts.clone());
                self.own.extend(parts);
                self.own.insert(name.clone(), entry);
            }
            None => drop(self.own.remove(&name)),
        }
        self.touched.retain(|known| *known != name);
        self.touched.push(name);
    }

    /// A change may be staged that this run does not see. It is this run's own.
    pub(crate) fn lose_track(&mut self) {
        if self.known != Known::NotYet {
            self.known = Known::Unsure;
        }
    }

    /// What of this run, or of an earlier one that it goes on with, is still staged. An interface of which it is known how
    /// it was tells that itself; the difference, which need not name what it is about, tells of the others.
    pub(super) fn still_staged(&self, now: &Seen) -> Vec<Change> {
        let names: BTreeSet<&String> =
            self.touched.iter().chain(&self.accepted).filter(|name| !self.unknown.contains(*name)).collect();
        let is_of_unknown = |change: &&Change| {
            self.unknown.contains(&change.name) || change.is_unnamed() && !self.unknown.is_empty()
        };
        let known = names.into_iter();
        let known =
            known.filter_map(|name| Change::between(name, self.base.get(name), now.entries.get(name)));
        known.chain(now.changes.iter().filter(is_of_unknown).cloned()).collect()
    }

    /// What others did while everything was applied, which nobody could refuse any more.
    pub(super) fn beside(&self, now: &Entries) -> Vec<Change> {
        let names: BTreeSet<&String> = self.own.keys().chain(now.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| Change::between(name, self.own.get(name), now.get(name)))
            .collect()
    }

    /// Nothing of this run is staged any more. What is there by now is of others.
    pub(super) fn settle(&mut self, now: Option<Seen>) {
        match now.filter(|now| now.changes.is_empty()) {
            Some(now) => self.begin(now),
            None => *self = Staged::default(),
        }
    }

    /// What this run has staged is as it was before.
    pub(super) fn take_note_of_return(&mut self, now: &Entries) {
        for name in std::mem::take(&mut self.touched) {
            match now.get(&name) {
                Some(entry) => drop(self.own.insert(name, entry.clone())),
                None => drop(self.own.remove(&name)),
            }
        }
        self.takes_away = false;
    }
}

fn undone(node: &str) -> ProviderError {
    let message = format!("what this run had staged of the network of {node} was reverted by somebody else");
    refused(message, Some("apply again"))
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

async fn look(call: &Call<'_>, node: &str) -> Result<Option<Seen>, ProviderError> {
    let seen = see(call.cluster, node).await;
    seen.map_err(|error| call.failed(Step::of("look for", "staged changes of the node"), &error))
}

/// The network of a node. `None` where nobody can tell what is staged of it.
pub(super) async fn see(cluster: &Cluster, node: &str) -> Result<Option<Seen>, ApiError> {
    let network = cluster.api.node_network(node).await?;
    Ok(network.map(|network| {
        let entries = entries(&network.interfaces);
        let changes = network.changes.map(|changes| read(&changes, &entries)).unwrap_or_default();
        Seen { entries, changes }
    }))
}
