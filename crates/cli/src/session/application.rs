//! Applying a plan: what is done is in the log when it returns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use pve_config::syntax::Diagnostic;
use pve_executor::ports::{Journal, JournalError, Provider, Provisioners, ResolvedStep, Resolver};
use pve_executor::{Outcome, Reporter};
use pve_model::codec::encode;
use pve_model::event::{
    ConfigurationRecorded, InstanceMoved, InstanceObserved, InstanceRemoved, InstanceRestored, Operation,
    OutputsRecorded, Payload, PlanApproved, RunFinished, RunResult,
};
use pve_model::plan::{Plan, Step};
use pve_model::provisioner::Provision;
use pve_model::rules::RulesRegistry as _;
use pve_model::state::{InstanceRecord, State};
use pve_model::{InstanceAddress, Value};
use pve_planner::planning::Planning;
use pve_planner::resolution::Resolution;
use pve_state::Writer;
use sha2::{Digest, Sha256};

use super::known::{before_moves, identified, known_of, unspoken, unspoken_at};
use super::preflight;
use crate::backend::LogHome;
use crate::failure::Failure;
use crate::render::diagnostics::render_diagnostics;
use crate::render::paint::Paint;
use crate::workspace::Workspace;

/// Journals through the log's writer.
pub struct LogJournal {
    /// The writer.
    pub writer: Writer,
    /// Whether the lock on the log is lost.
    pub is_lost: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Set when it is.
    pub cancelled: Arc<AtomicBool>,
}

#[async_trait]
impl Journal for LogJournal {
    async fn record(&self, payload: Payload) -> Result<(), JournalError> {
        let recorded = self.writer.record(payload).await;
        // An answer that was long on its way, or a process that was stopped: the lease may be another's by now, and the
        // request that this event is written ahead of must not be sent.
        if (self.is_lost)() {
            self.cancelled.store(true, Ordering::SeqCst);
        }
        recorded.map_err(|error| JournalError { message: error.message, lost: error.lost })
    }
}

/// Resolves through the planner's resolution, with faults as text.
struct PlanResolver<'a> {
    resolution: Resolution<'a>,
    workspace: &'a Workspace,
    plan: &'a Plan,
    state: &'a State,
    provider: &'a dyn Provider,
    /// What told objects from others when they were read for the plan.
    identities: &'a BTreeMap<InstanceAddress, String>,
}

impl PlanResolver<'_> {
    /// The record with what tells its object from others, as the provider has just seen it.
    fn identified(&self, step: &Step, record: InstanceRecord) -> InstanceRecord {
        let address = &self.plan.changes[step.change].address;
        let known = || self.state.current(address).and_then(|known| known.identity.clone());
        let identity = match step.operation {
            Operation::Create => self.provider.identity(address),
            _ => self.provider.identity(address).or_else(known),
        };
        let known = || self.state.current(address).and_then(|known| known.unspoken.clone());
        let unspoken = match step.operation {
            Operation::Create => unspoken(self.provider, address),
            _ => unspoken(self.provider, address).or_else(known),
        };
        InstanceRecord { identity, unspoken, ..record }
    }

    /// What told the object that a step is about from others, when it was read for the plan, or was recorded.
    fn identity_before(&self, step: &Step) -> Option<String> {
        // What is made has nothing of what was there before.
        if step.operation == Operation::Create {
            return None;
        }
        let change = &self.plan.changes[step.change];
        let instance = self.state.instances.get(&change.address)?;
        if let Some(deposed) = &change.deposed {
            return instance.deposed.get(deposed)?.identity.clone();
        }
        let recorded = || instance.current.as_ref().and_then(|record| record.identity.clone());
        self.identities.get(&change.address).cloned().or_else(recorded)
    }

    fn text(&self, found: &[Diagnostic]) -> String {
        let found = self.workspace.redacted(found.to_vec());
        render_diagnostics(&found, &self.workspace.sources, Paint::plain()).trim_end().to_string()
    }
}

