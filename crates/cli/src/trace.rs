//! What `-v` and `PVE_LOG` show on standard error: each request, connection and transfer, without secrets.

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::failure::Failure;

/// The targets of our own crates begin with this. Libraries are shown only where `PVE_LOG` names them.
const OWN: &str = "pve";

/// Shows what is asked for: `-v` the requests, `-vv` everything that our crates tell; else what `PVE_LOG` says.
///
/// # Errors
/// When `PVE_LOG` is neither a level nor a list of targets and levels.
pub fn start(verbose: u8) -> Result<(), Failure> {
    let variable = std::env::var("PVE_LOG").unwrap_or_default();
    let Some(targets) = targets(verbose, &variable)? else { return Ok(()) };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // A standard error that is gone is no reason to stop.
        .log_internal_errors(false);
    // An error says that somebody shows them already.
    let _ = tracing_subscriber::registry().with(lines.with_filter(targets)).try_init();
    Ok(())
}

fn targets(verbose: u8, variable: &str) -> Result<Option<Targets>, Failure> {
    let own = |level| Some(Targets::new().with_target(OWN, level));
    if verbose > 0 {
        return Ok(own(if verbose == 1 { LevelFilter::DEBUG } else { LevelFilter::TRACE }));
    }
    if variable.is_empty() {
        return Ok(None);
    }
    if let Ok(level) = variable.parse::<LevelFilter>() {
        return Ok(own(level));
    }
    variable.parse().map(Some).map_err(|error| {
        Failure::hinted(
            format!("PVE_LOG cannot be used: {error}"),
            "Set a level (error, warn, info, debug, trace), or targets with levels: pve=debug,russh=info",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_about_our_own_crates() {
        let shows = |verbose, variable: &str, target: &str| {
            let level = &LevelFilter::DEBUG.into_level().unwrap();
            targets(verbose, variable).unwrap().is_some_and(|targets| targets.would_enable(target, level))
        };
        assert!(!shows(0, "", "pve_api_client"));
        assert!(shows(1, "", "pve_api_client::client") && !shows(1, "", "hyper"));
        assert!(shows(0, "debug", "pve_state") && !shows(0, "debug", "russh"));
        assert!(!shows(0, "warn", "pve_state"));
        assert!(shows(0, "russh=debug", "russh::client") && !shows(0, "russh=debug", "pve_state"));
        assert!(targets(0, "pve=loud").is_err());
    }
}
