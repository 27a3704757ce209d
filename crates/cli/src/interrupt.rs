//! Requests to stop: Ctrl-C, the end of the terminal, and those of the system.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::INTERRUPTED;

/// The first Ctrl-C, or the first request of the system to end, lets each change finish the step that it is at; a second one ends the process:
/// the log knows what was intended.
pub fn listen_for_interrupts(cancelled: Arc<AtomicBool>) {
    tokio::spawn(async move {
        let mut asked = false;
        while interrupt().await.is_ok() {
            if is_second(&mut asked, &cancelled) {
                eprintln!("Stopped. `pve apply` finds out what became of what was running.");
                std::process::exit(i32::from(INTERRUPTED));
            }
            if std::io::stderr().is_terminal() {
                // Behind the echo of Ctrl-C.
                eprintln!();
            }
            eprintln!(
                "Stopping: the step that each change is at is finished, nothing more is begun. Press Ctrl-C again to stop \
                 at once."
            );
        }
    });
}

/// Stops the run at the first request; says whether this is another one. A run that stops for a reason of its own, such
/// as a log that is away, was not asked to.
fn is_second(asked: &mut bool, cancelled: &AtomicBool) -> bool {
    cancelled.store(true, Ordering::SeqCst);
    std::mem::replace(asked, true)
}

#[cfg(unix)]
async fn interrupt() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
        // The terminal was closed, or its connection cut.
        _ = hang_up.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn interrupt() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_ends_no_process_even_where_the_run_stops_already() {
        for stops in [false, true] {
            let (mut asked, cancelled) = (false, AtomicBool::new(stops));
            assert!(!is_second(&mut asked, &cancelled), "stops already: {stops}");
            assert!(cancelled.load(Ordering::SeqCst));
            assert!(is_second(&mut asked, &cancelled));
        }
    }
}
