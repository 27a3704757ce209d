//! `proxmox_virtual_environment_firewall_rules`: the rules of a cluster, node, VM or container, in order. Where it
//! departs from the reference: the list is owned as a whole, so a rule added by somebody else is seen, and an owner
//! that has rules already is refused until they are imported.

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::rules::{PlanRequest, PlanResponse};
use pve_model::schema::Block;
use serde_json::{Map, json};

use crate::cluster::{ApiError, Call, Cluster, Step, if_there, refused};
use crate::definition::{Fields, text};
use crate::firewall::{id, moves, owner, owner_fields, owner_of, part_of_guest, path, rule_list};
use crate::observed::{in_words_of, overlay};
use crate::operations::{Operations, Proof};
use crate::registry::Rules;
use crate::values::{all_blocks, blank, complete, settle, with, with_elements, with_unknown};

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_firewall_rules"];

/// The attributes.
pub(crate) fn fields() -> Fields {
    let mut fields = owner_fields();
    fields.extend([("id", text().read_only()), ("rule", rule_list::rule_blocks())]);
    fields
}

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    Rules {
        validate: rule_list::validate,
        plan,
        claim: |planned| Some(format!("firewall rules of {}", owner(planned)?)),
        part_of: part_of_guest,
        ..Rules::default()
    }
}

fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let mut planned = rule_list::planned_positions(request.proposed, request.prior);
    let mut replace = Vec::new();
    if let Some(prior) = request.prior {
        planned = settle(prior, &planned);
        replace = moves(prior, &planned);
        if id(prior) != id(&planned) {
            planned = with_unknown(&planned, "id");
        }
    }
    PlanResponse { planned: Some(planned), replace, ..PlanResponse::default() }
}

/// The operations of the kind.
pub(crate) struct Kind;

fn base(value: &Value) -> String {
    format!("{}/rules", path(value))
}

fn done(planned: &Value) -> Value {
    complete(&rule_list::with_positions(planned), &with(&blank(planned), "id", Value::string(id(planned))))
}

/// The rules that were written before the error are ours: a next run must not take them for somebody else's.
async fn with_written(call: &Call<'_>, base: &str, planned: &Value, error: ProviderError) -> ProviderError {
    match rule_list::list(call.cluster, base).await {
        Ok(written) if written.is_empty() => error,
        Ok(written) => {
            // They are added from the last one on, each before the others.
            let wanted = all_blocks(planned, "rule");
            let rules = wanted[wanted.len().saturating_sub(written.len())..].to_vec();
            let left = rule_list::with_positions(&with_elements(&done(planned), "rule", rules));
            ProviderError { left: Some(left), ..error }
        }
        Err(_) => ProviderError { indeterminate: true, ..error },
    }
}

#[async_trait]
impl Operations for Kind {
    /// `None` when there are no rules though some were known, or the owner is gone.
    async fn read(&self, block: &Block, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
        let Some(rules) = if_there(rule_list::list(cluster, &base(prior)).await)? else { return Ok(None) };
        if rules.is_empty() && !all_blocks(prior, "rule").is_empty() {
            return Ok(None);
        }
        let rules = rule_list::decode(&rules);
        let read = Map::from_iter([("id".to_string(), json!(id(prior))), ("rule".to_string(), rules)]);
        Ok(Some(in_words_of(prior, &overlay(block, prior, read))))
    }

    async fn create(&self, call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
        let base = base(planned);
        let present =
            rule_list::list(call.cluster, &base).await.map_err(|error| call.failed(Step::READ, &error))?;
        if !present.is_empty() {
            let message = format!("create {}: there are {} rules already", call.object, present.len());
            let hint = format!("import them with the id {:?} and plan again", id(planned));
            return Err(refused(message, Some(&hint)));
        }
        match rule_list::write(call, &base, planned).await {
            Ok(()) => Ok(done(planned)),
            Err(error) => Err(with_written(call, &base, planned, error).await),
        }
    }

    async fn update(&self, call: &Call<'_>, _: &Value, planned: &Value) -> Result<Value, ProviderError> {
        rule_list::write(call, &base(planned), planned).await?;
        Ok(done(planned))
    }

    async fn delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        rule_list::clear(call, &base(prior)).await
    }

    fn located(&self, base: &Value, id: &str) -> Option<Value> {
        owner_of(base, id)
    }

    fn shape(&self) -> &'static str {
        "cluster, node/NODE, vm/NODE/VMID or container/NODE/VMID"
    }

    fn proof(&self) -> Proof {
        Proof::Presence
    }
}
