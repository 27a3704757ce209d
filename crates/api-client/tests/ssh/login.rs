//! Keys of every kind, agents, and what is said when none is accepted.

use pve_api_client::ssh::{
    ForwardedAgent, SshAuthentication, SshErrorKind, SshExit, SshSettings, SshUploader,
};

use crate::sshd;

#[tokio::test]
async fn every_kind_of_user_key_and_format_logs_in() {
    let Some(server) = sshd::start("ed25519") else { return };
    let kinds: [(&str, &[&str]); 8] = [
        ("ed25519", &[]),
        ("ecdsa", &[]),
        ("ecdsa", &["-b", "384", "-m", "PKCS8"]),
        ("ecdsa", &["-b", "521", "-m", "PEM"]),
        ("ecdsa", &["-m", "PEM"]),
        ("rsa", &["-b", "2048"]),
        ("rsa", &["-b", "2048", "-m", "PEM"]),
        ("rsa", &["-b", "2048", "-m", "PKCS8"]),
    ];
    for (index, (kind, arguments)) in kinds.into_iter().enumerate() {
        let path = server.path(&format!("key{index}"));
        sshd::make_key_with(&path, kind, "", arguments);
        std::fs::copy(path.with_extension("pub"), server.path("user_key.pub")).unwrap();
        let settings = SshSettings { authentication: vec![sshd::key(&path)], ..server.settings() };
        let outcome =
            SshUploader::new(settings).write_file(&server.target, &server.remote("a"), b"a", None).await;
        assert_eq!(outcome, Ok(()), "{kind} {arguments:?}");
    }
}

#[tokio::test]
async fn an_encrypted_key_needs_its_passphrase() {
    let Some(server) = sshd::start("ed25519") else { return };
    for (name, arguments) in [("new", &[] as &[&str]), ("old", &["-m", "PEM"]), ("pkcs8", &["-m", "PKCS8"])] {
        let path = server.path(name);
        sshd::make_key_with(&path, "rsa", "open sesame", arguments);
        std::fs::copy(path.with_extension("pub"), server.path("user_key.pub")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let with = async |passphrase: Option<&str>| {
            let passphrase = passphrase.map(Into::into);
            let authentication =
                vec![SshAuthentication::PrivateKey { text: text.clone().into(), passphrase }];
            let settings = SshSettings { authentication, ..server.settings() };
            let uploader = SshUploader::new(settings);
            uploader.write_file(&server.target, &server.remote("a"), b"a", None).await
        };
        let error = with(None).await.unwrap_err();
        assert_eq!(error.kind, SshErrorKind::Settings, "{name}: {error}");
        assert!(error.message.contains("encrypted and there is no passphrase"), "{name}: {error}");
        let error = with(Some("wrong-words")).await.unwrap_err();
        assert_eq!(error.kind, SshErrorKind::Settings, "{name}: {error}");
        assert!(!format!("{error:?}").contains("wrong-words"));
        assert_eq!(with(Some("open sesame")).await, Ok(()), "{name}");
    }
}

#[tokio::test]
async fn keys_of_an_agent_log_in() {
    let Some(server) = sshd::start("ed25519") else { return };
    let agent = sshd::Agent::start(server.folder.path());
    let authentication = vec![SshAuthentication::Agent { socket: Some(agent.socket.clone()) }];
    let settings = SshSettings { authentication, ..server.settings() };
    let uploader = SshUploader::new(settings);
    let path = server.remote("a");
    let error = uploader.write_file(&server.target, &path, b"a", None).await.unwrap_err();
    assert_eq!(error.kind, SshErrorKind::LoginRefused);
    assert!(error.message.contains("agent: it has no keys"), "{error}");

    sshd::make_key(&server.path("other_key"), "rsa", "");
    agent.add(&server.path("other_key"));
    let error = uploader.write_file(&server.target, &path, b"a", None).await.unwrap_err();
    assert!(error.message.contains("agent: none of its 1 keys was accepted"), "{error}");

    agent.add(&server.path("user_key"));
    uploader.write_file(&server.target, &path, b"a", None).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"a");
}

