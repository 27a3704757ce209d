//! `pve replay`

use pve_model::event::Event;
use pve_model::state::State;

use super::log::TIME;
use super::show::print_state;
use crate::arguments::{GlobalOptions, ReplayOptions};
use crate::failure::{Ended, Failure};
use crate::project::Project;

/// Shows the state as it was after some event.
///
/// # Errors
/// When there is no such event.
pub async fn run(global: &GlobalOptions, options: &ReplayOptions) -> Ended {
    let project = Project::find(global)?;
    if !project.has_log()? {
        return Err(Failure::hinted("there is no log yet", "`pve apply` writes the first events."));
    }
    let events = project.open_log().await?.0.read(0).await?;
    let last = find(&events, &options.to)?;
    let state = State::project(&events[..last])?;
    if let Some(event) = events[..last].last().filter(|_| !global.json) {
        let time = event.time.strftime(TIME);
        eprintln!("The state after event {} of {} ({time}):", event.sequence, events.len());
    }
    print_state(global, &state)
}

/// How many events to take.
fn find(events: &[Event], wanted: &str) -> Result<usize, Failure> {
    let missing = |what: String| {
        let hint = format!("The log has events 1 to {}; `pve log --events` shows them.", events.len());
        Failure::hinted(what, hint)
    };
    if let Ok(sequence) = wanted.parse::<u64>() {
        let within = usize::try_from(sequence).ok().filter(|sequence| *sequence <= events.len());
        return within.ok_or_else(|| missing(format!("there is no event {sequence}")));
    }
    if let Ok(id) = wanted.parse::<uuid::Uuid>() {
        let at = events.iter().position(|event| event.id == id);
        return at.map(|at| at + 1).ok_or_else(|| missing(format!("there is no event {id}")));
    }
    match moment(wanted) {
        // A time in seconds is all of that second: the log shows no parts of one.
        Some(time) if !wanted.contains('.') => {
            Ok(events.iter().take_while(|event| event.time.as_second() <= time.as_second()).count())
        }
        Some(time) => Ok(events.iter().take_while(|event| event.time <= time).count()),
        None => Err(missing(format!("{wanted:?} is no sequence, event id or time"))),
    }
}

/// A time with its offset from UTC, or one of this machine's zone.
fn moment(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let local: jiff::civil::DateTime = text.parse().ok()?;
    jiff::tz::TimeZone::system().to_timestamp(local).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_an_offset_or_are_of_this_machines_zone() {
        let known: jiff::Timestamp = "2026-11-25T10:00:00Z".parse().unwrap();
        assert_eq!(moment("2026-11-25T11:00:00+01:00"), Some(known));
        let here = jiff::tz::TimeZone::system().to_datetime(known);
        for text in [here.strftime("%Y-%m-%d %H:%M:%S"), here.strftime("%Y-%m-%dT%H:%M:%S")] {
            assert_eq!(moment(&text.to_string()), Some(known), "{text}");
        }
        assert_eq!(moment(&known.strftime(TIME).to_string()), Some(known));
        assert_eq!(moment("yesterday"), None);
    }
}
