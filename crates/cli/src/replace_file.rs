//! Files that are replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Writes a file beside its place and moves it there, so that it is there whole or as it was. It keeps its mode; behind
/// a symbolic link the file that the link names is replaced. What is no file, such as a device, is written to.
///
/// # Errors
/// When the file cannot be written; it is then as it was.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let place = path.canonicalize().unwrap_or_else(|_| path.into());
    let present = fs::metadata(&place).ok();
    if present.as_ref().is_some_and(|found| !found.is_file()) {
        return fs::write(&place, bytes);
    }
    let temporary = beside(&place);
    let written = File::create_new(&temporary).and_then(|mut file| {
        if let Some(found) = &present {
            file.set_permissions(found.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &place)
    });
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(error) => {
            // It is not there where it could not be made.
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

/// Writes a file that must not be there yet, as a whole or not at all.
///
/// # Errors
/// When there is such a file by now, or it cannot be written.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path);
    let written = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            Ok(()) => fs::remove_file(&temporary),
            // Not every file system has links.
            Err(_) => match path.try_exists() {
                Ok(true) => Err(io::ErrorKind::AlreadyExists.into()),
                _ => fs::rename(&temporary, path),
            },
        }
    });
    if written.is_err() {
        // It is not there where it could not be made.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Writes a file beside its place and moves it there, readable by its owner alone. Durable on return if it must be.
///
/// # Errors
/// When the file cannot be written; it is then as it was.
pub fn write_private(path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| if durable { file.sync_all() } else { Ok(()) });
    let written = written.and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // It is not there where it could not be made.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A name that no reader of configuration takes for one of its files.
fn beside(place: &Path) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    place.with_file_name(name)
}
