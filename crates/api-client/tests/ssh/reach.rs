//! Servers that cannot be reached, are behind a proxy, or go away.

use std::time::Duration;

use pve_api_client::ssh::{HostKeyPolicy, SshErrorKind, SshSettings, SshTarget, SshUploader};

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
    let error = SshUploader::new(settings).read_file(&target, "/a").await.unwrap_err();
    assert_eq!(error.kind, SshErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains(&target.to_string()), "{error}");
}
