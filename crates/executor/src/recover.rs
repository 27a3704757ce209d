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

/// What the state has of the objects that actions were about.
pub trait Records: Sync {
    /// The values that an object was last known to have; `None` if it was not known.
    fn known(&self, intent: &ActionIntended) -> Option<Value>;

    /// What told that object from another one with its id.
    fn identity(&self, intent: &ActionIntended) -> Option<String> {
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
        let (action, address) = (open.intent.action, &open.intent.address);
        let unclear = |reason: String| Payload::ActionIndeterminate(ActionIndeterminate { action, reason });
        if let Some((payload, line)) = cut_off(open) {
            report.resolved.push((address.clone(), line.to_string()));
            journal.record(payload).await?;
            continue;
        }
        let planned = from_plain_json(&open.intent.planned).mark_sensitive_at(&open.intent.sensitive);
        let secrets = Redaction::of([&planned]);
        let (payload, line): (_, Result<Cow<'static, str>, String>) =
            match look(open, provider, records).await {
                Ok(Recovery::Exists(value))
                    if open.intent.operation == Operation::Create && open.intent.provisioners > 0 =>
                {
                    let made = made(open, provider, records, &value);
                    (
                        unprovisioned(action, made),
                        Ok("it exists, but its provisioners did not run: it is tainted".into()),
                    )
                }
                Ok(Recovery::Exists(value)) => {
                    let record = Some(made(open, provider, records, &value));
                    let payload = if open.intent.operation == Operation::Create {
                        Payload::ActionSucceeded(ActionSucceeded { action, record })
                    } else {
                        // That it exists does not tell that all of the change took effect.
                        let error = "interrupted before it was known to be done".to_string();
                        Payload::ActionFailed(ActionFailed { action, error, record })
                    };
                    (payload, Ok("it exists; the next plan completes it".into()))
                }
                Ok(Recovery::Gone) => (
                    Payload::ActionSucceeded(ActionSucceeded { action, record: None }),
                    Ok(match open.intent.operation {
                        Operation::Delete => "it is gone, as was wanted".into(),
                        _ => "it is gone: the next plan makes it anew".into(),
                    }),
                ),
                Ok(Recovery::Kept(found)) => {
                    let found = secrets.redact(&found);
                    let error = format!("interrupted before it was destroyed: {found}");
                    let record = kept(open, provider, records).await;
                    (Payload::ActionFailed(ActionFailed { action, error, record }), Ok(found.into()))
                }
                Ok(Recovery::NothingDone) => {
                    let error = "interrupted before it took effect".to_string();
                    (
                        Payload::ActionFailed(ActionFailed { action, error, record: None }),
                        Ok("nothing came of it".into()),
                    )
                }
                Ok(Recovery::Unclear(reason)) | Err(ProviderError { message: reason, .. }) => {
                    let reason = secrets.redact(&reason);
                    (unclear(reason.clone()), Err(reason))
                }
            };
        match line {
            Ok(line) => report.resolved.push((address.clone(), line.into_owned())),
            Err(reason) => {
                let is_known = open.indeterminate.as_ref() == Some(&reason);
                report.unclear.push((address.clone(), reason));
                if is_known {
                    continue;
                }
            }
        }
        journal.record(payload).await?;
    }
    Ok(report)
}

/// What is left of an object that was not destroyed. What the delete did to it before, for instance a shutdown, is no
/// change from outside. `None` leaves the state as it was.
async fn kept(open: &OpenAction, provider: &dyn Provider, records: &dyn Records) -> Option<InstanceRecord> {
    let intent = &open.intent;
    let request = ReadRequest {
        address: intent.address.clone(),
        provider: intent.provider.clone(),
        prior: records.known(intent)?,
        identity: records.identity(intent),
    };
    let value = match provider.read(request.clone()).await.ok()? {
        Some(value) => value,
        None => provider.remains(request, &open.completed).await.ok()??,
    };
    Some(made(open, provider, records, &value))
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
