//! What opens everything at rest: a key file, or a passphrase.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::Argon2;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key as CipherKey, XChaCha20Poly1305, XNonce};
use curve25519_dalek::MontgomeryPoint;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::key_file::{fill_random, place_whole};

/// Bytes of a nonce of XChaCha20.
const NONCE: usize = 24;
/// Bytes of a salt of Argon2.
pub(crate) const SALT: usize = 16;

/// A key. Its bytes are wiped when it is dropped and never shown.
#[derive(Clone)]
pub struct Key {
    secret: Secret,
    origin: String,
}

#[derive(Clone)]
enum Secret {
    Bytes(Zeroizing<[u8; 32]>),
    Passphrase(Arc<Passphrase>),
}

/// A passphrase, and the keys that were derived from it: each takes a good part of a second.
struct Passphrase {
    text: Zeroizing<String>,
    derived: Mutex<BTreeMap<Vec<u8>, Zeroizing<[u8; 32]>>>,
}

/// The fewest characters of a passphrase that somebody is let in by: whoever gets at the stored log can try in peace.
const SHORTEST: usize = 16;

/// Why there is no key, or why something cannot be opened with it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key file cannot be read or made.
    #[error("the key file {path} cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key file has something else in it.
    #[error("the key file {path} is no key: it must hold 64 hexadecimal digits")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// A passphrase that nobody is to be let in by.
    #[error("the passphrase is shorter than {SHORTEST} characters")]
    Short,
    /// A passphrase cannot be made into a key.
    #[error("the passphrase cannot be used as a key: {0}")]
    Passphrase(String),
    /// What is sealed was sealed with another key, or changed since.
    #[error("{what} cannot be opened with the key from {origin}: it was sealed with another key, or changed")]
    Wrong {
        /// What was to be opened.
        what: String,
        /// Where the key comes from.
        origin: String,
    },
    /// The log is sealed for others.
    #[error("the log cannot be opened with the key from {origin}: it was sealed with another key, for {}", names.join(", "))]
    NotForThis {
        /// Where the key comes from.
        origin: String,
        /// Whom it is sealed for.
        names: Vec<String>,
    },
    /// The list of whom a log is sealed for was changed by somebody who cannot open it.
    #[error("the keys of the log were changed by somebody who does not have them")]
    Forged,
    /// Somebody else changed the keys at the same moment.
    #[error("the keys of the log were changed by somebody else just now")]
    Overtaken,
    /// A change that cannot be made.
    #[error("{0}")]
    Refused(String),
    /// There is no randomness.
    #[error("the system gives no random bytes")]
    Randomness,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Key {
    /// The key that the environment names (`PVE_ENCRYPTION_KEY_FILE`, `PVE_ENCRYPTION_PASSPHRASE`), else the key file
    /// `folder/key`, which is made on first use and readable by its owner alone.
    ///
    /// # Errors
    /// When the key cannot be read or made.
    pub fn find(folder: &Path) -> Result<Key, KeyError> {
        if let Some(path) = std::env::var_os("PVE_ENCRYPTION_KEY_FILE").filter(|path| !path.is_empty()) {
            return Key::read(Path::new(&path));
        }
        if let Ok(passphrase) = std::env::var("PVE_ENCRYPTION_PASSPHRASE")
            && !passphrase.is_empty()
        {
            return Ok(Key::of_passphrase(passphrase, "PVE_ENCRYPTION_PASSPHRASE"));
        }
        let path = folder.join("key");
        if path.exists() { Key::read(&path) } else { Key::make(&path) }
    }

    /// Whether the environment names a key, so that no key file is made.
    pub fn is_named_by_environment() -> bool {
        ["PVE_ENCRYPTION_KEY_FILE", "PVE_ENCRYPTION_PASSPHRASE"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Key {
        Key { secret: Secret::Bytes(Zeroizing::new(bytes)), origin: "memory".into() }
    }

    /// A passphrase; `origin` says where it comes from.
    pub fn of_passphrase(text: String, origin: &str) -> Key {
        let passphrase = Passphrase { text: Zeroizing::new(text), derived: Mutex::default() };
        Key { secret: Secret::Passphrase(Arc::new(passphrase)), origin: origin.into() }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// When it cannot be read or is no key.
    pub fn read(path: &Path) -> Result<Key, KeyError> {
        let file = |source| KeyError::File { path: path.into(), source };
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(file)?);
        let text = text.trim();
        let malformed = || KeyError::Malformed { path: path.into() };
        if text.len() != 64 {
            return Err(malformed());
        }
        let mut bytes = Zeroizing::new([0; 32]);
        for (i, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * i..2 * i + 2).ok_or_else(malformed)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| malformed())?;
        }
        Ok(Key { secret: Secret::Bytes(bytes), origin: path.display().to_string() })
    }

    /// Makes a key file.
    ///
    /// # Errors
    /// When it cannot be written.
    fn make(path: &Path) -> Result<Key, KeyError> {
        let file = |source| KeyError::File { path: path.into(), source };
        let mut bytes = Zeroizing::new([0; 32]);
        fill_random(&mut *bytes)?;
        let text = Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(file)?;
        }
        match place_whole(path, &text) {
            Ok(()) => Ok(Key { secret: Secret::Bytes(bytes), origin: path.display().to_string() }),
            // Another process made it at the same moment.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Key::read(path),
            Err(error) => Err(file(error)),
        }
    }

    /// Where it comes from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether it is a passphrase, from which keys are derived with salts.
    pub fn is_passphrase(&self) -> bool {
        matches!(self.secret, Secret::Passphrase(_))
    }

    /// Whether it is a passphrase that could be found by trying.
    pub(crate) fn is_short(&self) -> bool {
        matches!(&self.secret, Secret::Passphrase(given) if given.text.chars().count() < SHORTEST)
    }

    /// The bytes; those of a passphrase with this salt, by Argon2id.
    pub(crate) fn bytes(&self, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let passphrase = match &self.secret {
            Secret::Bytes(bytes) => return Ok(bytes.clone()),
            Secret::Passphrase(passphrase) => passphrase,
        };
        let mut derived = passphrase.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = derived.get(salt) {
            return Ok(bytes.clone());
        }
        let mut bytes = Zeroizing::new([0; 32]);
        Argon2::default()
            .hash_password_into(passphrase.text.as_bytes(), salt, &mut *bytes)
            .map_err(|error| KeyError::Passphrase(error.to_string()))?;
        derived.insert(salt.to_vec(), bytes.clone());
        Ok(bytes)
    }

    /// What logs of before there were keyrings are sealed with. The salt of a passphrase was a fixed one.
    pub(crate) fn of_old_logs(&self) -> Result<Key, KeyError> {
        let salt = Sha256::digest(b"pve passphrase key, version 1");
        Ok(Key { secret: Secret::Bytes(self.bytes(&salt)?), origin: self.origin.clone() })
    }

    /// The secret half of the pair by which others seal for this key (X25519).
    pub(crate) fn private(&self, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let mut digest = Sha256::new();
        digest.update(b"pve recipient, version 1");
        digest.update(*self.bytes(salt)?);
        Ok(Zeroizing::new(digest.finalize().into()))
    }

    /// The public half: who has it can seal for this key and open nothing.
    ///
    /// # Errors
    /// When a passphrase cannot be used.
    pub fn public(&self, salt: &[u8]) -> Result<[u8; 32], KeyError> {
        Ok(MontgomeryPoint::mul_base_clamped(*self.private(salt)?).to_bytes())
    }

    /// Seals bytes; they open only with the same `place`. What a passphrase seals carries its salt.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn seal(&self, plain: &[u8], place: &str) -> Result<Vec<u8>, KeyError> {
        let mut salt = Vec::new();
        if let Secret::Passphrase(passphrase) = &self.secret {
            // One that is derived already does: a salt need not be used once only.
            let derived = passphrase.derived.lock().unwrap_or_else(PoisonError::into_inner);
            salt = derived.keys().find(|salt| salt.len() == SALT).cloned().unwrap_or_default();
            drop(derived);
            if salt.is_empty() {
                salt = random_salt()?.to_vec();
            }
        }
        let mut nonce = [0; NONCE];
        fill_random(&mut nonce)?;
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        let cipher = XChaCha20Poly1305::new(&CipherKey::from(*self.bytes(&salt)?));
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| KeyError::Randomness)?;
        Ok([&salt[..], &nonce[..], &sealed].concat())
    }

    /// Opens what was sealed for `place`. `what` is named in the error.
    ///
    /// # Errors
    /// When it was sealed with another key or for another place, or was changed.
    pub fn open(&self, sealed: &[u8], place: &str, what: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let wrong = || KeyError::Wrong { what: what.into(), origin: self.origin.clone() };
        if !self.is_passphrase() {
            return decrypt(&*self.bytes(&[])?, sealed, place).ok_or_else(wrong);
        }
        let (salt, rest) = sealed.split_at_checked(SALT).ok_or_else(wrong)?;
        if let Some(plain) = decrypt(&*self.bytes(salt)?, rest, place) {
            return Ok(plain);
        }
        decrypt(&*self.of_old_logs()?.bytes(&[])?, sealed, place).ok_or_else(wrong)
    }
}

