//! Certificates that are trusted by their fingerprint, and the oldest version of TLS, against TLS servers.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pve_api_client::{ApiError, Client, ClientOptions, Credentials, ErrorKind, Method, TlsVersion, Trust};
use rustls::SupportedProtocolVersion;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

static ONLY_1_2: &[&SupportedProtocolVersion] = &[&TLS12];
static ONLY_1_3: &[&SupportedProtocolVersion] = &[&TLS13];

/// A certificate for another name than that of the server, and its key.
struct Identity {
    certificate: rcgen::Certificate,
    key: PrivateKeyDer<'static>,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(["pve.invalid".to_string()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    Identity { certificate: made.cert, key }
}

impl Identity {
    /// As OpenSSL computes and shows it; nothing, with a word about it, where there is none.
    fn fingerprint(&self) -> Option<String> {
        let mut command = Command::new("openssl");
        command.args(["x509", "-noout", "-fingerprint", "-sha256"]);
        let Ok(mut process) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
            eprintln!("skipped: there is no openssl on this machine to compute the fingerprint");
            return None;
        };
        std::io::Write::write_all(&mut process.stdin.take().unwrap(), self.certificate.pem().as_bytes())
            .unwrap();
        let output = String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap();
        Some(output.trim().split_once('=').unwrap().1.to_string())
    }
}

/// Presents a certificate whether the key is its own or not.
#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl ResolvesServerCert for Presents {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// The address of a server that answers every request with `{"data":7}`.
async fn serve(
    certificate: CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
    versions: &'static [&'static SupportedProtocolVersion],
) -> String {
    pve_api_client::install_crypto_provider();
    let key = rustls::crypto::ring::sign::any_supported_type(key).unwrap();
    let presents = Presents(Arc::new(CertifiedKey::new(vec![certificate], key)));
    let config = rustls::ServerConfig::builder_with_protocol_versions(versions)
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(presents));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let Ok(_) = stream.read(&mut [0; 4096]).await else { continue };
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{\"data\":7}";
            // The client may have gone: its own test tells.
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    endpoint
}

fn options(endpoint: &str, trust: Trust) -> ClientOptions {
    ClientOptions {
        endpoint: endpoint.into(),
        credentials: Credentials::Token("root@pam!t=secret".into()),
        trust,
        timeout: Duration::from_secs(5),
        parallelism: 1,
    }
}

async fn ask(endpoint: &str, trust: Trust, oldest: TlsVersion) -> Result<String, ApiError> {
    let client = Client::with_oldest_tls(options(endpoint, trust), oldest)?;
    // Not a read: those are tried again and again.
    client.send(Method::Post, "version", &[]).await.map(|data| data.to_string())
}

#[tokio::test]
async fn a_certificate_with_the_given_fingerprint_is_trusted() {
    let identity = identity();
    let Some(fingerprint) = identity.fingerprint() else { return };
    for versions in [ONLY_1_2, ONLY_1_3] {
        let endpoint = serve(identity.certificate.der().clone(), &identity.key, versions).await;
        for text in [fingerprint.clone(), fingerprint.replace(':', ""), fingerprint.to_lowercase()] {
            let trust = Trust::Fingerprint(text);
            assert_eq!(ask(&endpoint, trust, TlsVersion::V1_2).await, Ok("7".into()));
        }
        let untrusted = ask(&endpoint, Trust::System, TlsVersion::V1_2).await.unwrap_err();
        assert_eq!(untrusted.kind, ErrorKind::Untrusted, "{untrusted}");
    }
}

#[tokio::test]
async fn another_certificate_is_refused_with_both_fingerprints() {
    let (right, wrong) = (identity(), identity());
    let (Some(expected), Some(presented)) = (right.fingerprint(), wrong.fingerprint()) else { return };
    let endpoint = serve(wrong.certificate.der().clone(), &wrong.key, ONLY_1_3).await;
    let error = ask(&endpoint, Trust::Fingerprint(expected.clone()), TlsVersion::V1_2).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Untrusted, "{error}");
    let told = format!(
        "the server's certificate is not trusted: the certificate's fingerprint is {presented}, and {expected} is expected"
    );
    assert_eq!(error.message, told);
}

#[tokio::test]
async fn the_given_certificate_without_its_key_is_refused() {
    let (owner, thief) = (identity(), identity());
    let Some(fingerprint) = owner.fingerprint() else { return };
    for versions in [ONLY_1_2, ONLY_1_3] {
        let endpoint = serve(owner.certificate.der().clone(), &thief.key, versions).await;
        let trust = Trust::Fingerprint(fingerprint.clone());
        let error = ask(&endpoint, trust, TlsVersion::V1_2).await.unwrap_err();
        assert!(!error.is_lost(), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_no_fingerprint_is_refused_at_once() {
    pve_api_client::install_crypto_provider();
    for text in ["", "AA:BB", &"g".repeat(64), &"a".repeat(65), &"é".repeat(32)] {
        let client = Client::new(options("https://127.0.0.1:1/", Trust::Fingerprint(text.into())));
        let error = client.err().expect("no fingerprint");
        assert!(error.message.contains("64 hexadecimal digits"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_only_an_older_version_is_refused() {
    let identity = identity();
    let trusts = [Some(Trust::Anything), identity.fingerprint().map(Trust::Fingerprint)];
    let old = serve(identity.certificate.der().clone(), &identity.key, ONLY_1_2).await;
    let new = serve(identity.certificate.der().clone(), &identity.key, ONLY_1_3).await;
    for trust in trusts.into_iter().flatten() {
        assert_eq!(ask(&old, trust.clone(), TlsVersion::V1_2).await, Ok("7".into()));
        assert_eq!(ask(&new, trust.clone(), TlsVersion::V1_2).await, Ok("7".into()));
        assert_eq!(ask(&new, trust.clone(), TlsVersion::V1_3).await, Ok("7".into()));
        let error = ask(&old, trust, TlsVersion::V1_3).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
        assert!(error.message.contains("no version of TLS that is accepted"), "{error}");
        assert!(error.hint().unwrap().contains("min_tls"), "{error}");
    }
}

#[test]
fn versions_before_1_2_mean_1_2_and_none_means_1_3() {
    assert_eq!(TlsVersion::default(), TlsVersion::V1_3);
    for (text, version) in [("1.0", TlsVersion::V1_2), ("1.1", TlsVersion::V1_2), ("1.2", TlsVersion::V1_2)] {
        assert_eq!(text.parse(), Ok(version));
    }
    assert_eq!("1.3".parse(), Ok(TlsVersion::V1_3));
    let error = "1.4".parse::<TlsVersion>().unwrap_err();
    assert!(error.contains("1.4") && error.contains("nothing older is supported"), "{error}");
}
