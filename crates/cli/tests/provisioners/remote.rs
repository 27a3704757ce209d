//! `remote-exec` and `file` against OpenSSH's server.

use std::os::unix::fs::PermissionsExt as _;

use super::project::Project;
use super::sshd::{self, Sshd, user};

/// A `connection` block that works, with more lines.
fn connection(sshd: &Sshd, more: &str) -> String {
    format!(
        "connection {{\n  host = \"127.0.0.1\"\n  port = {}\n  user = \"{}\"\n  private_key = file(\"{}\")\n  \
         timeout = \"10s\"\n  {more}\n}}\n",
        sshd.port,
        user(),
        sshd.path("user_key")
    )
}

fn resource(body: &str) -> String {
    format!("resource \"terraform_data\" \"a\" {{\n  input = \"in\"\n{body}\n}}\n")
}

#[test]
fn scripts_run_in_order_and_nothing_of_them_is_left() {
    let Some(sshd) = sshd::start() else { return };
    let out = sshd.path("out");
    let scripts = sshd.path("script.%RAND%.sh");
    let connection = connection(&sshd, &format!("script_path = \"{scripts}\""));
    let project = Project::new(&resource(&format!(
        r#"
        {connection}
        provisioner "remote-exec" {{
          inline = ["X=${{self.input}}", "echo inline $X >> {out}", "echo shown; echo shown too >&2"]
        }}
        provisioner "remote-exec" {{
          scripts = ["one.sh", "two.sh"]
        }}
        provisioner "remote-exec" {{
          script = "three.sh"
        }}
        "#
    )));
    project.write("one.sh", &format!("echo one >> {out}\n"));
    project.write("two.sh", &format!("#!/bin/sh -e\necho two >> {out}\n"));
    project.write("three.sh", &format!("echo three >> {out}\n"));
    let told = project.apply();
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "inline in\none\ntwo\nthree\n");
    assert!(told.contains("terraform_data.a: (remote-exec) shown\n"), "{told}");
    assert!(told.contains("terraform_data.a: (remote-exec) shown too\n"), "{told}");
    assert!(told.contains("its host key is not checked"), "{told}");
    let folder = std::path::Path::new(&out).parent().unwrap();
    let left = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("script.")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_script_that_fails_taints_and_its_exit_code_is_told() {
    let Some(sshd) = sshd::start() else { return };
    let project = Project::new(&resource(&format!(
        "{}provisioner \"remote-exec\" {{\n  inline = [\"exit 7\"]\n}}",
        connection(&sshd, "")
    )));
    let told = project.fails(&["apply", "-auto-approve"]);
    assert!(told.contains("remote-exec provisioner: the script ended with exit code 7"), "{told}");
    assert_eq!(project.tainted(), [("terraform_data.a".to_string(), true)]);
}

#[test]
fn files_texts_and_folders_arrive_as_they_are() {
    let Some(sshd) = sshd::start() else { return };
    let there = |name: &str| sshd.path(name);
    let project = Project::new(&resource(&format!(
        r#"
        {}
        provisioner "file" {{
          content     = "text of ${{self.input}}"
          destination = "{}"
        }}
        provisioner "file" {{
          source      = "run.sh"
          destination = "{}"
        }}
        provisioner "file" {{
          source      = "folder"
          destination = "{}"
        }}
        provisioner "file" {{
          source      = "folder/"
          destination = "{}"
        }}
        "#,
        connection(&sshd, ""),
        there("content"),
        there("run.sh"),
        there("with-name"),
        there("without-name"),
    )));
    project.write("run.sh", "#!/bin/sh\n");
    std::fs::set_permissions(project.path("run.sh"), std::fs::Permissions::from_mode(0o750)).unwrap();
    std::fs::create_dir_all(project.path("folder/inner/empty")).unwrap();
    project.write("folder/top", "top");
    // More than one packet.
    let large = "0123456789abcdef".repeat(20_000);
    project.write("folder/inner/large", &large);
    project.apply();
    let read = |name: &str| std::fs::read_to_string(there(name)).unwrap();
    assert_eq!(read("content"), "text of in");
    assert_eq!(std::fs::metadata(there("run.sh")).unwrap().permissions().mode() & 0o777, 0o750);
    for base in ["with-name/folder", "without-name"] {
        assert_eq!(read(&format!("{base}/top")), "top");
        assert_eq!(read(&format!("{base}/inner/large")), large);
        assert!(std::path::Path::new(&there(&format!("{base}/inner/empty"))).is_dir());
    }
}

#[test]
fn a_bastion_host_leads_to_the_machine() {
    let (Some(mut bastion), Some(sshd)) = (sshd::start(), sshd::start()) else { return };
    let more = format!(
        "bastion_host = \"127.0.0.1\"\n  bastion_port = {}\n  bastion_private_key = file(\"{}\")\n  \
         bastion_host_key = \"{}\"\n  host_key = \"{}\"",
        bastion.port,
        bastion.path("user_key"),
        bastion.host_key(),
        sshd.host_key(),
    );
    let out = sshd.path("out");
    // The server tells who connected: the bastion host's process, not ours; both are on 127.0.0.1 here.
    let project = Project::new(&resource(&format!(
        "{}provisioner \"remote-exec\" {{\n  inline = [\"echo $SSH_CONNECTION > {out}\"]\n}}",
        connection(&sshd, &more)
    )));
    let told = project.apply();
    assert!(!told.contains("not checked"), "{told}");
    let seen = std::fs::read_to_string(out).unwrap();
    assert!(seen.trim_end().ends_with(&format!("127.0.0.1 {}", sshd.port)), "{seen}");
    bastion.stop();
    project.write("main.tf", &project.read("main.tf").replace("\"a\"", "\"b\"").replace("10s", "1s"));
    let told = project.fails(&["apply", "-auto-approve"]);
    assert!(told.contains("cannot be reached"), "without the bastion host there is no way: {told}");
}

#[test]
fn another_host_key_than_the_configured_one_is_refused_at_once() {
    let (Some(other), Some(sshd)) = (sshd::start(), sshd::start()) else { return };
    let out = sshd.path("out");
    let project = Project::new(&resource(&format!(
        "{}provisioner \"remote-exec\" {{\n  inline = [\"echo > {out}\"]\n}}",
        connection(&sshd, &format!("host_key = \"{}\"", other.host_key()))
    )));
    let told = project.fails(&["apply", "-auto-approve"]);
    assert!(told.contains("host key"), "{told}");
    assert!(!std::path::Path::new(&out).exists());
}

#[test]
fn a_provisioners_own_connection_goes_over_that_of_the_resource() {
    let Some(sshd) = sshd::start() else { return };
    let out = sshd.path("out");
    // The resource's port leads nowhere.
    let shared = connection(&sshd, "").replace(&format!("port = {}", sshd.port), "port = 1");
    let project = Project::new(&resource(&format!(
        "{shared}provisioner \"remote-exec\" {{\n  inline = [\"echo here > {out}\"]\n  connection {{\n    port = {}\n  \
         }}\n}}",
        sshd.port
    )));
    project.apply();
    assert_eq!(std::fs::read_to_string(out).unwrap(), "here\n");
}
