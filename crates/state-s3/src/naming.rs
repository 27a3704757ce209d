//! What a log is called and whom it is sealed for: objects that are written once, and only with the first event.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pve_model::event::Event;
use pve_state::{Key, KeyError, Keyring, LogError, Seal, StoredEvent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::conditional::{Created, create, list, read};
use crate::hint::{FORMAT, Hint, WITHOUT_KEYRING, read_json};
use crate::layout::Layout;
use crate::store::{ObjectStore, StoreError};

/// What [`Layout::format`] holds. The log's id is the id of its writer too: whoever writes it first names the log.
#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
    writer: Uuid,
}

/// The name and the seal of a log.
pub(crate) struct Naming {
    store: Arc<dyn ObjectStore>,
    layout: Layout,
    seal: Mutex<Arc<Seal>>,
    /// Whether the name stands in the store. Until then it is only what this process would call it.
    named: AtomicBool,
    format: AtomicU32,
}

impl Naming {
    /// What the hint says, else what stands in the store, else that a new log would be called `id`.
    pub(crate) async fn find(
        store: Arc<dyn ObjectStore>,
        layout: Layout,
        key: Key,
        hint: Option<&Hint>,
        id: Uuid,
    ) -> Result<Naming, LogError> {
        let naming = Naming {
            store,
            layout,
            seal: Mutex::new(Arc::new(Seal::new(id, key, None))),
            named: AtomicBool::new(false),
            format: AtomicU32::new(FORMAT),
        };
        match hint {
            Some(hint) => {
                naming.take_in(hint.format, hint.log);
                if let Some(ring) = &hint.ring {
                    naming.keep(ring.clone())?;
                }
            }
            None => naming.learn().await?,
        }
        Ok(naming)
    }

