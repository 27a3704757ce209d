//! The pure half of a provider: schema, validation and planning of each kind. The other half, which talks to the
//! cluster, is a port of the executor.

use std::collections::{BTreeMap, BTreeSet};

use crate::address::ResourceMode;
use crate::path::Path;
use crate::schema::Schema;
use crate::value::Value;

/// Something wrong with the configured values of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Where in the configured value.
    pub path: Path,
    /// What is wrong, without trailing full stop.
    pub summary: String,
    /// The value, the rule and the remedy.
    pub detail: String,
    /// Whether it is only worth a warning.
    pub warning: bool,
}

/// What is known of one instance when it is planned.
#[derive(Clone, Copy, Debug)]
pub struct PlanRequest<'a> {
    /// The values as last observed; `None` when it is to be created.
    pub prior: Option<&'a Value>,
    /// The values as configured: defaults not filled in, absent attributes null.
    pub config: &'a Value,
    /// The configured values with defaults, and computed ones kept from `prior` or unknown.
    pub proposed: &'a Value,
}

/// A path whose change replaces the resource, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplaceReason {
    /// The attribute.
    pub path: Path,
    /// One clause for the screen, for instance "a guest cannot move to another storage pool in place".
    pub reason: String,
}

/// The planned values of one instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanResponse {
    /// The values after apply; unknown where only apply can tell. `None` keeps `proposed`.
    pub planned: Option<Value>,
    /// Changes that replace the resource, beside those that the schema states.
    pub replace: Vec<ReplaceReason>,
    /// Remarks for the screen, for instance that a reboot is needed.
    pub notes: Vec<String>,
    /// Faults that only show with the prior values.
    pub problems: Vec<Problem>,
}

/// What was seen of an object that its values do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Parts that it has and that are none of its recorded values.
    pub extras: Vec<Extra>,
    /// Volumes that it has set aside, by their slots: `unused0`, `local-lvm:vm-100-disk-1`.
    pub set_aside: Vec<(String, String)>,
    /// Volumes that it has until its next start only.
    pub leaving: Vec<Extra>,
    /// Options that take effect with its next start, with their values where those are numbers: `cores (1 -> 2)`.
    pub waits: Vec<String>,
    /// Values that whoever reads may not see, and why; they are kept as they were recorded.
    pub hidden: Vec<String>,
    /// Options that it has and that none of its values tells, by their names. `None` where that was not looked at.
    pub unspoken: Option<BTreeMap<String, String>>,
    /// Those of them that are others than were recorded.
    pub changed: Vec<OptionChange>,
}

/// An option that no value tells, as it was recorded and as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionChange {
    /// Its name, for instance `kvm`.
    pub name: String,
    /// What was recorded; `None` where it was not set.
    pub before: Option<String>,
    /// What it is; `None` where it is not set.
    pub after: Option<String>,
}

/// A part of an object that was never configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Where the cluster has it, for instance `scsi3`.
    pub slot: String,
    /// What a configuration would name it by, for instance a path inside of a container.
    pub key: String,
    /// What it is, for instance `1G on local-lvm`.
    pub said: String,
}

impl Beside {
    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        *self == Beside::default()
    }

    /// Whether there is nothing to tell but what is as it was recorded.
    pub fn is_quiet(&self) -> bool {
        *self == Beside { unspoken: self.unspoken.clone(), ..Beside::default() }
    }

    /// The same, with what has changed since `recorded`. Where nothing is recorded, nothing is known to have changed.
    #[must_use]
    pub fn since(&self, recorded: Option<&BTreeMap<String, String>>) -> Beside {
        let Some((recorded, seen)) = recorded.zip(self.unspoken.as_ref()) else { return self.clone() };
        let names: BTreeSet<&String> = recorded.keys().chain(seen.keys()).collect();
        let options = names.into_iter().map(|name| OptionChange {
            name: name.clone(),
            before: recorded.get(name).cloned(),
            after: seen.get(name).cloned(),
        });
        Beside { changed: options.filter(|option| option.before != option.after).collect(), ..self.clone() }
    }
}

/// What an object has to do with changes that are only staged until something applies them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staging {
    /// Its changes are staged, in this area: `software-defined networks`.
    Staged(&'static str),
    /// It applies what is staged.
    Applies {
        /// Where.
        area: &'static str,
        /// Whether it does when it is made.
        made: bool,
        /// Whether it does when it is destroyed, and for what is destroyed after it.
        destroyed: bool,
    },
}

/// Something that an object names by its text, whether the configuration refers to it or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// What it is, in the words of [`KindRules::known_as`].
    pub what: String,
    /// The attribute that names it.
    pub path: Path,
    /// What that means to it.
    pub hold: Hold,
}

/// Whether something that is named can be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The cluster destroys it all the same.
    No,
    /// The cluster refuses to.
    Keeps,
    /// The same, and what names it is nothing but settings that can as well be made anew.
    RestsOn,
    /// The cluster destroys it and takes its name out of what names it, which goes along where it names nothing else.
    Loses,
    /// The same, and what names it stays in any case.
    Forgets,
}

