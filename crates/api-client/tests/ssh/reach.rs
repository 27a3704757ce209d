//! Servers that cannot be reached, are behind a proxy, or go away.

#[cfg(unix)]
use std::io::BufRead as _;
#[cfg(unix)]
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pve_api_client::ssh::{HostKeyPolicy, Socks5Proxy, SshErrorKind, SshSettings, SshTarget, SshUploader};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

#[cfg(unix)]
use crate::sshd;

/// A SOCKS5 server that wants a password (RFC 1928, RFC 1929), counts connections, and cuts or stalls them when told.
struct Proxy {
    server: String,
    hooks: Hooks,
}

#[derive(Clone, Default)]
struct Hooks {
    connections: Arc<AtomicUsize>,
    cut: Arc<Notify>,
    stall: Arc<Notify>,
    ended: Arc<Notify>,
}

const USER: &str = "somebody";
const PASSWORD: &str = "of the proxy";

impl Proxy {
    async fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap().to_string();
        let proxy = Proxy { server, hooks: Hooks::default() };
        let hooks = proxy.hooks.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let hooks = hooks.clone();
                tokio::spawn(async move {
                    serve(stream, &hooks).await.unwrap_or_default();
                    hooks.ended.notify_one();
                });
            }
        });
        proxy
    }

    fn settings(&self, password: &str) -> Socks5Proxy {
        Socks5Proxy {
            server: format!("socks5://{}", self.server),
            username: Some(USER.into()),
            password: Some(password.into()),
        }
    }
}

async fn serve(mut client: TcpStream, hooks: &Hooks) -> std::io::Result<()> {
    let mut greeting = vec![0; 2];
    client.read_exact(&mut greeting).await?;
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods).await?;
    assert!(greeting[0] == 5 && methods.contains(&2));
    client.write_all(&[5, 2]).await?;
    assert_eq!(client.read_u8().await?, 1);
    let login = [text(&mut client).await?, text(&mut client).await?];
    let right = login == [USER, PASSWORD];
    client.write_all(&[1, u8::from(!right)]).await?;
    let mut request = [0; 4];
    client.read_exact(&mut request).await?;
    assert_eq!(request[..3], [5, 1, 0]);
    let host = match request[3] {
        1 => std::net::Ipv4Addr::from(client.read_u32().await?).to_string(),
        3 => text(&mut client).await?,
        other => panic!("address of kind {other}"),
    };
    let port = client.read_u16().await?;
    let Ok(mut server) = TcpStream::connect((host.as_str(), port)).await else {
        return client.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    };
    // The bound address is a name here: its length has to be read.
    client.write_all(&[5, 0, 0, 3, 2, b'p', b'x', 0, 0]).await?;
    hooks.connections.fetch_add(1, Ordering::SeqCst);
    tokio::select! {
        result = tokio::io::copy_bidirectional(&mut client, &mut server) => result.map(|_| ()),
        () = hooks.cut.notified() => Ok(()),
        () = hooks.stall.notified() => std::future::pending().await,
    }
}

