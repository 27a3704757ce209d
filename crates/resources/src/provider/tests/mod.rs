//! Whole lives of objects against a cluster in memory: made, read, changed, destroyed, and recovered after a crash.

mod double;
mod generated;
mod images;
mod lives;
mod objects;
mod recovered;
mod recovered_objects;
mod simulated;
mod stopped;
mod watched;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::{ActionProgress, ApplyRequest, Provider, ProviderError, ReadRequest};
use pve_model::codec::decode;
use pve_model::event::{Claim, Operation};
use pve_model::rules::{KindRules, PlanRequest, PlanResponse};
use pve_model::schema::{Block, Nesting};
use pve_model::{InstanceAddress, Value, ValueKind};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{ClusterSettings, ProxmoxProvider};
use crate::cluster::Api;
use crate::values::{changed, same, with};
use double::Double;

pub(super) const ACTION: Uuid = Uuid::from_u128(7);

/// Keeps what was reported, and what was said on the screen.
#[derive(Default)]
pub(super) struct Recorder(pub(super) Mutex<Vec<String>>, pub(super) Mutex<Vec<String>>);

#[async_trait]
impl ActionProgress for Recorder {
    async fn task_submitted(&self, step: &str, upid: &str) -> Result<(), ProviderError> {
        self.0.lock().unwrap().push(format!("task {step} {upid}"));
        Ok(())
    }
    async fn step_completed(&self, step: &str) -> Result<(), ProviderError> {
        self.0.lock().unwrap().push(format!("done {step}"));
        Ok(())
    }
    fn status(&self, text: &str) {
        self.1.lock().unwrap().push(text.to_string());
    }
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// One instance of a kind on a cluster of its own.
pub(super) struct World {
    pub(super) double: Arc<Double>,
    pub(super) api: Arc<dyn Api>,
    pub(super) provider: ProxmoxProvider,
    pub(super) address: InstanceAddress,
    pub(super) kind: &'static str,
}

impl World {
    pub(super) fn new(kind: &'static str) -> World {
        let double = Arc::new(Double::default());
        World { double: double.clone(), ..World::over(kind, double) }
    }

    /// On a cluster that is somebody else's double.
    pub(super) fn over(kind: &'static str, api: Arc<dyn Api>) -> World {
        let settings = ClusterSettings { agent_wait: Duration::ZERO, ..ClusterSettings::default() };
        let provider = ProxmoxProvider::over([("proxmox".to_string(), api.clone(), settings)]);
        World { double: Arc::default(), api, provider, address: format!("{kind}.a").parse().unwrap(), kind }
    }

    pub(super) fn rules(&self) -> &dyn KindRules {
        self.provider.registry.kind(self.kind).unwrap()
    }

    pub(super) fn config(&self, json: Json) -> Value {
        let block = &self.rules().schema().block;
        empty_blocks(block, &decode(&json, &block.implied_type()).unwrap())
    }

    pub(super) fn plan(&self, prior: Option<&Value>, config: &Value) -> PlanResponse {
        let mut problems = self.rules().validate(config);
        // The store takes everything, also together what a cluster takes apart.
        problems.retain(|problem| !problem.warning && self.api.user() != objects::STORE_USER);
        assert!(problems.is_empty(), "{problems:?}");
        self.planned(prior, config)
    }

    /// The same of a configuration that contradicts itself.
    pub(super) fn planned(&self, prior: Option<&Value>, config: &Value) -> PlanResponse {
        let proposed = propose(&self.rules().schema().block, prior, config);
        let response = self.rules().plan(PlanRequest { prior, config, proposed: &proposed });
        PlanResponse { planned: Some(response.planned.clone().unwrap_or(proposed)), ..response }
    }

    pub(super) fn request(&self, prior: Option<&Value>, config: Option<&Value>) -> ApplyRequest {
        let operation = match (prior, config) {
            (None, _) => Operation::Create,
            (_, Some(_)) => Operation::Update,
            _ => Operation::Delete,
        };
        ApplyRequest {
            address: self.address.clone(),
            provider: "proxmox".into(),
            operation,
            prior: prior.cloned(),
            planned: config.map(|config| self.plan(prior, config).planned.unwrap()),
            config: config.cloned(),
            claim: Claim::default(),
            identity: None,
            recreated: false,
        }
    }