/// The rules of one resource kind or data source.
pub trait KindRules: Send + Sync {
    /// The schema.
    fn schema(&self) -> &Schema;

    /// Faults in the configured values that the schema cannot state. Unknown parts are passed over.
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// What is planned. Must be pure: the same request has the same answer.
    fn plan(&self, request: PlanRequest<'_>) -> PlanResponse {
        let _ = request;
        PlanResponse::default()
    }

    /// What was read, as far as the cluster tells it: a part that follows from this machine, such as a local file that
    /// was edited, is as it was recorded. Only what differs then has changed outside.
    fn of_cluster(&self, recorded: &Value, read: &Value) -> Value {
        let _ = recorded;
        read.clone()
    }

    /// An object that was imported, with what the cluster does not tell taken from the configuration: secrets, and what
    /// is known here alone. It is recorded, and shows no change until the configuration changes it.
    fn adopted(&self, imported: &Value, config: &Value) -> Value {
        let _ = config;
        imported.clone()
    }

    /// Whether the cluster would refuse to destroy the object as it is, and how that is lifted: a plan that destroys it is
    /// refused before anything else is done.
    fn protection(&self, present: &Value) -> Option<&'static str> {
        let _ = present;
        None
    }

    /// What is worth knowing of an object beside its values, on its way from `before` to `after` (`None` when it is
    /// destroyed).
    fn remarks(&self, beside: &Beside, before: &Value, after: Option<&Value>) -> Vec<String> {
        let _ = (beside, before, after);
        Vec::new()
    }

    /// What an object was, as a plan shows it on its way to `after`, where it is recorded otherwise: a mark that something
    /// is left to do is none of its values.
    fn shown(&self, before: &Value, after: Option<&Value>) -> Option<Value> {
        let _ = (before, after);
        None
    }

    /// Whether an object under another name is made before the old one goes: others move from one to the other.
    fn makes_room_first(&self) -> bool {
        false
    }

    /// Whether the object keeps another one with the same claim from being made, even for as long as one replaces the
    /// other.
    fn excludes_its_like(&self, present: &Value) -> bool {
        let _ = present;
        false
    }

    /// Something that may exist only once in a cluster, for instance `vm 100`; two instances of one plan that claim
    /// the same are refused.
    fn claim(&self, planned: &Value) -> Option<String> {
        let _ = planned;
        None
    }

    /// What else may exist only once, and is made with the object: a permission that a block of a user gives.
    fn further_claims(&self, planned: &Value) -> Vec<String> {
        let _ = planned;
        Vec::new()
    }

    /// Whether another instance may claim the same, because the cluster keeps what was written last. The plan warns.
    fn shares_claim(&self, planned: &Value) -> bool {
        let _ = planned;
        false
    }

    /// Whether it can be made while another instance has what it claims: it is that one's then, and stays when that goes.
    fn takes_over(&self) -> bool {
        false
    }

    /// What others name it by: `pool lab`, `interface vmbr5 of pve1`.
    fn known_as(&self, value: &Value) -> Vec<String> {
        let _ = value;
        Vec::new()
    }

    /// What it names of others, as far as that is known.
    fn named(&self, value: &Value) -> Vec<Named> {
        let _ = value;
        Vec::new()
    }

    /// What it has to do with changes that are only staged until something applies them. That is planned after them.
    fn staging(&self, value: &Value) -> Option<Staging> {
        let _ = value;
        None
    }

    /// Where its changes are staged until one request applies all of them: `the network of pve1`. `None` where they take
    /// effect by themselves, or where that is not known yet.
    fn batch(&self, value: &Value) -> Option<String> {
        let _ = value;
        None
    }

    /// What only one of those that are staged at its place may have at a time, even while they are staged: `the device
    /// eno1`. What gives it up is staged before what takes it.
    fn holds(&self, value: &Value) -> Vec<String> {
        let _ = value;
        Vec::new()
    }

    /// The claims of the objects that it is a part of and goes away with: the firewall of a guest is none of another guest
    /// with the same id, and neither is its place in a pool. Where one of them is replaced, so is this.
    fn part_of(&self, present: &Value) -> Vec<String> {
        let _ = present;
        Vec::new()
    }
}

/// The rules of all kinds that are known.
pub trait RulesRegistry: Send + Sync {
    /// The rules of a resource kind.
    fn resource(&self, kind: &str) -> Option<&dyn KindRules>;

    /// The rules of a data source.
    fn data(&self, kind: &str) -> Option<&dyn KindRules>;

    /// The schema of a provider block, by the provider's local name.
    fn provider(&self, local_name: &str) -> Option<&Schema>;

    /// The local name of the provider that a kind belongs to; `terraform` for built-in kinds.
    fn provider_of(&self, kind: &str) -> Option<&str>;

    /// Whether the provider that is followed has a kind, be it here or not yet.
    fn is_foreseen(&self, mode: ResourceMode, kind: &str) -> bool;

    /// All resource kinds (for "did you mean").
    fn resource_kinds(&self) -> Vec<&str>;

    /// All data sources.
    fn data_kinds(&self) -> Vec<&str>;
}
