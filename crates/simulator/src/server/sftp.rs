//! Files over SFTP: those below a directory storage's path become its volumes.

use std::collections::HashMap;

use russh_sftp::protocol::{
    Attrs, Data, File, FileAttributes, Handle, Name, OpenFlags, Status, StatusCode, Version,
};

use crate::simulator::Simulator;
use crate::state::State;
use crate::storage;

/// Open files of one SFTP session.
pub(super) struct Files {
    simulator: Simulator,
    open: HashMap<String, OpenFile>,
    next: u64,
}

enum OpenFile {
    Written { volume: String, bytes: Vec<u8> },
    Read { bytes: Vec<u8> },
    Folder { names: Vec<(String, u64)>, done: bool },
}

/// What a path is.
enum Place {
    Folder,
    File(String),
    Nowhere,
}

/// Folders of a directory storage and the content they hold.
const FOLDERS: &[(&str, &str)] = &[
    ("snippets", "snippets"),
    ("template/iso", "iso"),
    ("template/cache", "vztmpl"),
    ("import", "import"),
    ("dump", "backup"),
];

fn place(state: &State, path: &str) -> Place {
    let path = format!(
        "/{}",
        path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
    );
    if matches!(path.as_str(), "/" | "/root" | "/tmp" | "/var" | "/var/lib") {
        return Place::Folder;
    }
    for (name, options) in &state.storages {
        let Some(base) = options.get("path") else { continue };
        let Some(rest) = path.strip_prefix(base.as_str()) else { continue };
        let rest = rest.trim_start_matches('/');
        if rest.is_empty() || rest == "template" || FOLDERS.iter().any(|(folder, _)| *folder == rest) {
            return Place::Folder;
        }
        for (folder, content) in FOLDERS {
            let file = rest.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
            if let Some(file) = file.filter(|file| !file.is_empty() && !file.contains('/')) {
                return Place::File(format!("{name}:{content}/{file}"));
            }
        }
    }
    Place::Nowhere
}

/// The volume whose file this is, or would be.
pub(crate) fn volume_at(state: &State, path: &str) -> Option<String> {
    match place(state, path) {
        Place::File(volume) => Some(volume),
        _ => None,
    }
}

fn ok(id: u32) -> Status {
    Status {
        id,
        status_code: StatusCode::Ok,
        error_message: "Ok".to_owned(),
        language_tag: "en-US".to_owned(),
    }
}

/// Bytes of a file that comes by SFTP; they are kept in memory.
pub(super) const LARGEST_FILE: u64 = 1 << 30;

fn attributes(size: u64, folder: bool) -> FileAttributes {
    let mut attributes =
        FileAttributes { size: Some(size), uid: Some(0), gid: Some(0), ..FileAttributes::empty() };
    attributes.permissions = Some(if folder { 0o040755 } else { 0o100644 });
    attributes
}

impl Files {
    /// No file is open yet.
    pub(super) fn new(simulator: Simulator) -> Files {
        Files { simulator, open: HashMap::new(), next: 0 }
    }

    fn state<T>(&self, work: impl FnOnce(&mut State, u64) -> T) -> Result<T, StatusCode> {
        self.simulator.change(work).map_err(|_| StatusCode::Failure)
    }

    fn handle(&mut self, id: u32, file: OpenFile) -> Handle {
        self.next += 1;
        let handle = self.next.to_string();
        self.open.insert(handle.clone(), file);
        Handle { id, handle }
    }

    fn stat_path(&self, id: u32, path: &str) -> Result<Attrs, StatusCode> {
        self.state(|state, _| match place(state, path) {
            Place::Folder => Ok(Attrs { id, attrs: attributes(4096, true) }),
            Place::File(volume) => match state.volumes.get(&volume) {
                Some(found) => Ok(Attrs { id, attrs: attributes(found.file_size, false) }),
                None => Err(StatusCode::NoSuchFile),
            },
            Place::Nowhere => Err(StatusCode::NoSuchFile),
        })?
    }
}

impl russh_sftp::server::Handler for Files {
    type Error = StatusCode;

    fn unimplemented(&self) -> Self::Error {
        StatusCode::OpUnsupported
    }

    async fn init(&mut self, _: u32, _: HashMap<String, String>) -> Result<Version, Self::Error> {
        Ok(Version::new())
    }

