//! Errors at the edge: what is printed to standard error, and the exit code.

use std::io;
use std::path::Path;

use pve_config::syntax::{Diagnostic, Severity, SourceMap};
use pve_model::InstanceAddress;

use crate::render::diagnostics::{hint_line, render_diagnostics, title};
use crate::render::paint::Paint;

/// The exit code of a failure.
pub const FAILED: u8 = 1;
/// The exit code of a run that the user stopped.
pub const INTERRUPTED: u8 = 130;

/// A failure with all that is to be said about it.
#[derive(Debug)]
pub enum Failure {
    /// One sentence, and what to do.
    Plain {
        /// What failed.
        message: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// Diagnostics with their sources.
    Diagnosed {
        /// What was found.
        diagnostics: Vec<Diagnostic>,
        /// The texts.
        sources: SourceMap,
    },
}

/// The result of a command: its exit code.
pub type Ended = Result<u8, Failure>;

impl Failure {
    /// A failure in one sentence.
    pub fn plain(message: impl Into<String>) -> Failure {
        Failure::Plain { message: message.into(), hint: None }
    }

    /// A failure in one sentence, and what to do.
    pub fn hinted(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure::Plain { message: message.into(), hint: Some(hint.into()) }
    }

    /// What becomes of a fault while this is read.
    pub fn reading(path: &Path) -> impl Fn(io::Error) -> Failure {
        Failure::of_path(path, "read")
    }

    /// What becomes of a fault while this is written or made.
    pub fn writing(path: &Path) -> impl Fn(io::Error) -> Failure {
        Failure::of_path(path, "written")
    }

    fn of_path(path: &Path, done: &'static str) -> impl Fn(io::Error) -> Failure {
        let shown = path.display().to_string();
        move |error| {
            Failure::hinted(format!("{shown} cannot be {done}: {error}"), access_hint(&error).unwrap_or(LOOK))
        }
    }

    /// Prints the failure and returns the exit code.
    pub fn report(self, paint: Paint) -> u8 {
        match self {
            Failure::Plain { message, hint } => {
                eprint!("{}{}", title(Severity::Error, &message, paint), hint_line(hint.as_deref(), paint));
                FAILED
            }
            Failure::Diagnosed { diagnostics, sources } => {
                eprint!("{}", render_diagnostics(&diagnostics, &sources, paint));
                FAILED
            }
        }
    }
}

/// An error with its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// What is said of an object behind its address, which steps name too.
pub fn without_address(error: &str, address: &InstanceAddress) -> String {
    error.replace(&format!(" of {address}: "), " of it: ").replace(&format!(" {address}: "), ": ")
}

macro_rules! from_error {
    ($($error:ty => $hint:expr),* $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                let hint: Option<&str> = $hint;
                Failure::Plain { message: chain(&error), hint: hint.map(String::from) }
            }
        }
    )*};
}

from_error! {
    pve_model::state::ProjectionError => Some("Use the newest version of pve that anybody here uses."),
    pve_modules::SettingsError => Some("Correct the file. A token stands in a block: credentials \"HOST\" { token = \"...\" }"),
}

const LOOK: &str = "Look at what is there: nothing else was changed.";
const KEY: &str =
    "Set PVE_ENCRYPTION_KEY_FILE or PVE_ENCRYPTION_PASSPHRASE to the key that the log was written with.";

/// What to do about a fault of the file system that has nothing to do with what is in the file.
fn access_hint(error: &io::Error) -> Option<&'static str> {
    Some(match error.kind() {
        io::ErrorKind::PermissionDenied => "Check its owner and mode, and those of its folder: `ls -la`.",
        io::ErrorKind::ReadOnlyFilesystem => {
            "It is on a file system that is mounted read-only: work in a copy."
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "Free some space there, and try again.",
        io::ErrorKind::NotFound => "Check the path; a relative one begins at the folder of the project.",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "A file stands where a folder is needed: move it away."
        }
        io::ErrorKind::IsADirectory => "A folder stands where a file is needed.",
        io::ErrorKind::InvalidData => "It is no text in UTF-8.",
        _ => return None,
    })
}

impl From<pve_state::KeyError> for Failure {
    fn from(error: pve_state::KeyError) -> Failure {
        let hint = key_hint(&error);
        Failure::hinted(chain(&error), hint)
    }
}

