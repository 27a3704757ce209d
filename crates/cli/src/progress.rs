//! Progress of a run on standard error: a line when a step begins, one when it ends.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use pve_executor::Reporter;
use pve_model::InstanceAddress;
use pve_model::event::Operation;

use crate::render::paint::Paint;

/// Prints lines.
pub struct Progress {
    paint: Paint,
    started: Mutex<BTreeMap<InstanceAddress, Instant>>,
}

impl Progress {
    /// Progress in these colours.
    pub fn new(paint: Paint) -> Progress {
        Progress { paint, started: Mutex::new(BTreeMap::new()) }
    }

    fn elapsed(&self, address: &InstanceAddress) -> String {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = started.get(address).map(|since| since.elapsed().as_secs()).unwrap_or_default();
        if seconds == 0 { String::new() } else { format!(" after {seconds} s") }
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
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        started.insert(address.clone(), Instant::now());
        eprintln!("{}: {} ...", self.paint.bold(&address.to_string()), present(operation));
    }

    fn status(&self, address: &InstanceAddress, text: &str) {
        eprintln!("{}: {text}", self.paint.dim(&address.to_string()));
    }

    fn succeeded(&self, address: &InstanceAddress, operation: Operation) {
        let text = format!("{}{}", past(operation), self.elapsed(address));
        eprintln!("{}: {}", self.paint.bold(&address.to_string()), self.paint.green(&text));
    }

    fn failed(&self, address: &InstanceAddress, operation: Operation, _: &str) {
        let text = format!("{} failed{}", present(operation), self.elapsed(address));
        eprintln!("{}: {}", self.paint.bold(&address.to_string()), self.paint.red(&text));
    }

    fn skipped(&self, address: &InstanceAddress) {
        let text = "not started, because something it needs failed or the run was stopped";
        eprintln!("{}: {}", self.paint.bold(&address.to_string()), self.paint.yellow(text));
    }
}
