//! The client against a server that answers as recorded ones do: certificates, logins, lost answers, tasks.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pve_api_client::{Client, ClientOptions, Credentials, ErrorKind, Method, Trust, WaitOptions};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

/// A server that answers each request with the next of its answers, and the last one for ever after. An empty answer
/// closes the connection.
struct Server {
    endpoint: String,
    certificate: String,
    requests: Arc<Mutex<Vec<String>>>,
}

async fn serve(answers: &[&str]) -> Server {
    pve_api_client::install_crypto_provider();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}/", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        let mut next = 0;
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut bytes = vec![0; 16_384];
            let Ok(length) = stream.read(&mut bytes).await else { continue };
            seen.lock().unwrap().push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            let answer = &answers[next.min(answers.len() - 1)];
            next += 1;
            // The client may have gone: its own test tells.
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    Server { endpoint, certificate: made.cert.pem(), requests }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn client(server: &Server, trust: Trust) -> Client {
    Client::new(ClientOptions {
        endpoint: server.endpoint.clone(),
        credentials: Credentials::Token("root@pam!t=secret-of-the-token".into()),
        trust,
        timeout: Duration::from_secs(5),
        parallelism: 2,
    })
    .unwrap()
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_ends_before_anything_is_sent() {
    let server = serve(&[&answer("200 OK", "{\"data\":1}")]).await;
    let error = client(&server, Trust::System).send(Method::Post, "nodes", &[]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Untrusted, "{error}");
    assert!(server.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_certificate_of_the_given_authority_is_trusted() {
    let server = serve(&[&answer("200 OK", "{\"data\":{\"version\":\"9.1\"}}")]).await;
    let trust = Trust::Authority(server.certificate.clone().into_bytes());
    let data = client(&server, trust).send(Method::Get, "version", &[]).await.unwrap();
    assert_eq!(data["version"], "9.1");
}

#[tokio::test]
async fn a_refused_token_says_so_and_never_shows_the_token() {
    let server = serve(&[&answer("401 invalid token value!", "")]).await;
    let error = client(&server, Trust::Anything).send(Method::Get, "version", &[]).await.unwrap_err();
    assert_eq!(error.status(), Some(401));
    assert!(error.message.contains("invalid token value!"), "{error}");
    assert!(error.hint().unwrap().contains("token"));
    assert!(!format!("{error} {error:?}").contains("secret-of-the-token"));
    let sent = server.requests.lock().unwrap().join("");
    assert!(
        sent.to_lowercase().contains("authorization: pveapitoken=root@pam!t=secret-of-the-token"),
        "{sent}"
    );
}

#[tokio::test]
async fn the_message_of_the_status_line_and_faults_of_parameters_are_told() {
    let body = "{\"data\":null,\"errors\":{\"vmid\":\"value is too small\"}}";
    let server = serve(&[&answer("400 Parameter verification failed.", body)]).await;
    let error = client(&server, Trust::Anything).send(Method::Post, "nodes/pve/qemu", &[]).await.unwrap_err();
    assert_eq!(error.parameters["vmid"], "value is too small");
    let shown = error.to_string();
    assert!(
        shown.contains("POST nodes/pve/qemu") && shown.contains("Parameter verification failed."),
        "{shown}"
    );
}

#[tokio::test]
async fn a_lost_answer_to_a_write_is_not_repeated_and_one_to_a_read_is() {
    let server = serve(&["", &answer("200 OK", "{\"data\":7}")]).await;
    let client = client(&server, Trust::Anything);
    let error = client.send(Method::Post, "nodes/pve/qemu", &[]).await.unwrap_err();
    assert!(error.is_lost(), "{error}");
    assert_eq!(server.requests.lock().unwrap().len(), 1);

    let server = serve(&["", &answer("200 OK", "{\"data\":7}")]).await;
    let client = self::client(&server, Trust::Anything);
    assert_eq!(client.send(Method::Get, "version", &[]).await.unwrap(), 7);
    assert_eq!(server.requests.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_task_is_waited_for_and_its_failure_told() {
    let running = answer("200 OK", "{\"data\":{\"status\":\"running\"}}");
    let failed = answer("200 OK", "{\"data\":{\"status\":\"stopped\",\"exitstatus\":\"no space\"}}");
    let server = serve(&[&running, &running, &failed]).await;
    let upid = "UPID:pve:00000001:00000002:00000003:qmclone:100:root@pam:";
    let error = client(&server, Trust::Anything).wait(upid, WaitOptions::default()).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Task, "no space"));
    assert_eq!(server.requests.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_task_that_cannot_be_asked_for_is_not_taken_for_failed() {
    for status in ["401 permission denied - invalid PVE ticket", "596 Broken pipe", "503 Service Unavailable"]
    {
        let server = serve(&[&answer(status, ""), &answer(status, ""), &answer(status, "")]).await;
        let upid = "UPID:pve:00000001:00000002:00000003:qmclone:100:root@pam:";
        let error = client(&server, Trust::Anything).wait(upid, WaitOptions::default()).await.unwrap_err();
        assert!(error.is_lost(), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn special_characters_of_parameters_arrive_whole() {
    let server = serve(&[&answer("200 OK", "{\"data\":null}")]).await;
    let params = [("description".to_string(), "a=b;c&d".to_string())];
    client(&server, Trust::Anything).send(Method::Put, "nodes/pve/qemu/100/config", &params).await.unwrap();
    let sent = server.requests.lock().unwrap().join("");
    assert!(sent.contains("description=a%3Db%3Bc%26d"), "{sent}");
}
