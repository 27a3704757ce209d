//! Modules from registries and web servers that the tests start on this machine.

mod support;

use std::sync::Arc;

use sha2::Digest as _;
use support::{Answer, Project, Server, said, tar_gz};

const OUTPUT: &str = "output \"o\" {\n  value = 1\n}\n";

fn call(name: &str, source: &str, version: Option<&str>) -> String {
    let version = version.map(|version| format!("  version = \"{version}\"\n")).unwrap_or_default();
    format!("module \"{name}\" {{\n  source = \"{source}\"\n{version}}}\n")
}

/// Puts a module into a registry: each version is an archive whose `main.tf` names it.
fn publish(server: &Server, path: &str, versions: &[&str]) {
    let listed: Vec<String> =
        versions.iter().map(|version| format!(r#"{{"version":"{version}"}}"#)).collect();
    let listed = format!(r#"{{"modules":[{{"versions":[{}]}}]}}"#, listed.join(","));
    server.on(&format!("/v1/{path}/versions"), Answer::bytes(listed));
    for version in versions {
        let files = [(&*format!("top/{path}/main.tf"), &*format!("# {version}\n"))];
        server.on(
            &format!("/v1/{path}/{version}/download"),
            Answer::refer(format!("/files/{path}/{version}.tgz//*/{path}")),
        );
        server.on(&format!("/files/{path}/{version}.tgz"), Answer::bytes(tar_gz(&files)));
    }
}

/// A project whose default registry is this server.
fn project(server: &Server, main: &str) -> Project {
    let mut project = Project::new(main);
    project.settings.default_registry = server.host();
    let services = [("modules.v1".to_string(), server.url("/v1/"))].into();
    project.settings.services.insert(server.host(), services);
    project
}

#[test]
fn the_newest_version_that_fits_is_installed_and_a_second_run_asks_nothing() {
    let server = Server::start();
    publish(&server, "a/net/proxmox", &["1.0.0", "1.2.0", "1.10.0", "2.0.0", "3.0.0-beta1"]);
    let cases = [
        ("any", None, "2.0.0"),
        ("pessimistic", Some("~> 1.0"), "1.10.0"),
        ("range", Some(">= 1.0, < 1.10"), "1.2.0"),
        ("exact", Some("1.0.0"), "1.0.0"),
        ("beta", Some("3.0.0-beta1"), "3.0.0-beta1"),
        ("not", Some("!= 2.0.0"), "1.10.0"),
    ];
    let main: String = cases.iter().map(|(name, version, _)| call(name, "a/net/proxmox", *version)).collect();
    let project = project(&server, &main);
    let mut told = project.installed();
    told.sort();
    for (name, _, version) in cases {
        assert_eq!(
            project.read(&format!(".pve/modules/{name}/top/a/net/proxmox/main.tf")),
            format!("# {version}\n")
        );
        assert!(told.contains(&format!("{name}: {}/a/net/proxmox {version}", server.host())), "{told:?}");
    }
    let asked = server.asked();
    assert_eq!(asked.iter().filter(|path| path.ends_with("/versions")).count(), 1, "{asked:?}");
    // Two calls of one version are one download.
    assert_eq!(asked.iter().filter(|path| path.ends_with("1.10.0.tgz")).count(), 1, "{asked:?}");
    assert_eq!(project.installed(), Vec::<String>::new());
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn a_version_stays_until_its_constraint_or_an_upgrade_changes_it() {
    let server = Server::start();
    publish(&server, "a/net/proxmox", &["1.0.0"]);
    let project = project(&server, &call("n", "a/net/proxmox", Some("~> 1.0")));
    let installed = || project.read(".pve/modules/n/top/a/net/proxmox/main.tf");
    project.installed();
    publish(&server, "a/net/proxmox", &["1.0.0", "1.1.0", "2.0.0"]);
    assert_eq!(project.installed(), Vec::<String>::new());
    assert_eq!(installed(), "# 1.0.0\n");
    assert_eq!(said(&project.install(true).0), "");
    assert_eq!(installed(), "# 1.1.0\n");
    project.write("main.tf", &call("n", "a/net/proxmox", Some("~> 2.0")));
    assert_eq!(project.installed().len(), 1);
    assert_eq!(installed(), "# 2.0.0\n");
}

#[test]
fn modules_of_a_registrys_module_are_fetched_too() {
    let server = Server::start();
    publish(&server, "a/inner/proxmox", &["1.0.0"]);
    publish(&server, "a/outer/proxmox", &["1.0.0"]);
    let files = [("main.tf", &*call("in", "a/inner/proxmox", Some("1.0.0")))];
    server.on(
        "/v1/a/outer/proxmox/1.0.0/download",
        Answer::bytes(format!(r#"{{"location":"{}"}}"#, server.url("/o?archive=tgz"))),
    );
    server.on("/o", Answer::bytes(tar_gz(&files)));
    let project = project(&server, &call("out", "a/outer/proxmox", None));
    assert_eq!(project.installed().len(), 2);
    assert_eq!(project.folders(), ["out", "out.in"]);
}

#[test]
fn what_a_registry_does_not_have_is_told_with_what_it_has() {
    let server = Server::start();
    publish(&server, "a/net/proxmox", &["1.0.0", "1.1.0"]);
    publish(&server, "a/beta/proxmox", &["1.0.0-beta1"]);
    server.on("/v1/a/private/proxmox/versions", Answer::status(401));
    publish(&server, "a/lost/proxmox", &["1.0.0"]);
    server.on("/v1/a/lost/proxmox/1.0.0/download", Answer::status(204));
    publish(&server, "a/local/proxmox", &["1.0.0"]);
    server.on("/v1/a/local/proxmox/1.0.0/download", Answer::refer("file:///etc"));
    let cases = [
        (
            "a/net/proxmox",
            Some("~> 9.0"),
            "has no version that fits \"~> 9.0\". | The newest versions are 1.1.0, 1.0.0.",
        ),
        ("a/gone/proxmox", None, "has no module a/gone/proxmox"),
        ("a/beta/proxmox", None, "has no released version"),
        ("a/private/proxmox", None, "wants a token for module a/private/proxmox"),
        ("a/lost/proxmox", None, "does not say where the module is"),
        ("a/local/proxmox", None, "cannot be fetched"),
    ];
    for (source, version, expected) in cases {
        let said = project(&server, &call("m", source, version)).fails();
        assert!(
            said.starts_with("main.tf:2: A module cannot be fetched: Module \"m\": ")
                && said.contains(expected),
            "{said}"
        );
    }
}

#[test]
fn a_token_goes_to_its_registry_and_to_nobody_else() {
    let (server, other) = (Server::start(), Server::start());
    publish(&server, "a/net/proxmox", &["1.0.0"]);
    server.on("/v1/a/net/proxmox/1.0.0/download", Answer::refer(other.url("/net.tgz")));
    other.on("/net.tgz", Answer::bytes(tar_gz(&[("main.tf", OUTPUT)])));
    let mut project = project(&server, &call("n", "a/net/proxmox", None));
    project.settings.tokens.insert(server.host(), "secret-token".into());
    project.installed();
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|line| line.ends_with(" Bearer secret-token")), "{asked:?}");
    assert_eq!(other.asked(), ["/net.tgz"]);
    // A wrong token is told without being shown.
    server.on("/v1/a/net/proxmox/versions", Answer::status(403));
    let said = said(&project.install(true).0);
    assert!(said.contains("does not accept the token") && !said.contains("secret-token"), "{said}");
}

#[test]
fn a_registry_is_discovered_over_tls_and_an_unknown_certificate_is_refused() {
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
    let project = Project::new(&call("n", &format!("{}/a/net/proxmox", server.host()), None));
    let said = project.fails();
    assert!(said.contains(&format!("https://{}/.well-known/terraform.json: ", server.host())), "{said}");
    assert!(said.contains("certificate"), "{said}");
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn archives_are_fetched_and_checked() {
    let server = Server::start();
    let bytes = tar_gz(&[("main.tf", OUTPUT), ("sub/main.tf", "# sub\n")]);
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let right = hex(&sha2::Sha256::digest(&bytes));
    let wrong = hex(&sha2::Sha256::digest(b"other"));
    server.on("/m.tar.gz", Answer::bytes(bytes.clone()));
    server.on("/m", Answer::bytes(bytes.clone()));
    let good = [
        call("plain", &server.url("/m.tar.gz"), None),
        call("sub", &server.url("/m.tar.gz//sub"), None),
        call("kind", &server.url("/m?archive=tar.gz"), None),
        call("checked", &server.url(&format!("/m.tar.gz?checksum=sha256:{right}")), None),
        call("bare", &server.url(&format!("/m.tar.gz?checksum={right}")), None),
    ];
    let project = Project::new(&good.concat());
    assert_eq!(project.installed().len(), 5);
    assert_eq!(project.read(".pve/modules/sub/sub/main.tf"), "# sub\n");

    server.on("/half.tar.gz", Answer::bytes(bytes[..bytes.len() / 2].to_vec()));
    server.on("/no.zip", Answer::bytes("no archive"));
    let bad = [
        (
            format!("/m.tar.gz?checksum=sha256:{wrong}"),
            format!("the sha256 checksum is {right}, but {wrong} was asked for"),
        ),
        ("/m.tar.gz?checksum=sha256:00".into(), "is no checksum".into()),
        ("/half.tar.gz".into(), "the archive is damaged".into()),
        ("/no.zip".into(), "the archive is damaged".into()),
        ("/gone.zip".into(), "the server answers 404".into()),
        ("/m".into(), "the server answers 404".into()),
    ];
    for (path, expected) in bad {
        let project = Project::new(&call("m", &server.url(&path), None));
        let said = project.fails();
        assert!(said.contains(&expected), "{path}: {said}");
        assert_eq!(project.folders(), Vec::<String>::new());
        assert!(!project.read(".pve/modules.json").contains("\"m\""), "{path}");
    }
}

#[test]
fn an_evil_archive_leaves_no_module() {
    let server = Server::start();
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..10].copy_from_slice(b"../evil.tf");
    header.set_size(1);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, &b"x"[..]).unwrap();
    server.on("/m.tar", Answer::bytes(builder.into_inner().unwrap()));
    let project = Project::new(&call("m", &server.url("/m.tar"), None));
    let said = project.fails();
    assert!(said.contains("leads out of the module's folder"), "{said}");
    assert_eq!(project.folders(), Vec::<String>::new());
    assert_eq!(project.names(""), [".pve", "main.tf"]);
}

#[test]
fn a_server_may_say_where_a_module_is() {
    let server = Server::start();
    let page =
        "<html><head><META charset=x><meta name=\"terraform-get\" content=\"/m.tar.gz//sub\"></head></html>";
    server.on("/header?terraform-get=1", Answer::refer("./m.tar.gz"));
    server.on("/page?terraform-get=1", Answer::bytes(page));
    server.on("/loop?terraform-get=1", Answer::refer("/loop"));
    server.on("/silent?terraform-get=1", Answer::bytes("<html></html>"));
    server.on("/m.tar.gz", Answer::bytes(tar_gz(&[("main.tf", OUTPUT), ("sub/main.tf", "# sub\n")])));
    let project = Project::new(
        &[call("h", &server.url("/header"), None), call("p", &server.url("/page"), None)].concat(),
    );
    project.installed();
    assert_eq!(project.read(".pve/modules/h/main.tf"), OUTPUT);
    assert!(project.read(".pve/modules.json").contains(".pve/modules/p/sub\""));
    for (path, expected) in [("/loop", "never ends"), ("/silent", "does not say where the module is")] {
        let said = Project::new(&call("m", &server.url(path), None)).fails();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn credentials_in_a_url_are_never_told() {
    let server = Server::start();
    let source = format!("http://user:hidden@{}/m.zip?token=hidden", server.host());
    let (installation, told) = Project::new(&call("m", &source, None)).install(false);
    let said = said(&installation);
    assert!(said.contains("404") && !said.contains("hidden"), "{said}");
    assert!(!told.concat().contains("hidden"), "{told:?}");
}
