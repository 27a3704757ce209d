//! `local-exec`: a command on this machine. What differs between platforms is here and nowhere else.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use pve_executor::ports::{ProvisionError, ProvisionOutput};
use pve_model::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

use super::{failed, text, texts};

/// What runs a command unless an interpreter is configured.
#[cfg(not(windows))]
const SHELL: [&str; 2] = ["/bin/sh", "-c"];
/// What runs a command unless an interpreter is configured.
#[cfg(windows)]
const SHELL: [&str; 2] = ["cmd", "/C"];

/// How long output is still read after the command has ended: something that it left running may hold the pipe open.
const AFTERGLOW: Duration = Duration::from_secs(1);

/// Runs the command to its end.
///
/// # Errors
/// When it cannot be started or does not end with exit code 0.
pub(super) async fn run(
    root: &Path,
    arguments: &Value,
    output: &dyn ProvisionOutput,
) -> Result<(), ProvisionError> {
    let line = text(arguments, "command").unwrap_or_default();
    if line.trim().is_empty() {
        return Err(failed("the command is empty"));
    }
    let mut command = command(root, arguments, line);
    if arguments.get("quiet").and_then(Value::as_bool) != Some(true) {
        output.line(&format!("running: {}", line.trim_end()));
    }
    let mut child = command.spawn().map_err(|error| ProvisionError {
        message: format!("the command cannot be started: {error}"),
        detail: None,
        hint: Some("Check `interpreter` and `working_dir`.".into()),
    })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading = async { tokio::join!(forward(stdout, output), forward(stderr, output)) };
    tokio::pin!(reading);
    let status = tokio::select! {
        biased;
        _ = &mut reading => child.wait().await,
        status = child.wait() => {
            let _ = tokio::time::timeout(AFTERGLOW, &mut reading).await;
            status
        }
    };
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(ending(status))),
        Err(error) => Err(failed(format!("it cannot be told how the command ended: {error}"))),
    }
}

fn command(root: &Path, arguments: &Value, line: &str) -> Command {
    let configured = texts(arguments, "interpreter").filter(|words| !words.is_empty());
    let words = configured.unwrap_or_else(|| SHELL.to_vec());
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    add_line(&mut command, line, words == SHELL);
    let folder = text(arguments, "working_dir").filter(|folder| !folder.is_empty());
    command.current_dir(folder.map_or_else(|| root.to_path_buf(), |folder| root.join(folder)));
    for (name, value) in arguments.get("environment").and_then(Value::entries).into_iter().flatten() {
        if let Some(value) = value.as_str() {
            command.env(&**name, value);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[cfg(not(windows))]
fn add_line(command: &mut Command, line: &str, _: bool) {
    command.arg(line);
}

/// `cmd` reads the line as it stands and knows nothing of the quoting of arguments.
#[cfg(windows)]
fn add_line(command: &mut Command, line: &str, by_shell: bool) {
    if by_shell {
        command.raw_arg(line);
    } else {
        command.arg(line);
    }
}

/// Hands on lines, as UTF-8 or what comes nearest to it.
async fn forward(stream: Option<impl AsyncRead + Unpin>, output: &dyn ProvisionOutput) {
    let Some(stream) = stream else { return };
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line).await, Ok(count) if count > 0) {
        output.line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
        line.clear();
    }
}

#[cfg(unix)]
fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the command ended with exit code {code}"),
        (None, Some(signal)) => format!("the command was ended by signal {signal}"),
        (None, None) => "the command did not end by itself".into(),
    }
}

#[cfg(not(unix))]
fn ending(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("the command ended with exit code {code}"),
        None => "the command did not end by itself".into(),
    }
}
