//! Which host keys are trusted, and what is said about the others.

use std::process::Command;

use pve_api_client::ssh::{HostKeyPolicy, SshError, SshErrorKind, SshSettings, SshUploader};

use crate::sshd;

#[tokio::test]
async fn every_kind_of_host_key_is_checked() {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let Some(server) = sshd::start(kind) else { return };
        let uploader = SshUploader::new(server.settings());
        let outcome = uploader.write_file(&server.target, &server.remote("a"), b"a", None).await;
        assert_eq!(outcome, Ok(()), "{kind}");
    }
}

#[tokio::test]
async fn an_unknown_host_key_is_refused_with_its_fingerprint() {
    let Some(server) = sshd::start("ed25519") else { return };
    let policy = HostKeyPolicy::KnownHosts(vec![server.path("no-such-file")]);
    let settings = SshSettings { host_keys: policy, ..server.settings() };
    let error = SshUploader::new(settings)
        .write_file(&server.target, &server.remote("a"), b"a", None)
        .await
        .unwrap_err();
    assert_eq!(error.kind, SshErrorKind::HostKeyUnknown, "{error}");
    assert!(error.message.contains(&sshd::fingerprint(&server.path("host_key.pub"))), "{error}");
    assert!(!server.path("a").exists());
}

#[tokio::test]
async fn a_changed_host_key_is_refused_with_both_fingerprints_and_a_remedy_that_works() {
    let Some(server) = sshd::start("ed25519") else { return };
    // Another kind of key is a change too: otherwise whoever sits in between would just offer one.
    for kind in ["ed25519", "rsa"] {
        let name = format!("old_{kind}");
        sshd::make_key(&server.path(&name), kind, "");
        let known = server.known_hosts("known", &format!("{name}.pub"));
        let remember = server.path("remembered");
        let accept_new = HostKeyPolicy::AcceptNew { known: vec![known.clone()], remember: remember.clone() };
        for policy in [accept_new, HostKeyPolicy::KnownHosts(vec![known.clone()])] {
            let error = write_with(&server, policy.clone()).await.unwrap_err();
            assert_eq!(error.kind, SshErrorKind::HostKeyChanged, "{error}");
            let old = sshd::fingerprint(&server.path(&format!("{name}.pub")));
            let new = sshd::fingerprint(&server.path("host_key.pub"));
            for part in [&old, &new, &server.target.to_string(), &known.display().to_string()] {
                assert!(error.message.contains(part), "{part} in {error}");
            }
            assert!(!server.path("a").exists() && !remember.exists());
            if matches!(policy, HostKeyPolicy::KnownHosts(_)) {
                let (_, remedy) = error.message.split_once("remove the old one: ").unwrap();
                sshd::output(Command::new("sh").arg("-c").arg(remedy));
                assert_eq!(write_with(&server, policy).await.unwrap_err().kind, SshErrorKind::HostKeyUnknown);
            }
        }
    }
}

#[tokio::test]
async fn the_recorded_kind_of_key_is_asked_for() {
    // RSA is what a client asks for last.
    let Some(server) = sshd::start_with("ed25519", &["rsa"], "") else { return };
    let policy = HostKeyPolicy::KnownHosts(vec![server.known_hosts("known", "host_key_rsa.pub")]);
    assert_eq!(write_with(&server, policy).await, Ok(()));
}

#[tokio::test]
async fn hashed_names_are_recognised() {
    let Some(server) = sshd::start("ed25519") else { return };
    let known = server.known_hosts("known", "host_key.pub");
    sshd::output(Command::new("ssh-keygen").arg("-H").arg("-f").arg(&known));
    let text = std::fs::read_to_string(&known).unwrap();
    assert!(text.starts_with("|1|"), "{text}");
    assert_eq!(write_with(&server, HostKeyPolicy::KnownHosts(vec![known])).await, Ok(()));
}

