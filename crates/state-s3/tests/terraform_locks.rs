//! Locks that Terraform holds in a bucket and in a table of DynamoDB, on a real server which these tests start. It checks
//! signatures and rights of users.
#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

#[path = "server/mod.rs"]
mod server;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pve_model::Value;
use pve_state::Key;
use pve_state_s3::{SharedLog, TerraformLock};
use server::{ACCESS_KEY, Server, client, settings};

fn text(value: &str) -> Value {
    Value::string(value)
}

/// Asks a service as the owner of the account, whose signature is not looked at.
fn ask(address: SocketAddr, service: &str, kind: &str, operation: &str, body: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    let scope = format!("{ACCESS_KEY}/20261126/us-east-1/{service}/aws4_request");
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\ncontent-type: {kind}\r\nx-amz-target: {operation}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{operation} {body}: {answer}");
    answer
}

fn dynamodb(address: SocketAddr, operation: &str, body: serde_json::Value) {
    let operation = format!("DynamoDB_20120810.{operation}");
    ask(address, "dynamodb", "application/x-amz-json-1.0", &operation, &body.to_string());
}

/// The table as Terraform's documentation wants it.
fn make_table(address: SocketAddr) {
    let table = serde_json::json!({
        "TableName": "locks",
        "KeySchema": [{"AttributeName": "LockID", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "LockID", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    });
    dynamodb(address, "CreateTable", table);
}

fn info(id: &str, who: &str) -> String {
    format!(
        "{{\"ID\":\"{id}\",\"Operation\":\"OperationTypeApply\",\"Info\":\"\",\"Who\":\"{who}\",\"Version\":\"1.13.1\",\
         \"Created\":\"2026-11-25T10:00:00Z\",\"Path\":\"states/infra/pve.tfstate\"}}"
    )
}

fn put_item(address: SocketAddr, id: &str, attribute: &str, value: &str) {
    let item = serde_json::json!({"LockID": {"S": id}, attribute: {"S": value}});
    dynamodb(address, "PutItem", serde_json::json!({"TableName": "locks", "Item": item}));
}

/// A user with these rights on the table, and all of them on the bucket: the keys.
fn user(address: SocketAddr, name: &str, right: &str) -> (String, String) {
    let iam =
        |body: String| ask(address, "iam", "application/x-www-form-urlencoded; charset=utf-8", "none", &body);
    iam(format!("Action=CreateUser&Version=2010-05-08&UserName={name}"));
    let policy = format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":[\"s3:*\",\"{right}\"],\"Resource\":\"*\"}}]}}"
    );
    let escaped: String = policy.bytes().map(|byte| format!("%{byte:02X}")).collect();
    iam(format!(
        "Action=PutUserPolicy&Version=2010-05-08&UserName={name}&PolicyName=p&PolicyDocument={escaped}"
    ));
    let answer = iam(format!("Action=CreateAccessKey&Version=2010-05-08&UserName={name}"));
    let part = |tag: &str| {
        let (_, rest) = answer.split_once(&format!("<{tag}>")).unwrap();
        rest.split_once('<').unwrap().0.to_string()
    };
    (part("AccessKeyId"), part("SecretAccessKey"))
}

/// The locks as somebody with these keys sees them who names the table `table` at `dynamodb`.
async fn locks(
    server: &Server,
    keys: &(String, String),
    (table, dynamodb): (&str, SocketAddr),
    environment: &str,
) -> Result<Vec<TerraformLock>, String> {
    let url = |address| text(&format!("http://{address}"));
    let endpoints = [("s3".into(), url(server.address())), ("dynamodb".into(), url(dynamodb))];
    let more = [
        ("access_key", text(&keys.0)),
        ("secret_key", text(&keys.1)),
        ("dynamodb_table", text(table)),
        ("endpoints", Value::object(endpoints.into())),
    ];
    let key = Key::from_bytes([5; 32]);
    let shared = SharedLog::connect(&settings(server.address(), &more), environment, key).await;
    let shared = shared.map_err(|error| error.to_string())?;
    shared.terraform_locks().await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_in_a_table_is_seen_by_whoever_may_read_it() {
    let Some(server) = Server::start_with_users().await else { return };
    let address = server.address();
    make_table(address);
    let ann = user(address, "ann", "dynamodb:GetItem");
    let table = ("locks", address);
    // The digest of the state is no lock on it, and a lock on another state is none on this one.
    put_item(address, "states/infra/pve.tfstate-md5", "Digest", "d41d8cd98f00b204e9800998ecf8427e");
    put_item(address, "states/env:/prod/infra/pve.tfstate", "Info", &info("5a6b", "bob@desk"));
    assert_eq!(locks(&server, &ann, table, "default").await.unwrap(), []);
    let found = locks(&server, &ann, table, "prod").await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    let expected = "apply by bob@desk since 2026-11-25T10:00:00Z (lock 5a6b in the table locks)";
    assert_eq!(found[0].to_string(), expected);

    // What has no Info is a lock all the same.
    put_item(address, "states/infra/pve.tfstate", "Other", "x");
    assert_eq!(locks(&server, &ann, table, "default").await.unwrap().len(), 1);

    let wrong = (ann.0.clone(), ann.1.replace(['0', '1', '2'], "3"));
    // The store refuses that one first.
    let error = locks(&server, &wrong, table, "default").await.unwrap_err();
    assert!(error.contains("403"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_in_both_places_is_one_and_locks_of_two_are_two() {
    let Some(server) = Server::start_with_users().await else { return };
    let address = server.address();
    make_table(address);
    let ann = user(address, "ann", "dynamodb:GetItem");
    put_item(address, "states/infra/pve.tfstate", "Info", &info("7d8c", "ann@desk"));
    let seen = async |object: &str| {
        let put = client(address).put_object().bucket("states").key("infra/pve.tfstate.tflock");
        put.body(object.as_bytes().to_vec().into()).send().await.unwrap();
        let found = locks(&server, &ann, ("locks", address), "default").await.unwrap();
        found.into_iter().map(|lock| (lock.id, lock.table)).collect::<Vec<_>>()
    };
    assert_eq!(seen(&info("7d8c", "ann@desk")).await, [("7d8c".to_string(), None)]);
    let both = [("8e9d".to_string(), None), ("7d8c".to_string(), Some("locks".to_string()))];
    assert_eq!(seen(&info("8e9d", "bob@desk")).await, both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_not_there_or_that_may_not_be_read_is_not_taken_for_an_empty_one() {
    let Some(server) = Server::start_with_users().await else { return };
    let address = server.address();
    make_table(address);
    let ann = user(address, "ann", "dynamodb:GetItem");
    let bob = user(address, "bob", "dynamodb:PutItem");
    let refused = async |keys, table| locks(&server, keys, table, "default").await.unwrap_err();
    let error = refused(&ann, ("other", address)).await;
    assert!(error.contains("the table other at http://127.0.0.1"), "{error}");
    assert!(error.contains("400 ResourceNotFoundException"), "{error}");
    let error = refused(&bob, ("locks", address)).await;
    assert!(error.contains("AccessDeniedException") && error.contains("dynamodb:GetItem"), "{error}");
    let page = "<html>hello</html>";
    for (answer, expected) in [
        (format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len()), "200"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_string(), "404"),
    ] {
        let error = refused(&ann, ("locks", answering(vec![answer]))).await;
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_does_not_answer_at_once_is_asked_again() {
    let Some(server) = Server::start_with_users().await else { return };
    let ann = user(server.address(), "ann", "dynamodb:GetItem");
    let with = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    let slow = "{\"__type\":\"com.amazonaws.dynamodb.v20120810#ThrottlingException\",\"message\":\"slow\"}";
    let held = serde_json::json!({"Item": {"LockID": {"S": "x"}, "Info": {"S": info("7d8c", "ann@desk")}}});
    let answers = vec![
        with("500 Internal Server Error", "{}"),
        with("400 Bad Request", slow),
        // Nothing: the connection is cut.
        String::new(),
        with("200 OK", &held.to_string()),
    ];
    let found = locks(&server, &ann, ("locks", answering(answers)), "default").await.unwrap();
    assert_eq!(found[0].id, "7d8c");
}

/// Nobody waits half a minute for a note.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_out_of_reach_is_asked_twice_by_whoever_only_tells() {
    let Some(server) = Server::start_with_users().await else { return };
    let ann = user(server.address(), "ann", "dynamodb:GetItem");
    let told = async |table: SocketAddr| {
        let url = |address| text(&format!("http://{address}"));
        let endpoints = [("s3".into(), url(server.address())), ("dynamodb".into(), url(table))];
        let more = [
            ("access_key", text(&ann.0)),
            ("secret_key", text(&ann.1)),
            ("dynamodb_table", text("locks")),
            ("endpoints", Value::object(endpoints.into())),
        ];
        let locks =
            pve_state_s3::terraform_locks(&settings(server.address(), &more), "default").await.unwrap();
        locks.unwrap_err().to_string()
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let failing =
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}".to_string();
    assert!(told(counting(vec![failing], &asked)).await.contains("500"));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = told(silent.local_addr().unwrap()).await;
    assert!(error.contains("no answer within 5 s"), "{error}");
}

/// Gives these answers one after the other, the last one for ever.
fn answering(answers: Vec<String>) -> SocketAddr {
    counting(answers, &Arc::default())
}

/// The same, counting what was asked.
fn counting(answers: Vec<String>, asked: &Arc<AtomicUsize>) -> SocketAddr {
    let asked = Arc::clone(asked);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let last = answers.len() - 1;
        for (count, mut client) in listener.incoming().flatten().enumerate() {
            asked.fetch_add(1, Ordering::SeqCst);
            let mut bytes = Vec::new();
            let mut buffer = [0; 4096];
            // The body is an object without a brace in its texts.
            while !bytes.ends_with(b"}") {
                match client.read(&mut buffer) {
                    Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
                    _ => break,
                }
            }
            // A client that went away is told nothing.
            let _ = client.write_all(answers[count.min(last)].as_bytes());
        }
    });
    address
}
