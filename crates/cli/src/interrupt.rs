//! Requests to stop: Ctrl-C, the end of the terminal, and those of the system.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::INTERRUPTED;

/// The first Ctrl-C, or the first request of the system to end, lets what runs finish; a second one ends the process:
/// the log knows what was intended.
pub fn listen_for_interrupts(cancelled: Arc<AtomicBool>) {
    tokio::spawn(async move {
        while interrupt().await.is_ok() {
            if cancelled.swap(true, Ordering::SeqCst) {
                eprintln!("Stopped. `pve apply` finds out what became of what was running.");
                std::process::exit(i32::from(INTERRUPTED));
            }
            if std::io::stderr().is_terminal() {
                // Behind the echo of Ctrl-C.
                eprintln!();
            }
            eprintln!(
                "Stopping: what runs is finished, nothing more is started. Press Ctrl-C again to stop at once."
            );
        }
    });
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
