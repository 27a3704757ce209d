//! `proxmox_virtual_environment_firewall_alias`: a name for a network, in the cluster or for one guest. A new name is a
//! renaming. It can be imported (the reference cannot) by `cluster/NAME`, `vm/NODE/VMID/NAME`, `container/NODE/VMID/NAME`.

use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::rules::{PlanRequest, PlanResponse};
use pve_model::schema::Block;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{ApiError, Call, Cluster, Method, Step, if_there};
use crate::definition::{Fields, text};
use crate::firewall::named::{self, done, name, taken};
use crate::firewall::{moves, owner_fields, part_of_guest, path, same_network, validate_owner};
use crate::limits;
use crate::observed::{in_words_of, overlay};
use crate::operations::Operations;
use crate::params::Params;
use crate::registry::Rules;
use crate::values;

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_firewall_alias"];

const MOST: Duration = Duration::from_secs(60);

/// The attributes.
pub(crate) fn fields() -> Fields {
    let mut fields = owner_fields();
    fields.extend([
        ("cidr", text().required().means("a network or an address")),
        ("comment", text()),
        ("id", text().read_only()),
        ("name", text().required().checked(limits::firewall_name)),
    ]);
    fields
}

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    let claim = |planned: &Value| named::claim("alias", planned);
    Rules { validate: validate_owner, plan, claim, part_of: part_of_guest, ..Rules::default() }
}

fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let Some(prior) = request.prior else { return PlanResponse::default() };
    let planned = named::planned(prior, request.proposed);
    PlanResponse { replace: moves(prior, &planned), planned: Some(planned), ..PlanResponse::default() }
}

/// The operations of the kind.
pub(crate) struct Kind;

fn list(value: &Value) -> String {
    format!("{}/aliases", path(value))
}

fn place(value: &Value) -> String {
    format!("{}/{}", list(value), name(value))
}

fn encode(value: &Value) -> Params {
    let mut params = Params::default();
    params.put("cidr", values::text(value, "cidr"));
    params.put("comment", values::text(value, "comment"));
    params
}

#[async_trait]
impl Operations for Kind {
    async fn read(&self, block: &Block, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
        let Some(alias) = if_there(cluster.get(&place(prior)).await)? else { return Ok(None) };
        let found = |key: &str| alias.get(key).and_then(Json::as_str).unwrap_or_default();
        let known = values::text(prior, "cidr").filter(|known| same_network(known, found("cidr")));
        let read = Map::from_iter([
            ("id".to_string(), json!(name(prior))),
            ("cidr".to_string(), json!(known.unwrap_or(found("cidr")))),
            ("comment".to_string(), json!(Some(found("comment")).filter(|text| !text.is_empty()))),
        ]);
        Ok(Some(in_words_of(prior, &overlay(block, prior, read))))
    }

    async fn create(&self, call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
        let mut params = encode(planned);
        params.put("name", Some(name(planned)));
        let made = call.step(Step::CREATE, Method::Post, &list(planned), &params, MOST).await;
        made.map_err(|error| taken(error, planned))?;
        Ok(done(planned))
    }

    async fn update(&self, call: &Call<'_>, prior: &Value, planned: &Value) -> Result<Value, ProviderError> {
        let mut params = encode(planned);
        params.put("rename", (name(prior) != name(planned)).then(|| name(planned)));
        let place = format!("{}/{}", list(planned), name(prior));
        call.step(Step::CHANGE, Method::Put, &place, &params, MOST).await?;
        Ok(done(planned))
    }

    async fn delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        call.step(Step::DELETE, Method::Delete, &place(prior), &Params::default(), MOST).await
    }

    fn located(&self, base: &Value, id: &str) -> Option<Value> {
        named::located(base, id)
    }

    fn shape(&self) -> &'static str {
        named::SHAPE
    }
}
