//! The client against a server that answers as recorded ones do: certificates, logins, lost answers, tasks.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

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
    serve_when(answers, None).await
}

/// The same, each answer after a word of the gate.
async fn serve_when(answers: &[&str], gate: Option<Arc<tokio::sync::Notify>>) -> Server {
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
            let Ok(mut length) = stream.read(&mut bytes).await else { continue };
            // An upload comes in pieces and ends with the boundary of its parts.
            while bytes[..length].windows(9).any(|part| part == b"multipart")
                && !bytes[..length].ends_with(b"--\r\n")
            {
                length += stream.read(&mut bytes[length..]).await.unwrap();
            }
            seen.lock().unwrap().push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            if let Some(gate) = &gate {
                gate.notified().await;
            }
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
    assert_eq!(shown, "POST nodes/pve/qemu: Parameter verification failed: vmid: value is too small");
}

#[tokio::test]
async fn a_lost_answer_to_a_write_is_not_repeated_and_one_to_a_read_is() {
    let server = serve(&["", &answer("200 OK", "{\"data\":7}")]).await;
    let client = client(&server, Trust::Anything);
    let error = client.send(Method::Post, "nodes/pve/qemu", &[]).await.unwrap_err();
    assert!(error.is_lost(), "{error}");
    assert_eq!(error.message, "the answer was lost: the server closed the connection");
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
    let log = answer("200 OK", "{\"data\":[{\"n\":1,\"t\":\"TASK ERROR: no space\"}]}");
    let server = serve(&[&running, &running, &failed, &log]).await;
    let upid = "UPID:pve:00000001:00000002:00000003:qmclone:100:root@pam:";
    let error = client(&server, Trust::Anything).wait(upid, WaitOptions::default()).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Task, "no space"));
    assert_eq!(server.requests.lock().unwrap().len(), 4);
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

fn ticket(name: &str) -> String {
    let data = format!("{{\"data\":{{\"ticket\":\"PVE:{name}\",\"CSRFPreventionToken\":\"csrf-{name}\"}}}}");
    answer("200 OK", &data)
}

fn logged_in_by_password(server: &Server) -> Client {
    Client::new(ClientOptions {
        endpoint: server.endpoint.clone(),
        credentials: Credentials::Password("root@pam".into(), "hunter2".into()),
        trust: Trust::Anything,
        timeout: Duration::from_secs(5),
        parallelism: 2,
    })
    .unwrap()
}

#[tokio::test]
async fn a_ticket_that_has_run_out_is_renewed_and_the_request_repeated_once() {
    let (good, refused) = (answer("200 OK", "{\"data\":7}"), answer("401 No ticket", ""));
    let server = serve(&[&ticket("first"), &good, &refused, &ticket("second"), &good]).await;
    let client = logged_in_by_password(&server);
    for _ in 0..2 {
        assert_eq!(client.send(Method::Post, "nodes/pve/qemu", &[]).await.unwrap(), 7);
    }
    let sent = server.requests.lock().unwrap().clone();
    let lines: Vec<&str> = sent.iter().map(|request| request.lines().next().unwrap_or_default()).collect();
    let (login, work) = ("POST /api2/json/access/ticket HTTP/1.1", "POST /api2/json/nodes/pve/qemu HTTP/1.1");
    assert_eq!(lines, [login, work, work, login, work]);
    assert!(
        sent[2].contains("PVE:first") && sent[4].contains("PVE:second") && sent[4].contains("csrf-second")
    );
}

#[tokio::test]
async fn a_login_that_is_refused_again_is_told_and_not_tried_for_ever() {
    let refused = answer("401 No ticket", "");
    let server = serve(&[&ticket("first"), &refused, &ticket("second"), &refused]).await;
    let error = logged_in_by_password(&server).send(Method::Post, "nodes/pve/qemu", &[]).await.unwrap_err();
    assert_eq!(error.status(), Some(401), "{error}");
    assert!(server.requests.lock().unwrap().len() <= 4);

    let server = serve(&[&answer("401 authentication failure", "")]).await;
    let error = logged_in_by_password(&server).send(Method::Get, "version", &[]).await.unwrap_err();
    assert_eq!(error.status(), Some(401), "{error}");
    assert!(error.hint().unwrap().contains("password") && !error.hint().unwrap().contains("token"));
    assert_eq!(server.requests.lock().unwrap().len(), 1);
}

