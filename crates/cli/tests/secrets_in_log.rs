//! What a cluster repeats of a secret is neither shown nor kept, also where only a part of an argument is one.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, PROVIDER, Project};

#[test]
fn a_secret_that_the_cluster_repeats_is_in_no_event() {
    let reason = "value 'for hunter2-part' does not match".to_string();
    let refused = FailureRule {
        method: "POST".into(),
        path: "/nodes/*/qemu".into(),
        when: When::Always,
        how: How::Refuse { status: 400, reason },
    };
    let cluster = Cluster::start(Options { failures: vec![refused], ..Options::default() });
    let main = r#"
variable "word" {
  type      = string
  default   = "hunter2-part"
  sensitive = true
}
resource "proxmox_virtual_environment_vm" "a" {
  node_name   = "pve"
  vm_id       = 300
  description = "for ${nonsensitive(var.word)}"
}
"#;
    let project = Project::of(&cluster, &format!("{PROVIDER}{main}"));
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("value 'for (sensitive value)'"), "{said}");
    for words in [&["log"][..], &["log", "--events"], &["log", "--jsonl"]] {
        let said = project.ok(words);
        assert!(said.contains("does not match") && !said.contains("value 'for hunter2"), "{words:?}: {said}");
    }
}
