//! Making and changing an object that is described as data: what is sent, and what is left where it broke off.

use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::codec::decode as to_value;
use serde_json::{Map, Value as Json};

use super::Removal;
use super::encode::{SEVERAL, encode};
use super::engine::Engine;
use super::template::{fill, fill_path, names};
use super::wire::{Field, Form};
use crate::cluster::{ApiError, Call, Method, Step, refused};
use crate::operations::Broken;
use crate::params::Params;
use crate::values::{blank, changed, with};

/// How often a change is sent again that met one of another object in the same file.
const COLLISIONS: usize = 8;

impl Engine {
    /// Sends what makes the object. The planned values, with what the answer told.
    pub(super) async fn make(&self, call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError> {
        let (method, template) = self.object.create;
        let (path, query) = fill_path(template, planned);
        self.object.hooks.before(call, None, planned).await?;
        let mut params = self.sent(None, planned);
        params.0.extend(query);
        let mut answer = Json::Null;
        // A clone may be as it is to be already.
        let is_made = self.is_made_before() && params.0.is_empty()
            || self.object.hooks.is_made(call.cluster, planned).await;
        if !path.is_empty() && !is_made {
            let most = self.object.hooks.limit("create", planned);
            let made = call.ask(Step::CREATE, method, &path, &params, most).await;
            answer = made.map_err(|error| match self.is_made_before() {
                true => error,
                false => self.taken(error, planned),
            })?;
        }
        let told: Map<String, Json> = self.object.hooks.answered(&answer);
        Ok(told.into_iter().fold(planned.clone(), |value, (name, json)| {
            let ty = value.get(&name).map(Value::ty);
            match ty.and_then(|ty| to_value(&json, &ty).ok()) {
                Some(part) => with(&value, &name, part),
                None => value,
            }
        }))
    }

    /// Sends what changes the object, if anything does.
    pub(super) async fn change(
        &self,
        call: &Call<'_>,
        prior: &Value,
        planned: &Value,
    ) -> Result<(), ProviderError> {
        let is_leaving = self.is_leaving(call, prior).await?;
        let (method, template) = if is_leaving { self.object.create } else { self.object.update };
        // A guest has been migrated by then.
        let (path, query) = fill_path(template, if self.object.guest { planned } else { prior });
        self.object.hooks.before(call, Some(prior), planned).await?;
        let mut params = self.sent(Some(prior).filter(|_| !is_leaving), planned);
        if !template.is_empty() && !params.0.is_empty() {
            params.0.extend(query);
            self.send_change(call, (prior, planned), (method, &path), params).await?;
        }
        Ok(())
    }

    /// Whether the object still is, and its deletion is staged: asked for anew, it stays.
    async fn is_leaving(&self, call: &Call<'_>, prior: &Value) -> Result<bool, ProviderError> {
        let asked = async {
            let remains = self.object.hooks.remains(call.cluster, prior).await?.is_some();
            Ok(remains && self.look(call.cluster, prior).await?.is_none())
        };
        asked.await.map_err(|error: ApiError| call.failed(Step::READ, &error))
    }

    /// Sends a change. Where the digest is that of a file which others are in too, only a change of the object itself is
    /// somebody else's: after one of another object it is sent again.
    async fn send_change(
        &self,
        call: &Call<'_>,
        (prior, planned): (&Value, &Value),
        (method, path): (Method, &str),
        mut params: Params,
    ) -> Result<(), ProviderError> {
        let most = self.object.hooks.limit("update", planned);
        for _ in 0..COLLISIONS {
            let error = match call.step(Step::CHANGE, method, path, &params, most).await {
                Err(error) if error.message.contains("detected modified configuration") => error,
                done => return done,
            };
            let found =
                self.look(call.cluster, prior).await.map_err(|error| call.failed(Step::READ, &error))?;
            let digest = found.as_ref().and_then(|found| found.get("digest")?.as_str()).map(String::from);
            let is_same = found.is_some_and(|found| {
                let there = self.understood(prior, &found);
                changed(prior, &there).iter().all(|name| name == "digest")
            });
            if !is_same || digest.is_none() || !params.0.contains_key("digest") {
                return Err(error);
            }
            params.put("digest", digest);
        }
        call.step(Step::CHANGE, method, path, &params, most).await
    }

    /// What stands after the request.
    pub(super) async fn settle(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<Value, ProviderError> {
        if self.object.hooks.is_staged(call, prior, Some(planned)).await? {
            let staged = self.finished(call, planned).await;
            call.wait_for_batch(staged.as_ref().map(Some).map_err(Clone::clone)).await;
        }
        self.object.hooks.after(call, prior, Some(planned)).await?;
        self.finished(call, planned).await
    }

    /// What a change left that broke off: what can be read as it is, and of the rest what was so before and what is known
    /// to be done. `None` when the object is not there.
    pub(super) async fn left_of_change(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<Option<Value>, ApiError> {
        let wanted = self.with_id(&blank(&self.stored(planned)));
        let there = match self.read_known(call.cluster, &wanted).await? {
            Some(there) => there,
            // It may have kept the name that was to change.
            None => {
                match prior.filter(|prior| fill(self.object.id, prior) != fill(self.object.id, &wanted)) {
                    Some(prior) => return self.read_known(call.cluster, prior).await,
                    None => return Ok(None),
                }
            }
        };
        Ok(Some(self.unfinished_of(there, (prior, Some(&wanted)), &call.done())))
    }

    /// As [`Operations::unfinished`]: what cannot be read and was not to be changed is as it was.
    pub(super) fn unfinished_of(&self, value: Value, change: Broken<'_>, done: &[String]) -> Value {
        let changes = match change {
            (Some(prior), Some(planned)) => Some(changed(prior, planned)),
            _ => None,
        };
        let is_kept = |field: &&Field| {
            !field.wire.read && changes.as_ref().is_some_and(|changes| !changes.contains(field.name))
        };
        let kept: Vec<&str> = self.fields.iter().filter(is_kept).map(|field| field.name).collect();
        let asked = Step::CREATE.is_in(done) || Step::CHANGE.is_in(done);
        let named = names(self.identity());
        let untold = self.fields.iter().filter(|field| !field.wire.read && field.wire.update && !asked);
        let untold = untold.filter(|field| !named.contains(&field.name) && !kept.contains(&field.name));
        let value =
            untold.fold(value, |value, field| with(&value, field.name, Value::null(field.ty.clone())));
        self.object.hooks.unfinished(value, done, &kept)
    }

    /// What a request that makes the object, or changes it, would have as parameters.
    pub(crate) fn sent(&self, prior: Option<&Value>, planned: &Value) -> Params {
        let mut params = match prior {
            None => encode(&self.fields, planned, true),
            Some(prior) => self.difference(prior, planned),
        };
        let nothing = prior.is_some() && params.0.is_empty();
        let constants = self.object.constants.iter().filter(|(name, _)| match prior {
            None => true,
            Some(_) => !nothing && self.object.always.contains(name),
        });
        for (name, text) in constants {
            params.put(name, Some(text));
        }
        self.object.hooks.params(&mut params, prior, planned);
        params
    }

    fn difference(&self, prior: &Value, planned: &Value) -> Params {
        let after = encode(&self.fields, planned, false);
        let (mut set, delete) = after.since(&encode(&self.fields, prior, false));
        if self.object.whole && !(set.0.is_empty() && delete.is_empty()) {
            set = after;
        }
        match self.object.removal {
            Removal::Empty => delete.iter().for_each(|name| set.put(name, Some(self.nothing(name)))),
            Removal::Delete | Removal::Each if !delete.is_empty() => {
                let separator = if self.object.removal == Removal::Each { SEVERAL } else { "," };
                set.put("delete", Some(delete.into_iter().collect::<Vec<_>>().join(separator)));
            }
            _ => {}
        }
        set
    }

    /// What stands for nothing in a parameter.
    fn nothing(&self, param: &str) -> &'static str {
        let field = self.fields.iter().find(|field| field.param() == param);
        if field.is_some_and(|field| field.wire.form == Form::Seconds) { "0" } else { "" }
    }

    fn taken(&self, error: ProviderError, planned: &Value) -> ProviderError {
        if !["already exists", "already defined"].iter().any(|text| error.message.contains(text)) {
            return error;
        }
        let hint = match fill(self.identity(), planned) {
            Some(id) => format!("import it with the id {id:?}, or choose another name"),
            None => "choose another name".to_string(),
        };
        ProviderError { left: None, ..refused(error.message, Some(&hint)) }
    }
}
