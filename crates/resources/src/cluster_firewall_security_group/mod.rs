//! `proxmox_virtual_environment_cluster_firewall_security_group`: rules under a name, for use in other lists of rules. A
//! new name is a renaming, which the rules that use the group follow.

use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::rules::{PlanRequest, PlanResponse};
use pve_model::schema::Block;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{ApiError, Call, Cluster, Method, Step, refused};
use crate::definition::{Fields, text};
use crate::firewall::{owner_fields, rule_list};
use crate::limits;
use crate::observed::{in_words_of, overlay};
use crate::operations::Operations;
use crate::params::Params;
use crate::registry::Rules;
use crate::values::{self, blank, complete, settle, with};

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_cluster_firewall_security_group"];

const MOST: Duration = Duration::from_secs(60);

const GROUPS: &str = "/cluster/firewall/groups";

/// The attributes. Groups belong to the cluster: the owner is accepted as the reference does, and means nothing.
pub(crate) fn fields() -> Fields {
    let mut fields = owner_fields();
    fields.extend([
        ("comment", text()),
        ("id", text().read_only()),
        ("name", text().required().checked(limits::firewall_name)),
        ("rule", rule_list::rule_blocks()),
    ]);
    fields
}

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    let claim = |planned: &Value| Some(format!("security group {}", values::text(planned, "name")?));
    Rules { validate: rule_list::validate, plan, claim, ..Rules::default() }
}

fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let mut planned = rule_list::planned_positions(request.proposed, request.prior);
    if let Some(prior) = request.prior {
        planned = settle(prior, &planned);
        if values::text(prior, "name") != values::text(&planned, "name") {
            planned = values::with_unknown(&planned, "id");
        }
    }
    PlanResponse { planned: Some(planned), ..PlanResponse::default() }
}

/// The operations of the kind.
pub(crate) struct Kind;

fn name(value: &Value) -> &str {
    values::text(value, "name").unwrap_or_default()
}

fn place(value: &Value) -> String {
    format!("{GROUPS}/{}", name(value))
}

fn done(planned: &Value) -> Value {
    complete(&rule_list::with_positions(planned), &with(&blank(planned), "id", Value::string(name(planned))))
}

async fn find(cluster: &Cluster, value: &Value) -> Result<Option<Json>, ApiError> {
    let groups = cluster.get(GROUPS).await?;
    let is_it = |group: &&Json| group.get("group").and_then(Json::as_str) == Some(name(value));
    Ok(groups.as_array().and_then(|groups| groups.iter().find(is_it)).cloned())
}

#[async_trait]
impl Operations for Kind {
    async fn read(&self, block: &Block, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
        let Some(group) = find(cluster, prior).await? else { return Ok(None) };
        let rules = rule_list::list(cluster, &place(prior)).await?;
        let read = Map::from_iter([
            ("id".to_string(), json!(name(prior))),
            ("comment".to_string(), group.get("comment").cloned().unwrap_or(Json::Null)),
            ("rule".to_string(), rule_list::decode(&rules)),
        ]);
        Ok(Some(in_words_of(prior, &overlay(block, prior, read))))
    }

    async fn create(&self, call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
        let mut params = Params::default();
        params.put("group", Some(name(planned)));
        params.put("comment", values::text(planned, "comment"));
        if let Err(error) = call.step(Step::CREATE, Method::Post, GROUPS, &params, MOST).await {
            let hint = format!("import it with the id {:?}, or choose another name", name(planned));
            return Err(match error.message.contains("already exists") {
                true => refused(error.message, Some(&hint)),
                false => error,
            });
        }
        rule_list::write(call, &place(planned), planned).await?;
        Ok(done(planned))
    }

    async fn update(&self, call: &Call<'_>, prior: &Value, planned: &Value) -> Result<Value, ProviderError> {
        let comments = (values::text(prior, "comment"), values::text(planned, "comment"));
        if name(prior) != name(planned) || comments.0 != comments.1 {
            let mut params = Params::default();
            params.put("group", Some(name(planned)));
            params.put("rename", Some(name(prior)));
            params.put("comment", Some(comments.1.unwrap_or_default()));
            call.step(Step::RENAME, Method::Post, GROUPS, &params, MOST).await?;
        }
        rule_list::write(call, &place(planned), planned).await?;
        Ok(done(planned))
    }

    async fn delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        let found = find(call.cluster, prior).await.map_err(|error| call.failed(Step::READ, &error))?;
        if found.is_none() {
            return Ok(());
        }
        rule_list::clear(call, &place(prior)).await?;
        call.step(Step::DELETE, Method::Delete, &place(prior), &Params::default(), MOST).await
    }

    fn located(&self, base: &Value, id: &str) -> Option<Value> {
        (!id.is_empty() && !id.contains('/')).then(|| with(base, "name", Value::string(id)))
    }

    fn shape(&self) -> &'static str {
        "NAME"
    }
}
