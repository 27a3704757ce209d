//! An object store in memory, for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::store::{Object, ObjectStore, Page, StoreError};

/// Keys in one part of a listing; few, so that tests see several.
const PAGE: usize = 10;

/// A store that is gone with the process.
#[derive(Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<String, Object>>,
    /// Counts writes: the versions of objects.
    writes: std::sync::atomic::AtomicU64,
}

impl MemoryStore {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(&self, body: Vec<u8>) -> Object {
        let write = self.writes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Object { body, version: write.to_string() }
    }

    /// Takes an object away, as only somebody who tampers does.
    pub fn remove(&self, key: &str) -> Option<Vec<u8>> {
        self.objects().remove(key).map(|object| object.body)
    }

    /// All keys, in order.
    pub fn keys(&self) -> Vec<String> {
        self.objects().keys().cloned().collect()
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<String, StoreError> {
        let object = self.version(body);
        match self.objects().entry(key.to_string()) {
            std::collections::btree_map::Entry::Occupied(_) => Err(StoreError::Condition { key: key.into() }),
            std::collections::btree_map::Entry::Vacant(free) => Ok(free.insert(object).version.clone()),
        }
    }

    async fn replace(&self, key: &str, version: &str, body: Vec<u8>) -> Result<String, StoreError> {
        let object = self.version(body);
        match self.objects().get_mut(key).filter(|found| found.version == version) {
            Some(found) => {
                *found = object;
                Ok(found.version.clone())
            }
            None => Err(StoreError::Condition { key: key.into() }),
        }
    }

    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        let object = self.version(body);
        self.objects().insert(key.into(), object);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        Ok(self.objects().get(key).cloned())
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Page, StoreError> {
        let keys = self.objects();
        let mut found =
            keys.keys().filter(|key| key.starts_with(prefix) && key.as_str() > after).cloned().peekable();
        Ok(Page { keys: found.by_ref().take(PAGE).collect(), more: found.peek().is_some() })
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.remove(key);
        Ok(())
    }
}