#[tokio::test]
async fn patterns_and_revoked_keys_are_obeyed() {
    let Some(server) = sshd::start("ed25519") else { return };
    let key = std::fs::read_to_string(server.path("host_key.pub")).unwrap();
    let port = server.target.port;
    let cases = [
        (format!("# a comment\n\nno line of the format\n[127.0.0.*]:{port} {key}"), None),
        (format!("[127.0.0.?]:{port},other {key}"), None),
        (format!("*,![127.0.0.1]:{port} {key}"), Some(SshErrorKind::HostKeyUnknown)),
        (format!("127.0.0.1 {key}"), Some(SshErrorKind::HostKeyUnknown)),
        (format!("@cert-authority * {key}"), Some(SshErrorKind::HostKeyUnknown)),
        (format!("* {key}@revoked * {key}"), Some(SshErrorKind::HostKeyChanged)),
    ];
    for (text, failure) in cases {
        let known = server.path("known");
        std::fs::write(&known, &text).unwrap();
        let outcome = write_with(&server, HostKeyPolicy::KnownHosts(vec![known])).await;
        assert_eq!(outcome.err().map(|error| error.kind), failure, "{text}");
    }
}

#[tokio::test]
async fn a_new_key_is_remembered_for_openssh_too_and_a_change_refused() {
    let Some(server) = sshd::start("ed25519") else { return };
    let remember = server.path("state/known_hosts");
    let policy = HostKeyPolicy::AcceptNew { known: vec![server.path("none")], remember: remember.clone() };
    write_with(&server, policy.clone()).await.unwrap();
    write_with(&server, policy.clone()).await.unwrap();
    let text = std::fs::read_to_string(&remember).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let name = format!("[127.0.0.1]:{}", server.target.port);
    let found = sshd::output(Command::new("ssh-keygen").args(["-l", "-F", &name, "-f"]).arg(&remember));
    assert!(found.contains(&sshd::fingerprint(&server.path("host_key.pub"))), "{found}");

    // A file whose last line has no end is not spoilt.
    sshd::make_key(&server.path("other"), "ed25519", "");
    let other = std::fs::read_to_string(server.path("other.pub")).unwrap();
    std::fs::write(&remember, format!("elsewhere {}", other.trim_end())).unwrap();
    write_with(&server, policy.clone()).await.unwrap();
    assert_eq!(std::fs::read_to_string(&remember).unwrap(), format!("elsewhere {other}{text}"));

    std::fs::write(&remember, format!("{name} {other}")).unwrap();
    assert_eq!(write_with(&server, policy).await.unwrap_err().kind, SshErrorKind::HostKeyChanged);
    assert_eq!(std::fs::read_to_string(&remember).unwrap(), format!("{name} {other}"));
}

#[tokio::test]
async fn a_pinned_key_is_the_only_one_that_is_trusted() {
    let Some(server) = sshd::start("ed25519") else { return };
    sshd::make_key(&server.path("other"), "ed25519", "");
    let right = sshd::fingerprint(&server.path("host_key.pub"));
    let wrong = sshd::fingerprint(&server.path("other.pub"));
    let line = std::fs::read_to_string(server.path("host_key.pub")).unwrap();
    for pins in [vec![right.clone()], vec![line], vec![wrong.clone(), right.clone()]] {
        assert_eq!(write_with(&server, HostKeyPolicy::Pinned(pins)).await, Ok(()));
    }
    let error = write_with(&server, HostKeyPolicy::Pinned(vec![wrong.clone()])).await.unwrap_err();
    assert_eq!(error.kind, SshErrorKind::HostKeyChanged);
    assert!(error.message.contains(&right) && error.message.contains(&wrong), "{error}");
    let error = write_with(&server, HostKeyPolicy::Pinned(vec!["nonsense".into()])).await.unwrap_err();
    assert_eq!(error.kind, SshErrorKind::Settings);
}

async fn write_with(server: &sshd::Sshd, host_keys: HostKeyPolicy) -> Result<(), SshError> {
    let settings = SshSettings { host_keys, ..server.settings() };
    SshUploader::new(settings).write_file(&server.target, &server.remote("a"), b"a", None).await
}