fn decrypt(key: &[u8; 32], sealed: &[u8], place: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE)?;
    let nonce: [u8; NONCE] = nonce.try_into().ok()?;
    let payload = Payload { msg: ciphertext, aad: place.as_bytes() };
    let cipher = XChaCha20Poly1305::new(&CipherKey::from(*key));
    cipher.decrypt(&XNonce::from(nonce), payload).ok().map(Zeroizing::new)
}

/// A new salt for a passphrase.
pub(crate) fn random_salt() -> Result<[u8; SALT], KeyError> {
    let mut salt = [0; SALT];
    fill_random(&mut salt)?;
    Ok(salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_open_with_their_key_in_their_place_only() {
        let key = Key::from_bytes([1; 32]);
        let sealed = key.seal(b"secret", "log 1").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(&*key.open(&sealed, "log 1", "it").unwrap(), b"secret");
        assert!(key.open(&sealed, "log 2", "it").is_err());
        assert!(Key::from_bytes([2; 32]).open(&sealed, "log 1", "it").is_err());
    }

    #[test]
    fn processes_that_make_the_key_at_once_have_the_same() {
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("key");
            let start = std::sync::Barrier::new(4);
            let keys: Vec<Key> = std::thread::scope(|scope| {
                let make = || {
                    start.wait();
                    Key::make(&path).unwrap()
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let sealed = keys[0].seal(b"x", "p").unwrap();
            assert!(keys.iter().all(|key| key.open(&sealed, "p", "it").is_ok()));
        }
    }

    #[test]
    fn a_key_file_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = Key::make(&path).unwrap();
        let sealed = made.seal(b"x", "p").unwrap();
        assert!(Key::read(&path).unwrap().open(&sealed, "p", "it").is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1, "nothing is left beside it");
        std::fs::write(&path, "not a key").unwrap();
        assert!(matches!(Key::read(&path), Err(KeyError::Malformed { .. })));
    }

    #[test]
    fn a_passphrase_has_another_key_with_each_salt_and_opens_what_it_sealed_anywhere() {
        let key = || Key::of_passphrase("correct horse".into(), "test");
        let sealed = key().seal(b"secret", "plan").unwrap();
        assert_eq!(&*key().open(&sealed, "plan", "it").unwrap(), b"secret");
        let other = Key::of_passphrase("correct house".into(), "test");
        assert!(other.open(&sealed, "plan", "it").is_err());
        let again = key().seal(b"secret", "plan").unwrap();
        assert_ne!(sealed[..SALT], again[..SALT]);
        // What was sealed before salts were random.
        let old = key().of_old_logs().unwrap().seal(b"old", "plan").unwrap();
        assert_eq!(&*key().open(&old, "plan", "it").unwrap(), b"old");
    }
}
