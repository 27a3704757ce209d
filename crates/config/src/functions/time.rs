//! Points in time.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use pve_model::value::Refinement;
use pve_model::{Type, Value};

use super::FunctionError;
use super::parameter::{Call, Function, Outcome, Returns, text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("timestamp", &[], Returns::Text, |call| {
        if call.context.pure {
            return Ok(Value::unknown_refined(
                Type::String,
                Refinement { not_null: true, ..Refinement::default() },
            ));
        }
        Ok(Value::string(in_utc(Timestamp::now())))
    }),
    Function::new("plantimestamp", &[], Returns::Text, |call| {
        Ok(Value::string(in_utc(call.context.plan_timestamp)))
    }),
    Function::new("timeadd", &[text("timestamp"), text("duration")], Returns::Text, add),
    Function::new("timecmp", &[text("timestamp_a"), text("timestamp_b")], Returns::Number, |call| {
        let (a, b) = (Moment::read(call, 0)?, Moment::read(call, 1)?);
        Ok(Value::number(a.timestamp().cmp(&b.timestamp()) as i8))
    }),
    Function::new("formatdate", &[text("format"), text("time")], Returns::Text, format_date),
];

fn in_utc(timestamp: Timestamp) -> String {
    timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A point in time with the offset it is written with.
struct Moment {
    local: DateTime,
    seconds_east: i32,
}

impl Moment {
    fn read(call: &Call<'_>, index: usize) -> Result<Moment, FunctionError> {
        let text = call.text(index);
        Moment::parse(text).ok_or_else(|| {
            let message = format!("\"{text}\" is no time such as 2026-01-02T03:04:05Z");
            FunctionError::argument(index, message)
        })
    }

    /// Reads the form of RFC 3339, strictly: `T` and `Z` in upper case, an offset with a colon.
    fn parse(text: &str) -> Option<Moment> {
        let bytes = text.as_bytes();
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if !text.is_ascii() || separators.iter().any(|(at, byte)| bytes.get(*at) != Some(byte)) {
            return None;
        }
        let digits = |range: std::ops::Range<usize>| -> Option<i16> {
            let part = text.get(range)?;
            part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
        };
        let small = |range| digits(range).and_then(|number| i8::try_from(number).ok());
        let mut rest = text.get(19..)?;
        let mut nanoseconds = 0;
        if let Some(fraction) = rest.strip_prefix('.') {
            let end = fraction.find(|c: char| !c.is_ascii_digit())?;
            let kept = &fraction[..end.min(9)];
            nanoseconds = format!("{kept:0<9}").parse().ok().filter(|_| end > 0)?;
            rest = &fraction[end..];
        }
        let seconds_east = match rest.as_bytes() {
            b"Z" => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let part = |range| -> Option<i32> {
                    let part: &str = rest.get::<std::ops::Range<usize>>(range)?;
                    part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
                };
                let (hours, minutes) = (part(1..3)?, part(4..6)?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
            }
            _ => return None,
        };
        let (year, month, day) = (digits(0..4)?, small(5..7)?, small(8..10)?);
        let (hour, minute, second) = (small(11..13)?, small(14..16)?, small(17..19)?);
        let local = DateTime::new(year, month, day, hour, minute, second, nanoseconds)
            .ok()
            .filter(|_| second < 60)?;
        Some(Moment { local, seconds_east })
    }

    fn timestamp(&self) -> Option<Timestamp> {
        Offset::from_seconds(self.seconds_east).ok()?.to_timestamp(self.local).ok()
    }

    fn offset(&self, colon: bool) -> String {
        let sign = if self.seconds_east < 0 { '-' } else { '+' };
        let minutes = self.seconds_east.abs() / 60;
        let colon = if colon { ":" } else { "" };
        format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
    }

    fn write(&self) -> String {
        let zone = if self.seconds_east == 0 { "Z".to_string() } else { self.offset(true) };
        format!("{}{zone}", self.local.strftime("%Y-%m-%dT%H:%M:%S"))
    }
}

/// A sum of decimal numbers with units: `1h30m`, `-1.5h`, in nanoseconds.
fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: f64 = 0.0;
    let mut whole: i64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let amount = &rest[..end];
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit: i64 = match &rest[..end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        rest = &rest[end..];
        match amount.parse::<i64>() {
            Ok(amount) => whole = whole.checked_add(amount.checked_mul(unit)?)?,
            Err(_) => total += amount.parse::<f64>().ok()? * unit as f64,
        }
    }
    let sum = whole.checked_add(total as i64)?;
    Some(if negative { -sum } else { sum })
}

