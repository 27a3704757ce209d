//! The Proxmox VE REST API: logging in, requests with form parameters, tasks, uploads; and files over SSH.

mod answer;
mod client;
mod error;
mod login;
pub mod ssh;
mod tasks;
mod tls;
mod upload;

pub use client::{Client, ClientOptions, Method, Trust, origin};
pub use error::{ApiError, ErrorKind};
pub use login::Credentials;
pub use tasks::WaitOptions;
pub use tls::TlsVersion;

/// Chooses the TLS implementation (ring) for the process. Call it once, first thing in `main`; a later call does
/// nothing.
pub fn install_crypto_provider() {
    // An error says that one was installed before: what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
