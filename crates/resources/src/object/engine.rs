//! The engine: the operations of every object that is described as data.

use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::rules::{Beside, Problem};
use pve_model::schema::Block;
use pve_model::{Path, Type, Value};
use serde_json::Value as Json;
use tokio::sync::MutexGuard;
use tokio::time::Instant;

use super::encode::encode;
use super::template::{fill, fill_path, parse, plain};
use super::wire::Field;
use super::{Delete, Object, Read, Removal};
use crate::beside::remarks_on_options;
use crate::cluster::{ApiError, Call, Cluster, Method, Step, refused};
use crate::definition::{Definition, problem};
use crate::families;
use crate::operations::{Broken, Operations, Proof, broken_off, read_left};
use crate::params::Params;
use crate::values::{blank, complete, flag, int, same, text, with};

/// The longest wait for a task, where a kind has no limit of its own.
pub(super) const MOST: Duration = Duration::from_secs(600);

/// One kind that is described as data.
pub(crate) struct Engine {
    pub(crate) object: Object,
    pub(crate) fields: Vec<Field>,
    pub(super) block: Block,
}

impl Engine {
    /// The engine of a kind, and its definition.
    pub(crate) fn new(mut object: Object) -> (Engine, Definition) {
        let mut definition = Definition::new(std::mem::take(&mut object.fields));
        let fields = std::mem::take(&mut definition.wires);
        let block = definition.schema.block.clone();
        (Engine { object, fields, block }, definition)
    }

