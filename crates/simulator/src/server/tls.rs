//! A certificate of its own, as a fresh Proxmox VE node has.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::Digest as _;

use super::ServeError;

/// Certificate and TLS configuration.
pub(crate) struct Identity {
    pub config: rustls::ServerConfig,
    pub certificate: String,
    pub fingerprint: String,
}

/// Makes a self-signed certificate for the address, localhost and the node.
pub(crate) fn identity(address: IpAddr) -> Result<Identity, ServeError> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "pve".to_owned()];
    if !names.contains(&address.to_string()) {
        names.push(address.to_string());
    }
    let made = rcgen::generate_simple_self_signed(names)?;
    let der = made.cert.der().clone();
    let digest = sha2::Sha256::digest(&der);
    let fingerprint = digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![der], key)?;
    Ok(Identity { config, certificate: made.cert.pem(), fingerprint })
}