#[tokio::test]
async fn an_rsa_key_of_an_agent_logs_in() {
    let Some(server) = sshd::start("ed25519") else { return };
    sshd::make_key(&server.path("rsa_key"), "rsa", "");
    std::fs::copy(server.path("rsa_key.pub"), server.path("user_key.pub")).unwrap();
    let agent = sshd::Agent::start(server.folder.path());
    agent.add(&server.path("rsa_key"));
    let authentication = vec![SshAuthentication::Agent { socket: Some(agent.socket.clone()) }];
    let settings = SshSettings { authentication, ..server.settings() };
    SshUploader::new(settings).write_file(&server.target, &server.remote("a"), b"a", None).await.unwrap();
}

#[tokio::test]
async fn the_next_way_to_log_in_is_tried_when_one_fails() {
    let Some(server) = sshd::start("ed25519") else { return };
    sshd::make_key(&server.path("other_key"), "ed25519", "");
    let authentication = vec![
        SshAuthentication::Agent { socket: Some(server.path("no-agent")) },
        sshd::key(&server.path("other_key")),
        sshd::key(&server.path("user_key")),
    ];
    let settings = SshSettings { authentication, ..server.settings() };
    SshUploader::new(settings).write_file(&server.target, &server.remote("a"), b"a", None).await.unwrap();
}

#[tokio::test]
async fn a_refused_login_names_each_way_and_no_secret() {
    let Some(server) = sshd::start("ed25519") else { return };
    sshd::make_key(&server.path("other_key"), "ed25519", "");
    let authentication = vec![
        SshAuthentication::Agent { socket: Some(server.path("no-agent")) },
        sshd::key(&server.path("other_key")),
        SshAuthentication::Password("hunter-two".into()),
    ];
    let settings = SshSettings { authentication, ..server.settings() };
    let shown = format!("{settings:?}");
    let error = SshUploader::new(settings)
        .write_file(&server.target, &server.remote("a"), b"a", None)
        .await
        .unwrap_err();
    assert_eq!(error.kind, SshErrorKind::LoginRefused);
    for part in ["agent: no agent at", "private key: refused", "password: refused", &sshd::user()] {
        assert!(error.message.contains(part), "{error}");
    }
    let key = std::fs::read_to_string(server.path("other_key")).unwrap();
    for secret in ["hunter-two", key.lines().nth(2).unwrap()] {
        assert!(!format!("{shown} {error} {error:?}").contains(secret));
    }
}

#[tokio::test]
async fn a_command_may_ask_the_agent_only_when_it_is_forwarded() {
    let Some(server) = sshd::start("ed25519") else { return };
    let agent = sshd::Agent::start(server.folder.path());
    sshd::make_key(&server.path("other_key"), "ed25519", "");
    agent.add(&server.path("other_key"));
    let keys = async |forwarded_agent| {
        let settings = SshSettings { forwarded_agent, username: "root".into(), ..server.settings() };
        let uploader = SshUploader::new(settings);
        let most = std::time::Duration::from_secs(20);
        uploader.run_as_root(&server.target, &["ssh-add", "-L"], most).await.unwrap()
    };
    if sshd::user() != "root" {
        eprintln!("skipped: commands run as root, and this sshd is not root's");
        return;
    }
    let output = keys(Some(ForwardedAgent { socket: Some(agent.socket.clone()) })).await;
    let public = std::fs::read_to_string(server.path("other_key.pub")).unwrap();
    assert_eq!((output.exit, output.stdout), (SshExit::Code(0), public), "{}", output.stderr);
    assert_ne!(keys(None).await.exit, SshExit::Code(0));
    // One that is not there is no reason to fail.
    let gone = Some(ForwardedAgent { socket: Some(server.path("no-agent")) });
    assert_ne!(keys(gone).await.exit, SshExit::Code(0));
}