    /// Faults of a configuration that the limits of single attributes cannot state.
    pub(crate) fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = self.object.hooks.validate(config);
        for group in self.object.one_of {
            let parts: Vec<&Value> = group.iter().filter_map(|name| config.get(name)).collect();
            let set = parts.iter().filter(|part| !part.is_null()).count();
            if set != 1 && parts.iter().all(|part| part.is_known()) {
                let summary = format!("Exactly one of {} must be set", group.join(", "));
                problems.push(problem(Path::attribute(group[0]), summary, format!("{set} of them are set")));
            }
        }
        problems.extend(self.versions_of_nothing(config));
        problems
    }

    /// A version says when a secret that is never stored is sent anew: there must be one.
    fn versions_of_nothing(&self, config: &Value) -> Vec<Problem> {
        let is_set = |name: &str| config.get(name).is_some_and(|part| !part.is_null());
        let named = self.fields.iter().filter_map(|field| {
            Some((field.name, field.name.strip_suffix("_version").filter(|name| name.ends_with("_wo"))?))
        });
        let alone = named.filter(|(version, secret)| is_set(version) && !is_set(secret));
        let told = |(version, secret): (&str, &str)| {
            let detail = format!("it is the version of {secret}: set that, or leave this out");
            problem(Path::attribute(version), format!("{version} needs {secret}"), detail)
        };
        alone.map(told).collect()
    }

    /// The answer about an object. `None` when it is not there, or is of another kind.
    pub(super) async fn look(&self, cluster: &Cluster, prior: &Value) -> Result<Option<Json>, ApiError> {
        let (Read::At(template) | Read::Among(template, _)) = self.object.read else { return Ok(None) };
        if self.object.guest {
            return look_for_guest(cluster, prior).await;
        }
        let (path, params) = fill_path(template, prior);
        let answer = match cluster.api.send(Method::Get, &path, &params).await {
            Ok(answer) => answer,
            Err(error) if error.is_missing() => return Ok(None),
            Err(_) if self.object.hooks.went_with_another(cluster, prior).await => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = match (self.object.read, answer) {
            (Read::Among(_, keys), Json::Array(entries)) => {
                let agree = |entry: &Json| keys.iter().all(|(name, key)| agrees(prior, name, entry.get(key)));
                entries.into_iter().find(|entry| agree(entry) && self.object.hooks.is_it(prior, entry))
            }
            // Some endpoints answer with a list of one.
            (Read::At(_), Json::Array(mut entries)) if !entries.is_empty() => Some(entries.remove(0)),
            (Read::At(_), answer @ Json::Object(_)) => Some(answer),
            _ => None,
        };
        let Some(found) = found else {
            self.object.hooks.absent(cluster, prior).await?;
            return Ok(None);
        };
        let found = self.object.hooks.complete(cluster, prior, found).await?;
        let other = |(name, wanted): &(&str, &str)| {
            found.get(*name).and_then(Json::as_str).is_some_and(|found| found != *wanted)
        };
        let is_it = self.object.hooks.is_it(prior, &found) && !self.object.constants.iter().any(other);
        Ok(is_it.then_some(found))
    }

    /// What is worth knowing of an object of which something is staged and which nothing is planned for.
    pub(crate) fn remarks(&self, beside: &Beside, before: &Value, after: Option<&Value>) -> Vec<String> {
        if self.object.guest {
            return remarks_on_options(beside, before, after);
        }
        if beside.waits.is_empty() || !after.is_some_and(|after| same(before, after)) {
            return Vec::new();
        }
        let staged = beside.waits.join(", ");
        vec![format!(
            "staged in the cluster, not applied yet: {staged}. A proxmox_sdn_applier applies it once it is made or replaced"
        )]
    }

    /// What is left of an object that cannot be read, and whose deletion broke off behind these steps.
    pub(crate) async fn remains(
        &self,
        cluster: &Cluster,
        prior: &Value,
        done: &[String],
    ) -> Result<Option<Value>, ApiError> {
        self.object.hooks.remains(cluster, &self.object.hooks.unfinished(prior.clone(), done, &[])).await
    }

    /// Whether the request that counts as making it changes what an earlier one made: a clone.
    pub(super) fn is_made_before(&self) -> bool {
        self.object.guest && self.object.create == self.object.update
    }

    /// Whether the cluster decides an attribute that is not configured.
    pub(super) fn is_open(&self, name: &str) -> bool {
        self.block.attributes.get(name).is_some_and(|attribute| attribute.computed)
    }

    /// Whether a change of an attribute replaces the object.
    pub(super) fn replaces(&self, name: &str) -> bool {
        self.block.attributes.get(name).is_some_and(|attribute| attribute.replace)
    }

    pub(super) fn identity(&self) -> &'static str {
        if self.object.import.is_empty() { self.object.id } else { self.object.import }
    }

    pub(super) fn with_id(&self, value: &Value) -> Value {
        match fill(self.object.id, value) {
            Some(id)
                if !id.is_empty() && self.fields.iter().any(|field| field.name == "id" && field.fixed) =>
            {
                with(value, "id", Value::string(id))
            }
            _ => value.clone(),
        }
    }

    /// The value without what is never stored.
    pub(super) fn stored(&self, value: &Value) -> Value {
        let secrets = self.fields.iter().filter(|field| field.write_only);
        secrets.fold(value.clone(), |value, field| with(&value, field.name, Value::null(field.ty.clone())))
    }

    /// The planned values, completed by what is there where the plan left something open.
    pub(super) async fn finished(&self, call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
        let known = complete_id(planned, &self.with_id(&blank(planned)));
        let stored = self.stored(&known);
        if stored.is_wholly_known() {
            return Ok(stored);
        }
        let read = self.look(call.cluster, &blank(&stored)).await;
        let read = read.map_err(|error| call.failed(Step::READ, &error))?;
        Ok(match read {
            Some(answer) => complete(&stored, &self.understood(&blank(&stored), &answer)),
            None => blank(&stored),
        })
    }

    /// The object where it is now: a guest may have been migrated since it was read. `None` when it is gone. Another one
    /// that has its id by now is refused, and one with other volumes than it was planned for.
    async fn where_it_is(
        &self,
        call: &Call<'_>,
        prior: &Value,
        planned: Option<&Value>,
    ) -> Result<Option<Value>, ProviderError> {
        let vmid = int(prior, "id").and_then(|id| u32::try_from(id).ok()).filter(|_| self.object.guest);
        let Some(vmid) = vmid else { return Ok(Some(prior.clone())) };
        let known = text(prior, "node_name").unwrap_or_default();
        let node = call.cluster.locate("qemu", vmid, known).await;
        let Some(node) = node.map_err(|error| call.failed(Step::FIND, &error))? else { return Ok(None) };
        if let Some(found) = call.look_at_options("qemu", vmid, &node).await? {
            call.refuse_other(prior, &found)?;
            call.refuse_other_drives(prior, planned, &found)?;
        }
        Ok(Some(with(prior, "node_name", Value::string(node))))
    }

    /// Refuses what would lock out whoever makes the change. One such change is made at a time, since two that are
    /// harmless each may not be so together.
    async fn guard<'c>(
        &self,
        call: &Call<'c>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<Option<MutexGuard<'c, Option<families::PermissionsReview>>>, ProviderError> {
        let changes = families::concerning(call.cluster, self.object.hooks.permissions(prior, planned));
        if changes.is_empty() {
            return Ok(None);
        }
        let mut turn = call.cluster.permissions.lock().await;
        families::guard(call.cluster, &mut turn, &changes).await?;
        Ok(Some(turn))
    }
}

/// The planned value with the id, if that was the part left open.
fn complete_id(planned: &Value, with_id: &Value) -> Value {
    match (planned.get("id"), with_id.get("id")) {
        (Some(open), Some(id)) if !open.is_known() && !id.is_null() => with(planned, "id", id.clone()),
        _ => planned.clone(),
    }
}

/// The options of a guest, wherever it is, with its node and whether it runs.
async fn look_for_guest(cluster: &Cluster, prior: &Value) -> Result<Option<Json>, ApiError> {
    let Some(vmid) = int(prior, "id").and_then(|id| u32::try_from(id).ok()) else { return Ok(None) };
    let node = text(prior, "node_name").unwrap_or_default();
    let observed = cluster.observe("qemu", vmid, node, flag(prior, "started")).await?;
    Ok(observed.map(|observed| {
        let mut answer = observed.config;
        answer.insert("node".into(), Json::String(observed.node));
        answer.extend(observed.running.map(|running| ("running".to_string(), Json::Bool(running))));
        Json::Object(answer)
    }))
}

