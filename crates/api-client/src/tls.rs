//! TLS beyond what the HTTP client offers itself: a certificate that is trusted by its fingerprint.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};
use sha2::{Digest as _, Sha256};

/// The oldest version of TLS that is spoken.
///
/// It is read from `1.2` or `1.3`. `1.0` and `1.1` are read too and mean 1.2: no older version is supported. As in the
/// reference, nothing older than 1.3 is spoken unless it is asked for; Proxmox VE speaks it since 6.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    #[default]
    V1_3,
}

static ONLY_1_3: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

impl FromStr for TlsVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<TlsVersion, String> {
        match text.trim() {
            "1.0" | "1.1" | "1.2" => Ok(TlsVersion::V1_2),
            "1.3" => Ok(TlsVersion::V1_3),
            other => Err(format!(
                "{other:?} is no version of TLS: 1.2 or 1.3 is (1.0 and 1.1 mean 1.2, because nothing older is supported)"
            )),
        }
    }
}

impl TlsVersion {
    pub(crate) fn for_http(self) -> reqwest::tls::Version {
        match self {
            TlsVersion::V1_2 => reqwest::tls::Version::TLS_1_2,
            TlsVersion::V1_3 => reqwest::tls::Version::TLS_1_3,
        }
    }

    fn and_newer(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        match self {
            TlsVersion::V1_2 => rustls::ALL_VERSIONS,
            TlsVersion::V1_3 => ONLY_1_3,
        }
    }
}

/// The SHA-256 of a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint([u8; 32]);

impl FromStr for Fingerprint {
    type Err = String;

    /// 32 bytes in hexadecimal, with or without colons between them.
    fn from_str(text: &str) -> Result<Fingerprint, String> {
        let digits: Option<Vec<u8>> = text
            .trim()
            .chars()
            .filter(|character| *character != ':')
            .map(|character| character.to_digit(16).map(|digit| digit as u8))
            .collect();
        let bytes: Option<Vec<u8>> = digits
            .filter(|digits| digits.len() == 64)
            .map(|digits| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect());
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Fingerprint).ok_or_else(|| {
            "the certificate's fingerprint must be its SHA-256: 64 hexadecimal digits, such as AA:BB:..."
                .into()
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(formatter, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

/// A configuration that trusts the certificate with this fingerprint and no other, whatever name and dates it has.
pub(crate) fn trust_fingerprint(fingerprint: &str, oldest: TlsVersion) -> Result<ClientConfig, String> {
    let expected = fingerprint.parse()?;
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    let verifier = OneCertificate { expected, provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(oldest.and_newer())
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

struct OneCertificate {
    expected: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for OneCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OneCertificate({})", self.expected)
    }
}

/// The server has another certificate.
#[derive(Debug, thiserror::Error)]
#[error("the certificate's fingerprint is {presented}, and {expected} is expected")]
struct OtherCertificate {
    presented: String,
    expected: String,
}

/// A cause of a failed connection in words; those of the verifier above are wrapped several times.
pub(crate) fn describe(cause: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = cause;
    while let Some(inner) = innermost.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref()) {
        innermost = inner;
    }
    match innermost.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => other.0.to_string(),
        _ => in_our_words(cause.to_string()),
    }
}

/// What libraries say of a connection that ended early is addressed to programmers.
fn in_our_words(text: String) -> String {
    let ends = ["close_notify", "connection closed before message completed"];
    if ends.iter().any(|end| text.contains(end)) { "the server closed the connection".into() } else { text }
}

impl ServerCertVerifier for OneCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let presented = Fingerprint(Sha256::digest(end_entity).into());
        if presented == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        let other =
            OtherCertificate { presented: presented.to_string(), expected: self.expected.to_string() };
        Err(CertificateError::Other(OtherError(Arc::new(other))).into())
    }

    // The certificate is public: only these signatures show that the server has its key.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
