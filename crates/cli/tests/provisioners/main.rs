//! Provisioners as a user has them: on this machine, over SSH against OpenSSH's server, and in runs that are killed.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails should end the test")]

#[path = "../common/binary.rs"]
mod binary;
mod crash;
mod guests;
mod local;
mod project;
mod remote;
mod sshd;
