//! Base64 of short texts, for property strings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The text in base64.
pub(crate) fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

/// The text that was encoded; `None` when it is no base64 of UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}
