//! Files of nodes and commands on them over SSH: what the API has no call for.

mod agent;
mod command;
mod connection;
mod error;
mod host_key;
mod login;
mod proxy;
mod session;
mod sftp;
mod uploader;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

pub use command::SshOutput;
pub use error::{SshError, SshErrorKind};
pub use session::{SshExit, SshSession};
pub use uploader::SshUploader;

/// Where the SSH server of a node is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SshTarget {
    /// A name or an address, without brackets.
    pub host: String,
    /// 22, if nothing else is known.
    pub port: u16,
}

impl fmt::Display for SshTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// How to log in and whom to trust. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct SshSettings {
    /// The user on the node, without realm.
    pub username: String,
    /// Tried in this order.
    pub authentication: Vec<SshAuthentication>,
    /// Which host keys are trusted.
    pub host_keys: HostKeyPolicy,
    /// Through which proxy the nodes are reached.
    pub proxy: Option<Socks5Proxy>,
    /// Which agent commands on the node may ask, as `ssh -A` lets them.
    pub forwarded_agent: Option<ForwardedAgent>,
    /// The longest time from the first packet until the login has ended.
    pub connect_timeout: Duration,
    /// The longest wait for each answer after that, in whole seconds; a file takes as many answers as it needs.
    pub answer_timeout: Duration,
}

impl SshSettings {
    /// Settings with the user's `known_hosts`, no proxy, 15 s to connect and 30 s for an answer.
    pub fn new(username: impl Into<String>, authentication: Vec<SshAuthentication>) -> SshSettings {
        SshSettings {
            username: username.into(),
            authentication,
            host_keys: HostKeyPolicy::KnownHosts(HostKeyPolicy::user_files()),
            proxy: None,
            forwarded_agent: None,
            connect_timeout: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(30),
        }
    }
}

/// One way to log in.
#[derive(Clone, Debug)]
pub enum SshAuthentication {
    /// The keys of an agent: that of `socket`, else the one that the platform names (`SSH_AUTH_SOCK`; on Windows the
    /// pipe of OpenSSH, then Pageant).
    Agent {
        /// A path of a socket; on Windows the name of a pipe.
        socket: Option<PathBuf>,
    },
    /// A private key as text: OpenSSH, PKCS#8, PKCS#1 or SEC1 in PEM, or PuTTY's.
    PrivateKey {
        /// The text of the key.
        text: SecretString,
        /// What decrypts it, if it is encrypted.
        passphrase: Option<SecretString>,
    },
    /// A password; it is also the answer to every hidden question of a keyboard-interactive login.
    Password(SecretString),
}

/// An agent here that is passed on to commands on a node.
#[derive(Clone, Debug, Default)]
pub struct ForwardedAgent {
    /// As for [`SshAuthentication::Agent`].
    pub socket: Option<PathBuf>,
}

/// Which host keys are trusted. A key that differs from a recorded one is refused by each of them but [`Anything`].
///
/// [`Anything`]: HostKeyPolicy::Anything
#[derive(Clone, Debug)]
pub enum HostKeyPolicy {
    /// Those in `known_hosts` files; files that do not exist count as empty.
    KnownHosts(Vec<PathBuf>),
    /// One of these, each a fingerprint as `ssh-keygen -l` shows it (`SHA256:...`) or a public key in OpenSSH's format.
    Pinned(Vec<String>),
    /// Those in `known_hosts` files; the key of a host without any is accepted and written to `remember`.
    AcceptNew {
        /// Files that are only read.
        known: Vec<PathBuf>,
        /// The file that is read too, and written; made with its folder when it is missing.
        remember: PathBuf,
    },
    /// Each of them: for guests that are made anew with every run and whose keys nobody can know.
    Anything,
}

impl HostKeyPolicy {
    /// `known_hosts` and `known_hosts2` in the user's `.ssh`, then the machine's; empty without a home folder.
    pub fn user_files() -> Vec<PathBuf> {
        let home = std::env::home_dir().into_iter();
        let user =
            home.flat_map(|home| ["known_hosts", "known_hosts2"].map(|name| home.join(".ssh").join(name)));
        user.chain(agent::machine_known_hosts()).collect()
    }
}

/// A SOCKS5 proxy. It resolves the names of nodes.
#[derive(Clone, Debug)]
pub struct Socks5Proxy {
    /// `HOST:PORT`, with or without `socks5://`.
    pub server: String,
    /// Who logs in at the proxy, if it asks.
    pub username: Option<String>,
    /// The password there.
    pub password: Option<SecretString>,
}