fn add(call: &Call<'_>) -> Outcome {
    let moment = Moment::read(call, 0)?;
    let text = call.text(1);
    let duration = parse_duration(text)
        .ok_or_else(|| FunctionError::argument(1, format!("\"{text}\" is no duration such as 1h30m")))?;
    let local = moment
        .local
        .checked_add(SignedDuration::from_nanos(duration))
        .map_err(|_| FunctionError::new("the result is too far away"))?;
    Ok(Value::string(Moment { local, ..moment }.write()))
}

fn format_date(call: &Call<'_>) -> Outcome {
    let (format, moment) = (call.text(0), Moment::read(call, 1)?);
    let mut result = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("''") {
            result.push('\'');
            rest = after;
            continue;
        }
        if first == '\'' {
            rest = quoted(&rest[1..], &mut result)
                .ok_or_else(|| FunctionError::argument(0, "a closing quote is missing"))?;
            continue;
        }
        let end = rest.find(|c| c != first).unwrap_or(rest.len());
        let verb = &rest[..end];
        rest = &rest[end..];
        if first.is_ascii_alphabetic() {
            let part = moment.part(verb).ok_or_else(|| {
                FunctionError::argument(
                    0,
                    format!("\"{verb}\" is no part of a time; put text in single quotes"),
                )
            })?;
            result.push_str(&part);
        } else {
            result.push_str(verb);
        }
    }
    super::string::string(result)
}

/// Takes text up to a closing quote; two quotes stand for one.
fn quoted<'a>(text: &'a str, result: &mut String) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let end = rest.find('\'')?;
        result.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('\'') {
            Some(after) => {
                result.push('\'');
                rest = after;
            }
            None => return Some(rest),
        }
    }
}

impl Moment {
    fn part(&self, verb: &str) -> Option<String> {
        let at = &self.local;
        let twelve = match at.hour() % 12 {
            0 => 12,
            hour => hour,
        };
        let named = |format: &str| at.strftime(format).to_string();
        Some(match verb {
            "YYYY" => format!("{:04}", at.year()),
            "YY" => format!("{:02}", at.year() % 100),
            "MMMM" => named("%B"),
            "MMM" => named("%b"),
            "MM" => format!("{:02}", at.month()),
            "M" => at.month().to_string(),
            "DD" => format!("{:02}", at.day()),
            "D" => at.day().to_string(),
            "EEEE" => named("%A"),
            "EEE" => named("%a"),
            "hh" => format!("{:02}", at.hour()),
            "h" => at.hour().to_string(),
            "HH" => format!("{twelve:02}"),
            "H" => twelve.to_string(),
            "AA" => if at.hour() < 12 { "AM" } else { "PM" }.to_string(),
            "aa" => if at.hour() < 12 { "am" } else { "pm" }.to_string(),
            "mm" => format!("{:02}", at.minute()),
            "m" => at.minute().to_string(),
            "ss" => format!("{:02}", at.second()),
            "s" => at.second().to_string(),
            "Z" if self.seconds_east == 0 => "Z".to_string(),
            "ZZZ" if self.seconds_east == 0 => "UTC".to_string(),
            "Z" | "ZZZZZ" => self.offset(true),
            "ZZZ" | "ZZZZ" => self.offset(false),
            _ => return None,
        })
    }
}