fn key_hint(error: &pve_state::KeyError) -> &'static str {
    use pve_state::KeyError;
    match error {
        KeyError::File { source, .. } if source.kind() != io::ErrorKind::NotFound => {
            access_hint(source).unwrap_or(KEY)
        }
        KeyError::NotForThis { .. } => {
            "Send what `pve key show` prints here to one of them, who runs `pve key add -name YOU TEXT`. If you are one of \
             them, set PVE_ENCRYPTION_KEY_FILE or PVE_ENCRYPTION_PASSPHRASE to your key."
        }
        KeyError::Refused(_) => "`pve key show` lists who can open the log. Nothing was changed.",
        KeyError::Overtaken => "Nothing was changed. Look at `pve key show`, and try again.",
        KeyError::Forged => "`pve log verify` shows more. Put the keys back from a copy of the log.",
        KeyError::Short => {
            "Whoever gets at the stored log can try passphrases in peace. Take a longer one: several words. Nothing was \
             changed."
        }
        KeyError::Passphrase(_) | KeyError::Randomness => "Nothing was changed.",
        _ => KEY,
    }
}

impl From<pve_state_sqlite::LockError> for Failure {
    fn from(error: pve_state_sqlite::LockError) -> Failure {
        let hint = match &error {
            pve_state_sqlite::LockError::File { source, .. } => access_hint(source).unwrap_or(LOOK),
            pve_state_sqlite::LockError::Held { .. } => {
                "Wait until it is done, or give -lock-timeout=5m to wait for it. A run that died holds no lock."
            }
        };
        Failure::hinted(chain(&error), hint)
    }
}

impl From<pve_modules::FetchError> for Failure {
    fn from(error: pve_modules::FetchError) -> Failure {
        Failure::Plain { message: error.message, hint: error.hint }
    }
}

fn storage_hint(reason: &str) -> &'static str {
    known_storage_hint(reason).unwrap_or("Nothing was lost: what the log has is there. Try again.")
}

/// What to do about a store, by the codes that S3 has for its refusals.
pub fn known_storage_hint(reason: &str) -> Option<&'static str> {
    let hints: [(&[&str], &str); 8] = [
        (
            &["NoSuchBucket"],
            "Make that bucket, or name the right one and its endpoint in the `backend` block.",
        ),
        (
            &["no credentials were found"],
            "Give them as for the AWS tools: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile.",
        ),
        (
            &["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"],
            "The store does not accept the credentials: renew or correct them (`aws sts get-caller-identity` shows which).",
        ),
        (
            &["AccessDenied", "403 "],
            "These credentials may not do that: they need s3:GetObject, s3:PutObject and s3:ListBucket there.",
        ),
        (
            &["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"],
            "The bucket is in another region: correct `region` (and the endpoint) in the `backend` block.",
        ),
        (
            &["the store ignores", "501 "],
            "A log needs a store with conditional writes: use a newer version of it, or another store.",
        ),
        (
            &[
                "Connection refused",
                "dns error",
                "no answer in time",
                "no object store",
                "listed: not found",
                "certificate",
            ],
            "Check the endpoint in the `backend` block, and whether it can be reached from here; then try again.",
        ),
        (&["SlowDown", "503 ", "500 "], "The store has trouble. Nothing was lost: try again."),
    ];
    let found = hints.iter().find(|(words, _)| words.iter().any(|word| reason.contains(word)));
    found.map(|(_, hint)| *hint)
}

impl From<pve_state::LogError> for Failure {
    fn from(error: pve_state::LogError) -> Failure {
        let hint = match &error {
            pve_state::LogError::Newer { .. }
            | pve_state::LogError::Projection(pve_model::state::ProjectionError::UnknownKind { .. }) => {
                "Update pve. Nothing was changed."
            }
            pve_state::LogError::Key(error) => key_hint(error),
            pve_state::LogError::Damaged(text) if text.starts_with("the lease ") => {
                "`pve unlock -force` makes it anew."
            }
            pve_state::LogError::Damaged(_) => {
                "`pve log verify` shows what else is wrong. Restore the log from a copy."
            }
            pve_state::LogError::Storage { reason, .. } => storage_hint(reason),
            _ => "Nothing was lost: what the log has is there. Try again.",
        };
        Failure::hinted(chain(&error), hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_told_twice() {
        let address: InstanceAddress = "module.m[\"a\"].x.y".parse().unwrap();
        let error = "find the folder of module.m[\"a\"].x.y: the answer was lost";
        assert_eq!(without_address(error, &address), "find the folder of it: the answer was lost");
        let error = "change rule 0 module.m[\"a\"].x.y: invalid port";
        assert_eq!(without_address(error, &address), "change rule 0: invalid port");
        assert_eq!(without_address("clone 9000 to 104: no space", &address), "clone 9000 to 104: no space");
    }
}
