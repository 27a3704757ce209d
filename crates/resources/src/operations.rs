//! What kinds do that are plain objects of the API: made, read, changed and deleted by single requests, under names that
//! the configuration gives.

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::schema::Block;

use crate::cluster::{ApiError, Call, Cluster};
use crate::values::{blank, with};

/// What an object was, if it was there, and what it was to be.
pub(crate) type Broken<'a> = (Option<&'a Value>, Option<&'a Value>);

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

    /// The object after a change of it, from what it was to what was planned, broke off, `done` being the steps that are
    /// known to be done: what was to change, may not have taken effect and cannot be read counts as not set, so that it is
    /// set once more.
    fn unfinished(&self, value: Value, change: Broken<'_>, done: &[String]) -> Value {
        let _ = (change, done);
        value
    }

    /// The object as a change of it left it that broke off behind the steps in `call`.
    async fn left(
        &self,
        block: &Block,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<Option<Value>, ApiError> {
        read_left(self, block, call, (prior, planned)).await
    }

    /// What proves after a crash that an object that is there is the one that was to be made.
    fn proof(&self) -> Proof {
        Proof::Values
    }
}

/// The error of a change that broke off, with what is `left`. Where no step was done, nothing has changed. Where it cannot
/// be read what a change that was to make or keep the object left, the action stays open: as failed, what was made would
/// be forgotten.
pub(crate) async fn broken_off<E>(
    call: &Call<'_>,
    error: ProviderError,
    is_delete: bool,
    left: impl Future<Output = Result<Option<Value>, E>>,
) -> ProviderError {
    if call.done().is_empty() || error.left.is_some() {
        return error;
    }
    match left.await {
        Ok(left) => ProviderError { left, ..error },
        Err(_) => ProviderError { indeterminate: error.indeterminate || !is_delete, ..error },
    }
}

/// The object after the steps in `call`: under its new name, or still under the one before.
pub(crate) async fn read_left<O: Operations + ?Sized>(
    operations: &O,
    block: &Block,
    call: &Call<'_>,
    change: Broken<'_>,
) -> Result<Option<Value>, ApiError> {
    for named in [change.1, change.0].into_iter().flatten() {
        call.cluster.forget_content().await;
        if let Some(value) = operations.read(block, call.cluster, &stored(block, named)).await? {
            return Ok(Some(operations.unfinished(value, change, &call.done())));
        }
    }
    Ok(None)
}

/// The known parts of a value without what is never stored.
pub(crate) fn stored(block: &Block, value: &Value) -> Value {
    let secrets = block.attributes.iter().filter(|(_, attribute)| attribute.write_only);
    secrets
        .fold(blank(value), |value, (name, attribute)| with(&value, name, Value::null(attribute.ty.clone())))
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
