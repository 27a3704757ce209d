//! The state of every node whose network is changed, and the interfaces that a plan and the log know of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::staged::Staged;
use crate::values::text;

/// Interfaces by their nodes.
type Interfaces = BTreeMap<String, BTreeSet<String>>;

/// The state of every node whose network is changed.
#[derive(Default)]
pub(crate) struct Reloads {
    nodes: Mutex<BTreeMap<String, Arc<Reload>>>,
    /// The interfaces that the plan changes. `None` until a plan was looked at.
    planned: Mutex<Option<Interfaces>>,
    /// Those that an earlier run of the same log has perhaps staged something of.
    left: Mutex<Interfaces>,
}

/// How far the changes of one node have come.
#[derive(Default)]
pub(super) struct Reload {
    /// Held while a change is staged, and while what is staged is applied.
    pub(super) turn: Arc<tokio::sync::Mutex<Staged>>,
    /// How many changes were staged.
    staged: Mutex<u64>,
    /// The longest that one of those that are not applied allows, in seconds.
    patience: Mutex<u64>,
    pub(super) applied: tokio::sync::Mutex<Applied>,
}

/// The last reload: the changes up to this one, and why it failed.
#[derive(Default)]
pub(super) struct Applied {
    pub(super) last: u64,
    pub(super) failure: Option<ProviderError>,
    /// Whether what was staged is as it was before.
    pub(super) is_taken_back: bool,
}

impl Reloads {
    pub(super) fn of(&self, node: &str) -> Arc<Reload> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.entry(node.to_string()).or_default().clone()
    }

    /// A plan is looked at, of which these are interfaces, by their values before and after it.
    pub(crate) fn expect<'v>(&self, interfaces: impl IntoIterator<Item = &'v Value>) {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = planned.get_or_insert_default();
        interfaces.into_iter().for_each(|interface| take_down(planned, interface));
    }

    /// Takes note of an interface that an earlier run of the same log has perhaps staged something of.
    pub(crate) fn recall(&self, interface: &Value) {
        take_down(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner), interface);
    }

    /// What earlier runs have staged on a node is applied, or reverted.
    pub(super) fn forget(&self, node: &str) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
    }

    /// An interface that is changed is one that the plan is about, whether or not its name was known when that was looked at.
    pub(super) fn take_up(&self, interface: &Value) {
        if let Some(planned) = &mut *self.planned.lock().unwrap_or_else(PoisonError::into_inner) {
            take_down(planned, interface);
        }
    }

    /// The interfaces of a node that the plan is about. `None` where no plan was looked at.
    pub(super) fn planned(&self, node: &str) -> Option<BTreeSet<String>> {
        let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.as_ref().map(|planned| planned.get(node).cloned().unwrap_or_default())
    }

    /// The interfaces of a node that an earlier run has perhaps staged something of.
    pub(super) fn left(&self, node: &str) -> BTreeSet<String> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.get(node).cloned().unwrap_or_default()
    }
}

fn take_down(names: &mut Interfaces, interface: &Value) {
    if let (Some(node), Some(name)) = (text(interface, "node_name"), text(interface, "name")) {
        names.entry(node.to_string()).or_default().insert(name.to_string());
    }
}

impl Reload {
    /// The number of the last change that was staged.
    pub(super) fn last(&self) -> u64 {
        *self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a change that is staged and may be waited for this long: its number.
    pub(super) fn stage(&self, seconds: u64) -> u64 {
        let mut patience = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        *patience = seconds.max(*patience);
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        *staged += 1;
        *staged
    }

    /// The longest that what is staged may be waited for, in seconds. The next changes count anew.
    pub(super) fn take_patience(&self) -> u64 {
        std::mem::take(&mut *self.patience.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
