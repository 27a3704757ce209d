//! What a guest's description says while a run is making it, and after it was taken over.

/// The beginning of the text that marks a guest while it is being made.
pub(crate) const MARKER: &str = "pve:";

/// What a guest that was taken over has as its description in place of the marker, until its new owner writes its own.
pub(crate) const TAKEN_OVER: &str = "Taken over from ";

/// Whether a description is one that a run put there: not even a clone has it from its template.
pub(crate) fn is_put_by_a_run(description: &str) -> bool {
    description.strip_prefix(TAKEN_OVER).unwrap_or(description).starts_with(MARKER)
}
