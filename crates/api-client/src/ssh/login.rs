//! Logging in: each way in the order of the settings, until one is accepted.

use std::path::Path;
use std::sync::Arc;

use russh::client::{Handle, Handler, KeyboardInteractiveAuthResponse as Interactive};
use russh::keys::agent::AgentIdentity;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, decode_secret_key};
use secrecy::{ExposeSecret as _, SecretString};

use super::{SshAuthentication, SshError, SshErrorKind, SshSettings, agent};

/// Rounds of questions in one keyboard-interactive login; a server that asks more is refused.
const MOST_ROUNDS: usize = 8;

/// Logs in, or tells why each way failed.
pub(super) async fn log_in<H: Handler>(
    handle: &mut Handle<H>,
    settings: &SshSettings,
) -> Result<(), SshError> {
    let mut failures = Vec::new();
    for way in &settings.authentication {
        let outcome = match way {
            SshAuthentication::Agent { socket } => with_agent(handle, &settings.username, socket.as_deref())
                .await
                .map_err(|why| format!("agent: {why}")),
            SshAuthentication::PrivateKey { text, passphrase } => {
                let key = read_key(text, passphrase.as_ref())?;
                with_key(handle, &settings.username, key).await.map_err(|why| format!("private key: {why}"))
            }
            SshAuthentication::Password(password) => with_password(handle, &settings.username, password)
                .await
                .map_err(|why| format!("password: {why}")),
        };
        match outcome {
            Ok(()) => return Ok(()),
            Err(failure) => failures.push(failure),
        }
        if handle.is_closed() {
            failures.push("then the server ended the connection".into());
            break;
        }
    }
    if failures.is_empty() {
        failures.push("no way to log in is set".into());
    }
    let message = format!("the server refused the login of {} ({})", settings.username, failures.join("; "));
    Err(SshError::new(SshErrorKind::LoginRefused, message))
}

/// Reads a private key.
pub(super) fn read_key(
    text: &SecretString,
    passphrase: Option<&SecretString>,
) -> Result<PrivateKey, SshError> {
    let fault = |message: &str| Err(SshError::new(SshErrorKind::Settings, message));
    // Text of a configuration may be indented, which PEM does not permit.
    let lines: Vec<&str> = text.expose_secret().lines().map(str::trim).collect();
    let lines = SecretString::from(lines.join("\n"));
    let passphrase = passphrase.map(|passphrase| passphrase.expose_secret());
    match decode_secret_key(lines.expose_secret(), passphrase) {
        Ok(key) if !key.is_encrypted() => Ok(key),
        Err(_) if passphrase.is_some() => {
            fault("the private key cannot be read: the passphrase is wrong, or this is no private key")
        }
        Ok(_) | Err(russh::keys::Error::KeyIsEncrypted) => fault(
            "the private key is encrypted and there is no passphrase: give it, use an agent, or decrypt the key",
        ),
        Err(_) if lines.expose_secret().contains("ENCRYPTED") => fault(
            "the private key is encrypted and there is no passphrase: give it, use an agent, or decrypt the key",
        ),
        // The cause is not told: it could quote the text.
        Err(_) => fault(
            "the private key cannot be read: it must be the text of an OpenSSH or PEM key, not its path",
        ),
    }
}

async fn with_key<H: Handler>(handle: &mut Handle<H>, user: &str, key: PrivateKey) -> Result<(), String> {
    let hash = signature_hash(handle, &key.algorithm()).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
    let result = handle.authenticate_publickey(user, key).await.map_err(|error| error.to_string())?;
    if result.success() { Ok(()) } else { Err("refused".into()) }
}

/// What an RSA key signs with; other keys have no choice.
async fn signature_hash<H: Handler>(
    handle: &Handle<H>,
    algorithm: &Algorithm,
) -> Result<Option<HashAlg>, String> {
    if !matches!(algorithm, Algorithm::Rsa { .. }) {
        return Ok(None);
    }
    let best = handle.best_supported_rsa_hash().await.map_err(|error| error.to_string())?;
    // Servers that do not say what they accept (RFC 8308) know SHA-2 all the same.
    Ok(best.unwrap_or(Some(HashAlg::Sha512)))
}

async fn with_agent<H: Handler>(
    handle: &mut Handle<H>,
    user: &str,
    socket: Option<&Path>,
) -> Result<(), String> {
    let mut agent = agent::connect(socket).await?;
    if let Some(binding) = handle.agent_session_binding().cloned() {
        // Agents before OpenSSH 8.9 do not know it, and only keys bound to destinations need it.
        if let Err(error) = agent.bind_session(&binding, false).await {
            tracing::debug!(%error, "the agent does not bind sessions");
        }
    }
    let identities = agent.request_identities().await.map_err(|error| error.to_string())?;
    if identities.is_empty() {
        return Err("it has no keys".into());
    }
    let count = identities.len();
    for identity in identities {
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                let hash = signature_hash(handle, &key.algorithm()).await?;
                handle.authenticate_publickey_with(user, key, hash, &mut agent).await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                let hash = signature_hash(handle, &certificate.algorithm()).await?;
                handle.authenticate_certificate_with(user, certificate, hash, &mut agent).await
            }
        };
        match result {
            Ok(result) if result.success() => return Ok(()),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the agent does not sign with this key"),
        }
        if handle.is_closed() {
            break;
        }
    }
    Err(format!("none of its {count} keys was accepted"))
}

async fn with_password<H: Handler>(
    handle: &mut Handle<H>,
    user: &str,
    password: &SecretString,
) -> Result<(), String> {
    let words = |error: russh::Error| error.to_string();
    let result = handle.authenticate_password(user, password.expose_secret()).await.map_err(words)?;
    if result.success() {
        return Ok(());
    }
    if handle.is_closed() {
        return Err("refused".into());
    }
    let mut answer = handle.authenticate_keyboard_interactive_start(user, None).await.map_err(words)?;
    for _ in 0..MOST_ROUNDS {
        let prompts = match answer {
            Interactive::Success => return Ok(()),
            Interactive::Failure { .. } => return Err("refused".into()),
            Interactive::InfoRequest { prompts, .. } => prompts,
        };
        // A question whose answer may be seen is not for a password.
        let respond = |echo: bool| if echo { String::new() } else { password.expose_secret().to_string() };
        let responses = prompts.iter().map(|prompt| respond(prompt.echo)).collect();
        answer = handle.authenticate_keyboard_interactive_respond(responses).await.map_err(words)?;
    }
    Err("the server asks without an end".into())
}
