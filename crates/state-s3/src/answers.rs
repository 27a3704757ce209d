//! What the answers of a store mean: 404, 409, 412, timeouts and failures told apart.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::store::StoreError;

/// Why a read gave nothing.
pub(crate) enum Refusal {
    /// There is no such object.
    Absent,
    /// Anything else.
    Error(StoreError),
}

type Failure<E> = SdkError<E, HttpResponse>;

/// The meaning of a write that failed.
pub(crate) fn judge_write<E>(key: &str, error: &Failure<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match status(error) {
        // 404: AWS and others answer `If-Match` on an object that is not there with it.
        Some(412) => StoreError::Condition { key: key.into() },
        Some(404) if names_absence(error) => StoreError::Condition { key: key.into() },
        _ => judge(key, error),
    }
}

/// The meaning of a read that failed.
pub(crate) fn judge_read<E>(key: &str, error: &Failure<E>) -> Refusal
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match status(error) {
        Some(404) if names_absence(error) => Refusal::Absent,
        _ => Refusal::Error(judge(key, error)),
    }
}

/// Whether a 404 is about the object. One without a code is not of a store: what is wrongly taken for one must not look
/// like an empty one.
fn names_absence<E: ProvideErrorMetadata>(error: &Failure<E>) -> bool {
    error.code().is_some_and(|code| code != "NoSuchBucket")
}

fn judge<E>(key: &str, error: &Failure<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Some(status) = status(error) else {
        let lacks_credentials = lacks_credentials(error);
        let is_lacking = lacks_credentials.is_some();
        let cause = match error {
            _ if is_lacking => lacks_credentials.unwrap_or_default(),
            SdkError::TimeoutError(_) => "no answer in time".to_string(),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => "no answer in time".to_string(),
            _ => innermost(error),
        };
        let text = format!("{key}: {cause}");
        let sent = !matches!(error, SdkError::ConstructionFailure(_)) && !is_lacking;
        return if sent { StoreError::Unclear(text) } else { StoreError::Refused(text) };
    };
    let code = error.code().unwrap_or("no code");
    let text =
        format!("{key}: {status} {code}{}", error.message().map(|m| format!(": {m}")).unwrap_or_default());
    // 501: stores that do not have conditions say so.
    let passing = (matches!(status, 408 | 409 | 425 | 429 | 500..) && status != 501)
        || matches!(code, "RequestTimeout" | "SlowDown" | "RequestTimeTooSkewed");
    if passing { StoreError::Unclear(text) } else { StoreError::Refused(text) }
}

/// The status of an answer that came.
fn status<E>(error: &Failure<E>) -> Option<u16> {
    match error {
        SdkError::ServiceError(answer) => Some(answer.raw().status().as_u16()),
        // The answer cannot be read; its status can.
        SdkError::ResponseError(answer) => {
            Some(answer.raw().status().as_u16()).filter(|status| *status >= 400)
        }
        _ => None,
    }
}

/// What the error began with, in its own words.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.last().map(ToString::to_string).unwrap_or_default()
}

/// Why there are no credentials to ask with, if that is the fault.
fn lacks_credentials(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.into_iter().find_map(|error| match error.downcast_ref() {
        Some(CredentialsError::CredentialsNotLoaded(_)) => {
            Some("no credentials were found where the AWS tools look for them".to_string())
        }
        Some(CredentialsError::InvalidConfiguration(_)) => Some(innermost(error)),
        _ => None,
    })
}
