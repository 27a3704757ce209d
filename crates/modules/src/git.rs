//! Git repositories, by the system's `git`, as Terraform does it. Only the files of one commit are kept.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use pve_config::configuration::without_credentials;
use tokio::process::Command;

use crate::error::{Attempted, FetchError};
use crate::links::check_links;
use crate::source::GitPackage;

/// What a repository may be fetched by. What submodules name is not the user's choice, so that they get no local files.
const PROTOCOLS: &str = "file:git:http:https:ssh";
const SUBMODULE_PROTOCOLS: &str = "git:http:https:ssh";

/// Variables that would make git work on another repository, such as the one of a hook that calls pve.
const FOREIGN: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// Fetches a repository's files into a folder, which is made.
///
/// # Errors
/// When git is missing, the repository cannot be reached, or it has no such reference.
pub(crate) async fn fetch(package: &GitPackage, folder: &Path) -> Result<(), FetchError> {
    std::fs::create_dir(folder).attempted(|| format!("making {}", folder.display()))?;
    let git = Git { folder, shown: without_credentials(&package.url) };
    git.run(&["init", "--quiet", "--template="], PROTOCOLS).await?;
    git.run(&["config", "--local", "remote.origin.url", &package.url], PROTOCOLS).await?;
    git.run(&["config", "--local", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"], PROTOCOLS)
        .await?;
    let wanted = package.reference.as_deref();
    let depth = format!("--depth={}", package.depth.unwrap_or(1));
    let shallow = ["fetch", "--quiet", "--no-tags", &depth, "--", "origin", wanted.unwrap_or("HEAD")];
    match git.run(&shallow, PROTOCOLS).await {
        Ok(()) => git.run(&["checkout", "--quiet", "--detach", "FETCH_HEAD", "--"], PROTOCOLS).await?,
        // A shortened commit cannot be asked for, nor can some servers give a part of the history.
        Err(error) if error.message.contains("shallow") || wanted.is_some_and(is_commit) => {
            git.run(&["fetch", "--quiet", "--tags", "--", "origin"], PROTOCOLS).await?;
            git.run(&["fetch", "--quiet", "--", "origin", "HEAD"], PROTOCOLS).await?;
            let wanted = wanted.unwrap_or("FETCH_HEAD");
            git.run(&["checkout", "--quiet", "--detach", wanted, "--"], PROTOCOLS).await?;
        }
        Err(error) => return Err(error),
    }
    if folder.join(".gitmodules").exists() {
        let update = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"];
        git.run(&update, SUBMODULE_PROTOCOLS).await?;
    }
    // Nothing needs the history, and the URL in its settings can hold credentials.
    std::fs::remove_dir_all(folder.join(".git")).attempted(|| "removing the history".into())?;
    check_links(folder)
}

fn is_commit(reference: &str) -> bool {
    (4..=64).contains(&reference.len()) && reference.chars().all(|c| c.is_ascii_hexdigit())
}

struct Git<'a> {
    folder: &'a Path,
    shown: String,
}

impl Git<'_> {
    async fn run(&self, arguments: &[&str], protocols: &str) -> Result<(), FetchError> {
        let mut command = Command::new("git");
        command
            .args(["-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "-C"])
            .arg::<&OsStr>(self.folder.as_os_str())
            .args(arguments)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GCM_INTERACTIVE", "never")
            .env("GIT_ALLOW_PROTOCOL", protocols)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for name in FOREIGN {
            command.env_remove(name);
        }
        if ["GIT_SSH", "GIT_SSH_COMMAND"].iter().all(|name| std::env::var_os(name).is_none()) {
            command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
        }
        let output = command.output().await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => FetchError::hinted(
                format!("fetching {}: there is no `git` on this machine", self.shown),
                "Install git, or use a registry or an archive as the module's source.",
            ),
            _ => FetchError::plain(format!("running git: {error}")),
        })?;
        if output.status.success() {
            return Ok(());
        }
        let said = without_secrets(String::from_utf8_lossy(&output.stderr).trim());
        Err(self.explain(&said))
    }

    fn explain(&self, said: &str) -> FetchError {
        let message = format!("fetching {}: {}", self.shown, said.replace('\n', "; "));
        let hint = if said.contains("couldn't find remote ref") || said.contains("did not match any") {
            "Check `ref`: the repository has no such branch, tag or commit."
        } else if said.contains("submodule") || said.contains("transport 'file'") {
            "A submodule of the repository cannot be fetched."
        } else if ["Authentication", "could not read Username", "Permission denied", "403"]
            .iter()
            .any(|text| said.contains(text))
        {
            "pve never asks for a password: use an SSH key or a git credential helper that may read the repository."
        } else {
            "Check that `git ls-remote` can read this repository from here."
        };
        FetchError::hinted(message, hint)
    }
}

/// A text with what stands between `//` and `@` in its URLs left out.
fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("//") {
        let (before, after) = rest.split_at(at + 2);
        shown.push_str(before);
        let end = after.find(|c: char| c == '/' || c.is_whitespace() || c == '\'').unwrap_or(after.len());
        rest = after[..end].rfind('@').map_or(after, |at| &after[at + 1..]);
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_shown_without_secrets() {
        let said =
            "fatal: unable to access 'https://user:p@ss@host/x.git/': no; see https://host/y or ssh://a:b@c";
        let shown = "fatal: unable to access 'https://host/x.git/': no; see https://host/y or ssh://c";
        assert_eq!(without_secrets(said), shown);
    }
}