async fn text(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[cfg(unix)]
#[tokio::test]
async fn files_of_a_node_share_one_connection_and_a_dead_one_is_replaced() {
    let Some(server) = sshd::start("ed25519") else { return };
    let proxy = Proxy::start().await;
    let settings = SshSettings { proxy: Some(proxy.settings(PASSWORD)), ..server.settings() };
    let uploader = SshUploader::new(settings);
    let names: Vec<String> = (0..20).map(|number| server.remote(&format!("{number}"))).collect();
    let writes = names.iter().map(|name| uploader.write_file(&server.target, name, name.as_bytes(), None));
    for outcome in futures::future::join_all(writes).await {
        assert_eq!(outcome, Ok(()));
    }
    for name in &names {
        assert_eq!(std::fs::read_to_string(name).unwrap(), *name);
    }
    assert_eq!(proxy.hooks.connections.load(Ordering::SeqCst), 1);

    proxy.hooks.cut.notify_waiters();
    uploader.write_file(&server.target, &names[0], b"again", None).await.unwrap();
    assert_eq!(std::fs::read(&names[0]).unwrap(), b"again");
    assert_eq!(proxy.hooks.connections.load(Ordering::SeqCst), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn a_node_that_falls_silent_is_left_in_time_and_connected_to_anew() {
    let Some(server) = sshd::start("ed25519") else { return };
    let proxy = Proxy::start().await;
    let answer_timeout = Duration::from_secs(1);
    let settings = SshSettings { proxy: Some(proxy.settings(PASSWORD)), answer_timeout, ..server.settings() };
    let uploader = SshUploader::new(settings);
    uploader.write_file(&server.target, &server.remote("a"), b"a", None).await.unwrap();
    proxy.hooks.stall.notify_waiters();
    let error = uploader.write_file(&server.target, &server.remote("a"), b"b", None).await.unwrap_err();
    assert_eq!(error.kind, SshErrorKind::TimedOut, "{error}");
    assert_eq!(std::fs::read(server.path("a")).unwrap(), b"a");
    uploader.write_file(&server.target, &server.remote("a"), b"b", None).await.unwrap();
    assert_eq!(proxy.hooks.connections.load(Ordering::SeqCst), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn a_connection_ends_with_the_uploader() {
    let Some(server) = sshd::start("ed25519") else { return };
    let proxy = Proxy::start().await;
    let settings = SshSettings { proxy: Some(proxy.settings(PASSWORD)), ..server.settings() };
    let uploader = SshUploader::new(settings);
    uploader.write_file(&server.target, &server.remote("a"), b"a", None).await.unwrap();
    drop(uploader);
    tokio::time::timeout(Duration::from_secs(20), proxy.hooks.ended.notified()).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn openssh_is_a_proxy_without_a_login() {
    let Some(server) = sshd::start("ed25519") else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let known = server.known_hosts("known_by_ssh", "host_key.pub");
    let mut process = Command::new("ssh")
        .args(["-v", "-N", "-F", "none", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"])
        .args(["-D", &format!("127.0.0.1:{port}"), "-p", &server.target.port.to_string()])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known.display()))
        .arg("-i")
        .arg(server.path("user_key"))
        .arg(format!("{}@127.0.0.1", sshd::user()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    let listens = lines.any(|line| line.contains("Entering interactive session"));
    std::thread::spawn(move || lines.for_each(drop));
    let proxy = Socks5Proxy { server: format!("127.0.0.1:{port}"), username: None, password: None };
    // Through this proxy `localhost` is a name that the far side resolves.
    let target = SshTarget { host: "localhost".into(), port: server.target.port };
    let pin = sshd::fingerprint(&server.path("host_key.pub"));
    let settings =
        SshSettings { proxy: Some(proxy), host_keys: HostKeyPolicy::Pinned(vec![pin]), ..server.settings() };
    let outcome = SshUploader::new(settings).write_file(&target, &server.remote("a"), b"a", None).await;
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(listens);
    assert_eq!(outcome, Ok(()));
    assert_eq!(std::fs::read(server.path("a")).unwrap(), b"a");
}

#[tokio::test]
async fn faults_of_a_proxy_are_told_apart() {
    let proxy = Proxy::start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = SshTarget { host: "127.0.0.1".into(), port: free.port() };
    let through = |proxy: Socks5Proxy| {
        let host_keys = HostKeyPolicy::KnownHosts(Vec::new());
        let settings = SshSettings { proxy: Some(proxy), host_keys, ..SshSettings::new("root", Vec::new()) };
        let target = target.clone();
        async move { SshUploader::new(settings).read_file(&target, "/a").await.unwrap_err() }
    };
    let error = through(proxy.settings("wrong-words")).await;
    assert!(error.message.contains("refused the user or the password"), "{error}");
    assert!(!format!("{error:?} {:?}", proxy.settings("wrong-words")).contains("wrong-words"));
    let error = through(proxy.settings(PASSWORD)).await;
    assert!(error.message.contains("the connection was refused"), "{error}");
    let error = through(Socks5Proxy { server: free.to_string(), username: None, password: None }).await;
    assert!(error.message.contains("the SOCKS5 proxy"), "{error}");
    assert_eq!(error.kind, SshErrorKind::Unreachable);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_says_nothing_ends_in_time() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    let target = SshTarget { host: "127.0.0.1".into(), port };
    let settings = SshSettings {
        host_keys: HostKeyPolicy::KnownHosts(Vec::new()),
        connect_timeout: Duration::from_millis(300),
        ..SshSettings::new("root", Vec::new())
    };
    // It accepts, and never says a word.
    let error = SshUploader::new(settings.clone()).read_file(&target, "/a").await.unwrap_err();
    assert_eq!(error.kind, SshErrorKind::TimedOut, "{error}");
    drop(free);
    // Windows takes its time until it believes a refusal.
    let settings = SshSettings { connect_timeout: Duration::from_secs(20), ..settings };
    let error = SshUploader::new(settings).read_file(&target, "/a").await.unwrap_err();
    assert_eq!(error.kind, SshErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains(&target.to_string()), "{error}");
}
