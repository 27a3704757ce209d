//! Provisioners of guests, on the built-in simulator.

use super::project::{Project, said};

const GUEST: &str = r#"
resource "proxmox_virtual_environment_vm" "web" {
  node_name = "pve"
  name      = "web"
  started   = false
  provisioner "local-exec" {
    command = "echo made ${self.name} ${self.vm_id} >> out; test ! -e kill || { rm kill; kill -9 $PPID; }"
  }
  provisioner "local-exec" {
    when    = destroy
    command = "echo going ${self.vm_id} >> out"
  }
}
"#;

#[test]
fn a_guest_killed_in_its_provisioner_is_tainted_and_replaced_and_never_there_twice() {
    let project = Project::new(GUEST);
    project.write("kill", "");
    let first = project.run(&["apply", "--simulate", "-auto-approve"]);
    assert_eq!(first.status.code(), None, "it was not killed: {}", said(&first));
    let address = "proxmox_virtual_environment_vm.web".to_string();
    assert_eq!(project.tainted(), [(address.clone(), true)]);
    let second = project.run(&["apply", "--simulate", "-auto-approve"]);
    assert!(second.status.success(), "{}", said(&second));
    assert!(said(&second).contains("1 added, 0 changed, 1 destroyed"), "{}", said(&second));
    assert_eq!(project.tainted(), [(address, false)]);
    let plan = said(&project.run(&["plan", "--simulate"]));
    assert!(plan.contains("No changes."), "{plan}");
    let destroyed = project.run(&["destroy", "--simulate", "-auto-approve"]);
    assert!(destroyed.status.success(), "{}", said(&destroyed));
    let out = project.read("out");
    let lines: Vec<&str> = out.lines().collect();
    let [first, second, going] = lines[..] else { panic!("{out}") };
    assert!(first.starts_with("made web ") && second.starts_with("made web "), "{out}");
    assert_eq!(
        second.replace("made web", "going"),
        going,
        "the guest that was made last is the one that goes"
    );
}
