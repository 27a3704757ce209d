//! Progress of a run on standard error: a line when a step begins, one when it ends, and one now and then while it goes on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pve_executor::Reporter;
use pve_model::InstanceAddress;
use pve_model::event::Operation;
use tokio::task::JoinHandle;

use crate::render::paint::Paint;

/// How long a step may be silent before it is said that it goes on.
const SILENCE: Duration = Duration::from_secs(10);
/// How long something may take before it is said what it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// A step that goes on.
struct Running {
    operation: Operation,
    since: Instant,
    /// When it was last spoken of.
    heard: Instant,
    /// The last thing that it said it does.
    doing: Option<String>,
}

struct Steps {
    paint: Paint,
    total: usize,
    ended: AtomicUsize,
    running: Mutex<BTreeMap<InstanceAddress, Running>>,
}

/// Prints lines.
pub struct Progress {
    steps: Arc<Steps>,
    reminder: JoinHandle<()>,
}

impl Progress {
    /// Progress of so many steps in these colours.
    pub fn new(paint: Paint, total: usize) -> Progress {
        let steps = Steps { paint, total, ended: AtomicUsize::new(0), running: Mutex::default() };
        let steps = Arc::new(steps);
        let of_task = Arc::clone(&steps);
        let reminder = tokio::spawn(async move {
            let mut seconds = tokio::time::interval(PATIENCE);
            loop {
                seconds.tick().await;
                for line in of_task.overdue(Instant::now()) {
                    eprintln!("{line}");
                }
            }
        });
        Progress { steps, reminder }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.reminder.abort();
    }
}

impl Steps {
    fn running(&self) -> MutexGuard<'_, BTreeMap<InstanceAddress, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines about steps that have been silent for long; they count as spoken of then.
    fn overdue(&self, now: Instant) -> Vec<String> {
        let mut running = self.running();
        let silent = running.iter_mut().filter(|(_, step)| now.duration_since(step.heard) >= SILENCE);
        let line = |(address, step): (&InstanceAddress, &mut Running)| {
            step.heard = now;
            let doing = step.doing.as_ref().map(|doing| format!(" ({doing})")).unwrap_or_default();
            let seconds = now.duration_since(step.since).as_secs();
            let address = self.paint.dim(&address.to_string());
            format!("{address}: still {}{doing}, {seconds} s so far", present(step.operation))
        };
        silent.map(line).collect()
    }

    /// How long a step took, and how many have ended with it.
    fn end(&self, address: &InstanceAddress) -> String {
        let seconds = self.running().remove(address).map_or(0, |step| step.since.elapsed().as_secs());
        let ended = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
        let after = if seconds == 0 { String::new() } else { format!(" after {seconds} s") };
        format!("{after} ({ended} of {})", self.total)
    }
}

/// Says what is waited for if it takes more than a moment.
pub struct Waiting(JoinHandle<()>);

impl Waiting {
    /// Begins to wait for it.
    pub fn on(what: String) -> Waiting {
        Waiting(tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            eprintln!("{what} ...");
        }))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn present(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "creating",
        Operation::Update => "updating",
        Operation::Delete => "destroying",
        Operation::Read => "reading",
        Operation::Forget => "forgetting",
    }
}

fn past(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "created",
        Operation::Update => "updated",
        Operation::Delete => "destroyed",
        Operation::Read => "read",
        Operation::Forget => "forgotten",
    }
}

impl Reporter for Progress {
    fn started(&self, address: &InstanceAddress, operation: Operation) {
        let now = Instant::now();
        let step = Running { operation, since: now, heard: now, doing: None };
        self.steps.running().insert(address.clone(), step);
        eprintln!("{}: {} ...", self.steps.paint.bold(&address.to_string()), present(operation));
    }

    fn status(&self, address: &InstanceAddress, text: &str) {
        if let Some(step) = self.steps.running().get_mut(address) {
            step.heard = Instant::now();
            step.doing = Some(text.to_string());
        }
        eprintln!("{}: {text}", self.steps.paint.dim(&address.to_string()));
    }

    fn succeeded(&self, address: &InstanceAddress, operation: Operation) {
        let paint = self.steps.paint;
        let text = format!("{}{}", past(operation), self.steps.end(address));
        eprintln!("{}: {}", paint.bold(&address.to_string()), paint.green(&text));
    }

    fn failed(&self, address: &InstanceAddress, operation: Operation, _: &str) {
        let paint = self.steps.paint;
        let text = format!("{} failed{}", present(operation), self.steps.end(address));
        eprintln!("{}: {}", paint.bold(&address.to_string()), paint.red(&text));
    }

    fn skipped(&self, address: &InstanceAddress) {
        let paint = self.steps.paint;
        let text = "not started, because something it needs failed or the run was stopped";
        eprintln!("{}: {}", paint.bold(&address.to_string()), paint.yellow(text));
    }
}

#[cfg(test)]
mod tests {
    use pve_model::{ModulePath, ResourceAddress, ResourceMode};

    use super::*;

    #[tokio::test]
    async fn a_silent_step_is_spoken_of_now_and_then() {
        let progress = Progress::new(Paint::plain(), 2);
        let resource = ResourceAddress {
            module: ModulePath::root(),
            mode: ResourceMode::Managed,
            kind: "terraform_data".into(),
            name: "a".into(),
        };
        let address = resource.instance(None);
        progress.started(&address, Operation::Create);
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!(progress.steps.overdue(later(5)), Vec::<String>::new());
        assert_eq!(progress.steps.overdue(later(10)), ["terraform_data.a: still creating, 10 s so far"]);
        assert_eq!(progress.steps.overdue(later(15)), Vec::<String>::new());
        progress.status(&address, "clone");
        assert_eq!(
            progress.steps.overdue(later(30)),
            ["terraform_data.a: still creating (clone), 30 s so far"]
        );
        progress.succeeded(&address, Operation::Create);
        assert_eq!(progress.steps.overdue(later(60)), Vec::<String>::new());
    }
}
