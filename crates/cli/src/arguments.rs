//! The command line. Terraform's habits work: `-out=FILE`, `-var-file FILE`, `-chdir=DIR` with one dash or two.

mod dashes;
mod planning;
mod state;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use dashes::with_double_dashes;
pub use planning::{
    ApplyOptions, DestroyOptions, Placed, PlanOptions, PlanningOptions, RefreshOptions, VariableOptions,
};
pub use state::{
    CompletionsOptions, EditOptions, GraphOptions, ImportOptions, KeyCommand, LockCommand, LockOptions,
    ManOptions, StateCommand, TaintOptions, UnlockOptions, WorkspaceCommand,
};

const EXIT_CODES: &str = "\
Exit codes:
  0    Done
  1    Failed
  2    There are changes (plan -detailed-exitcode)
  3    Something is not in its canonical layout (fmt -check)
  130  Stopped by Ctrl-C";

/// Infrastructure as code for Proxmox VE.
#[derive(Debug, Parser)]
#[command(name = "pve", version, propagate_version = true, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The heading of options that every command has.
const EVERYWHERE: &str = "Options of every command";

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct GlobalOptions {
    /// Folder of the root module
    #[arg(short = 'C', long = "chdir", global = true, help_heading = EVERYWHERE, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Environment: a folder of tfvars, with a log of its own
    #[arg(short = 'e', long, global = true, help_heading = EVERYWHERE, value_name = "NAME", env = "PVE_ENVIRONMENT")]
    pub environment: Option<String>,
    /// Print JSON
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    /// No colours
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub no_color: bool,
    /// Ask for what is missing when there is a terminal (true or false)
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", hide_possible_values = true, action = clap::ArgAction::Set)]
    pub input: bool,
    /// Show requests on standard error, twice: more (also PVE_LOG)
    #[arg(short = 'v', long, global = true, help_heading = EVERYWHERE, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a project, or prepare the present one
    Init(InitOptions),
    /// Fetch the modules that the configuration calls
    Get(GetOptions),
    /// Check the configuration
    Validate(VariableOptions),
    /// Show what apply would do
    Plan(PlanOptions),
    /// Make the cluster as the configuration says
    Apply(ApplyOptions),
    /// Destroy what the log says is managed
    #[command(mut_arg("destroy", hidden), mut_arg("refresh_only", hidden), mut_arg("replace", hidden))]
    Destroy(DestroyOptions),
    /// Take in what changed in the cluster, changing nothing there
    #[command(mut_arg("destroy", hidden), mut_arg("refresh_only", hidden))]
    #[command(mut_arg("replace", hidden), mut_arg("refresh", hidden))]
    Refresh(RefreshOptions),
    /// Show a saved plan, or the state
    Show(ShowOptions),
    /// Who did what, when, with which result
    Log(LogOptions),
    /// Show the state as it was after some event
    Replay(ReplayOptions),
    /// Print outputs of the root module
    Output(OutputOptions),
    /// Look into the state, or edit it
    #[command(subcommand)]
    State(StateCommand),
    /// Have an instance replaced by the next apply
    #[command(after_help = "Example: pve taint 'proxmox_virtual_environment_vm.web[\"a\"]'")]
    Taint(TaintOptions),
    /// Take back `pve taint`
    #[command(after_help = "Example: pve untaint 'proxmox_virtual_environment_vm.web[\"a\"]'")]
    Untaint(TaintOptions),
    /// Take an existing object into the state
    Import(ImportOptions),
    /// Who works on the environment, where the log is shared
    #[command(subcommand)]
    Lock(LockCommand),
    /// Break the lease of a run that does not end
    #[command(alias = "force-unlock")]
    Unlock(UnlockOptions),
    /// Who can open the log, and with which keys it is sealed
    #[command(subcommand)]
    Key(KeyCommand),
    /// Environments, by the name that Terraform has for them
    #[command(subcommand)]
    Workspace(WorkspaceCommand),
    /// The providers that the configuration and the state need
    Providers,
    /// What depends on what, in the DOT language
    Graph(GraphOptions),
    /// Evaluate expressions, at a prompt or from standard input
    Console(ConsoleOptions),
    /// Write configuration files in their canonical layout
    Fmt(FormatOptions),
    /// Print completions for a shell
    Completions(CompletionsOptions),
    /// Write manual pages
    Man(ManOptions),
    /// Print the version
    Version,
    /// Run a Proxmox VE API double as a server
    Simulator(SimulatorOptions),
}

/// An option that a command takes and has no use for.
fn hidden(option: clap::Arg) -> clap::Arg {
    option.hide(true)
}

