//! Calendar events as schedules of jobs have them, `sat *-1..7 15:00` or `*/15` (proxmox-time; the nodes here live in
//! UTC).
//!
//! The grammar is `[WEEKDAYS] [[YEARS-]MONTHS-DAYS] [[HOURS:]MINUTES[:SECONDS]] [UTC]`, with words for common ones. As in
//! Proxmox VE and unlike in systemd.time there is no `~` for days from the end of the month, and a time of one part
//! is minutes.

/// A schedule: the values of every part that it fires at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// Monday is 0.
    weekdays: Values,
    years: Values,
    months: Values,
    days: Values,
    hours: Values,
    minutes: Values,
    seconds: Values,
}

/// What one part allows; nothing in it allows everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Values(Vec<Span>);

/// `first`, and what follows by steps up to `last`. A step of 0 never leaves `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: u64,
    last: u64,
    step: u64,
}

impl Values {
    fn one(value: u64) -> Self {
        Values::each(&[value])
    }

    fn each(values: &[u64]) -> Self {
        Values(values.iter().map(|value| Span { first: *value, last: *value, step: 1 }).collect())
    }

    fn contain(&self, value: u64) -> bool {
        self.0.is_empty() || self.0.iter().any(|span| span.contains(value))
    }
}

impl Span {
    fn contains(self, value: u64) -> bool {
        let is_step = value
            .checked_sub(self.first)
            .is_some_and(|offset| offset.checked_rem(self.step).unwrap_or(offset) == 0);
        is_step && value <= self.last
    }
}

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Years end before this one, as systemd's do.
const YEAR_LIMIT: u64 = 2200;

/// Reads a schedule.
pub(crate) fn parse(text: &str) -> Option<Event> {
    let text = text.trim();
    let text = text.strip_suffix("UTC").map_or(text, |local| local.trim_end_matches(' '));
    named(text).or_else(|| {
        let mut rest = text;
        let event = event(&mut rest)?;
        rest.is_empty().then_some(event)
    })
}

/// The words that stand for a whole schedule.
fn named(word: &str) -> Option<Event> {
    let zero = || Values::one(0);
    let minutely = Event { seconds: zero(), ..Event::default() };
    let hourly = Event { minutes: zero(), ..minutely.clone() };
    let daily = Event { hours: zero(), ..hourly.clone() };
    let in_months =
        |months: &[u64]| Event { months: Values::each(months), days: Values::one(1), ..daily.clone() };
    Some(match word {
        "minutely" => minutely,
        "hourly" => hourly,
        "daily" => daily,
        "weekly" => Event { weekdays: zero(), ..daily },
        "monthly" => in_months(&[]),
        "quarterly" => in_months(&[1, 4, 7, 10]),
        "semiannually" | "semi-annually" => in_months(&[1, 7]),
        "yearly" | "annually" => in_months(&[1]),
        _ => return None,
    })
}

/// Takes a schedule from the front of the text; what is left of it is no part of one.
fn event(rest: &mut &str) -> Option<Event> {
    let weekdays =
        if rest.starts_with(|sign: char| sign.is_ascii_alphabetic()) { Some(weekdays(rest)?) } else { None };
    skip_blanks(rest);
    let date = attempt(rest, date);
    if date.is_some() {
        skip_blanks(rest);
    }
    let time = attempt(rest, time);
    if weekdays.is_none() && date.is_none() && time.is_none() {
        return None;
    }
    let (years, months, days) = date.unwrap_or_default();
    let (hours, minutes, seconds) = time.unwrap_or_else(|| (Values::one(0), Values::one(0), Values::one(0)));
    Some(Event { weekdays: weekdays.unwrap_or_default(), years, months, days, hours, minutes, seconds })
}

type Parts = (Values, Values, Values);

/// Runs a parser, and leaves the text as it was where the parser fails.
fn attempt<'a, T>(rest: &mut &'a str, parser: impl FnOnce(&mut &'a str) -> Option<T>) -> Option<T> {
    let mut ahead = *rest;
    let found = parser(&mut ahead)?;
    *rest = ahead;
    Some(found)
}

fn take(rest: &mut &str, sign: &str) -> Option<()> {
    *rest = rest.strip_prefix(sign)?;
    Some(())
}

fn skip_blanks(rest: &mut &str) {
    *rest = rest.trim_start_matches([' ', '\t']);
}