impl Resolver for PlanResolver<'_> {
    fn resolve(&mut self, step: &Step) -> Result<ResolvedStep, String> {
        match self.resolution.resolve(step) {
            Ok(values) => Ok(ResolvedStep {
                secrets: self
                    .workspace
                    .redaction()
                    .with(values.prior.iter().chain(&values.planned).chain(&values.config)),
                prior: values.prior.map(|value| value.unmark_deep().0),
                planned: values.planned,
                config: values.config.map(|value| value.unmark_deep().0),
                identity: self.identity_before(step),
            }),
            Err(found) => Err(self.text(&found)),
        }
    }

    fn completed(&mut self, step: &Step, after: Option<&Value>) -> Result<Option<InstanceRecord>, String> {
        match self.resolution.completed(step, after) {
            Ok(record) => Ok(record.map(|record| self.identified(step, record))),
            Err(found) => Err(self.text(&found)),
        }
    }

    fn provision(&self, step: &Step, place: usize, made: Option<&Value>) -> Result<Provision, String> {
        self.resolution.provision(step, place, made).map_err(|found| self.text(&found))
    }

    fn left(&mut self, step: &Step, left: &Value) -> InstanceRecord {
        let record = self.identified(step, self.resolution.record(step, left));
        let change = &self.plan.changes[step.change];
        let is_current = change.deposed.is_none() && step.deposed.is_none();
        match self.state.current(&change.address) {
            // What was not destroyed stays what it was: tainted, if it was that.
            Some(known) if step.operation == Operation::Delete && is_current => {
                InstanceRecord { values: record.values, ..known.clone() }
            }
            _ => record,
        }
    }
}

/// Everything that applying a plan needs.
pub struct Application<'a> {
    /// The configuration.
    pub workspace: &'a Workspace,
    /// The plan.
    pub planning: &'a Planning,
    /// What told its objects from others when it was made.
    pub identities: &'a BTreeMap<InstanceAddress, String>,
    /// What is recorded as the command.
    pub command: &'a str,
    /// What is recorded as the cluster.
    pub cluster: String,
    /// The environment.
    pub environment: String,
    /// Where the log is, if that is recorded.
    pub home: LogHome,
    /// Steps at a time.
    pub parallelism: usize,
    /// Set to stop.
    pub cancelled: Arc<AtomicBool>,
    /// Whether the lock on the log is lost.
    pub is_lost: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// What became of applying a plan.
pub struct Applied {
    /// The steps.
    pub outcome: Outcome,
    /// What is wrong with the outputs.
    pub problems: Vec<Diagnostic>,
    /// Why the end is not in the log.
    pub unrecorded: Option<Failure>,
}

