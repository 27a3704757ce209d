//! Limits on spans of time and dates.

/// A span of time: `15m`, `1h30m`, `90s`.
pub(crate) fn duration(text: &str) -> Option<String> {
    crate::vm::parse_duration(text)
        .is_none()
        .then(|| format!("{text:?} is no span of time such as 15m or 1h30m"))
}

/// A date as RFC 3339 has it.
pub(crate) fn date(text: &str) -> Option<String> {
    let parsed = text.parse::<jiff::Timestamp>();
    parsed.err().map(|_| format!("{text:?} is no date like 2030-01-31T00:00:00Z"))
}

/// Whether two texts are the same moment.
pub(crate) fn same_date(a: &str, b: &str) -> bool {
    // Proxmox VE keeps whole seconds.
    let moment = |text: &str| text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
    a == b || moment(a).is_some() && moment(a) == moment(b)
}
