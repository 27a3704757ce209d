//! Why a request has no result, told apart by what the caller can do.

use std::collections::BTreeMap;

/// How the message begins where a server speaks older versions of TLS only.
pub(crate) const NO_COMMON_TLS: &str = "the server speaks no version of TLS that is accepted";

/// Why a request failed. The text never has a secret in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct ApiError {
    /// `GET nodes/pve/qemu/100/config`
    pub operation: String,
    /// What went wrong.
    pub message: String,
    /// Faults of single parameters, as the API names them.
    pub parameters: BTreeMap<String, String>,
    /// What kind of failure it is.
    pub kind: ErrorKind,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The server answered with this status.
    Status(u16),
    /// The server could not be reached: the request was not sent.
    Unreachable,
    /// The certificate is not trusted: the request was not sent.
    Untrusted,
    /// The request was sent and its answer lost: it may have taken effect.
    Lost,
    /// The answer is no answer of this API.
    Malformed,
    /// A task failed.
    Task,
    /// A task still runs after the longest wait.
    StillRunning,
}

impl ApiError {
    /// The status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self.kind {
            ErrorKind::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the request may have taken effect although it failed here. A gateway in between, or the node that was
    /// asked for another, answers 502, 504 and 596 to 599 when it had begun to pass the request on.
    pub fn is_lost(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Lost | ErrorKind::StillRunning | ErrorKind::Status(502 | 504 | 596..=599)
        )
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self.kind {
            ErrorKind::Unreachable if self.message.starts_with(NO_COMMON_TLS) => {
                "update the server or the proxy before it, or set min_tls = \"1.2\" in the provider block"
            }
            ErrorKind::Unreachable => "check the endpoint and whether the node is up; nothing was sent",
            ErrorKind::Untrusted => {
                "trust the certificate on this machine, or set insecure = true if you know that this is your server"
            }
            ErrorKind::Lost => "what became of it is looked up by the next apply or destroy",
            ErrorKind::Status(401) if self.operation.ends_with("access/ticket") => {
                "check username, with its realm (root@pam), and password, and otp if there is a second factor"
            }
            ErrorKind::Status(401) => {
                "check the token (USER@REALM!NAME=SECRET) or the ticket, and that it has not expired"
            }
            // As it answers to the root of all privileges: the thing is not there.
            ErrorKind::Status(403) if self.message.contains("does not exist") => {
                "there is none of that name, or the login may not see it: create it, or choose another name"
            }
            ErrorKind::Status(403) if self.message.contains("not available with API token") => {
                "no token may do that, whatever its privileges: log in with username and password"
            }
            // PVE::RPCEnvironment: "Permission check failed (/vms/100, VM.Audit)", where it tells.
            ErrorKind::Status(403) if self.message.contains("(/") => {
                "give the token the privilege that the message names (pveum acl modify)"
            }
            ErrorKind::Status(403) => {
                "the token lacks a privilege for it (pveum user permissions), or what it names does not exist"
            }
            ErrorKind::Status(595..=599) => {
                "the node that owns this is not reachable from the one that was asked; what is on it can be left out \
                 meanwhile (-exclude)"
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_speaks_of_a_privilege_that_is_named_only_where_one_is() {
        let hint = |message: &str| {
            let kind = ErrorKind::Status(403);
            let error = ApiError {
                operation: "GET x".into(),
                message: message.into(),
                parameters: BTreeMap::new(),
                kind,
            };
            error.hint().unwrap()
        };
        assert!(hint("Permission check failed (/vms/100, VM.Audit)").contains("that the message names"));
        assert!(!hint("Permission check failed").contains("names (pveum"));
        let path = "Permission check failed (URI '/access/password' not available with API token, need proper ticket.)";
        assert!(hint(path).contains("username and password"));
    }

    #[test]
    fn the_answer_of_a_gateway_leaves_open_what_became_of_the_request() {
        let is_lost = |status| {
            let error = ApiError {
                operation: "POST nodes/pve/qemu".into(),
                message: String::new(),
                parameters: BTreeMap::new(),
                kind: ErrorKind::Status(status),
            };
            error.is_lost()
        };
        for status in [502, 504, 596, 597, 599] {
            assert!(is_lost(status), "{status}");
        }
        // 595: the node was not reached at all.
        for status in [400, 401, 403, 500, 501, 503, 595] {
            assert!(!is_lost(status), "{status}");
        }
    }
}
