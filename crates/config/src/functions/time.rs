//! Times.

use std::fmt::Write as _;

use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::{SignedDuration, Timestamp, tz};
use pve_model::{Type, Value};

use super::Kind::String as Text;
use super::strings::string;
use super::{FunctionError, fail_at, function, number_type, parameter, string_type, text};

const TIME: super::Parameter = parameter("timestamp", Text);

pub(super) const FUNCTIONS: &[super::Function] = &[
    function!("timestamp", [], string_type, |_, context| {
        if context.pure { Ok(Value::unknown(Type::String)) } else { string(context.plan_timestamp.as_str()) }
    }),
    function!("plantimestamp", [], string_type, |_, context| match context.plan_timestamp.is_empty() {
        true => Ok(Value::unknown(Type::String)),
        false => string(context.plan_timestamp.as_str()),
    }),
    function!("timeadd", [TIME, parameter("duration", Text)], string_type, |a, _| {
        let time = parse(text(a, 0), 0)?;
        let later = duration(text(a, 1)).and_then(|duration| time.timestamp.checked_add(duration).ok());
        match later {
            Some(timestamp) => string(rfc3339(&Time { timestamp, offset: time.offset })),
            None => fail_at(1, format!("{:?} is no duration, such as 1h30m", text(a, 1))),
        }
    }),
    function!(
        "timecmp",
        [parameter("timestamp_a", Text), parameter("timestamp_b", Text)],
        number_type,
        |a, _| {
            let (a, b) = (parse(text(a, 0), 0)?.timestamp, parse(text(a, 1), 1)?.timestamp);
            Ok(Value::number(a.cmp(&b) as i64))
        }
    ),
    function!("formatdate", [parameter("format", Text), parameter("time", Text)], string_type, |a, _| {
        string(format_date(text(a, 0), &parse(text(a, 1), 1)?)?)
    }),
];

/// A time in the offset that it was written with.
struct Time {
    timestamp: Timestamp,
    offset: tz::Offset,
}

impl Time {
    fn local(&self) -> DateTime {
        self.offset.to_datetime(self.timestamp)
    }

    /// `+0230`, or `+02:30` with a separator.
    fn zone(&self, separator: &str) -> String {
        let seconds = self.offset.seconds();
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
        format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
    }
}

fn parse(text: &str, argument: usize) -> Result<Time, FunctionError> {
    let fail =
        || fail_at(argument, format!("{text:?} is no time in RFC 3339 form, such as 2026-01-02T03:04:05Z"));
    let strict = text.len() >= 20 && text.as_bytes()[10] == b'T' && !text.contains('[');
    let (Ok(timestamp), true) = (text.parse::<Timestamp>(), strict) else { return fail() };
    let offset =
        Pieces::parse(text).ok().and_then(|pieces| pieces.to_numeric_offset()).unwrap_or(tz::Offset::UTC);
    Ok(Time { timestamp, offset })
}

fn rfc3339(time: &Time) -> String {
    let seconds = time.local().strftime("%Y-%m-%dT%H:%M:%S").to_string();
    if time.offset == tz::Offset::UTC {
        format!("{seconds}Z")
    } else {
        format!("{seconds}{}", time.zone(":"))
    }
}

/// A duration as `-1h30m5.5s`.
fn duration(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanoseconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let units =
            [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];
        let (unit, scale) = units.iter().find(|(unit, _)| {
            rest.strip_prefix(unit).is_some_and(|tail| {
                tail.is_empty() || tail.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            })
        })?;
        nanoseconds += number * scale;
        rest = &rest[unit.len()..];
    }
    Some(SignedDuration::from_nanos((sign * nanoseconds) as i64))
}

fn format_date(format: &str, time: &Time) -> Result<String, FunctionError> {
    let mut out = String::new();
    let mut characters = format.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '\'' {
            loop {
                match characters.next() {
                    None => return fail_at(0, "a quote is not closed"),
                    Some('\'') if characters.next_if_eq(&'\'').is_some() => out.push('\''),
                    Some('\'') => break,
                    Some(other) => out.push(other),
                }
            }
            continue;
        }
        if !c.is_ascii_alphabetic() {
            out.push(c);
            continue;
        }
        let mut count = 1;
        while characters.next_if_eq(&c).is_some() {
            count += 1;
        }
        date_part(c, count, time, &mut out)?;
    }
    Ok(out)
}

fn date_part(letter: char, count: usize, whole: &Time, out: &mut String) -> Result<(), FunctionError> {
    let time = whole.local();
    let utc = whole.offset == tz::Offset::UTC;
    let hour12 = (time.hour() + 11) % 12 + 1;
    let written = match (letter, count) {
        ('Y', 4) => write!(out, "{:04}", time.year()),
        ('Y', 2) => write!(out, "{:02}", time.year() % 100),
        ('M', 4) => write!(out, "{}", time.strftime("%B")),
        ('M', 3) => write!(out, "{}", time.strftime("%b")),
        ('M', 2) => write!(out, "{:02}", time.month()),
        ('M', 1) => write!(out, "{}", time.month()),
        ('D', 2) => write!(out, "{:02}", time.day()),
        ('D', 1) => write!(out, "{}", time.day()),
        ('E', 4) => write!(out, "{}", time.strftime("%A")),
        ('E', 3) => write!(out, "{}", time.strftime("%a")),
        ('h', 2) => write!(out, "{:02}", time.hour()),
        ('h', 1) => write!(out, "{}", time.hour()),
        ('H', 2) => write!(out, "{hour12:02}"),
        ('H', 1) => write!(out, "{hour12}"),
        ('A', 2) => write!(out, "{}", if time.hour() < 12 { "AM" } else { "PM" }),
        ('a', 2) => write!(out, "{}", if time.hour() < 12 { "am" } else { "pm" }),
        ('m', 2) => write!(out, "{:02}", time.minute()),
        ('m', 1) => write!(out, "{}", time.minute()),
        ('s', 2) => write!(out, "{:02}", time.second()),
        ('s', 1) => write!(out, "{}", time.second()),
        ('Z', 1) if utc => write!(out, "Z"),
        ('Z', 3) if utc => write!(out, "UTC"),
        ('Z', 4 | 3) => write!(out, "{}", whole.zone("")),
        ('Z', 1 | 5) => write!(out, "{}", whole.zone(":")),
        _ => {
            let verb: String = std::iter::repeat_n(letter, count).collect();
            return fail_at(0, format!("there is no date verb {verb:?}; put text in single quotes"));
        }
    };
    let _ = written;
    Ok(())
}
