//! Whom a log is sealed for: its data keys, wrapped for every recipient.
//!
//! Each recipient is the public half of a pair (X25519) whose secret half comes from a key file or a passphrase, so that
//! one is added without knowing more of it than that. A rotation adds a data key; those before it stay, for the events
//! that they sealed. A keyring after the first one carries a proof by the data key before it. A forged one brings along the
//! keys that prove it: it is believed by beginning with keys that are known, and by the events that it opens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use curve25519_dalek::MontgomeryPoint;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::key::{Key, KeyError, random_salt};
use crate::key_file::fill_random;

/// What a recipient's text begins with.
const PREFIX: &str = "pve1";
/// Bytes of a data key.
const KEY: usize = 32;

/// Somebody who is to open a log: a name, and the public half of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// How it is called.
    pub name: String,
    public: [u8; 32],
    /// The salt of a passphrase.
    salt: Option<Vec<u8>>,
}

impl Identity {
    /// The identity of a key; a passphrase is given a salt of its own.
    ///
    /// # Errors
    /// [`KeyError::Short`] for a passphrase that could be found by trying; otherwise when there is no randomness.
    pub fn of(name: impl Into<String>, key: &Key) -> Result<Identity, KeyError> {
        if key.is_short() {
            return Err(KeyError::Short);
        }
        let salt = if key.is_passphrase() { Some(random_salt()?.to_vec()) } else { None };
        let public = key.public(salt.as_deref().unwrap_or_default())?;
        Ok(Identity { name: name.into(), public, salt })
    }

    /// The identity that [`recipient_text`] wrote.
    ///
    /// # Errors
    /// When the text is none.
    pub fn parse(name: impl Into<String>, text: &str) -> Result<Identity, KeyError> {
        let public = text.strip_prefix(PREFIX).and_then(from_hexadecimal);
        let public = public.ok_or_else(|| {
            KeyError::Refused(format!("{text:?} is no recipient: it is {PREFIX} and 64 hexadecimal digits"))
        })?;
        Ok(Identity { name: name.into(), public, salt: None })
    }
}

/// The text by which others add a key file's owner.
///
/// # Errors
/// When the key is a passphrase: those are added by being typed.
pub fn recipient_text(key: &Key) -> Result<String, KeyError> {
    if key.is_passphrase() {
        return Err(KeyError::Refused("a passphrase has no text that others could add it by".into()));
    }
    Ok(format!("{PREFIX}{}", hexadecimal(&key.public(&[])?)))
}

/// A recipient in a keyring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// How it is called.
    pub name: String,
    /// Since when.
    pub added: Timestamp,
    /// The public half, in hexadecimal digits.
    public: String,
    /// The salt of a passphrase, in Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    /// The public half of the pair that was used once to wrap for this recipient.
    once: String,
    /// The data keys.
    wrapped: String,
}

impl Recipient {
    /// Whether it is a passphrase.
    pub fn is_passphrase(&self) -> bool {
        self.salt.is_some()
    }
}

/// A change of whom a log is sealed for.
#[derive(Clone, Debug)]
pub enum KeyringChange {
    /// Seal what comes with a new data key.
    Rotate,
    /// Let somebody open everything.
    Add(Identity),
    /// Let somebody open nothing that comes: a new data key, without them.
    Remove(String),
}

/// Whom a log is sealed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyring {
    /// Names this write.
    writer: Uuid,
    /// The log.
    log: Uuid,
    /// Counts keyrings of the log, from 1.
    pub revision: u64,
    /// How many data keys there are.
    keys: usize,
    /// Whether the first data key is what the log was sealed with before it had a keyring.
    old_first: bool,
    /// The recipients.
    pub recipients: Vec<Recipient>,
    /// The proof by the newest data key of the keyring before; none in the first.
    proof: String,
}

