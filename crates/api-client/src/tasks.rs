//! Waiting for tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use crate::client::{Client, Method};
use crate::error::{ApiError, ErrorKind};

/// How to wait for a task.
#[derive(Clone, Copy, Debug)]
pub struct WaitOptions {
    /// The first pause between two looks; it grows to `longest`.
    pub shortest: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// Then it is given up; the task goes on.
    pub most: Duration,
}

impl Default for WaitOptions {
    fn default() -> WaitOptions {
        WaitOptions {
            shortest: Duration::from_millis(20),
            longest: Duration::from_secs(1),
            most: Duration::from_secs(1800),
        }
    }
}

impl Client {
    /// Waits until a task has ended. A task that ends with warnings is a success.
    ///
    /// # Errors
    /// When the task failed, still runs after the longest wait, or cannot be asked for.
    pub async fn wait(&self, upid: &str, options: WaitOptions) -> Result<(), ApiError> {
        let fault = |message: String, kind| ApiError {
            operation: format!("task {upid}"),
            message,
            parameters: BTreeMap::new(),
            kind,
        };
        let node = upid.split(':').nth(1).filter(|_| upid.starts_with("UPID:"));
        let node = node.ok_or_else(|| fault("this is no task id".into(), ErrorKind::Malformed))?;
        let path = format!("nodes/{node}/tasks/{upid}/status");
        let started = tokio::time::Instant::now();
        let mut pause = options.shortest;
        loop {
            let status = self.send(Method::Get, &path, &[]).await.map_err(|mut error| {
                // The task itself may well go on: these say nothing about it.
                if matches!(error.status(), None | Some(401 | 502..=504 | 595..=599)) {
                    error.kind = ErrorKind::Lost;
                }
                error
            })?;
            if status.get("status").and_then(Json::as_str) == Some("stopped") {
                let exit = status.get("exitstatus").and_then(Json::as_str).unwrap_or("unknown");
                return match exit {
                    "OK" => Ok(()),
                    warnings if warnings.starts_with("WARNINGS") => Ok(()),
                    failure => {
                        let log = self.log(node, upid).await.unwrap_or_default();
                        Err(fault(with_reason(failure, &log), ErrorKind::Task))
                    }
                };
            }
            if started.elapsed() >= options.most {
                let message = format!("it still runs after {} s", options.most.as_secs());
                return Err(fault(message, ErrorKind::StillRunning));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(options.longest);
        }
    }

    /// The lines that a task wrote.
    async fn log(&self, node: &str, upid: &str) -> Result<Vec<String>, ApiError> {
        let limit = [("limit".to_string(), MOST_LINES.to_string())];
        let log = self.send(Method::Get, &format!("nodes/{node}/tasks/{upid}/log"), &limit).await?;
        let lines = log.as_array().into_iter().flatten();
        Ok(lines.filter_map(|line| line.get("t").and_then(Json::as_str).map(str::to_string)).collect())
    }
}

/// How much of a log is looked through.
const MOST_LINES: u32 = 5000;

/// How a task failed, with the reason that only its log has: migrations end with `migration aborted`
/// (`PVE::AbstractMigrate`).
fn with_reason(failure: &str, log: &[String]) -> String {
    let errors = log.iter().filter(|line| !line.starts_with("TASK ERROR"));
    let last = errors.filter_map(|line| line.split_once("ERROR: ").map(|(_, text)| text.trim())).next_back();
    let Some(last) = last else { return failure.to_string() };
    // The same once more, with how long it took: `migration aborted (duration 00:00:01): ...`.
    let rest = last.strip_prefix(failure).map(|rest| {
        let duration = rest.trim_start().strip_prefix("(duration ").and_then(|rest| rest.split_once(')'));
        duration.map_or(rest, |(_, rest)| rest).trim_start_matches([':', ' '])
    });
    let told = rest.unwrap_or(last);
    let reason = match told.ends_with("check log") {
        true => log
            .iter()
            .filter_map(|line| line.find("can't migrate ").map(|at| &line[at..]))
            .rfind(|line| !line.ends_with("check log")),
        false => None,
    };
    let reason = reason.unwrap_or(told);
    if reason.is_empty() || failure.contains(reason) {
        return failure.to_string();
    }
    format!("{failure}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::with_reason;

    #[test]
    fn what_a_task_says_of_its_failure_only_in_its_log_is_told() {
        let time = "2026-11-26 10:00:00";
        for (failure, log, told) in [
            (
                "migration aborted",
                "starting migration|{} ERROR: migration aborted (duration 00:00:01): no route|TASK ERROR: migration aborted",
                "migration aborted: no route",
            ),
            (
                "migration aborted",
                "{} can't migrate local disk 'local:iso/a.iso': local cdrom image|{} ERROR: Problem found while scanning \
                 volumes - can't migrate VM - check log|{} aborting phase 1 - cleanup resources|{} ERROR: migration \
                 aborted (duration 00:00:00): Problem found while scanning volumes - can't migrate VM - check log|TASK \
                 ERROR: migration aborted",
                "migration aborted: can't migrate local disk 'local:iso/a.iso': local cdrom image",
            ),
            (
                "job errors",
                "INFO: Starting|ERROR: Backup of VM 100 failed - no space|INFO: Failed|TASK ERROR: job errors",
                "job errors: Backup of VM 100 failed - no space",
            ),
            ("no such volume", "ERROR: no such volume|TASK ERROR: no such volume", "no such volume"),
            ("it failed", "TASK ERROR: it failed", "it failed"),
            ("migration aborted", "{} ERROR: migration aborted (duration 00:00:00)", "migration aborted"),
            ("it failed", "", "it failed"),
        ] {
            let log: Vec<String> = log.split('|').map(|line| line.replace("{}", time)).collect();
            assert_eq!(with_reason(failure, &log), told);
        }
    }
}
