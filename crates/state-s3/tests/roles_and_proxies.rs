//! Roles, tokens of other places, accounts and proxies, on real servers and proxies which these tests start.
#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

#[path = "server/recorder.rs"]
mod recorder;
#[path = "server/mod.rs"]
mod server;

use std::net::SocketAddr;

use pve_model::{Type, Value};
use pve_state_s3::{AwsStore, ConnectError, ObjectStore, Settings, StoreError};
use recorder::Recorder;
use server::{Kind, Server, settings};

fn text(value: &str) -> Value {
    Value::string(value)
}

fn object(entries: &[(&str, Value)]) -> Value {
    Value::object(entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

fn endpoints(s3: SocketAddr, sts: SocketAddr) -> (&'static str, Value) {
    let url = |address| text(&format!("http://{address}"));
    ("endpoints", object(&[("s3", url(s3)), ("sts", url(sts))]))
}

async fn store(settings: &Settings) -> AwsStore {
    AwsStore::connect(settings).await.unwrap()
}

/// What a store with these settings asks of STS for one read.
async fn asked(server: &Server, more: &[(&str, Value)]) -> String {
    let sts = Recorder::start(server.address());
    let settings = settings(server.address(), &[&[endpoints(server.address(), sts.address)], more].concat());
    let store = store(&settings).await;
    assert_eq!(sts.requests(), Vec::<String>::new());
    assert_eq!(store.get("none").await, Ok(None));
    assert_eq!(store.get("none").await, Ok(None));
    let requests = sts.requests();
    println!("{requests:#?}");
    assert_eq!(requests.len(), 1, "once for both reads");
    requests.concat()
}

fn assert_all(request: &str, parts: &[&str]) {
    for part in parts {
        assert!(request.contains(part), "{part} is not in {request}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_taken_on_with_everything_that_is_said_of_it() {
    let Some(server) = Server::start(Kind::Ministack).await else { return };
    let role = object(&[
        ("role_arn", text("arn:aws:iam::000000000000:role/team")),
        ("session_name", text("ann")),
        ("external_id", text("outside")),
        ("duration", text("30m")),
        ("source_identity", text("ann-at-desk")),
        ("tags", object(&[("team", text("infra"))])),
        ("transitive_tag_keys", Value::list(Type::String, vec![text("team")])),
    ]);
    let request = asked(&server, &[("assume_role", role)]).await;
    assert_all(
        &request,
        &[
            "Action=AssumeRole&",
            "RoleArn=arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Fteam",
            "RoleSessionName=ann",
            "ExternalId=outside",
            "DurationSeconds=1800",
            "SourceIdentity=ann-at-desk",
            "Tags.member.1.Key=team",
            "Tags.member.1.Value=infra",
            "TransitiveTagKeys.member.1=team",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_another_place_is_taken_from_its_file_or_from_the_block() {
    let Some(server) = Server::start(Kind::Ministack).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "a.file.token\n").unwrap();
    let arn = ("role_arn", text("arn:aws:iam::000000000000:role/ci"));
    let of_file = ("web_identity_token_file", text(&file.display().to_string()));
    for (token, expected) in
        [(of_file, "a.file.token"), (("web_identity_token", text("b.block.token")), "b.block.token")]
    {
        let identity = object(&[arn.clone(), token, ("duration", text("1h"))]);
        let request = asked(&server, &[("assume_role_with_web_identity", identity)]).await;
        let token = format!("WebIdentityToken={expected}&");
        let duration = "DurationSeconds=3600";
        assert_all(&format!("{request}&"), &["Action=AssumeRoleWithWebIdentity&", &token, duration]);
    }
    let absent = object(&[arn, ("web_identity_token_file", text("/none/at/all"))]);
    let settings = settings(server.address(), &[("assume_role_with_web_identity", absent)]);
    let error = store(&settings).await.get("x").await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused(text) if text.contains("/none/at/all")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_that_are_not_allowed_are_refused_before_anything_is_asked_of_the_store() {
    let Some(server) = Server::start(Kind::Ministack).await else { return };
    let list = |account: &str| Value::list(Type::String, vec![text(account)]);
    let s3 = Recorder::start(server.address());
    let connect = |name: &'static str, account: &str| {
        let settings =
            settings(server.address(), &[endpoints(s3.address, server.address()), (name, list(account))]);
        async move { AwsStore::connect(&settings).await.map(drop) }
    };
    // The server's own one.
    let own = "000000000000";
    connect("allowed_account_ids", own).await.unwrap();
    connect("forbidden_account_ids", "111122223333").await.unwrap();
    for (name, account, forbidden) in
        [("allowed_account_ids", "111122223333", false), ("forbidden_account_ids", own, true)]
    {
        match connect(name, account).await.unwrap_err() {
            ConnectError::Account { account, forbidden: found } => {
                assert_eq!((&*account, found), (own, forbidden))
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(s3.requests(), Vec::<String>::new());
    let nowhere = ([127, 0, 0, 1], 1).into();
    let settings = settings(
        server.address(),
        &[endpoints(server.address(), nowhere), ("allowed_account_ids", list(own))],
    );
    assert!(matches!(AwsStore::connect(&settings).await.map(drop), Err(ConnectError::UnknownAccount(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_through_the_proxy_that_is_for_them() {
    let Some(server) = Server::start(Kind::Ministack).await else { return };
    let proxy = Recorder::start(server.address());
    let url = text(&format!("http://{}", proxy.address));
    let put = |more: Vec<(&'static str, Value)>| {
        let settings = settings(server.address(), &more);
        async move { store(&settings).await.put("through/it", b"x".to_vec()).await }
    };
    put(vec![("http_proxy", url.clone())]).await.unwrap();
    let expected = format!("PUT http://{}/states/through/it", server.address());
    let requests = proxy.requests();
    assert!(matches!(&requests[..], [one] if one.starts_with(&expected)), "{requests:?}");
    for direct in [
        vec![("http_proxy", url.clone()), ("no_proxy", text("127.0.0.1"))],
        vec![("https_proxy", url.clone())],
        vec![],
    ] {
        put(direct).await.unwrap();
        assert_eq!(proxy.requests(), Vec::<String>::new());
    }
    // The proxy finds out where that is, and does not lead there.
    let elsewhere = object(&[("s3", text("https://store.invalid:9443"))]);
    put(vec![("https_proxy", url), ("endpoints", elsewhere)]).await.unwrap_err();
    let requests = proxy.requests();
    assert!(requests[0].starts_with("CONNECT store.invalid:9443 "), "{requests:?}");
}

/// What is no store answers 404 to everything: it must not look like an empty one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_store_is_not_taken_for_an_empty_one() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 16 * 1024]);
            let body = "<html>not found</html>";
            let head = format!(
                "HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = client.write_all((head + body).as_bytes());
        }
    });
    let store = store(&settings(address, &[])).await;
    for error in [store.get("x").await.unwrap_err(), store.put_if_absent("x", vec![]).await.unwrap_err()] {
        assert!(matches!(&error, StoreError::Refused(text) if text.contains("404")), "{error}");
    }
}
