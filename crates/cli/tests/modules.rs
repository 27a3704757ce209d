//! `pve init` and `pve get` as a user runs them, with a git repository and a registry of the test's own.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

#[path = "common/binary.rs"]
mod binary;
#[path = "../../modules/tests/support/mod.rs"]
mod support;

use std::process::Output;
use std::sync::Arc;

use binary::{pve, text};
use support::{Answer, Repository, Server, has_git, tar_gz, write};

struct Project {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Project {
    fn new(main: &str) -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap(), variables: Vec::new() };
        project.write("work/main.tf", main);
        project
    }

    fn write(&self, name: &str, text: &str) {
        write(self.folder.path(), name, text);
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = pve(&self.folder.path().join("work"), words);
        command.env("HOME", self.folder.path()).envs(self.variables.iter().cloned());
        command.output().unwrap()
    }

    /// Runs a command that must succeed and returns what it says on both streams.
    fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        text(&output)
    }

    /// Runs a command that must end with 1, and returns what it says.
    fn fails(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output));
        text(&output)
    }
}

fn call(source: &str, version: &str) -> String {
    format!(
        "module \"m\" {{\n  source = \"{source}\"\n{version}  name   = \"x\"\n}}\noutput \"o\" {{\n  value = module.m.o\n}}\n"
    )
}

const MODULE: &str = r#"
variable "name" {
  type = string
}
resource "terraform_data" "a" {
  input = "${var.name} of ${path.module} with ${file("${path.module}/text")}"
}
output "o" {
  value = terraform_data.a.output
}
"#;

#[test]
fn a_module_from_git_is_fetched_by_init_and_then_planned_and_applied() {
    if !has_git() {
        return;
    }
    let repository = Repository::new();
    repository.commit(&[("main.tf", MODULE), ("text", "words")]);
    let project = Project::new(&call(&repository.source(), ""));
    for command in ["plan", "validate"] {
        let said = project.fails(&[command]);
        assert!(said.contains("A module is not installed") && said.contains("main.tf:2"), "{said}");
        assert!(said.contains("Run `pve init`"), "{said}");
    }
    let said = project.ok(&["init", "-input=false"]);
    assert!(
        said.contains("module m: fetching git::file://")
            && said.contains("Ready: 1 module in use, 1 fetched"),
        "{said}"
    );
    assert!(project.ok(&["plan", "-out=p.plan"]).contains("Plan: 1 to add"));
    // A saved plan has all that it needs.
    std::fs::remove_dir_all(project.folder.path().join("work/.pve/modules")).unwrap();
    project.ok(&["apply", "p.plan"]);
    assert_eq!(project.ok(&["output", "-raw", "o"]), "x of .pve/modules/m with words");
    assert!(project.fails(&["plan"]).contains("The folder .pve/modules/m of module \"m\" is gone"));
    assert!(project.ok(&["get"]).contains("1 module in use, 1 fetched"));
    assert!(project.ok(&["plan"]).contains("No changes."));
    assert!(project.ok(&["get", "-update"]).contains("1 module in use, 1 fetched"));
    assert!(project.ok(&["init"]).contains("1 module in use, none fetched"));
}

#[test]
fn a_module_from_a_registry_over_tls_is_fetched_with_the_users_token() {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config =
        config.with_no_client_auth().with_single_cert(vec![key.cert.der().clone()], private).unwrap();
    let config = Arc::new(config);
    let server = Server::serve(move |stream| {
        rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), stream)
    });
    let versions = r#"{"modules": [{"versions": [{"version": "1.0.0"}, {"version": "1.1.0"}]}]}"#;
    server.on("/.well-known/terraform.json", Answer::bytes(r#"{"modules.v1": "/api/modules"}"#));
    server.on("/api/modules/a/m/proxmox/versions", Answer::bytes(versions));
    server.on("/api/modules/a/m/proxmox/1.1.0/download", Answer::refer("../files/m.tar.gz"));
    server.on(
        "/api/modules/a/m/proxmox/files/m.tar.gz",
        Answer::bytes(tar_gz(&[("main.tf", MODULE), ("text", "words")])),
    );

    let mut project = Project::new(&call("a/m/proxmox", "  version = \"~> 1.0\"\n"));
    project.write("authority.pem", &key.cert.pem());
    let credentials = format!("credentials \"{}\" {{\n  token = \"hidden\"\n}}\n", server.host());
    project.write(".tofurc", &credentials);
    let authority = project.folder.path().join("authority.pem").to_string_lossy().into_owned();
    project.variables = vec![("PVE_MODULE_REGISTRY", server.host()), ("SSL_CERT_FILE", authority)];

    let said = project.ok(&["init"]);
    assert!(said.contains(&format!("module m: fetching {}/a/m/proxmox 1.1.0 ...", server.host())), "{said}");
    assert!(!said.contains("hidden"));
    let asked = server.asked();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked[..3].iter().all(|line| line.ends_with(" Bearer hidden")), "{asked:?}");
    assert!(!asked[3].contains("hidden"), "{asked:?}");
    assert!(project.ok(&["plan"]).contains("Plan: 1 to add"));
    project.ok(&["init"]);
    assert_eq!(server.asked(), Vec::<String>::new());

    project.write("work/main.tf", &call("a/m/proxmox", "  version = \"~> 2.0\"\n"));
    let said = project.fails(&["plan"]);
    assert!(
        said.contains("installed in version 1.1.0, but \"~> 2.0\" is asked for")
            && said.contains("`pve init`"),
        "{said}"
    );
    let said = project.fails(&["init"]);
    assert!(said.contains("has no version that fits \"~> 2.0\"") && said.contains("main.tf:2"), "{said}");
}

#[test]
fn init_tells_which_providers_there_are_not() {
    let main = r#"
terraform {
  required_providers {
    proxmox = {
      source  = "registry.opentofu.org/bpg/proxmox"
      version = ">= 0.60"
    }
    acme = {
      source = "vancluever/acme"
    }
  }
}
resource "terraform_data" "a" {}
"#;
    let project = Project::new(main);
    let said = project.ok(&["init"]);
    assert!(
        said.contains("vancluever/acme") && said.contains("main.tf:8") && said.contains("does no harm"),
        "{said}"
    );
    project.write("work/main.tf", &format!("{main}resource \"acme_certificate\" \"c\" {{}}\n"));
    let said = project.fails(&["init"]);
    assert!(said.contains("acme_certificate.c needs the provider vancluever/acme"), "{said}");
    assert!(
        said.contains("main.tf:14") && said.contains("main.tf:8") && said.contains("pve has bpg/proxmox"),
        "{said}"
    );
    project.write("work/main.tf", "terraform {\n  required_providers {\n    proxmox = {\n      source = \"Telmate/proxmox\"\n    }\n  }\n}\nresource \"proxmox_vm_qemu\" \"a\" {}\n");
    assert!(project.fails(&["init"]).contains("proxmox_vm_qemu is proxmox_virtual_environment_vm"));
    project.write("work/main.tf", "module \"inner\" {\n  source = \"./inner\"\n}\n");
    project.write("work/inner/main.tf", "data \"aws_ami\" \"a\" {}\n");
    let said = project.fails(&["init"]);
    assert!(said.contains("aws_ami.a of module.inner needs the provider hashicorp/aws"), "{said}");
}

#[test]
fn a_wrong_settings_file_is_named() {
    let project = Project::new("module \"m\" {\n  source = \"a/b/c\"\n}\n");
    project.write(".terraformrc", "credentials \"x\" {\n");
    let said = project.fails(&["init"]);
    assert!(said.contains(".terraformrc: line") && said.contains("Correct the file"), "{said}");
}
