//! How a log's events are sealed and opened: the data keys of its keyring, and what each ciphertext is bound to.

use std::sync::OnceLock;

use pve_model::event::{Event, Payload};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::chain::StoredEvent;
use crate::key::{Key, KeyError};
use crate::keyring::{Identity, Keyring, KeyringChange, hexadecimal};
use crate::log::{Draft, Head, LogError};

/// Whether `keys` are `known` ones and perhaps more.
fn begin_with(keys: &[Key], known: &[Key]) -> Result<bool, KeyError> {
    for (at, known) in known.iter().enumerate() {
        let Some(key) = keys.get(at) else { return Ok(false) };
        if *key.bytes(&[])? != *known.bytes(&[])? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// By what the first data keys of a log are known again, without telling them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownKeys {
    /// How many there are.
    pub count: usize,
    /// A digest of them, in hexadecimal digits.
    digest: String,
}

impl KnownKeys {
    /// A digest of them, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// The seal of one log. Its keyring is opened when something is sealed or opened first: checking a log needs no key.
pub struct Seal {
    log: Uuid,
    key: Key,
    ring: Option<Keyring>,
    keys: OnceLock<Vec<Key>>,
}

impl Seal {
    /// The seal of a log with a keyring; one without is of before there were keyrings, and sealed with the key itself.
    pub fn new(log: Uuid, key: Key, ring: Option<Keyring>) -> Seal {
        Seal { log, key, ring, keys: OnceLock::new() }
    }

    /// The log.
    pub fn log(&self) -> Uuid {
        self.log
    }

    /// Its keyring.
    pub fn ring(&self) -> Option<&Keyring> {
        self.ring.as_ref()
    }

    /// What opens the keyring.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The same with another keyring. One that replaces a known one must begin with its data keys: a keyring's proof is
    /// by keys that it brings along, and whoever can write to a log's store can make one of keys of their own.
    ///
    /// # Errors
    /// [`KeyError::Forged`] when it begins with other keys.
    pub fn with_ring(&self, ring: Keyring) -> Result<Seal, KeyError> {
        let next = Seal::new(self.log, self.key.clone(), Some(ring));
        // Who is let in by one of them alone cannot compare them.
        if self.ring.is_some()
            && let (Ok(known), Ok(keys)) = (self.keys(), next.keys())
            && !begin_with(keys, known)?
        {
            return Err(KeyError::Forged);
        }
        Ok(next)
    }

    /// The same for another log, of which nothing is known.
    pub fn named(&self, log: Uuid) -> Seal {
        Seal::new(log, self.key.clone(), None)
    }

    /// The first keyring of this log, made by whoever writes to it now.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn first_ring(&self, name: &str, has_events: bool) -> Result<Keyring, KeyError> {
        Keyring::first(self.log, Identity::of(name, &self.key)?, &self.key, has_events)
    }

    /// The keyring after a change. A log that has none is given one first.
    ///
    /// # Errors
    /// When the key does not fit or the change cannot be made.
    pub fn next_ring(
        &self,
        name: &str,
        has_events: bool,
        change: KeyringChange,
    ) -> Result<Keyring, KeyError> {
        match &self.ring {
            Some(ring) => ring.changed(&self.key, change),
            None => match change {
                // The first one brings a new data key.
                KeyringChange::Rotate => self.first_ring(name, has_events),
                change => self.first_ring(name, has_events)?.as_first(&self.key, change),
            },
        }
    }

    /// Oldest first; the newest seals.
    fn keys(&self) -> Result<&[Key], KeyError> {
        if let Some(keys) = self.keys.get() {
            return Ok(keys);
        }
        let keys = match &self.ring {
            Some(ring) => ring.unlock(&self.key)?,
            None => vec![self.key.of_old_logs()?],
        };
        Ok(self.keys.get_or_init(|| keys))
    }

    fn newest(&self) -> Result<&Key, KeyError> {
        self.keys()?.last().ok_or(KeyError::Forged)
    }

    /// The number of the newest data key.
    ///
    /// # Errors
    /// When the key does not fit.
    pub fn newest_number(&self) -> Result<usize, KeyError> {
        Ok(self.keys()?.len().saturating_sub(1))
    }

    /// The first `count` data keys, all of them without one; `None` where they cannot be opened, or there is no keyring.
    pub fn known_keys(&self, count: Option<usize>) -> Option<KnownKeys> {
        self.ring.as_ref()?;
        let keys = self.keys().ok()?;
        let keys = &keys[..count.unwrap_or(keys.len()).min(keys.len())];
        let mut digest = Sha256::new_with_prefix(format!("data keys of {}", self.log));
        for key in keys {
            digest.update(*key.bytes(&[]).ok()?);
        }
        Some(KnownKeys { count: keys.len(), digest: hexadecimal(&digest.finalize().into()) })
    }

    /// Seals bytes for a place in this log.
    ///
    /// # Errors
    /// When the key does not fit.
    pub fn seal(&self, plain: &[u8], place: &str) -> Result<Vec<u8>, KeyError> {
        self.newest()?.seal(plain, place)
    }

    /// Opens what was sealed for a place in this log with the newest data key: those before it are known to whoever
    /// was a recipient then.
    ///
    /// # Errors
    /// When it was sealed with another one, or for another place, or was changed.
    pub fn open(&self, sealed: &[u8], place: &str, what: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.newest()?.open(sealed, place, what).map_err(|_| self.wrong(what))
    }

    fn wrong(&self, what: &str) -> KeyError {
        KeyError::Wrong { what: what.into(), origin: self.key.origin().into() }
    }

    /// Gives drafts their places behind the end of the log and seals their payloads.
    ///
    /// # Errors
    /// When a payload cannot be sealed.
    pub fn seal_batch(&self, end: Head, batch: &[Draft]) -> Result<Vec<StoredEvent>, LogError> {
        let keys = self.keys()?;
        let newest = keys.len().saturating_sub(1);
        let mut before = end.hash;
        let mut stored = Vec::with_capacity(batch.len());
        for (sequence, draft) in (end.sequence + 1..).zip(batch) {
            let json = Zeroizing::new(
                serde_json::to_vec(&draft.payload)
                    .map_err(|error| LogError::Damaged(format!("an event cannot be written: {error}")))?,
            );
            let mut event = StoredEvent {
                sequence,
                id: draft.id,
                time: draft.time,
                run: draft.run,
                actor: draft.actor.clone(),
                kind: draft.payload.kind().to_string(),
                sealed: Vec::new(),
                hash: [0; 32],
            };
            event.sealed = self.newest()?.seal(&json, &self.place(newest, &event, &before))?;
            event.hash = event.expected_hash(&before);
            before = event.hash;
            stored.push(event);
        }
        Ok(stored)
    }

    /// Opens stored events, which follow one with the hash `before`.
    ///
    /// # Errors
    /// When the key does not fit, an event or one before it was changed, or a payload is no payload.
    pub fn open_events(&self, before: [u8; 32], stored: &[StoredEvent]) -> Result<Vec<Event>, LogError> {
        self.open_events_from(0, before, stored)
    }

    /// The same behind something that was sealed with the data key number `least`. The event that follows a new data key
    /// is sealed with it, and so is all that comes: an older one there was used by somebody who was removed.
    ///
    /// # Errors
    /// As [`Seal::open_events`].
    pub fn open_events_from(
        &self,
        least: usize,
        before: [u8; 32],
        stored: &[StoredEvent],
    ) -> Result<Vec<Event>, LogError> {
        let (mut least, mut before) = (least, before);
        stored
            .iter()
            .map(|event| {
                let (number, json) = self.open_event(least, event, &before)?;
                (least, before) = (number, event.hash);
                let payload: Payload = serde_json::from_slice(&json).map_err(|error| {
                    LogError::Damaged(format!("event {} cannot be read: {error}", event.sequence))
                })?;
                Ok(Event {
                    sequence: event.sequence,
                    id: event.id,
                    time: event.time,
                    run: event.run,
                    actor: event.actor.clone(),
                    payload,
                })
            })
            .collect()
    }

    fn open_event(
        &self,
        least: usize,
        event: &StoredEvent,
        before: &[u8; 32],
    ) -> Result<(usize, Zeroizing<Vec<u8>>), KeyError> {
        let what = format!("event {}", event.sequence);
        let keys = self.keys()?.iter().enumerate().skip(least).rev();
        let opened = keys.into_iter().find_map(|(number, key)| {
            let opened = key.open(&event.sealed, &self.place(number, event, before), &what).ok();
            opened.map(|json| (number, json))
        });
        opened.ok_or_else(|| self.wrong(&what))
    }

    /// What an event's payload is bound to: the log and its place there, everything about it that can be read without
    /// a key, and by the hash before it every event before. So the chain, which anybody can compute anew, holds for
    /// whoever has the key only as it was written. Logs of before there were keyrings bind to log and place alone.
    fn place(&self, key: usize, event: &StoredEvent, before: &[u8; 32]) -> String {
        let place = format!("{}/{}", self.log, event.sequence);
        if self.ring.as_ref().is_none_or(|ring| ring.is_old(key)) {
            return place;
        }
        let bound = StoredEvent { sealed: Vec::new(), ..event.clone() }.expected_hash(before);
        bound.iter().fold(place + "/", |text, byte| format!("{text}{byte:02x}"))
    }
}