/// See [`Command::Init`].
#[derive(Debug, Args)]
pub struct InitOptions {
    /// Folder to make the project in; without it the present folder is prepared
    pub folder: Option<PathBuf>,
    /// Fetch every module anew, in the newest version that fits
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_possible_values = true, action = clap::ArgAction::Set)]
    pub upgrade: bool,
    /// Fetch modules that are not there (true or false)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", hide_possible_values = true, action = clap::ArgAction::Set)]
    pub get: bool,
    /// An argument of the backend that its block leaves out, or a file of such lines
    #[arg(long, value_name = "KEY=VALUE|FILE")]
    pub backend_config: Vec<String>,
    /// Forget arguments that were given before, and leave behind a log that is elsewhere
    #[arg(long, conflicts_with = "migrate")]
    pub reconfigure: bool,
    /// Move the log to where the configuration now says: of the environment that is named, or of all
    #[arg(long, alias = "migrate-state")]
    pub migrate: bool,
    /// Make a copy of a log, in another place than the log was in, the log that goes on
    #[arg(long, conflicts_with = "migrate")]
    pub adopt_copy: bool,
    /// Record that the endpoint of the backend is another name of the store that the log is in
    #[arg(long, conflicts_with_all = ["migrate", "adopt_copy"])]
    pub same_store: bool,
    /// How to wait.
    #[command(flatten)]
    pub lock: LockOptions,
    /// Accepted for Terraform's sake
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub backend: Option<bool>,
}

/// See [`Command::Get`].
#[derive(Debug, Args)]
pub struct GetOptions {
    /// Fetch every module anew, in the newest version that fits
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_possible_values = true, action = clap::ArgAction::Set)]
    pub update: bool,
}

/// See [`Command::Show`].
#[derive(Debug, Args)]
pub struct ShowOptions {
    /// A saved plan; without it the state is shown
    pub plan: Option<PathBuf>,
}

/// See [`Command::Log`].
#[derive(Debug, Args)]
pub struct LogOptions {
    /// What to do; without it the log is shown
    #[command(subcommand)]
    pub command: Option<LogCommand>,
    /// Only events about this instance, resource or module
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Only the last N events
    #[arg(short = 'n', long, value_name = "N")]
    pub last: Option<usize>,
    /// Every event, with its id, instead of a line an action
    #[arg(long)]
    pub events: bool,
    /// Print every event as a JSON document of its own, a line each
    #[arg(long)]
    pub jsonl: bool,
}

/// See [`LogOptions`].
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Check that no event was edited, dropped or swapped
    Verify,
    /// Append what a run kept here while the shared log was away
    Push {
        /// Put it aside instead
        #[arg(long)]
        discard: bool,
        /// How long to wait for another run; more than a minute overtakes the run that kept it
        #[arg(long, value_name = "TIME", default_value = "90s")]
        lock_timeout: String,
    },
}

/// See [`Command::Replay`].
#[derive(Debug, Args)]
pub struct ReplayOptions {
    /// A sequence, an event id or a time (RFC 3339, or a date and time of this machine's zone)
    #[arg(long, value_name = "EVENT")]
    pub to: String,
}

/// See [`Command::Output`].
#[derive(Debug, Args)]
pub struct OutputOptions {
    /// Only this one
    pub name: Option<String>,
    /// Print a string, number or bool as it is
    #[arg(long)]
    pub raw: bool,
}

/// See [`Command::Console`].
#[derive(Debug, Args)]
#[command(after_help = "Example: echo 'cidrhost(var.network, 5)' | pve console -e prod\n\n\
    From standard input, the result of the last expression is printed.")]
pub struct ConsoleOptions {
    /// Variables.
    #[command(flatten)]
    pub variables: VariableOptions,
}

/// See [`Command::Fmt`].
#[derive(Debug, Args)]
pub struct FormatOptions {
    /// Files or folders; the present folder without any, standard input for `-`
    pub paths: Vec<PathBuf>,
    /// Change nothing; exit with 3 when something would change
    #[arg(long)]
    pub check: bool,
    /// Show what changes
    #[arg(long)]
    pub diff: bool,
    /// Print the names of files that change (true or false)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", hide_possible_values = true, action = clap::ArgAction::Set)]
    pub list: bool,
    /// Write the files (true or false)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", hide_possible_values = true, action = clap::ArgAction::Set)]
    pub write: bool,
    /// Folders in folders too
    #[arg(long)]
    pub recursive: bool,
}

/// See [`Command::Simulator`].
#[derive(Debug, Args)]
pub struct SimulatorOptions {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8006")]
    pub listen: SocketAddr,
    /// The API token that is accepted
    #[arg(long, value_name = "USER@REALM!NAME=UUID")]
    pub token: Option<String>,
    /// What the cluster has from the start: nodes, storages, bridges, files, guests (JSON)
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Keep the cluster in this file; without it, it is gone afterwards
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}
