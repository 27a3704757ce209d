//! The port of an object store: what a log needs of S3, each request sent once.

use async_trait::async_trait;

/// Why a request has no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The condition of a write does not hold (412, and 404 where a store answers a condition so): nothing was written.
    #[error("the condition on {key} does not hold")]
    Condition {
        /// The object.
        key: String,
    },
    /// It cannot be told whether the request took effect (409, 5xx, timeouts, cut connections). It may still take
    /// effect later. The same request can be sent again.
    #[error("{0}")]
    Unclear(String),
    /// The store refuses the request and will go on to (no such bucket, access denied): nothing was written.
    #[error("{0}")]
    Refused(String),
}

/// An object as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its content.
    pub body: Vec<u8>,
    /// What the store calls this content of this key (its ETag): an opaque text.
    pub version: String,
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys, in order.
    pub keys: Vec<String>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

/// An object store. Every method sends one request: a store that repeats conditional writes by itself would report a
/// conflict with its own first try. Reads and listings see every write that was answered before them.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Writes an object if there is none of that key, and gives its version; atomic, durable on return.
    ///
    /// # Errors
    /// [`StoreError::Condition`] when there is one.
    async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<String, StoreError>;

    /// Overwrites an object if it still is of this version, and gives its new one; atomic, durable on return.
    ///
    /// # Errors
    /// [`StoreError::Condition`] when it has another version or is not there.
    async fn replace(&self, key: &str, version: &str, body: Vec<u8>) -> Result<String, StoreError>;

    /// Writes an object whether or not there is one; atomic, durable on return.
    ///
    /// # Errors
    /// When it is not known to be durable.
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError>;

    /// Reads an object; `None` when there is none.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError>;

    /// The first keys that begin with `prefix` and sort after the key `after`, in order.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn list(&self, prefix: &str, after: &str) -> Result<Page, StoreError>;

    /// Removes an object that nobody needs; no error when there is none. Never one of those that a log consists of.
    ///
    /// # Errors
    /// When the store refuses, or does not answer.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
}