/// `[YEARS-]MONTHS-DAYS`.
fn date(rest: &mut &str) -> Option<Parts> {
    let month_and_day = |rest: &mut &str| {
        let months = values(rest, 1, 13)?;
        take(rest, "-")?;
        Some((months, values(rest, 1, 32)?))
    };
    let with_year = attempt(rest, |rest| {
        let years = values(rest, 0, YEAR_LIMIT)?;
        take(rest, "-")?;
        let (months, days) = month_and_day(rest)?;
        Some((years, months, days))
    });
    with_year.or_else(|| month_and_day(rest).map(|(months, days)| (Values::default(), months, days)))
}

/// `[HOURS:]MINUTES[:SECONDS]`. `25:30` is the thirtieth second of minute 25, for there is no such hour.
fn time(rest: &mut &str) -> Option<Parts> {
    let hours = attempt(rest, |rest| {
        let hours = values(rest, 0, 24)?;
        take(rest, ":")?;
        Some(hours)
    });
    let minutes = values(rest, 0, 60)?;
    let seconds = attempt(rest, |rest| {
        take(rest, ":")?;
        values(rest, 0, 60)
    });
    Some((hours.unwrap_or_default(), minutes, seconds.unwrap_or_else(|| Values::one(0))))
}

/// `*`, `*/STEP` from `start`, or items with commas between; every number is below `limit`.
fn values(rest: &mut &str, start: u64, limit: u64) -> Option<Values> {
    if take(rest, "*").is_some() {
        let Some(mut ahead) = rest.strip_prefix('/') else { return Some(Values::default()) };
        let step = number(&mut ahead, limit).filter(|step| *step > 0)?;
        *rest = ahead;
        return Some(Values(vec![Span { first: start, last: u64::MAX, step }]));
    }
    list(rest, |rest| span(rest, limit)).map(Values)
}

/// Items with commas between; a comma that no item follows is left.
fn list<'a, T>(rest: &mut &'a str, item: impl Fn(&mut &'a str) -> Option<T>) -> Option<Vec<T>> {
    let mut found = vec![item(rest)?];
    while let Some(next) = attempt(rest, |rest| take(rest, ",").and_then(|()| item(rest))) {
        found.push(next);
    }
    Some(found)
}

/// `5`, `5..10`, `5/15` or `5..30/5`.
fn span(rest: &mut &str, limit: u64) -> Option<Span> {
    let first = number(rest, limit)?;
    let last = attempt(rest, |rest| take(rest, "..").and_then(|()| number(rest, limit)));
    if last.is_some_and(|last| first > last) {
        return None;
    }
    if take(rest, "/").is_some() {
        let step = number(rest, limit)?;
        return Some(Span { first, last: last.unwrap_or(u64::MAX), step });
    }
    Some(Span { first, last: last.unwrap_or(first), step: 1 })
}

fn number(rest: &mut &str, limit: u64) -> Option<u64> {
    let end = rest.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    let number = digits.parse().ok().filter(|number| *number < limit)?;
    *rest = after;
    Some(number)
}

/// Days with commas between, each one or a range, which may go over Sunday.
fn weekdays(rest: &mut &str) -> Option<Values> {
    let ranges = list(rest, |rest| {
        let first = weekday(rest)?;
        let last = attempt(rest, |rest| take(rest, "..").and_then(|()| weekday(rest))).unwrap_or(first);
        Some((first, if last < first { last + 7 } else { last }))
    })?;
    let days: Vec<u64> =
        ranges.into_iter().flat_map(|(first, last)| first..=last).map(|day| day % 7).collect();
    Some(Values::each(&days))
}