    pub(crate) fn seal(&self) -> Arc<Seal> {
        Arc::clone(&self.seal.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, seal: Seal) {
        *self.seal.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(seal);
    }

    fn take_in(&self, format: u32, log: Uuid) {
        if self.seal().log() != log {
            self.set(self.seal().named(log));
        }
        self.format.store(format, Ordering::SeqCst);
        self.named.store(true, Ordering::SeqCst);
    }

    fn keep(&self, ring: Keyring) -> Result<(), LogError> {
        self.set(self.seal().with_ring(ring)?);
        Ok(())
    }

    fn fail(&self, error: &StoreError) -> LogError {
        LogError::Storage { place: self.layout.name().into(), reason: error.to_string() }
    }

    /// The format that hints are written in.
    pub(crate) fn format(&self) -> u32 {
        if self.seal().ring().is_some() { FORMAT } else { WITHOUT_KEYRING }
    }

    /// Gives the log its name, unless it has one.
    pub(crate) async fn name(&self, format: u32) -> Result<(), LogError> {
        if self.named.load(Ordering::SeqCst) {
            return Ok(());
        }
        let (place, id) = (self.layout.format(), self.seal().log());
        let body = to_json(&Format { format, writer: id })?;
        match create(&*self.store, &place, id, &body).await.map_err(|error| self.fail(&error))? {
            Created::Mine => self.take_in(format, id),
            Created::Other(body) => {
                let found: Format = read_json(&self.layout, &place, &body)?;
                self.take_in(found.format, found.writer);
            }
        }
        Ok(())
    }

    /// Learns a name that somebody gave.
    async fn learn(&self) -> Result<(), LogError> {
        let place = self.layout.format();
        if !self.named.load(Ordering::SeqCst)
            && let Some(body) = read(&*self.store, &place).await.map_err(|error| self.fail(&error))?
        {
            let found: Format = read_json(&self.layout, &place, &body)?;
            self.take_in(found.format, found.writer);
        }
        Ok(())
    }

    /// Makes sure that events can be opened and sealed: that the log has its name, and its keyring where it needs one.
    pub(crate) async fn complete(&self) -> Result<(), LogError> {
        self.learn().await?;
        let removed = |object: String, what: &str| {
            LogError::Damaged(format!("the object {object} was removed: {what}"))
        };
        if !self.named.load(Ordering::SeqCst) {
            return Err(removed(self.layout.format(), "it names the log"));
        }
        let needs_ring = self.format.load(Ordering::SeqCst) > WITHOUT_KEYRING && self.seal().ring().is_none();
        if needs_ring && !self.refresh().await? {
            return Err(removed(self.layout.keyring(1), "the log is sealed with its keys"));
        }
        Ok(())
    }

    /// Looks for a newer keyring, and says whether there is one.
    pub(crate) async fn refresh(&self) -> Result<bool, LogError> {
        let mut known = self.seal().ring().map_or(0, |ring| ring.revision);
        let before = known;
        if known == 0 {
            let keys = list(&*self.store, &self.layout.keyrings(), "").await;
            let keys = keys.map_err(|error| self.fail(&error))?;
            let number = |key: &String| key.rsplit('/').next()?.parse::<u64>().ok();
            known = keys.iter().filter_map(number).max().unwrap_or(1) - 1;
        }
        loop {
            let Some(ring) = self.ring(known + 1).await? else { break };
            known += 1;
            self.keep(ring)?;
        }
        Ok(self.seal().ring().is_some_and(|ring| ring.revision > before))
    }

    /// Makes the keyring of a log without events, unless somebody was faster.
    pub(crate) async fn first_ring(&self, name: &str) -> Result<(), LogError> {
        if self.seal().ring().is_none() && !self.refresh().await? {
            let ring = self.seal().first_ring(name, false)?;
            if !self.write(&ring).await? {
                self.refresh().await?;
            }
        }
        Ok(())
    }

    /// Writes a keyring, and says whether it was this one.
    pub(crate) async fn write(&self, ring: &Keyring) -> Result<bool, LogError> {
        let object = self.layout.keyring(ring.revision);
        let written = create(&*self.store, &object, ring.writer(), &to_json(ring)?).await;
        let mine = matches!(written.map_err(|error| self.fail(&error))?, Created::Mine);
        if mine {
            self.keep(ring.clone())?;
        }
        Ok(mine)
    }

    /// Takes in the keyrings of a log that is moved here, perhaps back to here: then what is known here must be one of them.
    pub(crate) async fn adopt(&self, rings: &[Keyring]) -> Result<(), LogError> {
        self.refresh().await?;
        let known = self.seal().ring().cloned();
        let revision = known.as_ref().map_or(0, |ring| ring.revision);
        let follow = rings.first().is_none_or(|ring| ring.revision == revision + 1);
        if known.is_some_and(|known| !rings.contains(&known)) && !follow {
            let reason = "its keys were changed since it was moved away from here: choose another key for it";
            return Err(LogError::Storage { place: self.layout.name().into(), reason: reason.into() });
        }
        for ring in rings.iter().filter(|ring| ring.revision > revision) {
            if !self.write(ring).await? {
                return Err(KeyError::Overtaken.into());
            }
        }
        Ok(())
    }

    /// All keyrings, the newest last. A store that a log was moved to long ago may have none of the first ones.
    pub(crate) async fn rings(&self) -> Result<Vec<Keyring>, LogError> {
        self.refresh().await?;
        let Some(newest) = self.seal().ring().cloned() else { return Ok(Vec::new()) };
        let mut rings = Vec::new();
        for revision in 1..newest.revision {
            rings.extend(self.ring(revision).await?);
        }
        rings.push(newest);
        Ok(rings)
    }

    async fn ring(&self, revision: u64) -> Result<Option<Keyring>, LogError> {
        let object = self.layout.keyring(revision);
        let body = read(&*self.store, &object).await.map_err(|error| self.fail(&error))?;
        let decode = |body: Vec<u8>| serde_json::from_slice(&body);
        body.map(decode)
            .transpose()
            .map_err(|error| LogError::Damaged(format!("the object {object} cannot be read: {error}")))
    }

    /// Opens what was stored behind an event with the hash `before`, and sealed with the data key `least` or later ones.
    pub(crate) async fn open_events(
        &self,
        least: usize,
        before: [u8; 32],
        stored: &[StoredEvent],
    ) -> Result<Vec<Event>, LogError> {
        if stored.is_empty() {
            return Ok(Vec::new());
        }
        self.complete().await?;
        match self.seal().open_events_from(least, before, stored) {
            // The keyring that is known may be an older one.
            Err(LogError::Key(KeyError::Wrong { .. } | KeyError::NotForThis { .. }))
                if self.refresh().await? =>
            {
                self.seal().open_events_from(least, before, stored)
            }
            result => result,
        }
    }
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>, LogError> {
    serde_json::to_vec(value)
        .map_err(|error| LogError::Damaged(format!("an object cannot be written: {error}")))
}
