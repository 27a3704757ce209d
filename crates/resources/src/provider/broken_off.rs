//! What a change of a plain object left that broke off behind a step that took effect.

use pve_executor::ports::{ApplyRequest, ProviderError};
use pve_model::Value;

use super::Family;
use crate::cluster::{ApiError, Call};
use crate::registry::Kind;
use crate::values::{blank, with};
use crate::{download_file, file};

/// One change of a plain object or a file.
pub(super) struct PlainChange<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) kind: &'a Kind,
    pub(super) family: Family,
    pub(super) request: &'a ApplyRequest,
}

impl PlainChange<'_> {
    /// The error with the object as it is now. Where no step was done, nothing has changed. Where it cannot be read the
    /// action stays open: as failed, what was made would be forgotten.
    pub(super) async fn broken_off(&self, error: ProviderError) -> ProviderError {
        let done = self.call.done();
        if done.is_empty() || error.left.is_some() {
            return error;
        }
        match self.read_again().await {
            Ok(left) => {
                let left = left.map(|value| match self.kind.operations() {
                    Some(operations) => operations.unfinished(value, &done),
                    None => value,
                });
                ProviderError { left, ..error }
            }
            Err(_) => {
                let indeterminate = error.indeterminate || self.request.planned.is_some();
                ProviderError { indeterminate, ..error }
            }
        }
    }

    /// Under its new name if it has got one, else under the one before.
    async fn read_again(&self) -> Result<Option<Value>, ApiError> {
        for named in [&self.request.planned, &self.request.prior].into_iter().flatten() {
            if let Some(value) = self.read(&self.stored(&blank(named))).await? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    async fn read(&self, named: &Value) -> Result<Option<Value>, ApiError> {
        let cluster = self.call.cluster;
        cluster.forget_content().await;
        match (self.family, self.kind.operations()) {
            (Family::DownloadFile, _) => download_file::read(cluster, named).await,
            (Family::File, _) => file::read_again(cluster, named).await,
            (_, Some(operations)) => operations.read(self.kind.block(), cluster, named).await,
            (_, None) => Ok(None),
        }
    }

    /// The value without what is never stored.
    fn stored(&self, value: &Value) -> Value {
        let secrets = self.kind.block().attributes.iter().filter(|(_, attribute)| attribute.write_only);
        secrets.fold(value.clone(), |value, (name, attribute)| {
            with(&value, name, Value::null(attribute.ty.clone()))
        })
    }
}
