//! Symbolic links of fetched packages: none may lead out. And copies of packages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Attempted, FetchError};

/// Checks every symbolic link under a folder. One that leads to nothing is taken away: what it would lead to later is
/// not known.
///
/// # Errors
/// When a link is absolute or leads out of the folder.
pub(crate) fn check_links(folder: &Path) -> Result<(), FetchError> {
    let root = folder.canonicalize().attempted(|| format!("reading {}", folder.display()))?;
    let mut open = vec![root.clone()];
    while let Some(directory) = open.pop() {
        for path in entries(&directory).attempted(|| format!("reading {}", directory.display()))? {
            let metadata = path.symlink_metadata().attempted(|| format!("reading {}", path.display()))?;
            if metadata.is_dir() {
                open.push(path);
            } else if metadata.is_symlink() {
                check_link(&path, &root)?;
            }
        }
    }
    Ok(())
}

fn check_link(path: &Path, root: &Path) -> Result<(), FetchError> {
    let target = fs::read_link(path).attempted(|| format!("reading {}", path.display()))?;
    let inside = match path.canonicalize() {
        Ok(real) => !target.is_absolute() && real.starts_with(root),
        Err(_) => return fs::remove_file(path).attempted(|| format!("removing {}", path.display())),
    };
    if inside {
        return Ok(());
    }
    let name = path.strip_prefix(root).unwrap_or(path).display();
    let message =
        format!("the package has a symbolic link {name} that leads out of it to {}", target.display());
    Err(FetchError::hinted(message, "Nothing was installed. Ask the module's author to take the link out."))
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        found.push(entry?.path());
    }
    found.sort();
    Ok(found)
}

/// Copies a folder whose links were checked.
///
/// # Errors
/// As the operating system has them.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for path in entries(from)? {
        let Some(name) = path.file_name() else { continue };
        let (target, metadata) = (to.join(name), path.symlink_metadata()?);
        if metadata.is_dir() {
            copy_folder(&path, &target)?;
        } else if metadata.is_symlink() {
            make_link(&fs::read_link(&path)?, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// Makes a symbolic link.
///
/// # Errors
/// As the operating system has them; always where there are no such links.
pub(crate) fn make_link(target: &Path, path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(target, path);
    #[cfg(not(unix))]
    {
        let _ = (target, path);
        Err(io::ErrorKind::Unsupported.into())
    }
}
