//! What is staged of a node's network, and how much of it is this run's own.

use std::collections::BTreeSet;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Map, Value as Json};

use super::difference::{Change, Entries, entries, is_part_of, read};
use crate::cluster::{ApiError, Call, Cluster, Step, refused};
use crate::values::{changed, int, text, texts};

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
    /// that the plan changes; none where no plan was looked at.
    pub(super) fn among(changes: &[Change], left: &BTreeSet<String>, planned: &BTreeSet<String>) -> Foreign {
        let (own, others): (Vec<Change>, Vec<Change>) =
            changes.iter().cloned().partition(|change| left.contains(&change.name));
        let is_beside = |change: &Change| !planned.is_empty() && !planned.contains(&change.name);
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
        planned: &BTreeSet<String>,
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

    /// Whether nothing is staged any more, and nothing was applied either.
    fn was_undone(&self, now: &Entries) -> bool {
        let is_base =
            |name: &String| now.get(name) == self.base.get(name) && now.get(name) != self.own.get(name);
        !self.touched.is_empty() && self.unknown.is_empty() && self.touched.iter().all(is_base)
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

    /// Makes what was being staged this run's own. Of what is planned of it that is the values that were planned.
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

    /// What of all that is staged is this run's, or of an earlier one that it goes on with.
    pub(super) fn own_among(&self, changes: &[Change]) -> Vec<Change> {
        let is_own =
            |change: &&Change| self.touched.contains(&change.name) || self.accepted.contains(&change.name);
        changes.iter().filter(is_own).cloned().collect()
    }

    /// What others did while everything was applied, which nobody could refuse any more.
    pub(super) fn beside(&self, now: &Entries) -> Vec<Change> {
        let names: BTreeSet<&String> = self.own.keys().chain(now.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| Change::between(name, self.own.get(name), now.get(name)))
            .collect()
    }

    /// Nothing is staged any more.
    pub(super) fn settle(&mut self, now: Option<Seen>) {
        match now {
            Some(now) => self.begin(now),
            None => *self = Staged::default(),
        }
    }

    /// What this run has staged is as it was before.
    pub(super) fn take_note_of_return(&mut self) {
        for name in std::mem::take(&mut self.touched) {
            match self.base.get(&name) {
                Some(entry) => drop(self.own.insert(name, entry.clone())),
                None => drop(self.own.remove(&name)),
            }
        }
        self.takes_away = false;
    }
}

/// An interface as it was asked for: what is there, with the planned values in the place of others.
fn intended(planned: &Value, mut entry: Map<String, Json>) -> Map<String, Json> {
    if entry.is_empty() {
        entry.insert("iface".into(), Json::from(text(planned, "name").unwrap_or_default()));
    }
    let one = |name: &str| planned.get(name).filter(|part| part.is_known()).map(|_| text(planned, name));
    let list =
        |name: &str| planned.get(name).filter(|part| part.is_wholly_known()).map(|_| texts(planned, name));
    for (name, option) in
        [("address", "cidr"), ("gateway", "gateway"), ("address6", "cidr6"), ("gateway6", "gateway6")]
    {
        let Some(wanted) = one(name) else { continue };
        let found = entry.get(option).and_then(Json::as_str);
        if wanted.map(plain_address) != found.map(plain_address) {
            put(&mut entry, option, wanted.map(String::from));
        }
    }
    for (name, option) in [("ports", "bridge_ports"), ("slaves", "slaves")] {
        let Some(wanted) = list(name) else { continue };
        let found = entry.get(option).and_then(Json::as_str).unwrap_or_default();
        if found.split_whitespace().collect::<BTreeSet<_>>() != wanted.iter().map(String::as_str).collect() {
            put(&mut entry, option, Some(wanted.join(" ")));
        }
    }
    entry
}

/// An address in one spelling.
fn plain_address(text: &str) -> String {
    let (address, bits) = text.split_once('/').unwrap_or((text, ""));
    match address.parse::<std::net::IpAddr>() {
        Ok(address) => format!("{address}/{bits}"),
        Err(_) => text.to_string(),
    }
}

fn put(entry: &mut Map<String, Json>, option: &str, wanted: Option<String>) {
    match wanted {
        Some(wanted) => drop(entry.insert(option.to_string(), Json::from(wanted))),
        None => drop(entry.remove(option)),
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

pub(super) async fn look(call: &Call<'_>, node: &str) -> Result<Option<Seen>, ProviderError> {
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
