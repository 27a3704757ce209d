//! Resolves what a crash left open: actions whose intent is in the log and whose result is not.

use std::borrow::Cow;

use pve_model::InstanceAddress;
use pve_model::Value;
use pve_model::codec::from_plain_json;
use pve_model::event::{
    ActionFailed, ActionIndeterminate, ActionIntended, ActionSucceeded, Operation, Payload,
};
use pve_model::state::{InstanceRecord, OpenAction};
use uuid::Uuid;

use crate::ports::{Journal, JournalError, Provider, ProviderError, ReadRequest, Recovery};
use crate::redaction::Redaction;
use crate::replaced::kept_beside;

/// What the state has of the objects that actions were about.
pub trait Records: Sync {
    /// The values that an object was last known to have; `None` if it was not known.
    fn known(&self, intent: &ActionIntended) -> Option<Value>;

    /// What told that object from another one with its id.
    fn identity(&self, intent: &ActionIntended) -> Option<String> {
        let _ = intent;
        None
    }

    /// Another instance that has the id of that object: it was made or taken in since, which it could not have been with
    /// the id in use.
    fn successor(&self, intent: &ActionIntended) -> Option<InstanceAddress> {
        let _ = intent;
        None
    }

    /// The record of an object that was found.
    fn made(&self, intent: &ActionIntended, value: &Value) -> InstanceRecord;
}

/// What became of the open actions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// One line for each action that was resolved.
    pub resolved: Vec<(InstanceAddress, String)>,
    /// Actions that could not be resolved, and why. Nothing may be planned for these instances.
    pub unclear: Vec<(InstanceAddress, String)>,
}

/// Finds out what became of each open action and records it, unless the log says the same already: a saved plan would
/// be stale by nothing. Changes nothing in the cluster.
///
/// # Errors
/// When a finding could not be recorded.
pub async fn recover(
    open_actions: &[OpenAction],
    provider: &dyn Provider,
    journal: &dyn Journal,
    records: &dyn Records,
) -> Result<RecoveryReport, JournalError> {
    let mut report = RecoveryReport::default();
    for open in open_actions {
        let address = open.intent.address.clone();
        let (mut payload, mut finding) = match cut_off(open) {
            Some((payload, line)) => (payload, Ok(Cow::from(line))),
            None => match records.successor(&open.intent).filter(|_| is_delete(open)) {
                Some(other) => gone_before(open, &other),
                None => found(open, provider, records).await,
            },
        };
        match replaced(open, &payload, provider, records).await {
            Ok(None) => {}
            Ok(Some(kept)) => journal.record(kept).await?,
            Err(error) => (payload, finding) = unclear(open, &error.message),
        }
        match finding {
            Ok(line) => report.resolved.push((address, line.into_owned())),
            Err(reason) => {
                let is_known = open.indeterminate.as_ref() == Some(&reason);
                report.unclear.push((address, reason));
                if is_known {
                    continue;
                }
            }
        }
        journal.record(payload).await?;
    }
    Ok(report)
}

/// What became of an action, as it is told, or why that cannot be told.
type Finding = Result<Cow<'static, str>, String>;

/// Looks for what became of an action: what is recorded of it, and what is told.
async fn found(open: &OpenAction, provider: &dyn Provider, records: &dyn Records) -> (Payload, Finding) {
    let (action, operation) = (open.intent.action, open.intent.operation);
    let failed = |error: String, record| Payload::ActionFailed(ActionFailed { action, error, record });
    let succeeded = |record| Payload::ActionSucceeded(ActionSucceeded { action, record });
    match look(open, provider, records).await {
        Ok(Recovery::Exists(value)) => {
            let made = made(open, provider, records, &value);
            match operation {
                Operation::Create if open.intent.provisioners > 0 => (
                    unprovisioned(action, made),
                    Ok("it exists, but its provisioners did not run: it is tainted".into()),
                ),
                Operation::Create => {
                    (succeeded(Some(made)), Ok("it exists; the next plan completes it".into()))
                }
                // That it exists does not tell that all of the change took effect.
                _ => (
                    failed("interrupted before it was known to be done".into(), Some(made)),
                    Ok("it exists; the next plan completes it".into()),
                ),
            }
        }
        Ok(Recovery::Gone) => (
            succeeded(None),
            Ok(match operation {
                Operation::Delete => "it is gone, as was wanted".into(),
                _ => "it is gone: the next plan makes it anew".into(),
            }),
        ),
        Ok(Recovery::Kept(found)) => {
            let found = secrets_of(open).redact(&found);
            let record = kept(open, provider, records).await;
            (failed(format!("interrupted before it was destroyed: {found}"), record), Ok(found.into()))
        }
        Ok(Recovery::NothingDone) => {
            (failed("interrupted before it took effect".into(), None), Ok("nothing came of it".into()))
        }
        Ok(Recovery::Unclear(reason)) | Err(ProviderError { message: reason, .. }) => unclear(open, &reason),
    }
}

