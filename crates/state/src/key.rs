//! The key that payloads and saved plans are sealed with.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use argon2::Argon2;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key as CipherKey, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a nonce of XChaCha20.
const NONCE: usize = 24;

/// A key. Its bytes are wiped when it is dropped and never shown.
#[derive(Clone)]
pub struct Key {
    bytes: Zeroizing<[u8; 32]>,
    origin: String,
}

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
            return Key::from_passphrase(&Zeroizing::new(passphrase));
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

    /// A key from its bytes, for tests.
    pub fn from_bytes(bytes: [u8; 32]) -> Key {
        Key { bytes: Zeroizing::new(bytes), origin: "memory".into() }
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
        Ok(Key { bytes, origin: path.display().to_string() })
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
            Ok(()) => Ok(Key { bytes, origin: path.display().to_string() }),
            // Another process made it at the same moment.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Key::read(path),
            Err(error) => Err(file(error)),
        }
    }

    /// Derives a key from a passphrase with Argon2id. The salt is fixed: one passphrase opens every log of a team.
    fn from_passphrase(passphrase: &str) -> Result<Key, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        let salt = Sha256::digest(b"pve passphrase key, version 1");
        Argon2::default()
            .hash_password_into(passphrase.as_bytes(), &salt, &mut *bytes)
            .map_err(|error| KeyError::Passphrase(error.to_string()))?;
        Ok(Key { bytes, origin: "PVE_ENCRYPTION_PASSPHRASE".into() })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&CipherKey::from(*self.bytes))
    }

    /// Seals bytes; they open only with the same `place`.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn seal(&self, plain: &[u8], place: &str) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0; NONCE];
        fill_random(&mut nonce)?;
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        let sealed =
            self.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| KeyError::Randomness)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what was sealed for `place`. `what` is named in the error.
    ///
    /// # Errors
    /// When it was sealed with another key or for another place, or was changed.
    pub fn open(&self, sealed: &[u8], place: &str, what: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let wrong = || KeyError::Wrong { what: what.into(), origin: self.origin.clone() };
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE).ok_or_else(wrong)?;
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| wrong())?;
        let payload = Payload { msg: ciphertext, aad: place.as_bytes() };
        self.cipher().decrypt(&XNonce::from(nonce), payload).map(Zeroizing::new).map_err(|_| wrong())
    }
}

/// Writes a key beside its place and then gives it its name: nobody reads half a key, and after a crash there is a whole
/// one or none. What is sealed with it is durable, so it must be too.
fn place_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    owner_only(&mut options);
    let mut opened = options.open(&temporary)?;
    let written = opened
        .write_all(text.as_bytes())
        .and_then(|()| opened.write_all(b"\n"))
        .and_then(|()| opened.sync_all())
        .and_then(|()| give_name(&temporary, path))
        .and_then(|()| sync_folder(path));
    // It is not there any more where it was renamed.
    let _ = std::fs::remove_file(&temporary);
    written
}

/// A link, unlike a rename, does not take the place of what is there. Not every file system has links.
fn give_name(temporary: &Path, path: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(temporary, path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists && !path.exists() => {
            std::fs::rename(temporary, path)
        }
        result => result,
    }
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

/// Folders cannot be opened as files there; the file system's journal keeps the order.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Random bytes by way of the generator that makes version 4 UUIDs, which is the operating system's.
fn fill_random(bytes: &mut [u8]) -> Result<(), KeyError> {
    for chunk in bytes.chunks_mut(8) {
        // 8 of the 16 bytes of a UUID: those without version and variant bits.
        let uuid = uuid::Uuid::new_v4();
        let random = uuid.as_bytes();
        let picked =
            [random[0], random[1], random[2], random[3], random[4], random[5], random[10], random[11]];
        let mut source = &picked[..];
        source.read_exact(chunk).map_err(|_| KeyError::Randomness)?;
    }
    Ok(())
}

#[cfg(unix)]
fn owner_only(options: &mut std::fs::OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600);
}

#[cfg(not(unix))]
fn owner_only(_: &mut std::fs::OpenOptions) {}

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
}
