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
                    failure => Err(fault(failure.to_string(), ErrorKind::Task)),
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
}
