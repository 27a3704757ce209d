//! Where files come from: the disk, or a recorded configuration.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::functions::{Files, LocalFiles};

/// Files with their folders, as a configuration is read from them.
pub trait Folders: Files {
    /// The entries of a folder by name, and whether each is a folder.
    ///
    /// # Errors
    /// As the operating system has them.
    fn entries(&self, folder: &Path) -> io::Result<Vec<(String, bool)>>;
}

/// Files on disk.
#[derive(Debug, Default)]
pub struct DiskFiles;

impl Files for DiskFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        LocalFiles.read(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        LocalFiles.exists(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        LocalFiles.list(folder)
    }
}

impl Folders for DiskFiles {
    fn entries(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let is_folder = std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
            entries.push((entry.file_name().to_string_lossy().into_owned(), is_folder));
        }
        entries.sort();
        Ok(entries)
    }
}

/// What was learnt of files without reading them: an expression may depend on it all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// Whether there was a file, by path.
    pub existing: BTreeMap<PathBuf, bool>,
    /// The files below a folder, by its path.
    pub listings: BTreeMap<PathBuf, Vec<String>>,
}

/// Files that are kept in memory, by path.
#[derive(Debug, Default, Clone)]
pub struct SnapshotFiles {
    files: BTreeMap<PathBuf, Vec<u8>>,
    lookups: Lookups,
}

impl SnapshotFiles {
    /// Files by path.
    pub fn new(files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> SnapshotFiles {
        let files = files.into_iter().map(|(path, bytes)| (plain(&path), bytes)).collect();
        SnapshotFiles { files, lookups: Lookups::default() }
    }

    /// Answers as the recorded files did where something was asked of them beside their content.
    #[must_use]
    pub fn with_lookups(mut self, lookups: Lookups) -> SnapshotFiles {
        self.lookups = Lookups {
            existing: lookups.existing.into_iter().map(|(path, exists)| (plain(&path), exists)).collect(),
            listings: lookups.listings.into_iter().map(|(path, names)| (plain(&path), names)).collect(),
        };
        self
    }
}

impl Files for SnapshotFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(&plain(path)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let path = plain(path);
        Ok(self.lookups.existing.get(&path).copied().unwrap_or_else(|| self.files.contains_key(&path)))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let folder = plain(folder);
        if let Some(names) = self.lookups.listings.get(&folder) {
            return Ok(names.clone());
        }
        let inside = self.files.keys().filter_map(|path| path.strip_prefix(&folder).ok());
        Ok(inside.map(|path| path.to_string_lossy().replace('\\', "/")).collect())
    }
}

impl Folders for SnapshotFiles {
    fn entries(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        let folder = plain(path);
        let mut entries: BTreeMap<String, bool> = BTreeMap::new();
        for file in self.files.keys() {
            let Ok(inside) = file.strip_prefix(&folder) else { continue };
            let mut components = inside.components();
            if let Some(Component::Normal(name)) = components.next() {
                entries.insert(name.to_string_lossy().into_owned(), components.next().is_some());
            }
        }
        if entries.is_empty() {
            Err(io::ErrorKind::NotFound.into())
        } else {
            Ok(entries.into_iter().collect())
        }
    }
}

/// Files with one more, which is not there or not yet.
pub struct OverlaidFiles {
    inner: Arc<dyn Folders>,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl OverlaidFiles {
    /// The files of `inner`, and one at `path`.
    pub fn new(inner: Arc<dyn Folders>, path: &Path, bytes: Vec<u8>) -> OverlaidFiles {
        OverlaidFiles { inner, path: plain(path), bytes }
    }

    fn name_in(&self, folder: &Path) -> Option<String> {
        let inside = self.path.strip_prefix(plain(folder)).ok()?;
        Some(inside.to_string_lossy().replace('\\', "/"))
    }
}

impl Files for OverlaidFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if plain(path) == self.path { Ok(self.bytes.clone()) } else { self.inner.read(path) }
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        if plain(path) == self.path { Ok(true) } else { self.inner.exists(path) }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = self.inner.list(folder)?;
        names.extend(self.name_in(folder).filter(|name| !names.contains(name)));
        names.sort();
        Ok(names)
    }
}

impl Folders for OverlaidFiles {
    fn entries(&self, folder: &Path) -> io::Result<Vec<(String, bool)>> {
        let mut entries = self.inner.entries(folder)?;
        let own = self.name_in(folder).filter(|name| !name.contains('/'));
        entries.extend(own.map(|name| (name, false)).filter(|own| !entries.contains(own)));
        entries.sort();
        Ok(entries)
    }
}

/// Remembers everything that is read, looked for or listed, so that a plan or the log can keep it.
pub struct RecordingFiles {
    inner: Arc<dyn Folders>,
    read: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
    lookups: Mutex<Lookups>,
}

impl RecordingFiles {
    /// Records what is read from `inner`.
    pub fn new(inner: Arc<dyn Folders>) -> RecordingFiles {
        RecordingFiles { inner, read: Mutex::default(), lookups: Mutex::default() }
    }

    /// Everything read so far, by path.
    pub fn recorded(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.read.lock().map(|read| read.clone()).unwrap_or_default()
    }

    /// What was asked so far beside the content of files.
    pub fn lookups(&self) -> Lookups {
        self.lookups.lock().map(|lookups| lookups.clone()).unwrap_or_default()
    }
}

impl Files for RecordingFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = self.inner.read(path)?;
        if let Ok(mut read) = self.read.lock() {
            read.insert(plain(path), bytes.clone());
        }
        Ok(bytes)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let exists = self.inner.exists(path)?;
        if let Ok(mut lookups) = self.lookups.lock() {
            lookups.existing.insert(plain(path), exists);
        }
        Ok(exists)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let names = self.inner.list(folder)?;
        if let Ok(mut lookups) = self.lookups.lock() {
            lookups.listings.insert(plain(folder), names.clone());
        }
        Ok(names)
    }
}

impl Folders for RecordingFiles {
    fn entries(&self, folder: &Path) -> io::Result<Vec<(String, bool)>> {
        self.inner.entries(folder)
    }
}

/// A path without `.` and with `..` resolved, so that two spellings are one key.
fn plain(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if parts.file_name().is_some() => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    parts
}
