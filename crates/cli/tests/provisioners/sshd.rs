//! OpenSSH's own server on 127.0.0.1, with everything it needs in a folder of its own; it ends with its value.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running server.
pub struct Sshd {
    process: Child,
    folder: tempfile::TempDir,
    pub port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A server that lets `user_key` in; nothing, with a word about it, where there is no sshd on this machine.
pub fn start() -> Option<Sshd> {
    let Some(program) = find() else {
        eprintln!("skipped: there is no sshd on this machine (package openssh-server)");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    for name in ["host_key", "user_key"] {
        let path = folder.path().join(name);
        output(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path));
    }
    if user() == "root" {
        // sshd does not start as root without it; distributions make it at boot.
        std::fs::create_dir_all("/run/sshd").unwrap();
    }
    // Somebody else may take the port between the two uses.
    let started = (0..5).find_map(|_| try_start(&program, folder.path()));
    let (process, port) = started.expect("sshd starts");
    Some(Sshd { process, folder, port })
}

fn try_start(program: &Path, folder: &Path) -> Option<(Child, u16)> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shown = folder.display();
    // Without PAM a server that is not root's cannot read whether the account is locked, and takes it to be.
    let pam = if user() == "root" { "no" } else { "yes" };
    let config = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {shown}/host_key\nAuthorizedKeysFile {shown}/user_key.pub\n\
         PidFile none\nUsePAM {pam}\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n"
    );
    std::fs::write(folder.join("sshd_config"), config).unwrap();
    let mut command = Command::new(program);
    command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
    let mut process = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    if lines.by_ref().any(|line| line.contains("Server listening")) {
        std::thread::spawn(move || lines.for_each(|line| eprintln!("sshd: {line}")));
        return Some((process, port));
    }
    process.wait().unwrap();
    None
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join("sshd")).find(|program| program.is_file())
}

/// Who runs the tests: the only one who can log in at a server that is not root's.
pub fn user() -> String {
    output(Command::new("id").arg("-un")).trim().to_string()
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Sshd {
    /// Takes no more connections; its files stay.
    pub fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// The path of a file that the server has.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The public key of the server.
    pub fn host_key(&self) -> String {
        let line = std::fs::read_to_string(self.path("host_key.pub")).unwrap();
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }
}
