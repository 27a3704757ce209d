//! Files over SSH: against OpenSSH's own server, agent, keys and `known_hosts` where they are; passwords against a server
//! in this process.

#![allow(clippy::unwrap_used, clippy::expect_used)]

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