impl Application<'_> {
    /// Applies: everything that is done is in the log when this returns.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub async fn run(
        &self,
        writer: &Writer,
        provider: &dyn Provider,
        provisioners: &dyn Provisioners,
        reporter: &dyn Reporter,
    ) -> Result<Applied, Failure> {
        let record = |payload| async { writer.record(payload).await.map_err(log_failed) };
        let plan = &self.planning.plan;
        provider.expect(&preflight::requests(plan));
        record(self.home.run_started(self.command, &self.environment, &self.cluster)).await?;
        let configuration = recorded_configuration(self.workspace);
        let digest = configuration.digest.clone();
        if writer.state().configuration.as_deref() != Some(&*digest) {
            record(Payload::ConfigurationRecorded(configuration)).await?;
        }
        record(Payload::PlanApproved(PlanApproved {
            digest: plan_digest(plan)?,
            configuration: digest,
            changes: plan.step_counts(),
        }))
        .await?;
        for payload in self.takings(&writer.state(), provider) {
            record(payload).await?;
        }
        let state = writer.state();
        let mut resolver = PlanResolver {
            resolution: Resolution::new(self.workspace.inputs(), &self.workspace.graph, plan, &state),
            workspace: self.workspace,
            plan,
            state: &state,
            provider,
            identities: self.identities,
        };
        let (is_lost, cancelled) = (Arc::clone(&self.is_lost), Arc::clone(&self.cancelled));
        let journal = LogJournal { writer: writer.clone(), is_lost, cancelled };
        let options =
            pve_executor::Options { parallelism: self.parallelism, cancelled: Arc::clone(&self.cancelled) };
        let outcome =
            pve_executor::execute(plan, provider, provisioners, &mut resolver, &journal, reporter, &options)
                .await;
        let (outputs, problems) = resolver.resolution.outputs(&state.outputs);
        let complete = outcome.is_complete() && !problems.iter().any(Diagnostic::is_error);
        let result = match (complete, outcome.interrupted) {
            (true, _) => RunResult::Succeeded,
            (_, true) => RunResult::Interrupted,
            _ => RunResult::Failed,
        };
        let failed = (outcome.failures.len() + outcome.skipped.len()) as u64;
        let news = Some(OutputsRecorded { outputs }).filter(|news| news.outputs != state.outputs);
        let finished = RunFinished { result, done: outcome.done.clone(), failed };
        let end = news.map(Payload::OutputsRecorded).into_iter().chain([Payload::RunFinished(finished)]);
        // What was done is told all the same.
        let unrecorded = writer.record_all(end.collect()).await.map_err(log_failed).err();
        // After a failure outputs that need what failed are no news.
        let problems = if outcome.is_complete() { problems } else { Vec::new() };
        Ok(Applied { outcome, problems, unrecorded })
    }

    /// What was found and decided before anything is done: moves, what is taken back, changes from outside, imports.
    fn takings(&self, state: &State, provider: &dyn Provider) -> Vec<Payload> {
        let moves = self.planning.moves.iter();
        let mut payloads: Vec<Payload> = moves
            .map(|(from, to)| Payload::InstanceMoved(InstanceMoved { from: from.clone(), to: to.clone() }))
            .collect();
        let taken_back = self.planning.restored.iter();
        payloads.extend(taken_back.map(|(address, deposed)| {
            Payload::InstanceRestored(InstanceRestored { address: address.clone(), deposed: deposed.clone() })
        }));
        let plan = &self.planning.plan;
        for drift in plan.drift.iter().chain(&plan.followed) {
            let address = drift.address.clone();
            let Some(value) = &drift.after else {
                let deposed = drift.deposed.clone();
                payloads.push(Payload::InstanceGone(InstanceRemoved { address, deposed }));
                continue;
            };
            let Some(known) = known_of(self.planning, state, &address) else { continue };
            let record = self.record_of(&address, value, Some(known), provider);
            payloads.push(Payload::InstanceObserved(InstanceObserved { address, deposed: None, record }));
        }
        let observed = |(address, record)| {
            Payload::InstanceObserved(InstanceObserved { address, deposed: None, record })
        };
        payloads
            .extend(identified(self.planning, state, self.identities, provider).into_iter().map(observed));
        for change in self.planning.plan.changes.iter().filter(|change| change.importing.is_some()) {
            let Some(before) = &change.before else { continue };
            let mut record = self.record_of(&change.address, before, None, provider);
            record.provider.clone_from(&change.provider);
            record.dependencies.clone_from(&change.dependencies);
            let address = change.address.clone();
            payloads.push(Payload::InstanceImported(InstanceObserved { address, deposed: None, record }));
        }
        payloads
    }

    fn record_of(
        &self,
        address: &InstanceAddress,
        value: &Value,
        known: Option<&InstanceRecord>,
        provider: &dyn Provider,
    ) -> InstanceRecord {
        let rules = self.workspace.registry.resource(&address.resource.kind);
        let values = match rules {
            Some(rules) => encode(value, &rules.schema().block.implied_type()),
            None => pve_model::codec::to_plain_json(value),
        };
        let identity = self.identities.get(address).cloned();
        match known {
            Some(known) => {
                let identity = identity.or_else(|| known.identity.clone());
                let unspoken = unspoken_at(provider, (before_moves(self.planning, address), address), known);
                InstanceRecord { values, identity, unspoken, ..known.clone() }
            }
            None => InstanceRecord {
                provider: String::new(),
                schema_version: rules.map_or(0, |rules| rules.schema().version),
                values,
                sensitive: value.sensitive_paths(),
                dependencies: Vec::new(),
                create_before_destroy: false,
                keep: false,
                tainted: false,
                identity,
                unspoken: unspoken(provider, address),
            },
        }
    }
}

fn log_failed(error: pve_state::WriterError) -> Failure {
    let hint = if error.lost {
        "Another run wrote to the log. Plan again."
    } else {
        crate::failure::known_storage_hint(&error.message)
            .unwrap_or("What was recorded is kept; `pve apply` continues from there.")
    };
    Failure::hinted(format!("the log could not be written: {}", error.message), hint)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn recorded_configuration(workspace: &Workspace) -> ConfigurationRecorded {
    let mut digest = Sha256::new();
    let mut files = BTreeMap::new();
    for (path, bytes) in workspace.recorded_files() {
        digest.update((path.len() as u64).to_be_bytes());
        digest.update(&path);
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(&bytes);
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| base64::engine::general_purpose::STANDARD.encode(error.as_bytes()));
        files.insert(path, text);
    }
    ConfigurationRecorded { digest: hex(&digest.finalize()), files }
}

fn plan_digest(plan: &Plan) -> Result<String, Failure> {
    let json = serde_json::to_vec(plan).map_err(|error| Failure::plain(error.to_string()))?;
    Ok(hex(&Sha256::digest(json)))
}
