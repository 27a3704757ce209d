//! Limits on other texts: remarks, command lines, parts of property strings, states of services.

/// Something must be written.
pub(crate) fn not_empty(text: &str) -> Option<String> {
    text.trim().is_empty().then(|| "it must not be empty".to_string())
}

/// A remark on an object: nothing is left out, not written empty.
pub(crate) fn comment(text: &str) -> Option<String> {
    (text.is_empty() || text.trim() != text)
        .then(|| "it must not be empty, nor begin or end with blank space: leave it out".to_string())
}

/// What the API refuses in command lines and values of variables.
pub(crate) fn without_control_characters(text: &str) -> Option<String> {
    let is_refused = |c: char| matches!(c, '\0'..='\x08' | '\x10'..='\x1f' | '\x7f');
    text.contains(is_refused).then(|| format!("{text:?} has control characters"))
}

/// A command line (`pct.conf(5)`, `entrypoint`).
pub(crate) fn command(text: &str) -> Option<String> {
    not_empty(text).or_else(|| without_control_characters(text))
}

/// Whether two texts are the same wish for a service: `enabled` is the older word for `started` (PVE::HA::Config).
pub(crate) fn same_service_state(a: &str, b: &str) -> bool {
    let now = |text: &str| if text == "enabled" { "started".to_string() } else { text.to_string() };
    now(a) == now(b)
}

/// A text that becomes a part of a property string, which a comma would end.
pub(crate) fn part_of_property(text: &str) -> Option<String> {
    text.contains(',').then(|| "it must have no comma: Proxmox VE would cut it off there".to_string())
}
