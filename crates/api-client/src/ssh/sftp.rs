//! Files over an SFTP session: written whole or not at all.

use futures::{StreamExt as _, TryStreamExt as _};
use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, StatusCode};
use sha1::Digest as _;

use super::connection::Connection;
use super::{SshError, SshErrorKind};

/// Every server takes this much at once (draft-ietf-secsh-filexfer-02, section 3).
const CHUNK: usize = 32_768;
/// Chunks under way at a time.
const IN_FLIGHT: usize = 16;

/// Writes a file beside its place, then moves it there.
pub(super) async fn write(
    connection: &Connection,
    path: &str,
    bytes: &[u8],
    mode: Option<u32>,
) -> Result<(), SshError> {
    let (folder, name) = split(path)?;
    make_folders(&connection.sftp, folder).await?;
    let separator = if folder.is_empty() || folder.ends_with('/') { "" } else { "/" };
    // Named by the content, so that the next try finds what a killed one left.
    let digest: String = sha1::Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let temporary = format!("{folder}{separator}.{name}.{digest}.part");
    let outcome = match fill(connection, &temporary, bytes, mode_of(connection, path, mode).await?).await {
        Ok(()) => replace(connection, &temporary, path).await,
        failure => failure,
    };
    // Without a connection a hidden file remains.
    if outcome.as_ref().is_err_and(|error| !error.is_of_connection())
        && let Err(error) = connection.sftp.remove(&temporary).await
    {
        tracing::debug!(%temporary, %error, "the temporary file may remain");
    }
    outcome
}

/// Reads a whole file.
pub(super) async fn read(connection: &Connection, path: &str) -> Result<Vec<u8>, SshError> {
    let sftp = &connection.sftp;
    let handle = sftp.open(path, OpenFlags::READ, FileAttributes::empty()).await.map_err(explain)?.handle;
    let mut bytes = Vec::new();
    let outcome = loop {
        match sftp.read(&handle, bytes.len() as u64, CHUNK as u32).await {
            Ok(part) => bytes.extend_from_slice(&part.data),
            Err(SftpError::Status(status)) if status.status_code == StatusCode::Eof => break Ok(()),
            Err(error) => break Err(explain(error)),
        }
    };
    close(sftp, handle, outcome).await.map(|()| bytes)
}

/// Removes a file; one that is not there is removed already.
pub(super) async fn remove(connection: &Connection, path: &str) -> Result<(), SshError> {
    match connection.sftp.remove(path).await {
        Ok(_) => Ok(()),
        Err(SftpError::Status(status)) if status.status_code == StatusCode::NoSuchFile => Ok(()),
        Err(error) => Err(explain(error)),
    }
}

/// Folder and name; the folder is empty for a name alone.
fn split(path: &str) -> Result<(&str, &str), SshError> {
    let (folder, name) = match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => ("", path),
    };
    if matches!(name, "" | "." | "..") {
        return Err(SshError::new(SshErrorKind::Settings, format!("{path:?} names no file")));
    }
    Ok((folder, name))
}

pub(super) async fn make_folders(sftp: &RawSftpSession, folder: &str) -> Result<(), SshError> {
    let mut missing = Vec::new();
    let mut current = folder;
    while !current.is_empty() && current != "/" {
        match sftp.stat(current).await {
            Ok(found) if found.attrs.is_dir() => break,
            Ok(_) => return Err(SshError::new(SshErrorKind::Refused, format!("{current} is no folder"))),
            Err(SftpError::Status(status)) if status.status_code == StatusCode::NoSuchFile => {
                missing.push(current);
                current = current.rsplit_once('/').map(|(parent, _)| parent).unwrap_or_default();
            }
            Err(error) => return Err(explain(error)),
        }
    }
    for folder in missing.into_iter().rev() {
        if let Err(error) = sftp.mkdir(folder, FileAttributes::empty()).await {
            // Somebody else may have made it in between.
            if !sftp.stat(folder).await.is_ok_and(|found| found.attrs.is_dir()) {
                let error = explain(error);
                return Err(SshError { message: format!("the folder {folder}: {}", error.message), ..error });
            }
        }
    }
    Ok(())
}

/// Permission bits of a new file.
#[derive(Clone, Copy)]
enum Mode {
    /// The server chooses.
    Default,
    /// As the file that is replaced; file systems such as that of `/etc/pve` do not let them be set.
    Kept(u32),
    /// Asked for.
    Given(u32),
}

async fn mode_of(connection: &Connection, path: &str, mode: Option<u32>) -> Result<Mode, SshError> {
    if let Some(mode) = mode {
        return Ok(Mode::Given(mode));
    }
    match connection.sftp.stat(path).await {
        Ok(found) if found.attrs.is_dir() => {
            Err(SshError::new(SshErrorKind::Refused, format!("{path} is a folder")))
        }
        Ok(found) => Ok(found.attrs.permissions.map_or(Mode::Default, |mode| Mode::Kept(mode & 0o7777))),
        Err(SftpError::Status(status)) if status.status_code == StatusCode::NoSuchFile => Ok(Mode::Default),
        Err(error) => Err(explain(error)),
    }
}

