//! `remote-exec` and `file`: scripts, files and folders on the machine that a connection leads to.

use std::path::{Path, PathBuf};

use pve_api_client::ssh::{SshError, SshExit, SshSession};
use pve_executor::ports::{ProvisionError, ProvisionOutput};
use pve_model::Value;

use super::connection::{Settings, explained};
use super::{failed, text, texts};

/// What a script without a first line of its own is run by.
const SHELL_LINE: &str = "#!/bin/sh\n";

/// Runs scripts, each after the one before it.
///
/// # Errors
/// When there is no connection or a script does not end with exit code 0.
pub(super) async fn run_scripts(
    root: &Path,
    arguments: &Value,
    connection: &Value,
    output: &dyn ProvisionOutput,
) -> Result<(), ProvisionError> {
    let settings = Settings::of(connection)?;
    let scripts = scripts(root, arguments)?;
    let session = settings.connect(output).await?;
    for script in scripts {
        run_script(&session, &settings.script_path, &script, output).await?;
    }
    Ok(())
}

fn scripts(root: &Path, arguments: &Value) -> Result<Vec<Vec<u8>>, ProvisionError> {
    if let Some(lines) = texts(arguments, "inline") {
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        return Ok(vec![lines.concat().into_bytes()]);
    }
    let one = text(arguments, "script").map(|path| vec![path]);
    let paths = one.or_else(|| texts(arguments, "scripts")).unwrap_or_default();
    paths.into_iter().map(|path| read(&root.join(path))).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, ProvisionError> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> ProvisionError {
    let detail = Some(format!("{}: {error}", path.display()));
    ProvisionError { detail, ..failed("a file or folder of this machine cannot be read") }
}

async fn run_script(
    session: &SshSession,
    pattern: &str,
    script: &[u8],
    output: &dyn ProvisionOutput,
) -> Result<(), ProvisionError> {
    let number = uuid::Uuid::new_v4().as_u128() % 1_000_000_000;
    let path = pattern.replace("%RAND%", &number.to_string());
    let mut content = if script.starts_with(b"#!") { Vec::new() } else { SHELL_LINE.as_bytes().to_vec() };
    content.extend_from_slice(script);
    session.write_file(&path, &content, Some(0o700)).await.map_err(|error| explained(&error))?;
    let mut lines = Lines { output, partial: Vec::new() };
    let exit = session.run(&quoted(&path), &mut |bytes| lines.take(bytes)).await;
    lines.finish();
    let removed = session.remove_file(&path).await;
    match exit {
        // What is left of a script may have secrets in it.
        Ok(SshExit::Code(0)) => removed.map_err(|error| explained(&error)),
        Ok(SshExit::Code(code)) => Err(failed(format!("the script ended with exit code {code}"))),
        Ok(SshExit::Signal(name)) => Err(failed(format!("the script was ended by the signal {name}"))),
        Err(error) => Err(explained(&error)),
    }
}

/// The path as one word of a POSIX shell.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''"))
}

/// Makes lines of what comes in pieces.
struct Lines<'a> {
    output: &'a dyn ProvisionOutput,
    partial: Vec<u8>,
}

impl Lines<'_> {
    fn take(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            self.output.line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
        }
    }

    fn finish(&mut self) {
        if !self.partial.is_empty() {
            self.output.line(&String::from_utf8_lossy(&self.partial));
        }
    }
}

/// Copies a text, a file or a folder. Of a folder whose path ends with a slash only what is in it is copied.
///
/// # Errors
/// When something cannot be read here or written there.
pub(super) async fn copy(
    root: &Path,
    arguments: &Value,
    connection: &Value,
    output: &dyn ProvisionOutput,
) -> Result<(), ProvisionError> {
    let settings = Settings::of(connection)?;
    let destination = text(arguments, "destination").unwrap_or_default();
    let explain = |error: SshError| explained(&error);
    if let Some(content) = text(arguments, "content") {
        let session = settings.connect(output).await?;
        return session.write_file(destination, content.as_bytes(), None).await.map_err(explain);
    }
    let written = text(arguments, "source").unwrap_or_default();
    let source = root.join(written);
    if !source.is_dir() {
        let (bytes, mode) = (read(&source)?, mode_of(&source));
        let session = settings.connect(output).await?;
        return session.write_file(destination, &bytes, mode).await.map_err(explain);
    }
    let name = source.file_name().map(|name| name.to_string_lossy().into_owned());
    let target = match name {
        Some(name) if !written.ends_with('/') => format!("{}/{name}", destination.trim_end_matches('/')),
        _ => destination.trim_end_matches('/').to_string(),
    };
    let entries = entries(&source)?;
    let session = settings.connect(output).await?;
    session.make_folder(&target).await.map_err(explain)?;
    for (relative, path) in entries {
        let place = format!("{target}/{relative}");
        if path.is_dir() {
            session.make_folder(&place).await.map_err(explain)?;
        } else {
            session.write_file(&place, &read(&path)?, mode_of(&path)).await.map_err(explain)?;
        }
    }
    Ok(())
}

/// Everything in a folder, each folder before what is in it, by paths with slashes that start at it.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, ProvisionError> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), folder.to_path_buf())];
    while let Some((prefix, folder)) = open.pop() {
        let unreadable = |error: std::io::Error| unreadable(&folder, &error);
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let Some(name) = path.file_name() else { continue };
            let relative = format!("{prefix}{}", name.to_string_lossy());
            if path.is_dir() {
                open.push((format!("{relative}/"), path.clone()));
            }
            found.push((relative, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The permission bits of a file, where the platform has such.
#[cfg(unix)]
fn mode_of(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o777)
}

/// The permission bits of a file, where the platform has such.
#[cfg(not(unix))]
fn mode_of(_: &Path) -> Option<u32> {
    None
}
