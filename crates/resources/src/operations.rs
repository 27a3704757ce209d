//! What kinds do that are plain objects of the API: made, read, changed and deleted by single requests, under names that
//! the configuration gives.

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::schema::Block;

use crate::cluster::{ApiError, Call, Cluster};

/// The operations of one plain kind.
#[async_trait]
pub(crate) trait Operations: Send + Sync {
    /// Reads the object that `prior` names. `None` when it is not there.
    async fn read(&self, block: &Block, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError>;

    /// Makes the object. One of somebody else is refused, not taken over.
    async fn create(&self, call: &Call<'_>, planned: &Value) -> Result<Value, ProviderError>;

    /// Makes the object what is planned.
    async fn update(&self, call: &Call<'_>, prior: &Value, planned: &Value) -> Result<Value, ProviderError>;

    /// Takes the object away. One that is gone already is no error.
    async fn delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError>;

    /// Where the id points that users import by: `base` with enough set for [`Operations::read`].
    fn located(&self, base: &Value, id: &str) -> Option<Value>;

    /// The form of that id, for messages.
    fn shape(&self) -> &'static str;

    /// The object after a change of it broke off, `done` being the steps that are known to be done: what may not have
    /// taken effect and cannot be read counts as not set, so that it is set once more.
    fn unfinished(&self, value: Value, done: &[String]) -> Value {
        let _ = done;
        value
    }

    /// What proves after a crash that an object that is there is the one that was to be made.
    fn proof(&self) -> Proof {
        Proof::Values
    }
}

/// What proves that an object is the one that was to be made. That a step of making it is known to be done always does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// There is always one: making it is setting it.
    Presence,
    /// It has the planned values: another one of these is as good.
    Values,
    /// Nothing else: its values do not tell what is in it.
    Steps,
    /// Nothing else, but making it once more does no harm.
    Repeated,
}