/// Makes a file with this content, and sees that it has the right size.
async fn fill(connection: &Connection, path: &str, bytes: &[u8], mode: Mode) -> Result<(), SshError> {
    let sftp = &connection.sftp;
    // Never a file that is there: in a folder such as /tmp it may be somebody else's, or lead elsewhere.
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
    let permissions = match mode {
        Mode::Default => None,
        Mode::Kept(mode) | Mode::Given(mode) => Some(mode),
    };
    let attributes = FileAttributes { permissions, ..FileAttributes::empty() };
    let opened = match sftp.open(path, flags, attributes.clone()).await {
        Err(SftpError::Status(_)) if sftp.lstat(path).await.is_ok() => {
            remove(connection, path).await?;
            sftp.open(path, flags, attributes.clone()).await
        }
        opened => opened,
    };
    let handle = opened.map_err(explain)?.handle;
    let send = async {
        // The server's umask took its part of what was given above.
        match mode {
            Mode::Default => {}
            Mode::Given(_) => sftp.fsetstat(&handle, attributes).await.map(|_| ())?,
            Mode::Kept(_) => match sftp.fsetstat(&handle, attributes).await {
                Err(SftpError::Status(status)) => tracing::debug!(%path, ?status, "the mode is not kept"),
                other => other.map(|_| ())?,
            },
        }
        futures::stream::iter((0..bytes.len()).step_by(CHUNK))
            .map(|offset| {
                let chunk = &bytes[offset..bytes.len().min(offset + CHUNK)];
                sftp.write(&handle, offset as u64, chunk.to_vec())
            })
            .buffer_unordered(IN_FLIGHT)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        if connection.syncs {
            sftp.fsync(&handle).await?;
        }
        Ok(())
    };
    close(sftp, handle.clone(), send.await.map_err(explain)).await?;
    match sftp.stat(path).await.map_err(explain)?.attrs.size {
        Some(size) if size != bytes.len() as u64 => Err(SshError::new(
            SshErrorKind::Refused,
            format!("the server has {size} of {} bytes", bytes.len()),
        )),
        _ => Ok(()),
    }
}

/// Closes a file, and passes on what went wrong before.
async fn close(sftp: &RawSftpSession, handle: String, outcome: Result<(), SshError>) -> Result<(), SshError> {
    if outcome.as_ref().is_err_and(SshError::is_of_connection) {
        return outcome;
    }
    let closed = sftp.close(handle).await;
    outcome.and(closed.map(|_| ()).map_err(explain))
}

/// Moves the file over the old one: in one step where the server can, else after removing the old one.
async fn replace(connection: &Connection, from: &str, to: &str) -> Result<(), SshError> {
    let sftp = &connection.sftp;
    if connection.renames_over {
        let mut names = Vec::new();
        for name in [from, to] {
            names.extend_from_slice(&(name.len() as u32).to_be_bytes());
            names.extend_from_slice(name.as_bytes());
        }
        return match sftp.extended("posix-rename@openssh.com", names).await.map_err(explain)? {
            Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
            Packet::Status(status) => Err(explain(SftpError::Status(status))),
            _ => Err(explain(SftpError::UnexpectedPacket)),
        };
    }
    // Renaming over a file is an error in version 3 of the protocol, and servers give it different codes.
    if sftp.rename(from, to).await.is_ok() {
        return Ok(());
    }
    remove(connection, to).await?;
    sftp.rename(from, to).await.map(|_| ()).map_err(explain)
}

/// An error of the session in words.
fn explain(error: SftpError) -> SshError {
    match error {
        SftpError::Status(status) => {
            let kind = match status.status_code {
                StatusCode::NoSuchFile => SshErrorKind::NotFound,
                StatusCode::PermissionDenied => SshErrorKind::PermissionDenied,
                StatusCode::NoConnection | StatusCode::ConnectionLost => SshErrorKind::Lost,
                _ => SshErrorKind::Refused,
            };
            let code = status.status_code.to_string();
            let said = status.error_message.trim();
            let told_twice = said.is_empty() || said.eq_ignore_ascii_case(&code);
            SshError::new(kind, if told_twice { code } else { format!("{code}: {said}") })
        }
        SftpError::Timeout => SshError::new(SshErrorKind::TimedOut, "the server did not answer in time"),
        SftpError::Limited(limit) => SshError::new(SshErrorKind::Refused, limit),
        error => SshError::new(SshErrorKind::Lost, format!("the connection was lost: {error}")),
    }
}
