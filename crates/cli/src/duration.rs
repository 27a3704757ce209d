//! Durations as Go writes them: `90s`, `1h30m`, `1.5m`.

use std::time::Duration;

use crate::failure::Failure;

/// The longest that is read, as in Go: some 292 years. It can be added to the time of day without harm.
const LONGEST: f64 = (i64::MAX / 1_000_000_000) as f64;

/// Reads a duration: numbers with the units `h`, `m`, `s` or `ms`, or `0`. `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit =
            rest[number..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |length| number + length);
        let factor = match &rest[number..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            _ => return None,
        };
        seconds += rest[..number].parse::<f64>().ok()? * factor;
        rest = &rest[unit..];
    }
    let is_one = !text.is_empty() && seconds <= LONGEST;
    is_one.then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// How long to wait for another run, as `-lock-timeout` says it.
///
/// # Errors
/// When it is no time.
pub fn parse_wait(text: &str) -> Result<Duration, Failure> {
    parse_duration(text).ok_or_else(|| {
        Failure::hinted(format!("{text:?} is no time"), "Write for instance -lock-timeout=30s or 5m.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("5m", 300.0),
            ("1h30m", 5400.0),
            ("1.5m", 90.0),
            ("250ms", 0.25),
            ("0", 0.0),
            ("0s", 0.0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "5", "m", "5 m", "1d", "1.2.3s", "-5s", "18446744073709551615h", "99999999999999s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn the_longest_can_be_waited_for() {
        let longest = parse_duration("2562047h").unwrap();
        assert!(std::time::Instant::now().checked_add(longest).is_some());
    }
}