/// Whether an entry of a list has the value of an attribute.
fn agrees(prior: &Value, name: &str, found: Option<&Json>) -> bool {
    let wanted = prior.get(name).and_then(plain);
    let found = found.map(|found| found.as_str().map_or_else(|| found.to_string(), str::to_string));
    wanted.unwrap_or_default() == found.unwrap_or_default()
}

#[async_trait]
impl Operations for Engine {
    async fn read(&self, _: &Block, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
        self.read_known(cluster, prior).await
    }

    async fn create(&self, call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
        let _turn = self.guard(call, None, Some(planned)).await?;
        let made = self.make(call, planned).await?;
        match self.settle(call, None, &made).await {
            Ok(value) => Ok(value),
            // Only the answer told all that was made.
            Err(error) => Err(broken_off(call, error, false, self.left_of_change(call, None, &made)).await),
        }
    }

    async fn update(&self, call: &Call<'_>, prior: &Value, planned: &Value) -> Result<Value, ProviderError> {
        let _turn = self.guard(call, Some(prior), Some(planned)).await?;
        if self.where_it_is(call, prior, Some(planned)).await?.is_none() {
            return Err(refused(format!("{} is gone", call.object), Some("plan again")));
        }
        self.change(call, prior, planned).await?;
        self.settle(call, Some(prior), planned).await
    }

    async fn delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        let _turn = self.guard(call, Some(prior), None).await?;
        let located = self.where_it_is(call, prior, None).await?;
        let Some(prior) = &located else { return Ok(()) };
        match self.object.delete {
            Delete::At(template) => {
                let began = Instant::now();
                self.object.hooks.before_delete(call, prior).await?;
                let most = self.object.hooks.limit("delete", prior).saturating_sub(began.elapsed());
                let (path, query) = fill_path(template, prior);
                let is_there = async { Ok(self.look(call.cluster, prior).await?.is_some()) };
                call.remove(&path, &Params(query.into_iter().collect()), most, is_there).await?;
            }
            Delete::By(method, template) => {
                // Who gives the same permission meanwhile waits.
                let granted = call.cluster.shared.granted.lock().await;
                if !self.object.hooks.is_given_anew(prior, &granted) {
                    let (path, query) = fill_path(template, prior);
                    call.step(Step::DELETE, method, &path, &Params(query.into_iter().collect()), MOST)
                        .await?;
                }
            }
            Delete::Reset => {
                let (path, query) = fill_path(self.object.update.1, prior);
                let mut params = Params(query.into_iter().collect());
                let set = encode(&self.fields, prior, false);
                match self.object.removal {
                    Removal::Empty => set.0.keys().for_each(|name| params.put(name, Some(""))),
                    _ => params.put("delete", Some(set.0.keys().cloned().collect::<Vec<_>>().join(","))),
                }
                if !set.0.is_empty() {
                    call.step(Step::DELETE, self.object.update.0, &path, &params, MOST).await?;
                }
            }
            Delete::Stays => {}
        }
        if self.object.hooks.is_staged(call, Some(prior), None).await? {
            call.wait_for_batch(Ok(None)).await;
        }
        self.object.hooks.after(call, Some(prior), None).await?;
        families::apply_leaving(call, self.object.update.1).await
    }

    async fn left(
        &self,
        block: &Block,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<Option<Value>, ApiError> {
        match planned {
            Some(planned) => self.left_of_change(call, prior, planned).await,
            None => match (read_left(self, block, call, (prior, planned)).await?, prior) {
                (None, Some(prior)) => self.remains(call.cluster, prior, &call.done()).await,
                (left, _) => Ok(left),
            },
        }
    }

    fn unfinished(&self, value: Value, change: Broken<'_>, done: &[String]) -> Value {
        self.unfinished_of(value, change, done)
    }

    fn located(&self, base: &Value, id: &str) -> Option<Value> {
        let Some(parts) = parse(self.identity(), id) else { return self.object.hooks.located(base, id) };
        let unknown = self.kept_here().filter(|_| self.object.guest);
        let base = unknown
            .fold(base.clone(), |value, field| with(&value, field.name, Value::null(field.ty.clone())));
        parts.into_iter().try_fold(base, |value, (name, text)| {
            let part = match value.get(name).map(Value::ty) {
                Some(Type::Number) => Value::number(text.parse::<i64>().ok()?),
                _ => Value::string(text),
            };
            Some(with(&value, name, part))
        })
    }

    fn shape(&self) -> &'static str {
        self.identity()
    }

    fn proof(&self) -> Proof {
        self.object.proof
    }
}
