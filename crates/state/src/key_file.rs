//! Files of keys: there whole or not at all, durable, for their owner alone. And randomness.

use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::key::KeyError;

/// Writes a key beside its place and then gives it its name: nobody reads half a key, and after a crash there is a whole
/// one or none. What is sealed with it is durable, so it must be too.
pub(crate) fn place_whole(path: &Path, text: &str) -> std::io::Result<()> {
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
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), KeyError> {
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
