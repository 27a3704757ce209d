//! Stores that do not behave: one that loses requests and answers, by a seed, and one that ignores conditions.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use crate::MemoryStore;
use crate::store::{Object, ObjectStore, Page, StoreError};

/// More faults in a row than this do not happen, so that no request is given up.
const MOST_IN_A_ROW: u32 = 4;

/// The wrapper. A third of all requests meet a fault.
pub(crate) struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    chance: Mutex<(fastrand::Rng, u32)>,
    /// Writes that were given up by their sender and are still on their way.
    late: Mutex<Vec<Late>>,
}

struct Late {
    key: String,
    /// The version that it replaces; `None` for an object that must not be there.
    version: Option<String>,
    body: Vec<u8>,
}

enum Fate {
    Fine,
    /// The request does not get there.
    Lost,
    /// The request takes effect, its answer does not get back.
    AnswerLost,
    /// The request takes effect before one of the next ones.
    Late,
}

impl FaultyStore {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, seed: u64) -> FaultyStore {
        FaultyStore { inner, chance: Mutex::new((fastrand::Rng::with_seed(seed), 0)), late: Mutex::default() }
    }

    fn fate(&self) -> Fate {
        let (random, in_a_row) = &mut *self.chance.lock().unwrap();
        if *in_a_row == MOST_IN_A_ROW || random.u8(..3) > 0 {
            *in_a_row = 0;
            return Fate::Fine;
        }
        *in_a_row += 1;
        match random.u8(..3) {
            0 => Fate::Lost,
            1 => Fate::AnswerLost,
            _ => Fate::Late,
        }
    }

    async fn land_late_writes(&self) {
        let late: Vec<_> = {
            let mut late = self.late.lock().unwrap();
            let keep = self.chance.lock().unwrap().0.usize(..=late.len());
            late.drain(keep..).collect()
        };
        for write in late {
            let _ = self.write(&write.key, write.version.as_deref(), write.body).await;
        }
    }

    async fn write(&self, key: &str, version: Option<&str>, body: Vec<u8>) -> Result<String, StoreError> {
        match version {
            Some(version) => self.inner.replace(key, version, body).await,
            None => self.inner.put_if_absent(key, body).await,
        }
    }

    async fn conditional(
        &self,
        key: &str,
        version: Option<&str>,
        body: Vec<u8>,
    ) -> Result<String, StoreError> {
        self.land_late_writes().await;
        match self.fate() {
            Fate::Fine => self.write(key, version, body).await,
            Fate::Lost => fault(),
            Fate::AnswerLost => {
                let _ = self.write(key, version, body).await;
                fault()
            }
            Fate::Late => {
                let late = Late { key: key.into(), version: version.map(String::from), body };
                self.late.lock().unwrap().push(late);
                fault()
            }
        }
    }
}

fn fault<T>() -> Result<T, StoreError> {
    Err(StoreError::Unclear("503 Slow Down".into()))
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.conditional(key, None, body).await
    }

    async fn replace(&self, key: &str, version: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.conditional(key, Some(version), body).await
    }

    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        match self.fate() {
            Fate::Fine => self.inner.put(key, body).await,
            _ => fault(),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.land_late_writes().await;
        match self.fate() {
            Fate::Fine => self.inner.get(key).await,
            _ => fault(),
        }
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Page, StoreError> {
        self.land_late_writes().await;
        match self.fate() {
            Fate::Fine => self.inner.list(prefix, after).await,
            _ => fault(),
        }
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self.fate() {
            Fate::Fine => self.inner.delete(key).await,
            _ => fault(),
        }
    }
}

/// A store that ignores conditions, as some do: those on versions, or also those on absence.
pub(crate) struct Careless {
    pub(crate) store: MemoryStore,
    minds_absence: bool,
}

impl Careless {
    pub(crate) fn of_versions() -> Careless {
        Careless { store: MemoryStore::default(), minds_absence: true }
    }

    pub(crate) fn of_all() -> Careless {
        Careless { store: MemoryStore::default(), minds_absence: false }
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<String, StoreError> {
        if self.minds_absence {
            return self.store.put_if_absent(key, body).await;
        }
        self.store.put(key, body).await.map(|()| "same".into())
    }
    async fn replace(&self, key: &str, _: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.store.put(key, body).await.map(|()| "same".into())
    }
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        self.store.put(key, body).await
    }
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.store.get(key).await
    }
    async fn list(&self, prefix: &str, after: &str) -> Result<Page, StoreError> {
        self.store.list(prefix, after).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.store.delete(key).await
    }
}
