//! The cluster's log: tasks, and what the daemons write about calls (PVE::Cluster, `log_msg`).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::request::{Answer, Request};

/// How many messages are remembered.
const KEPT: usize = 1000;

/// A line that no task is the reason of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    node: String,
    user: String,
    priority: u8,
    text: String,
    process: u32,
    /// In milliseconds since the epoch.
    at: u64,
    /// The number of the task that follows it, or that writes it.
    task: u64,
    in_task: bool,
}

/// What is written to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    Notice = 5,
    Info = 6,
}

/// Writes a line as a user.
pub(crate) fn write(request: &mut Request<'_>, priority: Priority, user: &str, text: String) {
    push(request, priority, user, text, false);
}

fn push(request: &mut Request<'_>, priority: Priority, user: &str, text: String, in_task: bool) {
    let task = request.state.tasks.keys().next_back().map_or(0, |last| last + 1);
    let message = Message {
        node: request.node.clone(),
        user: user.to_owned(),
        priority: priority as u8,
        text,
        process: request.state.next_process,
        at: request.now,
        task,
        in_task,
    };
    let messages = &mut request.state.messages;
    messages.push_back(message);
    if messages.len() > KEPT {
        messages.pop_front();
    }
}

/// Writes a line as the one who asks.
pub(crate) fn note(request: &mut Request<'_>, text: String) {
    let user = request.identity.full_name();
    push(request, Priority::Info, &user, text, false);
}

/// Writes a line from the task that is about to be submitted.
pub(crate) fn note_in_task(request: &mut Request<'_>, text: String) {
    let user = request.identity.full_name();
    push(request, Priority::Info, &user, text, true);
}

/// `GET /cluster/log`: the newest first.
pub(crate) fn read(request: &mut Request<'_>) -> Answer {
    let audit = request.allows("/", "Sys.Syslog");
    let limit = request.number("max").unwrap_or(50) as usize;
    let own = request.identity.full_name();
    // Where two are of the same moment, a task begins, then what it does is written, then it ends.
    let mut lines: Vec<((u64, u64, u8), Value)> = Vec::new();
    let line = |node: &str, user: &str, priority: u8, process: u32, at: u64, text: &str| {
        json!({
            "node": node, "user": user, "pri": priority, "tag": "pvedaemon", "pid": process, "time": at / 1000,
            "msg": text,
        })
    };
    for (number, task) in request.state.tasks.iter() {
        let user = task.token.as_ref().map_or(task.user.clone(), |token| format!("{}!{token}", task.user));
        let event = |at: u64, text: &str| line(&task.node, &user, 6, task.process, at, text);
        let begun = format!("starting task {}", task.upid);
        lines.push(((task.started, *number, 1), event(task.started, &begun)));
        if task.finished {
            let ended = format!("end task {} {}", task.upid, task.exit);
            lines.push(((task.ends, *number, 3), event(task.ends, &ended)));
        }
    }
    for message in &request.state.messages {
        let Message { node, user, priority, process, at, text, task, in_task } = message;
        let place = if *in_task { 2 } else { 0 };
        lines.push(((*at, *task, place), line(node, user, *priority, *process, *at, text)));
    }
    lines.sort_by_key(|(order, _)| *order);
    let numbered = (1..).zip(lines).map(|(number, (_, mut line))| {
        line["uid"] = json!(number.to_string());
        line["id"] = json!(format!("{number}:{}", line["node"].as_str().unwrap_or_default()));
        line
    });
    let mut seen: Vec<Value> = numbered.filter(|line| audit || line["user"] == json!(own)).collect();
    seen.reverse();
    seen.truncate(limit);
    Ok(seen.into())
}
