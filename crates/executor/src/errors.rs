//! The errors of steps: without secrets, and with what its user must learn of the log.

use crate::ports::{JournalError, ProviderError};
use crate::redaction::Redaction;

/// An error without what is secret.
pub(crate) fn without(secrets: &Redaction, error: ProviderError) -> ProviderError {
    ProviderError {
        message: secrets.redact(&error.message),
        hint: error.hint.map(|hint| secrets.redact(&hint)),
        ..error
    }
}

/// An error that there is nothing more to say of.
pub(crate) fn plain_error(message: String) -> ProviderError {
    ProviderError { message, hint: None, left: None, indeterminate: false }
}

/// The error of a step that was sent and could not be recorded: its user must learn what may be in the cluster now.
pub(crate) fn sent(step: &str, upid: Option<&str>, error: ProviderError) -> ProviderError {
    let what = match upid {
        Some(upid) => format!("the task {upid} ({step}) was started"),
        None => format!("the step {step:?} was done"),
    };
    ProviderError { message: format!("{what}, and {}", error.message), ..error }
}

/// An error whose recording may have failed, too: what failed first is told in any case.
pub(crate) fn unrecorded(error: ProviderError, recorded: Result<(), ProviderError>) -> ProviderError {
    let Err(failed) = recorded else { return error };
    ProviderError {
        message: format!("{}; and {}", error.message, failed.message),
        left: error.left,
        ..failed
    }
}

pub(crate) fn journal_failed(error: &JournalError) -> ProviderError {
    let hint = if error.lost {
        "Another run took over. Nothing more was sent; run `pve plan` to see where things stand."
    } else {
        "Nothing more was sent. Once the log can be written again, run `pve apply`: it continues from here."
    };
    ProviderError {
        message: format!("the log could not be written: {error}"),
        hint: Some(hint.into()),
        left: None,
        indeterminate: true,
    }
}
