//! A plan: what will change, and the steps in which it is done. Data that can be printed, saved, compared and linted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::address::{InstanceAddress, ResourceAddress};
use crate::event::Operation;
use crate::path::Path;
use crate::value::Value;

/// What happens to one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing.
    NoOp,
    /// It is made.
    Create,
    /// A data source is read during apply.
    Read,
    /// It is changed in place.
    Update,
    /// It is destroyed, then made again.
    DeleteThenCreate,
    /// It is made again, then the old one is destroyed.
    CreateThenDelete,
    /// It is destroyed.
    Delete,
    /// It is taken out of the state and left in the cluster.
    Forget,
}

/// Why an action was chosen where the values alone do not tell; the names of Terraform's `action_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionReason {
    /// An attribute cannot be changed in place.
    ReplaceBecauseCannotUpdate,
    /// It is marked as tainted.
    ReplaceBecauseTainted,
    /// `-replace` was given.
    ReplaceByRequest,
    /// `replace_triggered_by`.
    ReplaceByTriggers,
    /// Made anew, it applies what others stage.
    ReplaceToApply,
    /// There is no `resource` block any more.
    DeleteBecauseNoResourceConfig,
    /// The block has other repetition arguments now.
    DeleteBecauseWrongRepetition,
    /// The index is not below `count` any more.
    DeleteBecauseCountIndex,
    /// The key is not in `for_each` any more.
    DeleteBecauseEachKey,
    /// The module instance is not there any more.
    DeleteBecauseNoModule,
    /// It is not enabled any more.
    DeleteBecauseEnabledFalse,
    /// `destroy = false` when it was last applied.
    ForgotBecauseLifecycleDestroyInState,
    /// A `moved` block leads nowhere.
    DeleteBecauseNoMoveTarget,
    /// The configuration of a data source is not known yet.
    ReadBecauseConfigUnknown,
    /// A data source depends on changes that are pending.
    ReadBecauseDependencyPending,
}

/// The change of one instance (or of one deposed object of it).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The instance.
    pub address: InstanceAddress,
    /// The deposed object, if it is about one.
    pub deposed: Option<String>,
    /// The address before, when it was moved.
    pub previous_address: Option<InstanceAddress>,
    /// The provider configuration, for instance `proxmox` or `proxmox.second`.
    pub provider: String,
    /// The first provider configuration that leads to the same cluster: what two changes name alike is one thing where
    /// this is the same.
    pub cluster: String,
    /// What happens.
    pub action: Action,
    /// Why.
    pub reason: Option<ActionReason>,
    /// The values before; `None` when there is none.
    pub before: Option<Value>,
    /// The values after, unknown where only apply can tell; `None` when it will be gone.
    pub after: Option<Value>,
    /// Attributes whose change replaces it, with a clause why (empty when the schema says so).
    pub replace_paths: Vec<(Path, String)>,
    /// Remarks for the screen.
    pub notes: Vec<String>,
    /// The id by which it is imported first.
    pub importing: Option<String>,
    /// The resources that it depends on, recorded with it.
    pub dependencies: Vec<ResourceAddress>,
    /// Whether it is replaced by creating first.
    pub create_before_destroy: bool,
}

/// The change of an output of the root module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputChange {
    /// The value before; `None` when there was none.
    pub before: Option<Value>,
    /// The value after; `None` when it will be gone.
    pub after: Option<Value>,
    /// Whether it is never shown.
    pub sensitive: bool,
}

/// One thing to do. A replacement is two steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Which change, by its place in [`Plan::changes`].
    pub change: usize,
    /// What is done.
    pub operation: Operation,
    /// The name under which the present object is kept until its replacement stands (create before destroy);
    /// for the delete step of such a replacement the object to delete.
    pub deposed: Option<String>,
    /// The provisioners that run with it, by their place in the block: after a create, before a delete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provisioners: Vec<usize>,
    /// What it is staged with: steps of the same batch are applied by one request, when all of them are staged. One that
    /// needs another one of the same round waits until that is staged, and no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// The steps, by place in [`Plan::steps`], that must have succeeded before.
    pub after: Vec<usize>,
}

/// What is staged and applied together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Batch {
    /// Where it is staged: `proxmox: the network of pve1`.
    pub place: String,
    /// How many batches, of whatever place, must have been applied before it.
    pub round: usize,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanMode {
    /// Make the cluster as the configuration says.
    #[default]
    Normal,
    /// Destroy everything.
    Destroy,
    /// Only take in what changed outside.
    RefreshOnly,
}

/// The result of a `check` block or of a condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// `check.NAME`, or the address with the condition.
    pub subject: String,
    /// `pass`, `fail` or `unknown`.
    pub status: String,
    /// The messages of failed conditions.
    pub messages: Vec<String>,
}

/// A remark on an instance that nothing is done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The instance.
    pub address: InstanceAddress,
    /// What is worth knowing of it.
    pub text: String,
}

/// A whole plan. What a saved one has that is not known here is refused: it would not be done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What was asked for.
    pub mode: PlanMode,
    /// Changes of instances, `NoOp` ones too, by address.
    pub changes: Vec<Change>,
    /// What changed outside since the last apply (drift), as `before` and `after`.
    pub drift: Vec<Change>,
    /// What else is not as it was recorded: values that no configuration can set, which follow from other objects or from
    /// what runs in a guest. It is recorded with the next run, and is no change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followed: Vec<Change>,
    /// What is worth knowing of instances that stay as they are. Nothing follows from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// Data sources that were read for the plan.
    pub data: BTreeMap<InstanceAddress, Value>,
    /// Changes of outputs.
    pub outputs: BTreeMap<String, OutputChange>,
    /// What to do, in an order in which every step follows those it waits for.
    pub steps: Vec<Step>,
    /// Checks and conditions.
    pub checks: Vec<CheckResult>,
}

impl Action {
    /// Whether a present object is destroyed.
    pub fn destroys(self) -> bool {
        matches!(self, Action::Delete | Action::DeleteThenCreate | Action::CreateThenDelete)
    }

    /// Whether this is one of the two replacements.
    pub fn replaces(self) -> bool {
        matches!(self, Action::DeleteThenCreate | Action::CreateThenDelete)
    }
}

impl Change {
    /// Whether it is about the present object of an instance.
    pub fn is_of(&self, address: &InstanceAddress) -> bool {
        self.deposed.is_none() && self.address == *address
    }
}

impl Plan {
    /// Whether nothing would be done: no step, no moved instance, no changed output.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
            && self.changes.iter().all(|change| change.previous_address.is_none())
            && self.outputs.values().all(|output| output.before == output.after)
    }

    /// Whether there is anything that a run is wanted for: something to do, to import, or to take in where that is what
    /// was asked for. What changed outside is none by itself: the configuration may leave it be.
    pub fn has_changes(&self) -> bool {
        let imports = self.changes.iter().any(|change| change.importing.is_some());
        !self.is_empty() || imports || self.mode == PlanMode::RefreshOnly && !self.drift.is_empty()
    }

    /// How many steps there are of each operation.
    pub fn step_counts(&self) -> BTreeMap<Operation, u64> {
        let mut counts = BTreeMap::new();
        for step in &self.steps {
            *counts.entry(step.operation).or_default() += 1;
        }
        counts
    }
}
