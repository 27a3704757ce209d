//! Why a transfer failed, told apart by what the user can do.

/// Why a transfer failed. The text never has a secret in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct SshError {
    /// `write /var/lib/vz/snippets/a.yml on pve1:22`
    pub operation: String,
    /// What went wrong.
    pub message: String,
    /// What kind of failure it is.
    pub kind: SshErrorKind,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SshErrorKind {
    /// The settings cannot be used: a key that cannot be read, a pin that is none, a path without a file name.
    Settings,
    /// The server or the proxy could not be reached.
    Unreachable,
    /// No key of this host is recorded.
    HostKeyUnknown,
    /// The host presented another key than the recorded one, or a revoked one.
    HostKeyChanged,
    /// Every way to log in was refused.
    LoginRefused,
    /// The file or folder does not exist.
    NotFound,
    /// The user may not do this on the node.
    PermissionDenied,
    /// The server refused the operation for another reason.
    Refused,
    /// There was no answer in time.
    TimedOut,
    /// The connection ended.
    Lost,
}

impl SshError {
    pub(super) fn new(kind: SshErrorKind, message: impl Into<String>) -> SshError {
        SshError { operation: String::new(), message: message.into(), kind }
    }

    pub(super) fn during(mut self, operation: &str) -> SshError {
        self.operation = operation.to_string();
        self
    }

    /// Whether the connection is of no more use.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(self.kind, SshErrorKind::Lost | SshErrorKind::TimedOut)
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self.kind {
            SshErrorKind::Unreachable => {
                "check the node's address and port, the firewall, and that its SSH server runs"
            }
            SshErrorKind::HostKeyUnknown => {
                "compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the node, then record \
                 it: log in once with ssh, or pin it"
            }
            SshErrorKind::HostKeyChanged => {
                "do not go on before you know why: the node was installed anew, or somebody sits in between"
            }
            SshErrorKind::LoginRefused => {
                "check the user, and that the key stands in authorized_keys on the node or that it permits passwords"
            }
            SshErrorKind::PermissionDenied => "log in as a user that may write there, such as root",
            SshErrorKind::TimedOut | SshErrorKind::Lost => {
                "a file is replaced whole or not at all; the transfer can be repeated"
            }
            SshErrorKind::Settings | SshErrorKind::NotFound | SshErrorKind::Refused => return None,
        })
    }
}