/// An action that stays open.
fn unclear(open: &OpenAction, reason: &str) -> (Payload, Finding) {
    let reason = secrets_of(open).redact(reason);
    let unclear = ActionIndeterminate { action: open.intent.action, reason: reason.clone() };
    (Payload::ActionIndeterminate(unclear), Err(reason))
}

fn secrets_of(open: &OpenAction) -> Redaction {
    let planned = from_plain_json(&open.intent.planned).mark_sensitive_at(&open.intent.sensitive);
    Redaction::of([&planned])
}

/// A delete of something whose id another instance has since.
fn gone_before(open: &OpenAction, other: &InstanceAddress) -> (Payload, Finding) {
    let succeeded = ActionSucceeded { action: open.intent.action, record: None };
    let line = format!("it is gone, as was wanted: {other} has its id");
    (Payload::ActionSucceeded(succeeded), Ok(line.into()))
}

fn is_delete(open: &OpenAction) -> bool {
    open.intent.operation == Operation::Delete
}

/// What is left of an object that was not destroyed. What the delete did to it before, for instance a shutdown, is no
/// change from outside. `None` leaves the state as it was.
async fn kept(open: &OpenAction, provider: &dyn Provider, records: &dyn Records) -> Option<InstanceRecord> {
    left_of(open, provider, records).await.ok().flatten()
}

async fn left_of(
    open: &OpenAction,
    provider: &dyn Provider,
    records: &dyn Records,
) -> Result<Option<InstanceRecord>, ProviderError> {
    let intent = &open.intent;
    let Some(prior) = records.known(intent) else { return Ok(None) };
    let request = ReadRequest {
        address: intent.address.clone(),
        provider: intent.provider.clone(),
        prior,
        identity: records.identity(intent),
    };
    let left = match provider.read(request.clone()).await? {
        Some(value) => Some(value),
        None => provider.remains(request, &open.completed).await?,
    };
    Ok(left.map(|value| made(open, provider, records, &value)))
}

/// What the address of something that was made had before and is not gone yet: only within a batch is the one made before
/// the other is known to be gone.
async fn replaced(
    open: &OpenAction,
    payload: &Payload,
    provider: &dyn Provider,
    records: &dyn Records,
) -> Result<Option<Payload>, ProviderError> {
    let made = match payload {
        Payload::ActionSucceeded(succeeded) => succeeded.record.as_ref(),
        Payload::ActionFailed(failed) => failed.record.as_ref(),
        _ => None,
    };
    let takes_its_place = open.intent.operation == Operation::Create && open.intent.depose_as.is_none();
    let Some(made) = made.filter(|_| takes_its_place && open.made.is_none()) else { return Ok(None) };
    let deletion = ActionIntended { operation: Operation::Delete, ..open.intent.clone() };
    let left = left_of(&OpenAction { intent: deletion, ..open.clone() }, provider, records).await?;
    Ok(left.and_then(|left| kept_beside(&open.intent.address, open.intent.action, left, made)))
}

async fn look(
    open: &OpenAction,
    provider: &dyn Provider,
    records: &dyn Records,
) -> Result<Recovery, ProviderError> {
    let (identity, prior) = (records.identity(&open.intent), records.known(&open.intent));
    provider.recover(open, identity.as_deref(), prior.as_ref()).await
}

/// The record of an object that was found, with what tells it from another one with its id.
fn made(open: &OpenAction, provider: &dyn Provider, records: &dyn Records, value: &Value) -> InstanceRecord {
    let intent = &open.intent;
    let identity = provider.identity(&intent.address).or_else(|| records.identity(intent));
    let made = records.made(intent, value);
    let unspoken = provider.beside(&intent.address).and_then(|beside| beside.unspoken).or(made.unspoken);
    InstanceRecord { identity, unspoken, ..made }
}

/// What the log alone tells of an action that was cut off among its provisioners.
fn cut_off(open: &OpenAction) -> Option<(Payload, &'static str)> {
    let action = open.intent.action;
    let passed = open.provisioned >= open.intent.provisioners;
    match (open.intent.operation, &open.made) {
        // The request of a delete follows its provisioners: none was sent.
        (Operation::Delete, _) if !passed => {
            let error = "interrupted among its provisioners, before it was destroyed".to_string();
            let failed = ActionFailed { action, error, record: None };
            Some((Payload::ActionFailed(failed), "it is kept: its provisioners had not passed"))
        }
        (Operation::Create, Some(made)) if !passed => {
            let line = "it exists, but its provisioners did not all pass: it is tainted";
            Some((unprovisioned(action, made.clone()), line))
        }
        (Operation::Create, Some(made)) => {
            let succeeded = ActionSucceeded { action, record: Some(made.clone()) };
            Some((Payload::ActionSucceeded(succeeded), "it exists and its provisioners passed"))
        }
        _ => None,
    }
}

fn unprovisioned(action: Uuid, made: InstanceRecord) -> Payload {
    let error = "interrupted before all of its provisioners had passed".to_string();
    Payload::ActionFailed(ActionFailed {
        action,
        error,
        record: Some(InstanceRecord { tainted: true, ..made }),
    })
}