fn weekday(rest: &mut &str) -> Option<u64> {
    let end = rest.find(|sign: char| !sign.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    let word = word.to_ascii_lowercase();
    let day = WEEKDAYS.iter().position(|long| *long == word || long[..3] == word)?;
    *rest = after;
    Some(day as u64)
}

/// The first moment after `after`, both in seconds since the epoch; `None` where none comes.
pub(crate) fn next(event: &Event, after: u64) -> Option<u64> {
    let today = (after + 1) / 86_400;
    let days = (today..).map_while(|day| {
        let (year, month, of_month) = crate::tasks::date(day);
        (year < YEAR_LIMIT).then_some((day, year, month, of_month))
    });
    days.filter(|(day, year, month, of_month)| {
        // The epoch was a Thursday.
        event.years.contain(*year)
            && event.months.contain(*month)
            && event.days.contain(*of_month)
            && event.weekdays.contain((day + 3) % 7)
    })
    .find_map(|(day, ..)| next_of_day(event, day * 86_400, after))
}

fn next_of_day(event: &Event, midnight: u64, after: u64) -> Option<u64> {
    let hours = (0..24).filter(|hour| event.hours.contain(*hour)).map(|hour| midnight + hour * 3600);
    let minutes = hours.flat_map(|start| {
        (0..60).filter(|minute| event.minutes.contain(*minute)).map(move |minute| start + minute * 60)
    });
    let seconds = minutes.filter(|start| start + 59 > after).flat_map(|start| {
        (0..60).filter(|second| event.seconds.contain(*second)).map(move |second| start + second)
    });
    let mut moments = seconds;
    moments.find(|moment| *moment > after)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sunday, 22 November 2026, 12:00.
    const NOON: u64 = 1_795_348_800;

    #[test]
    fn the_next_moment_is_the_first_that_fits() {
        let cases = [
            ("02:30", "2026-11-23 02:30:00"),
            ("sat 10:00", "2026-11-28 10:00:00"),
            ("*/15", "2026-11-22 12:15:00"),
            ("mon..fri 8..17:0/30", "2026-11-23 08:00:00"),
            ("fri..mon 13:00", "2026-11-22 13:00:00"),
            ("sun", "2026-11-29 00:00:00"),
            ("monthly", "2026-12-01 00:00:00"),
            ("quarterly", "2027-01-01 00:00:00"),
            ("yearly", "2027-01-01 00:00:00"),
            ("semi-annually", "2027-01-01 00:00:00"),
            ("weekly", "2026-11-23 00:00:00"),
            ("minutely", "2026-11-22 12:01:00"),
            ("*:*:*", "2026-11-22 12:00:01"),
            ("12:0:7", "2026-11-22 12:00:07"),
            ("25:30", "2026-11-22 12:25:30"),
            ("sat *-1..7 15:00", "2026-12-05 15:00:00"),
            ("2027-01-01", "2027-01-01 00:00:00"),
            ("*-05", "2026-12-05 00:00:00"),
            ("02-29", "2028-02-29 00:00:00"),
            ("fri *-13", "2027-08-13 00:00:00"),
            ("2024/3-7-1 1:1", "2027-07-01 01:01:00"),
        ];
        for (schedule, expected) in cases {
            let next = next(&parse(schedule).unwrap(), NOON).unwrap();
            assert_eq!(crate::tasks::clock(next), expected, "{schedule}");
        }
    }

    #[test]
    fn what_cannot_come_never_comes() {
        for schedule in ["2015-10-21", "2027-02-29", "02-30", "0-1"] {
            assert_eq!(next(&parse(schedule).unwrap(), NOON), None, "{schedule}");
        }
    }

    /// The table of the manual's chapter "Calendar Events", its list of special values, and more that proxmox-time takes.
    #[test]
    fn what_proxmox_takes_is_taken() {
        let taken = "mon,tue,wed,thu,fri|mon..fri|mon,tue,wed..fri|fri..mon|MON|monDay|\
            12:30|30|0:30|18:00|8..22|2..4,8|0/5|0/10|*/2:30|8..17,22:0/15|4..10/2:0|5,10:4,8|*:*:0/20|\
            mon,wed..fri 8..17,22:0/15|fri 12..13:5/20|12,14,16,18,20,22:5|12/2:5|*|*/1:*|mon..wed 30/10|\
            sat,sun 12:05|mon*-*-*|mon10:00|mon\t10:00|\
            minutely|hourly|daily|weekly|monthly|yearly|annually|quarterly|semiannually|semi-annually|\
            *-05|2015-10-21|sat *-1..7 15:00|*-*-* 00:00:00|*-*-* *:00:00|mon *-*-* 00:00:00|*-*-01 00:00:00|\
            *-01-01 00:00:00|*-01,07-01 00:00:00|*-01,04,07,10-01 00:00:00|*-12-31 23:50|*-*-*02:00|\
            1965/5-01-01|2020-7..9-2/2|2020,2021-12-31|*/4-*/3-*/10|0-1|1/0:0|\
            21:00 UTC|dailyUTC|  daily  UTC |2027-01-01 UTC";
        for schedule in taken.split('|') {
            assert!(parse(schedule).is_some(), "{schedule}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let refused = "foo|mon,xyz|mon,|mon..|mon ,tue|10:61|61|25:99|24:00:00|mon 1:2 3|every day|Daily|\
            daily 10:00|UTC|*/0|*/0:5|10..5|5..10/60|*-*~1|*-02~03|2015-10|2200-01-01|13-01|*-32|10:00 daily|\
            10:00 mon|1:00 utc|-1|1-|10 :00|10,|1.5|2026-11-22T10:00|@daily|0 2 * * *";
        for schedule in refused.split('|').chain(["", " ", "\n"]) {
            assert_eq!(parse(schedule), None, "{schedule}");
        }
    }
}