impl Keyring {
    /// The first keyring of a log, for one recipient. A log that has events already was sealed with the key itself.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn first(log: Uuid, identity: Identity, key: &Key, has_events: bool) -> Result<Keyring, KeyError> {
        let mut keys = Vec::new();
        if has_events {
            keys.push(key.of_old_logs()?.bytes(&[])?);
        }
        keys.push(random_key()?);
        let added = (identity, Timestamp::now());
        Keyring::wrap(log, 1, has_events, &keys, vec![added], None)
    }

    /// Names this write of a keyring.
    pub fn writer(&self) -> Uuid {
        self.writer
    }

    /// The data keys, oldest first.
    ///
    /// # Errors
    /// [`KeyError::NotForThis`] when the key is no recipient's; [`KeyError::Forged`] when the proof does not hold.
    pub(crate) fn unlock(&self, key: &Key) -> Result<Vec<Key>, KeyError> {
        for recipient in self.recipients.iter().filter(|one| one.is_passphrase() == key.is_passphrase()) {
            let salt = recipient.salt.as_deref().map(decode).transpose()?.unwrap_or_default();
            if hexadecimal(&key.public(&salt)?) != recipient.public {
                continue;
            }
            let once: [u8; 32] = from_hexadecimal(&recipient.once).ok_or(KeyError::Forged)?;
            let shared = MontgomeryPoint(once).mul_clamped(*key.private(&salt)?);
            let wrapping = wrapping_key(&shared, &recipient.once, &recipient.public);
            let place = place(self.log, self.revision, &recipient.public);
            let bytes = wrapping.open(&decode(&recipient.wrapped)?, &place, "the log's key");
            let bytes = bytes.map_err(|_| KeyError::Forged)?;
            if bytes.len() != self.keys * KEY || self.keys == 0 {
                return Err(KeyError::Forged);
            }
            let (chunks, _) = bytes.as_chunks::<KEY>();
            let keys: Vec<Key> = chunks.iter().map(|bytes| Key::from_bytes(*bytes)).collect();
            self.check_proof(&keys)?;
            return Ok(keys);
        }
        let names = self.recipients.iter().map(|recipient| recipient.name.clone()).collect();
        Err(KeyError::NotForThis { origin: key.origin().into(), names })
    }

    /// Whether a data key is one of before there were keyrings.
    pub(crate) fn is_old(&self, key: usize) -> bool {
        self.old_first && key == 0
    }

    /// The keyring after this one.
    ///
    /// # Errors
    /// When the key cannot open this one, or the change cannot be made.
    pub fn changed(&self, key: &Key, change: KeyringChange) -> Result<Keyring, KeyError> {
        let unlocked = self.unlock(key)?;
        let mut keys = unlocked.iter().map(|key| key.bytes(&[])).collect::<Result<Vec<_>, _>>()?;
        let mut recipients = self.identities()?;
        match change {
            KeyringChange::Rotate => keys.push(random_key()?),
            KeyringChange::Add(identity) => {
                let known = |(one, _): &(Identity, Timestamp)| {
                    one.name == identity.name || one.public == identity.public
                };
                if let Some((one, _)) = recipients.iter().find(|one| known(one)) {
                    return Err(KeyError::Refused(format!("{} is a recipient already", one.name)));
                }
                recipients.push((identity, Timestamp::now()));
            }
            KeyringChange::Remove(name) => {
                let before = recipients.len();
                recipients.retain(|(one, _)| one.name != name);
                if recipients.len() == before {
                    return Err(KeyError::Refused(format!("there is no recipient {name}")));
                }
                keys.push(random_key()?);
            }
        }
        let next =
            Keyring::wrap(self.log, self.revision + 1, self.old_first, &keys, recipients, unlocked.last())?;
        // Whoever changes a keyring must not lock themselves out.
        next.unlock(key).map_err(|_| {
            KeyError::Refused(
                "this would take away the key that it is done with: nobody here could go on".into(),
            )
        })?;
        Ok(next)
    }

    /// This first keyring with a change, still as the first one: none was written before it.
    pub(crate) fn as_first(&self, key: &Key, change: KeyringChange) -> Result<Keyring, KeyError> {
        let next = self.changed(key, change)?;
        let unlocked = next.unlock(key)?;
        let keys = unlocked.iter().map(|key| key.bytes(&[])).collect::<Result<Vec<_>, _>>()?;
        Keyring::wrap(self.log, 1, self.old_first, &keys, next.identities()?, None)
    }

    fn identities(&self) -> Result<Vec<(Identity, Timestamp)>, KeyError> {
        let identity = |one: &Recipient| {
            let public = from_hexadecimal(&one.public).ok_or(KeyError::Forged)?;
            let salt = one.salt.as_deref().map(decode).transpose()?;
            Ok((Identity { name: one.name.clone(), public, salt }, one.added))
        };
        self.recipients.iter().map(identity).collect()
    }

    fn wrap(
        log: Uuid,
        revision: u64,
        old_first: bool,
        keys: &[Zeroizing<[u8; KEY]>],
        recipients: Vec<(Identity, Timestamp)>,
        prover: Option<&Key>,
    ) -> Result<Keyring, KeyError> {
        let all = Zeroizing::new(keys.iter().flat_map(|key| key.iter().copied()).collect::<Vec<u8>>());
        let wrapped = recipients.into_iter().map(|(identity, added)| {
            let mut secret = Zeroizing::new([0; 32]);
            fill_random(&mut *secret)?;
            let once = hexadecimal(&MontgomeryPoint::mul_base_clamped(*secret).to_bytes());
            let public = hexadecimal(&identity.public);
            let shared = MontgomeryPoint(identity.public).mul_clamped(*secret);
            let wrapping = wrapping_key(&shared, &once, &public);
            Ok(Recipient {
                name: identity.name,
                added,
                salt: identity.salt.map(|salt| STANDARD.encode(salt)),
                wrapped: STANDARD.encode(wrapping.seal(&all, &place(log, revision, &public))?),
                public,
                once,
            })
        });
        let recipients = wrapped.collect::<Result<Vec<_>, KeyError>>()?;
        let (writer, keys) = (Uuid::now_v7(), keys.len());
        let proof = String::new();
        let mut ring = Keyring { writer, log, revision, keys, old_first, recipients, proof };
        if let Some(prover) = prover {
            ring.proof = STANDARD.encode(prover.seal(&[], &ring.digest()?)?);
        }
        Ok(ring)
    }

    /// What is proved: everything but the proof.
    fn digest(&self) -> Result<String, KeyError> {
        let bare = Keyring { proof: String::new(), ..self.clone() };
        let json = serde_json::to_vec(&bare).map_err(|error| KeyError::Refused(error.to_string()))?;
        Ok(format!("{}/keyring/{}", self.log, hexadecimal(&Sha256::digest(json).into())))
    }

    /// The proof is by the newest data key, or the one before it after a rotation.
    fn check_proof(&self, keys: &[Key]) -> Result<(), KeyError> {
        if self.revision == 1 {
            return Ok(());
        }
        let (proof, place) = (decode(&self.proof)?, self.digest()?);
        let holds = |key: &Key| key.open(&proof, &place, "the proof").is_ok();
        if keys.iter().rev().take(2).any(holds) { Ok(()) } else { Err(KeyError::Forged) }
    }
}

fn random_key() -> Result<Zeroizing<[u8; KEY]>, KeyError> {
    let mut bytes = Zeroizing::new([0; KEY]);
    fill_random(&mut *bytes)?;
    Ok(bytes)
}

/// What is wrapped for a recipient is bound to the log, the keyring and the recipient.
fn place(log: Uuid, revision: u64, public: &str) -> String {
    format!("{log}/keyring/{revision}/{public}")
}

fn wrapping_key(shared: &MontgomeryPoint, once: &str, public: &str) -> Key {
    let mut digest = Sha256::new();
    digest.update(b"pve keyring, version 1");
    digest.update(once.as_bytes());
    digest.update(public.as_bytes());
    digest.update(shared.as_bytes());
    Key::from_bytes(digest.finalize().into())
}

fn decode(text: &str) -> Result<Vec<u8>, KeyError> {
    STANDARD.decode(text).map_err(|_| KeyError::Forged)
}

pub(crate) fn hexadecimal(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hexadecimal(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