/// The answer to a password whose user has a second factor (PVE::API2::AccessControl, `create_ticket`).
fn question() -> String {
    let data = "{\"data\":{\"username\":\"root@pam\",\"NeedTFA\":1,\"CSRFPreventionToken\":\"csrf-asked\",\
                \"ticket\":\"PVE:!tfa!asked\"}}";
    answer("200 OK", data)
}

#[tokio::test]
async fn a_second_factor_is_answered_and_its_ticket_renewed_without_the_spent_code() {
    let (good, gone) = (answer("200 OK", "{\"data\":7}"), answer("401 permission denied", ""));
    let server = serve(&[&question(), &ticket("whole"), &good]).await;
    let options = |server: &Server| ClientOptions {
        endpoint: server.endpoint.clone(),
        credentials: Credentials::SecondFactor("root@pam".into(), "hunter2".into(), "123456".into()),
        trust: Trust::Anything,
        timeout: Duration::from_secs(5),
        parallelism: 2,
    };
    let client = Client::new(options(&server)).unwrap();
    assert_eq!(client.send(Method::Get, "version", &[]).await.unwrap(), 7);
    let sent = server.requests.lock().unwrap().clone();
    assert!(sent[0].ends_with("username=root%40pam&password=hunter2"), "{}", sent[0]);
    assert!(
        sent[1].ends_with("username=root%40pam&tfa-challenge=PVE%3A%21tfa%21asked&password=totp%3A123456")
            && sent[1].to_lowercase().contains("csrfpreventiontoken: csrf-asked"),
        "{}",
        sent[1]
    );
    assert!(sent[2].contains("PVEAuthCookie=PVE:whole"), "{}", sent[2]);

    // A user without a second factor is not asked, and logs in all the same.
    let server = serve(&[&ticket("plain"), &good]).await;
    assert_eq!(Client::new(options(&server)).unwrap().send(Method::Get, "version", &[]).await.unwrap(), 7);
    let server = serve(&[&question(), &gone]).await;
    let error = Client::new(options(&server)).unwrap().send(Method::Get, "version", &[]).await.unwrap_err();
    assert!(error.hint().unwrap().contains("otp"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_ticket_of_a_second_factor_is_renewed_with_itself() {
    let good = answer("200 OK", "{\"data\":7}");
    let server = serve(&[&question(), &ticket("whole"), &good, &ticket("later"), &good]).await;
    let client = Client::new(ClientOptions {
        endpoint: server.endpoint.clone(),
        credentials: Credentials::SecondFactor("root@pam".into(), "hunter2".into(), "123456".into()),
        trust: Trust::Anything,
        timeout: Duration::from_secs(5_000),
        parallelism: 2,
    })
    .unwrap();
    client.send(Method::Get, "version", &[]).await.unwrap();
    tokio::time::advance(Duration::from_secs(3_700)).await;
    client.send(Method::Get, "version", &[]).await.unwrap();
    let sent = server.requests.lock().unwrap().clone();
    assert!(sent[3].ends_with("username=root%40pam&password=PVE%3Awhole"), "{}", sent[3]);
    assert!(sent[4].contains("PVEAuthCookie=PVE:later"), "{}", sent[4]);
}

#[tokio::test]
async fn a_question_for_a_second_factor_is_no_ticket() {
    let server = serve(&[&question()]).await;
    let error = logged_in_by_password(&server).send(Method::Get, "version", &[]).await.unwrap_err();
    assert!(error.message.contains("second factor") && error.message.contains("otp"), "{error}");
    assert_eq!(server.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_ticket_that_exists_logs_in_with_its_token_against_forgery() {
    let server = serve(&[&answer("200 OK", "{\"data\":7}")]).await;
    let client = Client::new(ClientOptions {
        // As a browser shows it: what stands behind the host is no part of the API's address.
        endpoint: format!("{}api2/json/?x=1#v1:0:18:4", server.endpoint),
        credentials: Credentials::Ticket("PVE:eve@pve:12345678::abc".into(), "12345678:blob".into()),
        trust: Trust::Anything,
        timeout: Duration::from_secs(5),
        parallelism: 2,
    })
    .unwrap();
    assert_eq!(client.user(), "eve@pve");
    client.send(Method::Post, "nodes/pve/qemu", &[]).await.unwrap();
    let sent = server.requests.lock().unwrap().join("");
    assert!(sent.starts_with("POST /api2/json/nodes/pve/qemu HTTP/1.1"), "{sent}");
    let sent = sent.to_lowercase();
    assert!(sent.contains("cookie: pveauthcookie=pve:eve@pve:12345678::abc"), "{sent}");
    assert!(sent.contains("csrfpreventiontoken: 12345678:blob"), "{sent}");
}

#[tokio::test]
async fn an_upload_has_a_time_of_its_own() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let done = answer("200 OK", "{\"data\":\"UPID:pve:1:2:3:imgcopy::root@pam:\"}");
    let server = serve_when(&[&done], Some(Arc::clone(&gate))).await;
    let client = Client::new(ClientOptions {
        endpoint: server.endpoint.clone(),
        credentials: Credentials::Token("root@pam!t=secret".into()),
        trust: Trust::Anything,
        timeout: Duration::from_millis(100),
        parallelism: 2,
    })
    .unwrap();
    let part = Client::bytes_part(b"content".to_vec());
    let upload = client.upload("pve", "local", "iso", "a.iso", part, Duration::from_secs(60));
    // Begun after the upload, over before it.
    let other = async {
        let error = client.send(Method::Post, "nodes/pve/qemu", &[]).await.unwrap_err();
        gate.notify_one();
        error
    };
    let (upload, error) = tokio::join!(upload, other);
    assert!(upload.unwrap().starts_with("UPID:"));
    assert!(error.message.contains("in time") || error.kind == ErrorKind::Unreachable, "{error}");
}

#[test]
fn an_endpoint_is_its_host_and_port() {
    for (endpoint, expected) in [
        ("https://pve.example:8006", "https://pve.example:8006"),
        ("https://pve.example:8006/", "https://pve.example:8006"),
        (" https://pve.example:8006/api2/json\n", "https://pve.example:8006"),
        ("https://pve.example:8006/api2/json/", "https://pve.example:8006"),
        ("https://[2001:db8::1]:8006/", "https://[2001:db8::1]:8006"),
        ("https://pve.example/", "https://pve.example"),
        ("https://pve.example:443/", "https://pve.example"),
    ] {
        assert_eq!(pve_api_client::origin(endpoint).as_deref(), Some(expected), "{endpoint}");
    }
    for endpoint in ["pve.example:8006", "https://", "http://pve.example:8006/", ""] {
        assert_eq!(pve_api_client::origin(endpoint), None, "{endpoint}");
    }
}

#[test]
fn nothing_is_sent_in_plain_text() {
    pve_api_client::install_crypto_provider();
    for endpoint in ["http://127.0.0.1:8006/", "ftp://127.0.0.1/", "https://"] {
        let options = ClientOptions {
            endpoint: endpoint.into(),
            credentials: Credentials::Token("root@pam!t=secret".into()),
            trust: Trust::System,
            timeout: Duration::from_secs(5),
            parallelism: 1,
        };
        let error = Client::new(options).map(drop).unwrap_err();
        assert!(error.message.contains("URL"), "{endpoint}: {error}");
    }
}
