//! Errors at the edge: what is printed to standard error, and the exit code.

use pve_config::syntax::{Diagnostic, Severity, SourceMap};

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
    pve_state::KeyError => Some("Set PVE_ENCRYPTION_KEY_FILE or PVE_ENCRYPTION_PASSPHRASE to the key that the log was written with."),
    pve_state_sqlite::LockError => Some("Wait until it is done, or give -lock-timeout=5m to wait for it. A run that died holds no lock."),
    pve_model::state::ProjectionError => Some("Use the newest version of pve that anybody here uses."),
    pve_modules::SettingsError => Some("Correct the file. A token stands in a block: credentials \"HOST\" { token = \"...\" }"),
    std::io::Error => None,
}

impl From<pve_modules::FetchError> for Failure {
    fn from(error: pve_modules::FetchError) -> Failure {
        Failure::Plain { message: error.message, hint: error.hint }
    }
}

impl From<pve_state::LogError> for Failure {
    fn from(error: pve_state::LogError) -> Failure {
        let hint = match &error {
            pve_state::LogError::Newer { .. } => "Update pve. Nothing was changed.",
            pve_state::LogError::Key(_) => {
                "Set PVE_ENCRYPTION_KEY_FILE or PVE_ENCRYPTION_PASSPHRASE to the key that the log was written with."
            }
            pve_state::LogError::Damaged(_) => {
                "`pve log verify` names the event. Restore the log from a copy."
            }
            _ => "Nothing was lost: what the log has is there. Try again.",
        };
        Failure::hinted(chain(&error), hint)
    }
}