    async fn open(
        &mut self,
        id: u32,
        path: String,
        flags: OpenFlags,
        _: FileAttributes,
    ) -> Result<Handle, Self::Error> {
        let opened = self.state(|state, _| {
            let Place::File(volume) = place(state, &path) else { return Err(StatusCode::NoSuchFile) };
            let present =
                state.volumes.get(&volume).map(|found| found.bytes.clone().unwrap_or_default().into_bytes());
            if !flags.contains(OpenFlags::WRITE) {
                return present.map(|bytes| OpenFile::Read { bytes }).ok_or(StatusCode::NoSuchFile);
            }
            if present.is_none() && !flags.contains(OpenFlags::CREATE) {
                return Err(StatusCode::NoSuchFile);
            }
            if present.is_some() && flags.contains(OpenFlags::EXCLUDE) {
                return Err(StatusCode::Failure);
            }
            let bytes =
                if flags.contains(OpenFlags::TRUNCATE) { Vec::new() } else { present.unwrap_or_default() };
            Ok(OpenFile::Written { volume, bytes })
        })??;
        Ok(self.handle(id, opened))
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Result<Status, Self::Error> {
        let Some(OpenFile::Written { bytes, .. }) = self.open.get_mut(&handle) else {
            return Err(StatusCode::Failure);
        };
        // What is written far behind the end is refused before room is made for it.
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= LARGEST_FILE);
        let Some(end) = end else { return Err(StatusCode::Failure) };
        let (start, end) = (offset as usize, end as usize);
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(&data);
        Ok(ok(id))
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Result<Data, Self::Error> {
        let Some(OpenFile::Read { bytes }) = self.open.get(&handle) else { return Err(StatusCode::Failure) };
        let start = (offset as usize).min(bytes.len());
        let end = (start + len as usize).min(bytes.len());
        if start == end {
            return Err(StatusCode::Eof);
        }
        Ok(Data { id, data: bytes[start..end].to_vec() })
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, Self::Error> {
        if let Some(OpenFile::Written { volume, bytes }) = self.open.remove(&handle) {
            self.state(|state, seconds| storage::store_file(state, &volume, &bytes, seconds))?;
        }
        Ok(ok(id))
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, Self::Error> {
        self.stat_path(id, &path)
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, Self::Error> {
        self.stat_path(id, &path)
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, Self::Error> {
        match self.open.get(&handle) {
            Some(OpenFile::Written { bytes, .. } | OpenFile::Read { bytes }) => {
                Ok(Attrs { id, attrs: attributes(bytes.len() as u64, false) })
            }
            Some(OpenFile::Folder { .. }) => Ok(Attrs { id, attrs: attributes(4096, true) }),
            None => Err(StatusCode::Failure),
        }
    }

    async fn setstat(&mut self, id: u32, path: String, _: FileAttributes) -> Result<Status, Self::Error> {
        self.stat_path(id, &path).map(|_| ok(id))
    }

    async fn fsetstat(&mut self, id: u32, _: String, _: FileAttributes) -> Result<Status, Self::Error> {
        Ok(ok(id))
    }

    async fn mkdir(&mut self, id: u32, path: String, _: FileAttributes) -> Result<Status, Self::Error> {
        // The folders of a storage are there already.
        match self.state(|state, _| place(state, &path))? {
            Place::Folder => Err(StatusCode::Failure),
            _ => Err(StatusCode::PermissionDenied).map(|()| ok(id)),
        }
    }

    async fn remove(&mut self, id: u32, path: String) -> Result<Status, Self::Error> {
        let removed = self.state(|state, _| match place(state, &path) {
            Place::File(volume) => state.volumes.remove(&volume).is_some(),
            _ => false,
        })?;
        if removed { Ok(ok(id)) } else { Err(StatusCode::NoSuchFile) }
    }

    async fn rename(&mut self, id: u32, from: String, to: String) -> Result<Status, Self::Error> {
        let renamed = self.state(|state, _| {
            let (Place::File(from), Place::File(to)) = (place(state, &from), place(state, &to)) else {
                return false;
            };
            // As OpenSSH's server: an existing file is not replaced.
            if state.volumes.contains_key(&to) {
                return false;
            }
            state.volumes.remove(&from).map(|volume| state.volumes.insert(to, volume)).is_some()
        })?;
        if renamed { Ok(ok(id)) } else { Err(StatusCode::Failure) }
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, Self::Error> {
        let absolute =
            if path.starts_with('/') { path } else { format!("/root/{}", path.trim_start_matches("./")) };
        let absolute = absolute.trim_end_matches("/.").to_owned();
        Ok(Name { id, files: vec![File::dummy(absolute)] })
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, Self::Error> {
        let names = self.state(|state, _| match place(state, &path) {
            Place::Folder => {
                let prefix = format!("{}/", path.trim_end_matches('/'));
                Ok(state
                    .volumes
                    .iter()
                    .filter_map(|(id, volume)| {
                        let file = crate::volumes::path(state, id);
                        let name = file.strip_prefix(&prefix).filter(|name| !name.contains('/'))?;
                        Some((name.to_owned(), volume.file_size))
                    })
                    .collect())
            }
            _ => Err(StatusCode::NoSuchFile),
        })??;
        Ok(self.handle(id, OpenFile::Folder { names, done: false }))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, Self::Error> {
        match self.open.get_mut(&handle) {
            Some(OpenFile::Folder { names, done }) if !*done => {
                *done = true;
                let files =
                    names.iter().map(|(name, size)| File::new(name, attributes(*size, false))).collect();
                Ok(Name { id, files })
            }
            _ => Err(StatusCode::Eof),
        }
    }
}
