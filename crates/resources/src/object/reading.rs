//! What an answer about an object says, in the words of its kind.

use pve_model::Value;
use serde_json::Value as Json;

use super::decode::{Absent, decode};
use super::engine::Engine;
use super::plan::settled;
use super::template::names;
use super::wire::Field;
use super::{Delete, Read};
use crate::cluster::{ApiError, Cluster};
use crate::observed::overlay;
use crate::values::with;

impl Engine {
    /// What the cluster says of the object that `named` names, in its own words. `None` when it is not there.
    pub(crate) async fn tell(
        &self,
        cluster: &Cluster,
        named: &Value,
        absent: Absent,
    ) -> Result<Option<Value>, ApiError> {
        Ok(self.look(cluster, named).await?.map(|answer| self.decoded(named, &answer, absent)))
    }

    /// The object that `prior` names as it is. `None` when it is not there.
    pub(super) async fn read_known(
        &self,
        cluster: &Cluster,
        prior: &Value,
    ) -> Result<Option<Value>, ApiError> {
        Ok(self.see(cluster, prior).await?.map(|(value, _)| value))
    }

    /// The object that `prior` names as it is, with what of it is staged and not in force yet.
    pub(crate) async fn see(
        &self,
        cluster: &Cluster,
        prior: &Value,
    ) -> Result<Option<(Value, Vec<String>)>, ApiError> {
        if matches!(self.object.read, Read::Nowhere) {
            // It was made once it has an id.
            let is_made = prior.get("id").is_some_and(|id| !id.is_null());
            return Ok(is_made.then(|| (prior.clone(), Vec::new())));
        }
        Ok(match self.look(cluster, prior).await? {
            Some(answer) => Some((self.understood(prior, &answer), self.object.hooks.waits(&answer))),
            None => self.object.hooks.remains(cluster, prior).await?.map(|value| (value, Vec::new())),
        })
    }

    pub(super) fn understood(&self, prior: &Value, answer: &Json) -> Value {
        let value = settled(&self.fields, prior, &self.decoded(prior, answer, Absent::Meaning));
        let unknown = self.kept_here().filter(|_| self.is_imported(prior));
        unknown.fold(value, |value, field| match (&field.default, value.get(field.name)) {
            (Some(default), Some(part)) if part.is_null() => with(&value, field.name, default.clone()),
            _ => value,
        })
    }

    fn decoded(&self, prior: &Value, answer: &Json, absent: Absent) -> Value {
        let mut read = decode(&self.fields, answer, absent);
        for name in names(self.identity()) {
            // A guest is known by its id, on whatever node it is.
            let moves = self.object.guest && name == "node_name";
            if !moves && prior.get(name).is_some_and(|part| !part.is_null()) {
                read.remove(name);
            }
        }
        self.object.hooks.read(prior, answer, &mut read);
        if (matches!(self.object.delete, Delete::Reset) || self.object.guest)
            && !self.is_imported(prior)
            && prior.get("id").is_some_and(|id| !id.is_null())
        {
            // What is not configured is somebody else's.
            read.retain(|name, _| prior.get(name).is_none_or(|part| !part.is_null()) || self.is_open(name));
        }
        self.with_id(&overlay(&self.block, prior, read))
    }

    /// What is known here alone, and has a default.
    pub(super) fn kept_here(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| {
            let wire = &field.wire;
            !(wire.create || wire.update || wire.read) && field.default.is_some()
        })
    }

    /// Whether nothing is known of a guest but where it is: not even what is known here alone.
    fn is_imported(&self, prior: &Value) -> bool {
        self.object.guest && self.kept_here().all(|field| prior.get(field.name).is_none_or(Value::is_null))
    }
}
