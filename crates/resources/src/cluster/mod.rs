//! What every kind needs of a cluster: requests, tasks with their reports, the shared list of guests.

mod api;
mod asking;
mod call;
mod listing;
mod migration;
mod power;
mod silent;
mod step;

pub(crate) use api::if_there;
pub use api::{Api, ApiError, Content, Method, NodeNetwork};
pub(crate) use call::{Call, Foreign, lock_pauses};
pub(crate) use listing::{Cluster, Guest, elements};
pub(crate) use power::Power;
pub(crate) use silent::Silent;
pub(crate) use step::Step;

use pve_executor::ports::ProviderError;

/// An error of an operation on something, without anything left behind.
pub(crate) fn failed(operation: impl std::fmt::Display, error: &ApiError) -> ProviderError {
    ProviderError {
        message: format!("{operation}: {}", error.message),
        hint: error.hint.clone(),
        left: None,
        indeterminate: error.lost,
    }
}

/// An error that no request caused.
pub(crate) fn refused(message: impl Into<String>, hint: Option<&str>) -> ProviderError {
    ProviderError {
        message: message.into(),
        hint: hint.map(str::to_string),
        left: None,
        indeterminate: false,
    }
}
