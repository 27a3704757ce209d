//! What a kind does beyond its description.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::rules::{Problem, ReplaceReason};
use serde_json::{Map, Value as Json};

use super::engine::MOST;
use crate::cluster::{ApiError, Call, Cluster};
use crate::families::{Grantor, PermissionChange, PermissionEntry};
use crate::params::Params;

/// What is planned of an object, to be looked over.
pub(crate) struct Planning<'a> {
    pub(crate) prior: Option<&'a Value>,
    pub(crate) config: &'a Value,
    pub(crate) planned: Value,
    pub(crate) replace: Vec<ReplaceReason>,
    pub(crate) notes: Vec<String>,
    pub(crate) problems: Vec<Problem>,
}

/// What a kind does beyond its description. Everything is optional.
#[async_trait]
pub(crate) trait Hooks: Send + Sync {
    /// Faults of a configuration.
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Whether it is an interface of a node, named by `node_name` and `name`, and staged with the others of that.
    fn is_interface(&self) -> bool {
        false
    }

    /// Looks over what is planned. Must be pure.
    fn plan(&self, planning: &mut Planning<'_>) {
        let _ = planning;
    }

    /// What an object was, as a plan shows it, see [`pve_model::rules::KindRules::shown`].
    fn shown(&self, before: &Value, after: Option<&Value>) -> Option<Value> {
        let _ = (before, after);
        None
    }

    /// What a change does to who may do what, step by step.
    fn permissions(&self, prior: Option<&Value>, planned: Option<&Value>) -> Vec<PermissionChange> {
        let _ = (prior, planned);
        Vec::new()
    }

    /// What else may exist only once and is made with the object.
    fn claims(&self, planned: &Value) -> Vec<String> {
        let _ = planned;
        Vec::new()
    }

    /// The claims of the objects that it goes away with.
    fn part_of(&self, present: &Value) -> Vec<String> {
        let _ = present;
        Vec::new()
    }

    /// Whether what is to be made is there already, and as much its own as what it would make.
    async fn is_made(&self, cluster: &Cluster, planned: &Value) -> bool {
        let _ = (cluster, planned);
        false
    }

    /// What of an object that was imported is the configured one's.
    fn adopted(&self, imported: Value, config: &Value) -> Value {
        let _ = config;
        imported
    }

    /// What precedes the request: `prior` is `None` before a create.
    async fn before(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<(), ProviderError> {
        let _ = (call, prior, planned);
        Ok(())
    }

    /// The longest wait for the task of an operation: `create`, `update` or `delete`.
    fn limit(&self, operation: &str, value: &Value) -> Duration {
        let _ = (operation, value);
        MOST
    }

    /// What precedes a deletion.
    async fn before_delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        let _ = (call, prior);
        Ok(())
    }

    /// Whether it can be made while another one is what it will be, and stays when that goes, see
    /// [`Hooks::is_given_anew`].
    fn takes_over(&self) -> bool {
        false
    }

    /// Whether another object of this run has become what this one is, and deleting this one would take it away.
    fn is_given_anew(&self, prior: &Value, granted: &BTreeMap<PermissionEntry, Grantor>) -> bool {
        let _ = (prior, granted);
        false
    }

    /// Looks over the parameters that are sent.
    fn params(&self, params: &mut Params, prior: Option<&Value>, planned: &Value) {
        let _ = (params, prior, planned);
    }

    /// Values that only the answer to the request tells that made the object.
    fn answered(&self, answer: &Json) -> Map<String, Json> {
        let _ = answer;
        Map::new()
    }

    /// Whether a change that was requested is only staged, and waits for others of its batch before [`Hooks::after`]
    /// applies it.
    async fn is_staged(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<bool, ProviderError> {
        let _ = (call, prior, planned);
        Ok(false)
    }

    /// What is left of an object that is not configured any more: `None` where it is gone, and not only going to be.
    async fn remains(&self, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
        let _ = (cluster, prior);
        Ok(None)
    }

    /// What follows the request: `prior` is `None` after a create, `planned` after a delete.
    async fn after(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        let _ = (call, prior, planned);
        Ok(())
    }

    /// Whether an object that cannot be read is gone, since something is gone that it is a part of.
    async fn went_with_another(&self, cluster: &Cluster, prior: &Value) -> bool {
        let _ = (cluster, prior);
        false
    }

    /// Makes sure that an object that a list does not have is gone, and not hidden from whoever asks.
    async fn absent(&self, cluster: &Cluster, prior: &Value) -> Result<(), ApiError> {
        let _ = (cluster, prior);
        Ok(())
    }

    /// Whether an entry of a list is the object, beyond the attributes that tell it from others.
    fn is_it(&self, prior: &Value, entry: &Json) -> bool {
        let _ = (prior, entry);
        true
    }

    /// The object after a change broke off of which these steps were done, see [`crate::operations::Operations`].
    fn unfinished(&self, value: Value, done: &[String], kept: &[&str]) -> Value {
        let _ = (done, kept);
        value
    }

    /// The answer about an object, with what it takes further requests to know.
    async fn complete(&self, cluster: &Cluster, prior: &Value, answer: Json) -> Result<Json, ApiError> {
        let _ = (cluster, prior);
        Ok(answer)
    }

    /// What of the object, as it was completed, is staged and not in force yet.
    fn waits(&self, answer: &Json) -> Vec<String> {
        let _ = answer;
        Vec::new()
    }

    /// Whether [`Hooks::read`] tells an attribute that the API does not have in that form.
    fn reads(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Looks over what was read.
    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        let _ = (prior, answer, read);
    }

    /// Where an id points that is not of the form of the template.
    fn located(&self, base: &Value, id: &str) -> Option<Value> {
        let _ = (base, id);
        None
    }
}

/// A kind that does nothing beyond its description.
pub(crate) struct NoHooks;

impl Hooks for NoHooks {}
