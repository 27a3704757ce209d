//! Commands on nodes: how their arguments are written for the shell there, and how they end.

use russh::client::Msg;
use russh::{Channel, ChannelMsg};

use super::{SshError, SshErrorKind, SshExit};

/// What a command printed, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshOutput {
    /// How it ended.
    pub exit: SshExit,
    /// What it wrote to standard output. Bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// The same for standard error.
    pub stderr: String,
}

/// A command for the user's shell on the node, run as root: with `sudo` for everybody else. It never asks.
pub(super) fn line_as_root(user: &str, arguments: &[&str]) -> String {
    let sudo: &[&str] = if user == "root" { &[] } else { &["sudo", "-n"] };
    let words = sudo.iter().chain(arguments).map(|argument| quoted(argument));
    words.collect::<Vec<_>>().join(" ")
}

/// One word for a POSIX shell.
fn quoted(argument: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,@+".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(is_plain) {
        return argument.to_string();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

/// Runs a command line on a fresh channel, without a terminal, to its end.
pub(super) async fn run(
    mut channel: Channel<Msg>,
    line: &str,
    forwards_agent: bool,
) -> Result<SshOutput, SshError> {
    let lost = |why: String| SshError::new(SshErrorKind::Lost, why);
    if forwards_agent {
        // Whether the server takes it is not asked: a command that needs it says so itself.
        channel
            .agent_forward(false)
            .await
            .map_err(|error| lost(format!("the connection was lost: {error}")))?;
    }
    channel.exec(true, line).await.map_err(|error| lost(format!("the connection was lost: {error}")))?;
    let (mut stdout, mut stderr, mut exit) = (Vec::new(), Vec::new(), None);
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => stdout.extend_from_slice(&data),
            ChannelMsg::ExtendedData { data, .. } => stderr.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => exit = Some(SshExit::Code(exit_status)),
            ChannelMsg::ExitSignal { signal_name, .. } => {
                exit = Some(SshExit::Signal(format!("{signal_name:?}")));
            }
            ChannelMsg::Failure => {
                return Err(SshError::new(SshErrorKind::Refused, "the server does not run commands"));
            }
            _ => {}
        }
    }
    let exit = exit.ok_or_else(|| lost("the connection ended before the command did".into()))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(SshOutput { exit, stdout: text(stdout), stderr: text(stderr) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_argument_as_it_was_meant() {
        let arguments = [
            "printf",
            "%s\\n",
            "",
            "a b",
            "it's",
            "''",
            "$HOME `id` $(id)",
            "a;b&c|d>e",
            "*?[a]~!#",
            "\\",
            "\"",
            "a\nb",
            "-x",
            "ä=1",
            "local:0,import-from=/var/lib/vz/template/iso/a b.img,ssd=1",
        ];
        let line = line_as_root("root", &arguments);
        let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        let expected: String = arguments[2..].iter().map(|argument| format!("{argument}\n")).collect();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{line}");
    }

    #[test]
    fn everybody_but_root_needs_sudo_that_does_not_ask() {
        let arguments = ["qm", "set", "100", "--scsi0", "a:0,ssd=1"];
        assert_eq!(line_as_root("root", &arguments), "qm set 100 --scsi0 'a:0,ssd=1'");
        assert_eq!(line_as_root("terraform", &arguments), "sudo -n qm set 100 --scsi0 'a:0,ssd=1'");
    }
}
