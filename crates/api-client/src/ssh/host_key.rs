//! Whether a host key is trusted, as `known_hosts` files, pins and remembered keys say.
//!
//! The format of the files is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::{HostKeyPolicy, SshError, SshErrorKind, SshTarget};

/// A key that a file records for a host.
#[derive(Debug)]
struct Recorded {
    key: PublicKey,
    revoked: bool,
    file: PathBuf,
    line: usize,
}

/// The algorithms of recorded keys: a server is asked for these first, so that it presents the key that is known.
pub(super) fn known_algorithms(
    policy: &HostKeyPolicy,
    target: &SshTarget,
) -> Result<Vec<Algorithm>, SshError> {
    let recorded = recorded_keys(policy, target)?;
    Ok(recorded.iter().filter(|entry| !entry.revoked).map(|entry| entry.key.algorithm()).collect())
}

/// Accepts the key, or says why not. A new key is remembered where the policy says so.
pub(super) fn check(policy: &HostKeyPolicy, target: &SshTarget, key: &PublicKey) -> Result<(), SshError> {
    let presented = fingerprint(key);
    if let HostKeyPolicy::Pinned(pins) = policy {
        return check_pins(pins, target, key);
    }
    let recorded = recorded_keys(policy, target)?;
    let same = |entry: &&Recorded| entry.key.key_data() == key.key_data();
    if let Some(entry) = recorded.iter().filter(same).find(|entry| entry.revoked) {
        let place = format!("{}, line {}", entry.file.display(), entry.line);
        return Err(SshError::new(
            SshErrorKind::HostKeyChanged,
            format!("the host key of {target}, {presented}, is revoked in {place}"),
        ));
    }
    if recorded.iter().any(|entry| same(&entry)) {
        return Ok(());
    }
    if let Some(entry) = recorded.iter().find(|entry| !entry.revoked) {
        return Err(SshError::new(
            SshErrorKind::HostKeyChanged,
            format!(
                "the host key of {target} has changed: it presents {presented}, and {} is recorded in {}, line {}; if \
                 you know that the new one is right, remove the old one: ssh-keygen -R '{}' -f '{}'",
                fingerprint(&entry.key),
                entry.file.display(),
                entry.line,
                recorded_name(target),
                entry.file.display(),
            ),
        ));
    }
    match policy {
        HostKeyPolicy::Anything => Ok(()),
        HostKeyPolicy::AcceptNew { remember, .. } => write_key(remember, target, key),
        _ => Err(SshError::new(
            SshErrorKind::HostKeyUnknown,
            format!("the host key of {target}, {presented}, is not known"),
        )),
    }
}

fn check_pins(pins: &[String], target: &SshTarget, key: &PublicKey) -> Result<(), SshError> {
    let presented = fingerprint(key);
    let mut fingerprints = Vec::new();
    for pin in pins {
        let pin = pin.trim();
        fingerprints.push(match pin.strip_prefix("SHA256:") {
            Some(digits) => format!("SHA256:{}", digits.trim_end_matches('=')),
            None => fingerprint(&PublicKey::from_openssh(pin).map_err(|error| {
                SshError::new(
                    SshErrorKind::Settings,
                    format!(
                        "the pinned host key of {target} is neither SHA256:... nor a public key: {error}"
                    ),
                )
            })?),
        });
    }
    if fingerprints.contains(&presented) {
        return Ok(());
    }
    let message = format!(
        "the host key of {target} is not the pinned one: it presents {presented}, and {} is pinned; if you know that the \
         new one is right, pin it instead",
        fingerprints.join(" or ")
    );
    Err(SshError::new(SshErrorKind::HostKeyChanged, message))
}

/// `SHA256:...`, as `ssh-keygen -l` shows it.
fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// The host as the files name it: with brackets and port unless the port is 22.
fn recorded_name(target: &SshTarget) -> String {
    let host = target.host.to_lowercase();
    if target.port == 22 { host } else { format!("[{host}]:{}", target.port) }
}

fn recorded_keys(policy: &HostKeyPolicy, target: &SshTarget) -> Result<Vec<Recorded>, SshError> {
    let (files, own): (&[PathBuf], Option<&PathBuf>) = match policy {
        HostKeyPolicy::Pinned(_) | HostKeyPolicy::Anything => return Ok(Vec::new()),
        HostKeyPolicy::KnownHosts(files) => (files, None),
        HostKeyPolicy::AcceptNew { known, remember } => (known, Some(remember)),
    };
    let mut recorded = Vec::new();
    for file in files.iter().chain(own) {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unusable(file, &error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        for (index, line) in text.lines().enumerate() {
            recorded.extend(read_line(line, target).map(|(key, revoked)| Recorded {
                key,
                revoked,
                file: file.clone(),
                line: index + 1,
            }));
        }
    }
    Ok(recorded)
}

/// The key of a line that is about this host, and whether it is revoked. A line that cannot be read records nothing, as
/// for ssh(1); nor does one of a certificate authority, because certificates of hosts are not asked for.
fn read_line(line: &str, target: &SshTarget) -> Option<(PublicKey, bool)> {
    let line = line.trim().replace('\t', " ");
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let entry: Entry = line.parse().ok()?;
    if entry.marker() == Some(&Marker::CertAuthority) || !names(entry.host_patterns(), &recorded_name(target))
    {
        return None;
    }
    Some((entry.public_key().clone(), entry.marker() == Some(&Marker::Revoked)))
}

fn names(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let mac = Hmac::<sha1::Sha1>::new_from_slice(salt);
            mac.is_ok_and(|mac| mac.chain_update(name).verify_slice(hash).is_ok())
        }
        HostPatterns::Patterns(patterns) => {
            let matching = |pattern: &str| matches_glob(pattern.to_lowercase().as_bytes(), name.as_bytes());
            let denied = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(matching);
            !denied && patterns.iter().any(|pattern| matching(pattern))
        }
    }
}

/// `*` is any text, `?` one character, anything else itself.
fn matches_glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|skipped| matches_glob(rest, &text[skipped..])),
        (Some((one, rest)), Some((other, others))) if *one == b'?' || one == other => {
            matches_glob(rest, others)
        }
        _ => false,
    }
}

/// Appends a line; it is written at once, so that two processes do not mix theirs.
fn write_key(file: &Path, target: &SshTarget, key: &PublicKey) -> Result<(), SshError> {
    let fault = |error: std::io::Error| unusable(file, &error);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(fault)?;
    }
    let mut key = key.clone();
    key.set_comment("");
    let text = key.to_openssh().map_err(|error| fault(std::io::Error::other(error)))?;
    let unfinished = fs::read(file).is_ok_and(|bytes| bytes.last().is_some_and(|last| *last != b'\n'));
    let line = format!("{}{} {text}\n", if unfinished { "\n" } else { "" }, recorded_name(target));
    let mut opened = fs::OpenOptions::new().append(true).create(true).open(file).map_err(fault)?;
    opened.write_all(line.as_bytes()).and_then(|()| opened.sync_all()).map_err(fault)
}

fn unusable(file: &Path, error: &std::io::Error) -> SshError {
    SshError::new(SshErrorKind::Settings, format!("known host keys in {}: {error}", file.display()))
}
