//! OpenSSH's own server, agent and key generator for tests: each listens in a temporary folder or on 127.0.0.1 only, and
//! ends with its value.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pve_api_client::ssh::{HostKeyPolicy, SshAuthentication, SshSettings, SshTarget};

/// A running server.
pub struct Sshd {
    process: Child,
    pub folder: tempfile::TempDir,
    pub target: SshTarget,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server with the host key of this type that lets `user_key` in; nothing, with a word about it, where there is no
/// sshd on this machine.
pub fn start(host_key_type: &str) -> Option<Sshd> {
    start_with(host_key_type, &[], "")
}

/// As [`start`], with more host keys `host_key_TYPE` and arguments for the SFTP server (sftp-server(8)).
pub fn start_with(host_key_type: &str, more_keys: &[&str], sftp_arguments: &str) -> Option<Sshd> {
    let Some(program) = find_sshd() else {
        eprintln!("skipped: there is no sshd on this machine (package openssh-server)");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    make_key(&folder.path().join("host_key"), host_key_type, "");
    let mut lines = String::new();
    for kind in more_keys {
        let path = folder.path().join(format!("host_key_{kind}"));
        make_key(&path, kind, "");
        lines.push_str(&format!("HostKey {}\n", path.display()));
    }
    lines.push_str(&format!("Subsystem sftp internal-sftp {sftp_arguments}\n"));
    make_key(&folder.path().join("user_key"), "ed25519", "");
    if user() == "root" {
        // sshd does not start as root without it; distributions make it at boot.
        std::fs::create_dir_all("/run/sshd").unwrap();
    }
    // Somebody else may take the port between the two uses.
    (0..5)
        .find_map(|_| try_start(&program, folder.path(), &lines))
        .map(|(process, port)| Sshd { process, folder, target: SshTarget { host: "127.0.0.1".into(), port } })
        .map_or_else(|| panic!("sshd does not start"), Some)
}

fn try_start(program: &Path, folder: &Path, more_lines: &str) -> Option<(Child, u16)> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shown = folder.display();
    // Without PAM a server that is not root's cannot read whether the account is locked, and takes it to be.
    let pam = if user() == "root" { "no" } else { "yes" };
    let config = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {shown}/host_key\nAuthorizedKeysFile {shown}/user_key.pub\n\
         PidFile none\nUsePAM {pam}\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\n{more_lines}"
    );
    std::fs::write(folder.join("sshd_config"), config).unwrap();
    let mut process = Command::new(program)
        .args(["-D", "-e", "-f"])
        .arg(folder.join("sshd_config"))
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    if lines.by_ref().inspect(|line| eprintln!("sshd: {line}")).any(|line| line.contains("Server listening"))
    {
        std::thread::spawn(move || lines.for_each(|line| eprintln!("sshd: {line}")));
        return Some((process, port));
    }
    process.wait().unwrap();
    None
}

fn find_sshd() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join("sshd")).find(|program| program.is_file())
}

/// Who runs the tests: the only one who can log in at a server that is not root's.
pub fn user() -> String {
    output(Command::new("id").arg("-un")).trim().to_string()
}

/// Makes a key pair at this path; `arguments` are ssh-keygen's.
pub fn make_key_with(path: &Path, kind: &str, passphrase: &str, arguments: &[&str]) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", passphrase]).args(arguments).arg("-f").arg(path);
    output(&mut command);
}

/// Makes a key pair at this path.
pub fn make_key(path: &Path, kind: &str, passphrase: &str) {
    // The usual length takes seconds.
    make_key_with(path, kind, passphrase, if kind == "rsa" { &["-b", "2048"] } else { &[] });
}

/// What a program says; it must succeed.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `SHA256:...` of a public key file, as OpenSSH computes it.
pub fn fingerprint(public_key: &Path) -> String {
    let line = output(Command::new("ssh-keygen").arg("-lf").arg(public_key));
    line.split(' ').nth(1).unwrap().to_string()
}

/// A private key file as a way to log in.
pub fn key(path: &Path) -> SshAuthentication {
    SshAuthentication::PrivateKey { text: std::fs::read_to_string(path).unwrap().into(), passphrase: None }
}

impl Sshd {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn remote(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes the line of a key for this server into a `known_hosts`.
    pub fn known_hosts(&self, name: &str, public_key: &str) -> PathBuf {
        let key = std::fs::read_to_string(self.path(public_key)).unwrap();
        let path = self.path(name);
        std::fs::write(&path, format!("[127.0.0.1]:{} {key}", self.target.port)).unwrap();
        path
    }

    /// Settings that work: the right key, the right host key.
    pub fn settings(&self) -> SshSettings {
        let known = self.known_hosts("known_hosts", "host_key.pub");
        SshSettings {
            host_keys: HostKeyPolicy::KnownHosts(vec![known]),
            ..SshSettings::new(user(), vec![key(&self.path("user_key"))])
        }
    }
}

/// A running agent.
pub struct Agent {
    process: Child,
    pub socket: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Agent {
    pub fn start(folder: &Path) -> Agent {
        let socket = folder.join("agent");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        // It names its socket once it listens.
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("SSH_AUTH_SOCK="), "{line}");
        Agent { process, socket }
    }

    pub fn add(&self, private_key: &Path) {
        output(Command::new("ssh-add").arg("-q").arg(private_key).env("SSH_AUTH_SOCK", &self.socket));
    }
}
