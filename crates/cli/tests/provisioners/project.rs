//! A project in a folder of its own, and the binary in it.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value as Json;

use super::binary::pve;
pub use super::binary::text as said;

/// The project.
pub struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    pub fn new(main: &str) -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        project.write("main.tf", main);
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The text of a file; nothing when there is none.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn run(&self, words: &[&str]) -> Output {
        pve(self.folder.path(), words).output().unwrap()
    }

    /// Applies, which must succeed; what it says.
    pub fn apply(&self) -> String {
        let output = self.run(&["apply", "-auto-approve"]);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    }

    /// Does something that must end with 1; what it says.
    pub fn fails(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        said(&output)
    }

    /// Whether each instance of the state is tainted, by address.
    pub fn tainted(&self) -> Vec<(String, bool)> {
        let shown = self.run(&["show", "-json"]);
        let state: Json = serde_json::from_slice(&shown.stdout).unwrap();
        let resources = state["values"]["root_module"]["resources"].as_array().cloned().unwrap_or_default();
        let one = |r: &Json| (r["address"].as_str().unwrap().to_string(), r["tainted"] == Json::Bool(true));
        resources.iter().map(one).collect()
    }

    /// Every byte that is kept beside the configuration.
    pub fn kept(&self) -> Vec<u8> {
        fn collect(folder: &Path, bytes: &mut Vec<u8>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { collect(&path, bytes) } else { bytes.extend(std::fs::read(path).unwrap()) }
            }
        }
        let mut bytes = Vec::new();
        collect(&self.path(".pve"), &mut bytes);
        bytes
    }
}
