//! A project in a folder of its own, and the binary run in it as a user would.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]
#![allow(dead_code, reason = "each test file uses its part")]

mod binary;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

pub use binary::{pve, text};

/// Two resources, one of which needs the other, and an output.
pub const TWO: &str = r#"
resource "terraform_data" "a" {
  input = "x"
}
resource "terraform_data" "b" {
  input = terraform_data.a.id
}
output "a" {
  value = terraform_data.a.output
}
"#;

/// A project in a folder of its own.
pub struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// A project with a `main.tf`.
    pub fn new(main: &str) -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        project.write("main.tf", main);
        project
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, in a folder that is made if need be.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The binary in it.
    pub fn command(&self, words: &[&str]) -> Command {
        pve(self.path(), words)
    }

    /// Runs a command to its end.
    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs a command with variables of the environment.
    pub fn run_with(&self, variables: &[(&str, &str)], words: &[&str]) -> Output {
        self.command(words).envs(variables.iter().copied()).output().unwrap()
    }

    /// Runs a command with a text as its input.
    pub fn feed(&self, words: &[&str], input: &str) -> Output {
        let mut child = self
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The command may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Runs a command that must succeed and returns what it prints.
    pub fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The JSON document that a command that must succeed prints.
    pub fn json(&self, words: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(words)).unwrap()
    }

    /// Runs a command that must end with 1, and returns what it says.
    pub fn fails(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output));
        text(&output)
    }

    /// The addresses in the state.
    pub fn state(&self) -> Vec<String> {
        self.ok(&["state", "list"]).lines().map(String::from).collect()
    }
}
