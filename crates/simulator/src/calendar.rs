//! Calendar events as schedules of jobs have them, `sat 10:00` or `*/15` (proxmox-time; times are UTC here).

/// A schedule: weekdays (Monday is 0), hours, minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    days: Vec<u64>,
    hours: Vec<u64>,
    minutes: Vec<u64>,
    /// Day of the month, where only one counts (`monthly`), and the months.
    month_day: Option<u64>,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn day(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let long = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    (0..7).find(|at| DAYS[*at] == text || long[*at] == text).map(|at| at as u64)
}

/// Numbers of a part: `*`, `5`, `5,10`, `5..10`, `*/15`, `5/15`, `5..30/5`.
fn numbers(text: &str, limit: u64) -> Option<Vec<u64>> {
    let mut found = Vec::new();
    for item in text.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u64>().ok().filter(|step| *step > 0)?)),
            None => (item, None),
        };
        let (first, last) = match range.split_once("..") {
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None if range == "*" || range.is_empty() && step.is_some() => (0, limit - 1),
            None => {
                let first = range.parse().ok()?;
                (first, if step.is_some() { limit - 1 } else { first })
            }
        };
        if first > last || last >= limit {
            return None;
        }
        found.extend((first..=last).step_by(step.unwrap_or(1) as usize));
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

fn weekdays(text: &str) -> Option<Vec<u64>> {
    let mut found = Vec::new();
    for item in text.split(',') {
        match item.split_once("..") {
            Some((first, last)) => {
                let (first, last) = (day(first)?, day(last)?);
                (first <= last).then(|| found.extend(first..=last))?;
            }
            None => found.push(day(item)?),
        }
    }
    Some(found)
}

/// Reads a schedule.
pub(crate) fn parse(text: &str) -> Option<Event> {
    let all: Vec<u64> = (0..7).collect();
    let at = |days: Vec<u64>, hours: Vec<u64>, minutes: Vec<u64>, month_day: Option<u64>| {
        Some(Event { days, hours, minutes, month_day })
    };
    match text.trim() {
        "minutely" => return at(all, (0..24).collect(), (0..60).collect(), None),
        "hourly" => return at(all, (0..24).collect(), vec![0], None),
        "daily" => return at(all, vec![0], vec![0], None),
        "weekly" => return at(vec![0], vec![0], vec![0], None),
        "monthly" | "quarterly" | "semiannually" | "semi-annually" | "yearly" | "annually" => {
            return at(all, vec![0], vec![0], Some(1));
        }
        _ => {}
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let (days, rest) = match words.split_first() {
        Some((first, rest)) if first.starts_with(|sign: char| sign.is_ascii_alphabetic()) => {
            (weekdays(first)?, rest)
        }
        Some(_) => (all, words.as_slice()),
        None => return None,
    };
    match rest {
        [] => at(days, vec![0], vec![0], None),
        [time] => match time.split_once(':') {
            Some((hours, minutes)) => {
                at(days, numbers(hours, 24)?, numbers(minutes.split(':').next()?, 60)?, None)
            }
            None => at(days, (0..24).collect(), numbers(time, 60)?, None),
        },
        _ => None,
    }
}

/// The first moment after `after`, both in seconds since the epoch.
pub(crate) fn next(event: &Event, after: u64) -> Option<u64> {
    let first = after / 86_400;
    for days in first..first + 370 {
        // The epoch was a Thursday.
        let month_day = crate::tasks::clock(days * 86_400)[8..10].parse::<u64>().unwrap_or(0);
        if !event.days.contains(&((days + 3) % 7)) || event.month_day.is_some_and(|day| day != month_day) {
            continue;
        }
        let times =
            event.hours.iter().flat_map(|hour| event.minutes.iter().map(move |minute| (hour, minute)));
        let moments = times.map(|(hour, minute)| days * 86_400 + hour * 3600 + minute * 60);
        if let Some(moment) = moments.into_iter().find(|moment| *moment > after) {
            return Some(moment);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sunday, 22 November 2026, 12:00.
    const NOON: u64 = 1_795_348_800;

    fn check(schedule: &str, expected: &str) {
        let next = next(&parse(schedule).unwrap(), NOON).unwrap();
        assert_eq!(crate::tasks::clock(next), expected, "{schedule}");
    }

    #[test]
    fn the_next_moment_is_the_first_that_fits() {
        check("02:30", "2026-11-23 02:30:00");
        check("sat 10:00", "2026-11-28 10:00:00");
        check("*/15", "2026-11-22 12:15:00");
        check("mon..fri 8..17:0/30", "2026-11-23 08:00:00");
        check("monthly", "2026-12-01 00:00:00");
        check("sun", "2026-11-29 00:00:00");
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in ["", "25:00", "foo", "mon,xyz", "10:61", "mon 1:2 3"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
