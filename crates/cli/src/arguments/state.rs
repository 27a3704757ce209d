//! Options of the commands that look into the state or edit it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::VariableOptions;

/// See [`super::Command::State`].
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Addresses of what is managed
    #[command(after_help = "Example: pve state list -id=104 module.web")]
    List {
        /// Only these modules, resources or instances
        addresses: Vec<String>,
        /// Only objects with this id
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
    /// The attributes of one instance
    Show {
        /// The instance
        address: String,
    },
    /// Give what is managed another address; nothing in the cluster changes
    #[command(
        after_help = "Example: pve state mv proxmox_virtual_environment_vm.web \\\n  'module.web.proxmox_virtual_environment_vm.main'"
    )]
    Mv {
        /// The module, resource or instance as it is
        source: String,
        /// What it is to be called
        destination: String,
        /// How it is done.
        #[command(flatten)]
        edit: EditOptions,
    },
    /// Stop managing objects; they stay in the cluster
    #[command(after_help = "Example: pve state rm 'proxmox_virtual_environment_vm.web[0]'")]
    Rm {
        /// Modules, resources or instances
        #[arg(required = true)]
        addresses: Vec<String>,
        /// How it is done.
        #[command(flatten)]
        edit: EditOptions,
    },
    /// Take over what a state file of Terraform or OpenTofu manages; nothing in the cluster changes
    #[command(
        after_help = "Example: terraform state pull > old.tfstate && pve state adopt old.tfstate -e prod"
    )]
    Adopt {
        /// The state file (version 4); without it, the state that Terraform keeps where the `backend` block says
        file: Option<PathBuf>,
        /// How it is done.
        #[command(flatten)]
        edit: EditOptions,
    },
    /// Print the state as a Terraform state file (version 4), secrets included
    #[command(after_help = "Example: pve state pull > terraform.tfstate")]
    Pull,
    /// Not offered: the state is what the log says
    #[command(hide = true)]
    Push {
        /// Taken for Terraform's sake
        path: Option<String>,
    },
}

/// How the state is edited.
#[derive(Clone, Debug, Args)]
pub struct EditOptions {
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// How it waits for others.
    #[command(flatten)]
    pub lock: LockOptions,
}

/// How a command that writes waits for another.
#[derive(Clone, Debug, Args)]
pub struct LockOptions {
    /// How long to wait for another run, for instance 30s or 5m
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub lock_timeout: String,
    /// Accepted for Terraform's sake: writing always locks
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub lock: Option<bool>,
}

/// See [`super::Command::Key`].
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// This machine's recipient text, and everybody that the log is sealed for
    Show,
    /// Let somebody else open the log
    #[command(after_help = "Example: pve key add -name bob pve1c0ffee...\n\n\
        `pve key show` prints the text where bob works. A passphrase is asked for, or taken from\n\
        PVE_NEW_ENCRYPTION_PASSPHRASE.")]
    Add {
        /// What `pve key show` prints there
        #[arg(required_unless_present = "passphrase", conflicts_with = "passphrase")]
        recipient: Option<String>,
        /// How they are called from now on
        #[arg(long)]
        name: String,
        /// A passphrase instead
        #[arg(long)]
        passphrase: bool,
        /// How to wait.
        #[command(flatten)]
        lock: LockOptions,
    },
    /// Seal what comes so that somebody can not open it any more
    Remove {
        /// How they are called
        name: String,
        /// How to wait.
        #[command(flatten)]
        lock: LockOptions,
    },
    /// Seal what comes with a new key
    Rotate {
        /// How to wait.
        #[command(flatten)]
        lock: LockOptions,
    },
}

/// See [`super::Command::Taint`] and [`super::Command::Untaint`].
#[derive(Debug, Args)]
pub struct TaintOptions {
    /// The instance
    pub address: String,
    /// Succeed when there is no such instance
    #[arg(long)]
    pub allow_missing: bool,
    /// How it waits for others.
    #[command(flatten)]
    pub lock: LockOptions,
}

/// See [`super::Command::Import`].
#[derive(Debug, Args)]
#[command(after_help = "Example: pve import proxmox_virtual_environment_vm.web pve1/104")]
pub struct ImportOptions {
    /// The instance; its resource must be in the configuration
    pub address: String,
    /// The id of the object in the cluster
    pub id: String,
    /// Variables.
    #[command(flatten)]
    pub variables: VariableOptions,
    /// How it waits for others.
    #[command(flatten)]
    pub lock: LockOptions,
    /// Requests at a time
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallelism: u16,
    /// Import a guest that a run began to make, and that nobody makes any more
    #[arg(long)]
    pub take_over: bool,
    /// Work on the built-in simulator
    #[arg(long)]
    pub simulate: bool,
    /// The endpoint is new, the cluster behind it is not
    #[arg(long)]
    pub same_cluster: bool,
}

/// See [`super::Command::Workspace`].
#[derive(Debug, Subcommand)]
pub enum WorkspaceCommand {
    /// The environments there are
    List,
    /// The environment in use
    Show,
    /// How to choose an environment
    #[command(alias = "switch")]
    Select {
        /// The environment
        name: String,
        /// Make it when there is none
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_possible_values = true, action = clap::ArgAction::Set)]
        or_create: bool,
    },
    /// Make an environment: a folder for its tfvars
    #[command(after_help = "Example: pve workspace new staging")]
    New {
        /// Its name
        name: String,
    },
}

/// See [`super::Command::Graph`].
#[derive(Debug, Args)]
#[command(after_help = "Example: pve graph | dot -Tsvg > graph.svg")]
pub struct GraphOptions {
    /// What the graph is for; without it only resources are shown
    #[arg(long = "type", value_name = "TYPE", value_parser = ["plan", "plan-refresh-only", "plan-destroy", "apply"])]
    pub kind: Option<String>,
    /// Accepted for Terraform's sake: a circle is always an error, which names everything in it
    #[arg(long)]
    pub draw_cycles: bool,
    /// Variables.
    #[command(flatten)]
    pub variables: VariableOptions,
}

/// See [`super::Command::Completions`].
#[derive(Debug, Args)]
#[command(after_help = "Example: pve completions bash > /etc/bash_completion.d/pve")]
pub struct CompletionsOptions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// See [`super::Command::Man`].
#[derive(Debug, Args)]
#[command(after_help = "Example: pve man /usr/local/share/man/man1")]
pub struct ManOptions {
    /// The folder that the pages are written to
    pub folder: std::path::PathBuf,
}

/// See [`super::Command::Lock`].
#[derive(Debug, Subcommand)]
pub enum LockCommand {
    /// Show who holds the lease, since when, and doing what
    Status,
}

/// See [`super::Command::Unlock`].
#[derive(Debug, Args)]
pub struct UnlockOptions {
    /// Terraform's lock id; not needed
    #[arg(hide = true)]
    pub id: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub force: bool,
    /// Pass over the lock that Terraform holds on its state
    #[arg(long)]
    pub terraform: bool,
}
