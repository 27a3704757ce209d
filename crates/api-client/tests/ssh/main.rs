//! Files over SSH: against OpenSSH's own server, agent, keys and `known_hosts` where they are; passwords against a server
//! in this process.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

#[cfg(unix)]
mod host_keys;
#[cfg(unix)]
mod login;
mod password;
mod reach;
#[cfg(unix)]
mod sshd;
#[cfg(unix)]
mod transfer;
