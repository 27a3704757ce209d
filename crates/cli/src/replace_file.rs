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

/// A name that no reader of configuration takes for one of its files.
fn beside(place: &Path) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    place.with_file_name(name)
}
