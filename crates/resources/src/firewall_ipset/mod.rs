//! `proxmox_virtual_environment_firewall_ipset`: a set of networks, in the cluster or for one guest. Where it departs from
//! the reference: entries come, go and change in place, and compare as a set; a new name is a renaming.

mod entries;

use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::rules::{PlanRequest, PlanResponse};
use pve_model::schema::Block;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{ApiError, Call, Cluster, Method, Step, elements, if_there};
use crate::definition::{Fields, blocks, flag, text};
use crate::firewall::named::{self, done, name, taken};
use crate::firewall::{moves, owner_fields, part_of_guest, path, validate_owner};
use crate::limits;
use crate::observed::{in_words_of, overlay};
use crate::operations::Operations;
use crate::params::Params;
use crate::registry::Rules;
use crate::values::{self, all_blocks, with_elements};

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_firewall_ipset"];

const MOST: Duration = Duration::from_secs(60);

/// The attributes.
pub(crate) fn fields() -> Fields {
    let entry = vec![
        ("comment", text()),
        ("name", text().required().means("a network, an address, or the name of an alias")),
        ("nomatch", flag().or(false)),
    ];
    let mut fields = owner_fields();
    fields.extend([
        ("cidr", blocks(entry)),
        ("comment", text()),
        ("id", text().read_only()),
        ("name", text().required().checked(limits::firewall_name)),
    ]);
    fields
}

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    let claim = |planned: &Value| named::claim("set", planned);
    Rules { validate: validate_owner, plan, claim, part_of: part_of_guest, ..Rules::default() }
}

fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let Some(prior) = request.prior else { return PlanResponse::default() };
    let (before, after) = (all_blocks(prior, "cidr"), all_blocks(request.proposed, "cidr"));
    let mut planned = request.proposed.clone();
    if entries::are_same(before, after) {
        planned = with_elements(&planned, "cidr", before.to_vec());
    }
    let planned = named::planned(prior, &planned);
    PlanResponse { replace: moves(prior, &planned), planned: Some(planned), ..PlanResponse::default() }
}

/// The operations of the kind.
pub(crate) struct Kind;

fn list(value: &Value) -> String {
    format!("{}/ipset", path(value))
}

/// The cluster keeps names of sets in lower case.
fn place(value: &Value) -> String {
    format!("{}/{}", list(value), name(value).to_lowercase())
}

#[async_trait]
impl Operations for Kind {
    async fn read(&self, block: &Block, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
        let Some(sets) = if_there(cluster.get(&list(prior)).await)? else { return Ok(None) };
        let is_it = |set: &&Json| {
            set.get("name")
                .and_then(Json::as_str)
                .is_some_and(|found| found.eq_ignore_ascii_case(name(prior)))
        };
        let Some(set) = elements("sets", &sets)?.iter().find(is_it) else { return Ok(None) };
        let found = cluster.get(&place(prior)).await?;
        let found = elements("entries of the set", &found)?;
        let read = Map::from_iter([
            ("id".to_string(), json!(name(prior))),
            ("comment".to_string(), set.get("comment").cloned().unwrap_or(Json::Null)),
            ("cidr".to_string(), entries::decode(found, all_blocks(prior, "cidr"))),
        ]);
        Ok(Some(in_words_of(prior, &overlay(block, prior, read))))
    }

    async fn create(&self, call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
        let mut params = Params::default();
        params.put("name", Some(name(planned)));
        params.put("comment", values::text(planned, "comment"));
        let made = call.step(Step::CREATE, Method::Post, &list(planned), &params, MOST).await;
        made.map_err(|error| taken(error, planned))?;
        entries::write(call, &place(planned), all_blocks(planned, "cidr")).await?;
        Ok(done(planned))
    }

    async fn update(&self, call: &Call<'_>, prior: &Value, planned: &Value) -> Result<Value, ProviderError> {
        let comments = (values::text(prior, "comment"), values::text(planned, "comment"));
        if name(prior) != name(planned) || comments.0 != comments.1 {
            let mut params = Params::default();
            params.put("name", Some(name(planned).to_lowercase()));
            params.put("rename", Some(name(prior).to_lowercase()));
            params.put("comment", Some(comments.1.unwrap_or_default()));
            call.step(Step::RENAME, Method::Post, &list(planned), &params, MOST).await?;
        }
        entries::write(call, &place(planned), all_blocks(planned, "cidr")).await?;
        Ok(done(planned))
    }

    async fn delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        match entries::write(call, &place(prior), &[]).await {
            Err(error) if error.message.contains("no such IPSet") => return Ok(()),
            emptied => emptied?,
        }
        call.step(Step::DELETE, Method::Delete, &place(prior), &Params::default(), MOST).await
    }

    fn located(&self, base: &Value, id: &str) -> Option<Value> {
        named::located(base, id)
    }

    fn shape(&self) -> &'static str {
        named::SHAPE
    }
}
