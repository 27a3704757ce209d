//! Jobs that run on a schedule: taking over users of a realm, and backups. Both are in one file.

mod backup;
mod realm;

use serde_json::{Value, json};

use crate::calendar;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::sections::Sections;
use crate::state::State;

pub(crate) use backup::{
    ROUTES as BACKUP_ROUTES, check_permissions as check_backup_permissions, conflict as backup_conflict,
    forget as forget_backups, guests as backup_guests,
};
pub(crate) use realm::ROUTES as REALM_ROUTES;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/jobs", |_| Ok(json!([{ "subdir": "schedule-analyze" }, { "subdir": "realm-sync" }]))),
    ("GET", "/cluster/jobs/schedule-analyze", analyze),
];

const FILE: &str = "jobs.cfg";

fn jobs(state: &State) -> &Sections {
    static NONE: Sections = Sections::new();
    state.sections.get(FILE).unwrap_or(&NONE)
}

fn jobs_mut(state: &mut State) -> &mut Sections {
    state.sections.entry(FILE.to_owned()).or_default()
}

/// When a job runs next.
fn next_run(job: &crate::state::Options, now: u64) -> Option<u64> {
    calendar::next(&calendar::parse(job.get("schedule")?)?, now)
}

fn analyze(request: &mut Request<'_>) -> Answer {
    let event = calendar::parse(&request.text("schedule"));
    let mut last = request.number("starttime").unwrap_or(request.seconds());
    let mut rows = Vec::new();
    for _ in 0..request.number("iterations").unwrap_or(10) {
        let Some(next) = event.as_ref().and_then(|event| calendar::next(event, last)) else { break };
        rows.push(json!({ "timestamp": next, "utc": format!("{} UTC", crate::tasks::clock(next)) }));
        last = next;
    }
    Ok(Value::Array(rows))
}
