//! The binary, with an environment that says nothing of the machine that the tests run on.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What begins like this is for pve, or for programs that it starts.
const OURS: [&str; 6] = ["TF_", "PROXMOX_VE_", "PVE_", "XDG_", "GIT_", "SSH_AUTH_SOCK"];

/// The binary in a folder.
pub fn pve(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pve"));
    command.args(words).current_dir(folder).env("NO_COLOR", "1").stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if OURS.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// Everything that a command said.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
