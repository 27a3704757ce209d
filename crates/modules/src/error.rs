//! Why a module cannot be fetched, and what to do.

/// A module cannot be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FetchError {
    /// What failed on what, in a sentence without its full stop; without any secret.
    pub message: String,
    /// What the user can do.
    pub hint: Option<String>,
}

impl FetchError {
    /// An error about which nothing can be advised.
    pub fn plain(message: impl Into<String>) -> FetchError {
        FetchError { message: message.into(), hint: None }
    }

    /// An error with what the user can do.
    pub fn hinted(message: impl Into<String>, hint: impl Into<String>) -> FetchError {
        FetchError { message: message.into(), hint: Some(hint.into()) }
    }
}

/// The result of an operation on files, told with what was attempted.
pub(crate) trait Attempted<T> {
    /// Says what was attempted when it failed.
    fn attempted(self, what: impl FnOnce() -> String) -> Result<T, FetchError>;
}

impl<T> Attempted<T> for std::io::Result<T> {
    fn attempted(self, what: impl FnOnce() -> String) -> Result<T, FetchError> {
        self.map_err(|error| FetchError::plain(format!("{}: {error}", what())))
    }
}
