//! Tasks: status, log, lists, stopping; and what happens when they end.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::{Effect, State, Task};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/tasks", list),
    ("GET", "/nodes/{node}/tasks/{upid}", |_| Ok(json!([{ "name": "log" }, { "name": "status" }]))),
    ("DELETE", "/nodes/{node}/tasks/{upid}", stop),
    ("GET", "/nodes/{node}/tasks/{upid}/status", status),
    ("GET", "/nodes/{node}/tasks/{upid}/log", log),
    ("GET", "/cluster/tasks", cluster),
];

/// Ends the tasks whose time has come; true if anything changed.
pub(crate) fn settle(state: &mut State, now: u64) -> bool {
    let due: Vec<u64> = state
        .tasks
        .iter()
        .filter(|(_, task)| !task.finished && task.ends <= now)
        .map(|(at, _)| *at)
        .collect();
    for at in &due {
        let Some(task) = state.tasks.get_mut(at) else { continue };
        task.finished = true;
        for effect in std::mem::take(&mut task.effects) {
            apply(state, effect);
        }
    }
    !due.is_empty()
}

fn apply(state: &mut State, effect: Effect) {
    match effect {
        Effect::RemoveGuest(vmid) => guests::forget(state, vmid),
        Effect::MakeTemplate(vmid) => crate::lxc::make_template(state, vmid),
        Effect::Move { guest, node, running } => {
            if let Some(guest) = state.guests.get_mut(&guest) {
                guest.node = node;
                guest.running = running;
                guest.config.remove("lock");
            }
        }
        Effect::RemoveOption { guest, key } => {
            if let Some(guest) = state.guests.get_mut(&guest) {
                guest.config.remove(&key);
            }
        }
        Effect::AddVolume { id, volume } => {
            crate::volumes::add(state, id, *volume);
        }
        Effect::RemoveVolume(id) => {
            state.volumes.remove(&id);
        }
    }
}

