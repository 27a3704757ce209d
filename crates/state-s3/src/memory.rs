//! An object store in memory, for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::store::{ObjectStore, StoreError};

/// A store that is gone with the process.
#[derive(Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryStore {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an object away, as only somebody who tampers does.
    pub fn remove(&self, key: &str) -> Option<Vec<u8>> {
        self.objects().remove(key)
    }

    /// All keys, in order.
    pub fn keys(&self) -> Vec<String> {
        self.objects().keys().cloned().collect()
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        match self.objects().entry(key.to_string()) {
            std::collections::btree_map::Entry::Occupied(_) => Err(StoreError::Exists { key: key.into() }),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(body);
                Ok(())
            }
        }
    }

    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        self.objects().insert(key.into(), body);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.objects().get(key).cloned())
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<String>, StoreError> {
        let keys = self.objects();
        Ok(keys.keys().filter(|key| key.starts_with(prefix) && key.as_str() > after).cloned().collect())
    }
}
