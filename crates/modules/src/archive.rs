//! Archives: unpacked into a new folder, and nowhere else.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use crate::error::{Attempted, FetchError};
use crate::links::{check_links, make_link};

/// An archive never holds more bytes than this when it is unpacked.
const MOST_BYTES: u64 = 2 << 30;
/// Nor more entries.
const MOST_ENTRIES: usize = 200_000;

/// How a package is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArchiveKind {
    /// `.zip`
    Zip,
    /// `.tar`
    Tar,
    /// `.tar.gz`, `.tgz`
    TarGz,
    /// `.tar.xz`, `.txz`
    TarXz,
}

impl ArchiveKind {
    /// The kind that a file's name tells.
    pub(crate) fn of_name(name: &str) -> Option<ArchiveKind> {
        let kinds = [
            (".zip", ArchiveKind::Zip),
            (".tar", ArchiveKind::Tar),
            (".tar.gz", ArchiveKind::TarGz),
            (".tgz", ArchiveKind::TarGz),
            (".tar.xz", ArchiveKind::TarXz),
            (".txz", ArchiveKind::TarXz),
        ];
        kinds.into_iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, kind)| kind)
    }

    /// Whether a name is that of an archive that Terraform knows and pve does not.
    pub(crate) fn is_known_but_unsupported(name: &str) -> bool {
        [".tar.bz2", ".tbz2", ".bz2", ".tar.zst", ".tzst", ".zst", ".gz", ".xz"]
            .iter()
            .any(|ending| name.ends_with(ending))
    }
}

/// Unpacks an archive into a folder, which is made.
///
/// # Errors
/// When it is damaged, too large, or has an entry that leads out of the folder.
pub(crate) fn unpack(archive: &Path, kind: ArchiveKind, folder: &Path) -> Result<(), FetchError> {
    let file = File::open(archive).attempted(|| "opening the archive".into())?;
    fs::create_dir(folder).attempted(|| format!("making {}", folder.display()))?;
    let mut target = Target { folder, links: Vec::new(), bytes: 0, entries: 0 };
    let reader = BufReader::new(file);
    match kind {
        ArchiveKind::Zip => unpack_zip(reader, &mut target)?,
        ArchiveKind::Tar => unpack_tar(reader, &mut target)?,
        ArchiveKind::TarGz => unpack_tar(flate2::bufread::MultiGzDecoder::new(reader), &mut target)?,
        ArchiveKind::TarXz => unpack_tar(lzma_rust2::XzReader::new(reader, true), &mut target)?,
    }
    target.finish()
}

fn damaged(error: impl std::fmt::Display) -> FetchError {
    FetchError::plain(format!("the archive is damaged: {error}"))
}

fn unpack_zip(reader: BufReader<File>, target: &mut Target<'_>) -> Result<(), FetchError> {
    let mut archive = zip::ZipArchive::new(reader).map_err(damaged)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(damaged)?;
        let path = target.path(Path::new(entry.name().map_err(damaged)?.as_ref()))?;
        let mode = entry.unix_mode().unwrap_or_default();
        if entry.is_dir() {
            target.folder(&path)?;
        } else if entry.is_symlink() {
            let mut link = String::new();
            entry.by_ref().take(4096).read_to_string(&mut link).map_err(damaged)?;
            target.links.push((path, link.into()));
        } else {
            target.file(&path, mode & 0o111 != 0, &mut entry)?;
        }
    }
    Ok(())
}

fn unpack_tar(reader: impl Read, target: &mut Target<'_>) -> Result<(), FetchError> {
    use tar::EntryType;
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
            continue;
        }
        let path = target.path(&entry.path().map_err(damaged)?)?;
        match kind {
            EntryType::Directory => target.folder(&path)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let executable = entry.header().mode().unwrap_or_default() & 0o111 != 0;
                target.file(&path, executable, &mut entry)?;
            }
            EntryType::Symlink => match entry.link_name().map_err(damaged)? {
                Some(link) => target.links.push((path, link.into_owned())),
                None => return Err(damaged("a link leads nowhere")),
            },
            _ => {
                let name = path.strip_prefix(target.folder).unwrap_or(&path).display();
                return Err(FetchError::plain(format!(
                    "the archive's entry {name} is neither a file nor a folder"
                )));
            }
        }
    }
    Ok(())
}

/// The folder that an archive is unpacked into.
struct Target<'a> {
    folder: &'a Path,
    /// Made last, so that no entry is written through one.
    links: Vec<(PathBuf, PathBuf)>,
    bytes: u64,
    entries: usize,
}

impl Target<'_> {
    /// Where an entry goes.
    fn path(&mut self, name: &Path) -> Result<PathBuf, FetchError> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(FetchError::plain(format!("the archive has more than {MOST_ENTRIES} entries")));
        }
        let mut path = self.folder.to_path_buf();
        for part in name.components() {
            match part {
                Component::Normal(part) if !part.to_string_lossy().contains(['\\', '\0']) => path.push(part),
                Component::CurDir => {}
                _ => {
                    let message = format!("the archive's entry {name:?} leads out of the module's folder");
                    let hint = "Nothing was installed. Do not trust this archive.";
                    return Err(FetchError::hinted(message, hint));
                }
            }
        }
        Ok(path)
    }

    fn folder(&self, path: &Path) -> Result<(), FetchError> {
        fs::create_dir_all(path).attempted(|| format!("making {}", path.display()))
    }

    fn file(&mut self, path: &Path, executable: bool, content: &mut impl Read) -> Result<(), FetchError> {
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        let mut file = File::create(path).attempted(|| format!("making {}", path.display()))?;
        let left = MOST_BYTES - self.bytes;
        let written = io::copy(&mut content.take(left + 1), &mut file).map_err(damaged)?;
        if written > left {
            return Err(FetchError::plain(format!("the archive holds more than {} GiB", MOST_BYTES >> 30)));
        }
        self.bytes += written;
        if executable { make_executable(path) } else { Ok(()) }
    }

    fn finish(self) -> Result<(), FetchError> {
        // Every folder before any link: otherwise a link could be written through another one.
        for parent in self.links.iter().filter_map(|(path, _)| path.parent()) {
            self.folder(parent)?;
        }
        for (path, link) in &self.links {
            make_link(link, path).attempted(|| format!("making the link {}", path.display()))?;
        }
        check_links(self.folder)
    }
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<(), FetchError> {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, permissions).attempted(|| format!("making {} executable", path.display()))
}

/// Other systems tell by the name of a file whether it can be run.
#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<(), FetchError> {
    Ok(())
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
