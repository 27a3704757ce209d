//! Passwords, against a server in this process: OpenSSH's asks the machine's own users.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pve_api_client::ssh::{
    HostKeyPolicy, SshAuthentication, SshError, SshErrorKind, SshSettings, SshTarget, SshUploader,
};
use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session};
use russh::{Channel, ChannelId, MethodKind, MethodSet};

const PASSWORD: &str = "correct horse";

/// What the server asks for.
#[derive(Clone, Copy, PartialEq)]
enum Asks {
    Password,
    Questions,
    QuestionsForEver,
}

struct Server {
    asks: Asks,
    answers: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn verdict(&self, right: bool) -> Auth {
        if right { Auth::Accept } else { Auth::reject() }
    }

    fn question(&self) -> Auth {
        let prompts = vec![("Name to show: ".into(), true), ("Password: ".into(), false)];
        Auth::Partial { name: "".into(), instructions: "".into(), prompts: prompts.into() }
    }
}

impl Handler for Server {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(self.verdict(self.asks == Asks::Password && user == "root" && password == PASSWORD))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(response) = response else {
            return Ok(if self.asks == Asks::Password { Auth::reject() } else { self.question() });
        };
        let answers: Vec<String> =
            response.map(|answer| String::from_utf8(answer.to_vec()).unwrap()).collect();
        self.answers.lock().unwrap().extend(answers.iter().cloned());
        if self.asks == Asks::QuestionsForEver {
            return Ok(self.question());
        }
        Ok(self.verdict(answers == ["", PASSWORD]))
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(channel)
    }
}

/// The outcome of a transfer, and the answers to the questions of the server. The server lets in and then has no SFTP.
async fn transfer(asks: Asks, password: &str) -> (SshError, Vec<String>) {
    let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
    let pin = key.public_key().fingerprint(HashAlg::Sha256).to_string();
    let config = Arc::new(Config {
        keys: vec![key],
        methods: MethodSet::from([MethodKind::Password, MethodKind::KeyboardInteractive].as_slice()),
        auth_rejection_time: Duration::ZERO,
        ..Config::default()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = SshTarget { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
    let answers = Arc::new(Mutex::new(Vec::new()));
    let server = Server { asks, answers: Arc::clone(&answers) };
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        russh::server::run_stream(config, stream, server).await.unwrap().await
    });
    let settings = SshSettings {
        host_keys: HostKeyPolicy::Pinned(vec![pin]),
        ..SshSettings::new("root", vec![SshAuthentication::Password(password.into())])
    };
    let error = SshUploader::new(settings).write_file(&target, "/a", b"a", None).await.unwrap_err();
    let answers = answers.lock().unwrap().clone();
    (error, answers)
}

#[tokio::test]
async fn a_right_password_logs_in_and_a_server_without_sftp_is_told() {
    let (error, answers) = transfer(Asks::Password, PASSWORD).await;
    assert_eq!(error.kind, SshErrorKind::Refused, "{error}");
    assert!(error.message.contains("SFTP cannot be started"), "{error}");
    assert!(answers.is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_shown() {
    let (error, _) = transfer(Asks::Password, "wrong-words").await;
    assert_eq!(error.kind, SshErrorKind::LoginRefused, "{error}");
    assert!(error.hint().unwrap().contains("passwords"));
    assert!(!format!("{error} {error:?}").contains("wrong-words"));
}

#[tokio::test]
async fn hidden_questions_are_answered_with_the_password_and_others_with_nothing() {
    let (error, answers) = transfer(Asks::Questions, PASSWORD).await;
    assert_eq!(error.kind, SshErrorKind::Refused, "logged in: {error}");
    assert_eq!(answers, ["", PASSWORD]);
    let (error, _) = transfer(Asks::Questions, "wrong-words").await;
    assert_eq!(error.kind, SshErrorKind::LoginRefused, "{error}");
}

#[tokio::test]
async fn a_server_that_asks_without_an_end_is_left() {
    let (error, answers) = transfer(Asks::QuestionsForEver, PASSWORD).await;
    assert_eq!(error.kind, SshErrorKind::LoginRefused, "{error}");
    assert!(answers.len() < 100);
}
