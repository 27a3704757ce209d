//! Options of the commands that plan, and where variables come from.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;

/// A value with its place among all values of the command line: of two for one variable the later one wins, whatever
/// its option is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its place.
    pub place: usize,
    /// The value.
    pub text: String,
}

/// Values are parsed in the order in which they stand.
fn placed(text: &str) -> Result<Placed, std::convert::Infallible> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    Ok(Placed { place: NEXT.fetch_add(1, Ordering::Relaxed), text: text.to_string() })
}

/// Where variables come from.
#[derive(Clone, Debug, Default, Args)]
pub struct VariableOptions {
    /// Value of a variable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = placed)]
    pub variables: Vec<Placed>,
    /// File of variables
    #[arg(long = "var-file", value_name = "FILE", value_parser = placed)]
    pub variable_files: Vec<Placed>,
}

/// What to plan, and how.
#[derive(Clone, Debug, Args)]
pub struct PlanningOptions {
    /// Variables.
    #[command(flatten)]
    pub variables: VariableOptions,
    /// Only this address and what it depends on
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Not this address nor what depends on it
    #[arg(long, value_name = "ADDRESS")]
    pub exclude: Vec<String>,
    /// Replace this instance
    #[arg(long, value_name = "ADDRESS")]
    pub replace: Vec<String>,
    /// Plan to destroy everything
    #[arg(long)]
    pub destroy: bool,
    /// Only take in what changed in the cluster
    #[arg(long)]
    pub refresh_only: bool,
    /// Read the cluster first (true or false)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", hide_possible_values = true, action = clap::ArgAction::Set)]
    pub refresh: bool,
    /// Requests or steps at a time
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallelism: u16,
    /// Work on the built-in simulator
    #[arg(long)]
    pub simulate: bool,
    /// The endpoint is new, the cluster behind it is not
    #[arg(long)]
    pub same_cluster: bool,
    /// Accepted for Terraform's sake: reading never waits, writing always locks
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub lock: Option<bool>,
    /// How long to wait for another run, for instance 30s or 5m
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub lock_timeout: String,
    /// Accepted for Terraform's sake
    #[arg(long, hide = true)]
    pub compact_warnings: bool,
}

/// See [`super::Command::Plan`].
#[derive(Debug, Args)]
pub struct PlanOptions {
    /// How to plan.
    #[command(flatten)]
    pub planning: PlanningOptions,
    /// Save the plan to this file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write resource blocks for imports that have none to this file, which must not exist
    #[arg(long, value_name = "FILE", conflicts_with_all = ["destroy", "refresh_only"])]
    pub generate_config_out: Option<PathBuf>,
    /// Exit with 2 when there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// See [`super::Command::Apply`].
#[derive(Debug, Args)]
pub struct ApplyOptions {
    /// A saved plan; without it a plan is made and must be approved
    pub plan: Option<PathBuf>,
    /// How to plan.
    #[command(flatten)]
    pub planning: PlanningOptions,
    /// Do not ask
    #[arg(long)]
    pub auto_approve: bool,
}

/// See [`super::Command::Destroy`].
#[derive(Debug, Args)]
pub struct DestroyOptions {
    /// How to plan.
    #[command(flatten)]
    pub planning: PlanningOptions,
    /// Do not ask
    #[arg(long)]
    pub auto_approve: bool,
    /// Leave what prevent_destroy protects and destroy the rest
    #[arg(long)]
    pub keep_protected: bool,
}

/// See [`super::Command::Refresh`].
#[derive(Debug, Args)]
pub struct RefreshOptions {
    /// How to plan.
    #[command(flatten)]
    pub planning: PlanningOptions,
}
