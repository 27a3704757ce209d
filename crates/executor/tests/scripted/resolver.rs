//! A resolver that wants every thing to run, and checks that it is asked in the right order.

use std::collections::{BTreeMap, BTreeSet};

use pve_executor::Redaction;
use pve_executor::ports::{ResolvedStep, Resolver};
use pve_model::Value;
use pve_model::event::Operation;
use pve_model::plan::{Plan, Step};
use pve_model::provisioner::{OnFailure, Provision, ProvisionerKind};
use pve_model::state::InstanceRecord;

use super::{Cluster, Trace, name_of, record_of, thing};

/// The resolver.
pub struct ScriptedResolver {
    names: Vec<String>,
    /// The step of each change, for plans of one step a change.
    done: BTreeSet<usize>,
    steps: Vec<Step>,
    trace: Trace,
    /// Things whose postcondition fails.
    pub complains_of: BTreeSet<String>,
    /// Things whose postcondition fails until they run.
    pub complains_until_it_runs: BTreeSet<String>,
    /// Things whose provisioners may fail.
    pub forgiven: BTreeSet<String>,
    /// Things whose provisioners have secrets.
    pub secret: BTreeSet<String>,
    /// What is secret of every configuration.
    pub secrets: Redaction,
    /// Whether things are secret.
    pub marks: bool,
    /// What data sources gave.
    pub data: BTreeMap<String, Value>,
}

impl ScriptedResolver {
    pub fn new(plan: &Plan, cluster: &Cluster) -> ScriptedResolver {
        ScriptedResolver {
            names: plan.changes.iter().map(|change| name_of(&change.address)).collect(),
            done: BTreeSet::new(),
            steps: plan.steps.clone(),
            trace: cluster.trace.clone(),
            complains_of: BTreeSet::new(),
            complains_until_it_runs: BTreeSet::new(),
            forgiven: BTreeSet::new(),
            secret: BTreeSet::new(),
            secrets: Redaction::default(),
            marks: false,
            data: BTreeMap::new(),
        }
    }

    fn place(&self, step: &Step) -> usize {
        self.steps.iter().position(|other| other == step).expect("a step of the plan")
    }
}

impl Resolver for ScriptedResolver {
    fn resolve(&mut self, step: &Step) -> Result<ResolvedStep, String> {
        let name = &self.names[step.change];
        for before in &step.after {
            assert!(self.done.contains(before), "{name} began before step {before} was done");
        }
        let wanted = thing(name, true);
        let wanted = if self.marks { wanted.sensitive() } else { wanted };
        let secrets = self.secrets.clone();
        Ok(match step.operation {
            Operation::Create => ResolvedStep {
                prior: None,
                planned: Some(wanted.clone()),
                config: Some(wanted),
                identity: None,
                secrets,
            },
            Operation::Delete => {
                ResolvedStep { prior: Some(wanted), planned: None, config: None, identity: None, secrets }
            }
            _ => ResolvedStep {
                prior: Some(thing(name, false)),
                planned: Some(wanted.clone()),
                config: Some(wanted),
                identity: None,
                secrets,
            },
        })
    }

    fn completed(&mut self, step: &Step, after: Option<&Value>) -> Result<Option<InstanceRecord>, String> {
        let name = self.names[step.change].clone();
        self.trace.add(format!("completed {name}"));
        let runs = after == Some(&thing(&name, true));
        if self.complains_of.contains(&name) || self.complains_until_it_runs.contains(&name) && !runs {
            return Err("the postcondition does not hold".into());
        }
        self.done.insert(self.place(step));
        if let (Operation::Read, Some(value)) = (step.operation, after) {
            self.data.insert(name, value.clone());
        }
        Ok(after.map(record_of))
    }

    fn provision(&self, step: &Step, place: usize, _: Option<&Value>) -> Result<Provision, String> {
        let name = &self.names[step.change];
        Ok(Provision {
            kind: ProvisionerKind::LocalExec,
            arguments: Value::string(format!("{name} {place}")),
            connection: None,
            on_failure: if self.forgiven.contains(name) { OnFailure::Continue } else { OnFailure::Fail },
            sensitive: self.secret.contains(name),
        })
    }

    fn left(&mut self, _: &Step, left: &Value) -> InstanceRecord {
        record_of(left)
    }
}