/// Seconds since the epoch as `2026-11-23 02:50:15`, UTC.
pub(crate) fn clock(seconds: u64) -> String {
    let ((year, month, day), rest) = (date(seconds / 86_400), seconds % 86_400);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Year, month and day of a count of days since the epoch (Howard Hinnant's rule).
pub(crate) fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

fn find(request: &Request<'_>) -> Result<u64, Failure> {
    let upid = request.text("upid");
    if upid.split(':').count() < 9 || !upid.starts_with("UPID:") {
        return Err(Failure::parameter("upid", "unable to parse worker upid"));
    }
    let found = request
        .state
        .tasks
        .iter()
        .rev()
        .find(|(_, task)| task.upid == upid && task.node == request.node)
        .map(|(at, _)| *at);
    found.ok_or_else(|| Failure::parameter("upid", "no such task"))
}

fn base(task: &Task) -> Value {
    let mut row = json!({
        "upid": task.upid, "node": task.node, "type": task.kind, "id": task.id, "user": task.user,
        "pid": task.process, "pstart": task.process_start, "starttime": task.started / 1000,
    });
    if let Some(token) = &task.token {
        row["tokenid"] = json!(token);
    }
    row
}

fn status(request: &mut Request<'_>) -> Answer {
    let task = &request.state.tasks[&find(request)?];
    check_audit(request, task, "Sys.Audit")?;
    let mut row = base(task);
    if task.finished {
        row["status"] = json!("stopped");
        row["exitstatus"] = json!(task.exit);
    } else {
        row["status"] = json!("running");
    }
    Ok(row)
}

fn log(request: &mut Request<'_>) -> Answer {
    let at = match find(request) {
        Ok(at) => at,
        Err(failure) if failure.errors.get("upid").is_some_and(|text| text == "no such task") => {
            request.total = Some(1);
            return Ok(json!([{ "n": 1, "t": "unable to open file - No such file or directory" }]));
        }
        Err(failure) => return Err(failure),
    };
    let task = &request.state.tasks[&at];
    check_audit(request, task, "Sys.Audit")?;
    // The last line is written when the task ends.
    let lines = if task.finished { &task.log[..] } else { &task.log[..task.log.len().saturating_sub(1)] };
    if request.flag("download") {
        let text = lines.iter().map(|line| format!("{line}\n")).collect();
        request.text = Some(text);
        return Ok(Value::Null);
    }
    let start = request.number("start").unwrap_or(0) as usize;
    let limit = match request.number("limit") {
        Some(0) => usize::MAX,
        Some(limit) => limit as usize,
        None => 50,
    };
    let rows = lines.iter().enumerate().skip(start).take(limit);
    let data = rows.map(|(at, line)| json!({ "n": at + 1, "t": line })).collect();
    let total = lines.len() as u64;
    request.total = Some(total);
    Ok(data)
}

fn stop(request: &mut Request<'_>) -> Answer {
    let at = find(request)?;
    check_audit(request, &request.state.tasks[&at], "Sys.Modify")?;
    let now = request.now;
    let Some(task) = request.state.tasks.get_mut(&at) else { return Ok(Value::Null) };
    if !task.finished {
        task.ends = now;
        task.finished = true;
        let interrupted = if task.kind == "download" {
            "download failed: received interrupt"
        } else {
            "interrupted by signal"
        };
        task.exit = interrupted.to_owned();
        task.log.pop();
        if task.kind == "download" {
            task.log.pop();
        }
        task.log.push(format!("TASK ERROR: {interrupted}"));
        // What was begun stays, as a killed worker leaves it: only additions at the end do not come.
        let effects = std::mem::take(&mut task.effects);
        for effect in effects.into_iter().filter(|effect| !matches!(effect, Effect::AddVolume { .. })) {
            apply(request.state, effect);
        }
    }
    Ok(Value::Null)
}

fn ended(task: &Task) -> Value {
    let mut row = base(task);
    if task.finished {
        row["status"] = json!(task.exit);
        row["endtime"] = json!(task.ends / 1000);
    } else {
        row["status"] = json!("RUNNING");
        row["saved"] = json!("0");
        if let (Some(token), Some(row)) = (&task.token, row.as_object_mut()) {
            row.insert("user".to_owned(), json!(format!("{}!{token}", task.user)));
            row.remove("tokenid");
        }
    }
    row
}

fn status_class(task: &Task) -> &'static str {
    match task.exit.as_str() {
        _ if !task.finished => "unknown",
        "OK" => "ok",
        text if text.starts_with("WARNINGS:") => "warning",
        "unexpected status" => "unknown",
        _ => "error",
    }
}

/// Tasks that the caller started; those of a user's tokens are the user's too.
fn is_own(request: &Request<'_>, task: &Task) -> bool {
    let identity = request.identity;
    task.user == identity.user && (identity.token.is_none() || identity.token == task.token)
}

/// Others' tasks are shown to auditors only.
fn check_audit(request: &Request<'_>, task: &Task, privilege: &str) -> Result<(), Failure> {
    if is_own(request, task) {
        Ok(())
    } else {
        request.check(&format!("/nodes/{}", request.node), &[privilege])
    }
}

fn list(request: &mut Request<'_>) -> Answer {
    let audit = request.allows(&format!("/nodes/{}", request.node), "Sys.Audit");
    let source = request.get("source").unwrap_or("archive");
    let classes: Vec<String> =
        crate::schema::formats::split_list(request.get("statusfilter").unwrap_or_default())
            .map(str::to_owned)
            .collect();
    let matches = |task: &&Task| {
        let by_source = match source {
            "active" => !task.finished,
            "archive" => task.finished,
            _ => true,
        };
        by_source
            && (audit || is_own(request, task))
            && task.node == request.node
            && (!request.flag("errors") || status_class(task) != "ok")
            && (request.flag("errors")
                || classes.is_empty()
                || classes.iter().any(|class| class == status_class(task)))
            && request.get("typefilter").is_none_or(|kind| kind == task.kind)
            && request
                .get("userfilter")
                .is_none_or(|user| task.user.to_lowercase().contains(&user.to_lowercase()))
            && request.get("vmid").is_none_or(|vmid| vmid == task.id)
            && request.number("since").is_none_or(|since| task.started / 1000 >= since)
            && request.number("until").is_none_or(|until| task.started / 1000 <= until)
    };
    let found: Vec<&Task> = request.state.tasks.values().rev().filter(matches).collect();
    let total = found.len() as u64;
    let start = request.number("start").unwrap_or(0) as usize;
    let limit = request.number("limit").unwrap_or(50) as usize;
    let data = found.into_iter().skip(start).take(limit).map(ended).collect();
    request.total = Some(total);
    Ok(data)
}

fn cluster(request: &mut Request<'_>) -> Answer {
    Ok(request
        .state
        .tasks
        .values()
        .rev()
        .filter(|task| request.allows("/", "Sys.Audit") || is_own(request, task))
        .take(25)
        .map(|task| {
            let mut row = ended(task);
            if let Some(row) = row.as_object_mut() {
                row.remove("pid");
                row.remove("pstart");
                if task.finished {
                    row.insert("saved".to_owned(), json!("1"));
                }
            }
            row
        })
        .collect())
}