    pub(super) async fn try_apply(
        &self,
        prior: Option<&Value>,
        config: Option<&Value>,
        recorder: &dyn ActionProgress,
    ) -> Result<Option<Value>, ProviderError> {
        let mut request = self.request(prior, config);
        request.claim = self.provider.claim(&request, ACTION).await.unwrap();
        let planned = request.planned.clone();
        let after = self.provider.apply(request, recorder).await?;
        if let (Some(planned), Some(after)) = (planned, &after) {
            assert!(after.is_wholly_known(), "{after:?}");
            assert_eq!(crate::values::complete(&planned, after), *after, "known parts are as planned");
        }
        Ok(after)
    }

    pub(super) async fn apply(&self, prior: Option<&Value>, json: Json) -> Value {
        let config = self.config(json);
        let after = self.try_apply(prior, Some(&config), &Recorder::default()).await.unwrap().unwrap();
        self.assert_settled(&after, &config).await;
        after
    }

    /// Reading shows what was recorded, and the same configuration plans nothing.
    pub(super) async fn assert_settled(&self, after: &Value, config: &Value) {
        let read = self.read(after).await.unwrap();
        let names = changed(after, &read);
        let show = |value: &Value| names.iter().map(|name| value.get(name).cloned()).collect::<Vec<_>>();
        assert!(names.is_empty(), "{names:?}: recorded {:?}, read {:?}", show(after), show(&read));
        let planned = self.plan(Some(&read), config).planned.unwrap();
        let names = changed(&read, &planned);
        assert!(same(&read, &planned), "{names:?} would change again");
    }

    pub(super) async fn read(&self, prior: &Value) -> Option<Value> {
        self.try_read(prior).await.unwrap()
    }

    pub(super) async fn try_read(&self, prior: &Value) -> Result<Option<Value>, ProviderError> {
        self.provider.cluster("proxmox").forget_content().await;
        let request = ReadRequest {
            address: self.address.clone(),
            provider: "proxmox".into(),
            prior: prior.clone(),
            identity: None,
        };
        self.provider.read(request).await
    }

    pub(super) async fn destroy(&self, prior: &Value) {
        let gone = self.try_apply(Some(prior), None, &Recorder::default()).await.unwrap();
        assert_eq!(gone, None);
        assert_eq!(self.read(prior).await, None);
    }

    pub(super) fn option(&self, vmid: u32, name: &str) -> Option<String> {
        let state = self.double.0.lock().unwrap();
        let value = state.guests.get(&vmid)?.config.get(name)?.clone();
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_string))
    }
}

impl ProxmoxProvider {
    fn cluster(&self, name: &str) -> &crate::cluster::Cluster {
        &self.connections[name].cluster
    }
}

/// Absent blocks are empty lists, also inside of blocks.
fn empty_blocks(block: &Block, value: &Value) -> Value {
    let mut value = value.clone();
    for (name, nested) in &block.blocks {
        if nested.nesting == Nesting::Single {
            continue;
        }
        let elements = value.get(name).and_then(Value::elements).unwrap_or_default();
        let elements = elements.iter().map(|element| empty_blocks(&nested.block, element)).collect();
        let ty = nested.block.implied_type();
        let blocks =
            if nested.nesting == Nesting::Set { Value::set(ty, elements) } else { Value::list(ty, elements) };
        value = with(&value, name, blocks);
    }
    value
}

/// What the planner proposes: defaults filled in, computed values kept or unknown.
fn propose(block: &Block, prior: Option<&Value>, config: &Value) -> Value {
    let mut proposed = config.clone();
    for (name, attribute) in &block.attributes {
        if config.get(name).is_some_and(|value| !value.is_null()) {
            continue;
        }
        let before = prior.and_then(|prior| prior.get(name)).cloned();
        let value = match &attribute.default {
            Some(default) => default.clone(),
            None if attribute.computed => before.unwrap_or_else(|| Value::unknown(attribute.ty.clone())),
            None => continue,
        };
        proposed = with(&proposed, name, value);
    }
    for (name, nested) in &block.blocks {
        let before = prior.and_then(|prior| prior.get(name)).filter(|before| !before.is_null());
        if let Some(single @ Value { kind: ValueKind::Object(_), .. }) = config.get(name) {
            proposed = with(&proposed, name, propose(&nested.block, before, single));
        }
        let before = before.and_then(Value::elements).unwrap_or_default();
        let Some(Value { kind: ValueKind::List(ty, elements), .. }) = config.get(name) else { continue };
        let elements = elements.iter().enumerate();
        let elements = elements.map(|(index, element)| propose(&nested.block, before.get(index), element));
        proposed = with(&proposed, name, Value::list(ty.clone(), elements.collect()));
    }
    proposed
}
