//! The log and the lease on real servers, which these tests start. Without them the tests say that they were skipped.
#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

#[path = "server/mod.rs"]
mod server;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use pve_state::conformance::{draft, run, run_lease, run_reopened};
use pve_state::{EventLog, Key, Lease, LeaseError, LeaseHolder, LeaseOptions, LogError, Writer};
use pve_state_s3::{AwsStore, Layout, Object, ObjectStore, Page, S3Log, SharedLog, StoreError};
use server::{Kind, Server, client, settings, store};

fn key() -> Key {
    Key::from_bytes([5; 32])
}

async fn open(store: &Arc<AwsStore>, prefix: &str) -> S3Log {
    let store: Arc<dyn ObjectStore> = Arc::<AwsStore>::clone(store);
    S3Log::open(store, Layout::new(prefix), key()).await.unwrap()
}

async fn conditions_are_told_apart(server: &Server) {
    let store = store(server.address()).await;
    let condition = |key: &str| Err(StoreError::Condition { key: key.into() });
    let first = store.put_if_absent("a/one", b"1".to_vec()).await.unwrap();
    assert_eq!(store.put_if_absent("a/one", b"2".to_vec()).await, condition("a/one"));
    let second = store.replace("a/one", &first, b"3".to_vec()).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(store.replace("a/one", &first, b"4".to_vec()).await, condition("a/one"));
    assert_eq!(store.replace("a/none", &first, b"4".to_vec()).await, condition("a/none"));
    let found = store.get("a/one").await.unwrap().unwrap();
    assert_eq!((found.body, found.version), (b"3".to_vec(), second));
    assert_eq!(store.get("a/none").await, Ok(None));
    store.put("a/two", b"5".to_vec()).await.unwrap();
    assert_eq!(store.list("a/", "").await.unwrap().keys, ["a/one", "a/two"]);
    assert_eq!(store.list("a/", "a/one").await.unwrap().keys, ["a/two"]);
    for _ in 0..2 {
        store.delete("a/two").await.unwrap();
        assert_eq!(store.list("a/", "").await.unwrap().keys, ["a/one"]);
    }
    let elsewhere = settings(server.address(), &[("bucket", pve_model::Value::string("elsewhere"))]);
    let elsewhere = AwsStore::connect(&elsewhere).await.unwrap();
    assert!(matches!(elsewhere.get("a/one").await, Err(StoreError::Refused(_))));
    match (server.kind(), elsewhere.put_if_absent("a/one", vec![]).await) {
        // It makes the bucket that an administrator writes to.
        (Kind::Seaweed, written) => assert!(written.is_ok(), "{written:?}"),
        (_, written) => assert!(matches!(written, Err(StoreError::Refused(_))), "{written:?}"),
    }
}

async fn it_is_a_log(server: &Server) {
    let store = store(server.address()).await;
    let count = std::sync::atomic::AtomicU32::new(0);
    run(|| {
        let prefix = format!("conformance/{}", count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let store = Arc::clone(&store);
        async move { Arc::new(open(&store, &prefix).await) }
    })
    .await;
    reopened_and_lease(&store).await;
}

async fn reopened_and_lease(store: &Arc<AwsStore>) {
    run_reopened(async || Arc::new(open(store, "conformance/again").await)).await;
    run_lease(Arc::new(open(store, "conformance/lease").await.lease())).await;
}

/// Eight writers with a client each: every event is there once, and the chain holds.
async fn writers_lose_nothing(address: SocketAddr, writers: usize, appends: usize) {
    let begun = std::time::Instant::now();
    let tasks = (0..writers).map(|writer| {
        tokio::spawn(async move {
            let log = open(&store(address).await, "writers").await;
            let mut head = 0;
            for i in 0..appends {
                let event = draft(&format!("{writer}/{i}"));
                loop {
                    match log.append(head, vec![event.clone()]).await {
                        Ok(_) => break,
                        Err(LogError::Conflict { found, .. }) => head = found,
                        Err(error) => panic!("{error}"),
                    }
                }
                head += 1;
            }
        })
    });
    futures::future::try_join_all(tasks).await.unwrap();
    let log = open(&store(address).await, "writers").await;
    let events = log.read(0).await.unwrap();
    let ids: BTreeSet<_> = events.iter().map(|event| event.id).collect();
    assert_eq!((events.len(), ids.len()), (writers * appends, writers * appends));
    assert_eq!(log.verify().await.unwrap().fault, None);
    let (events, took) = (events.len(), begun.elapsed());
    println!("{writers} writers x {appends} appends: {events} events, each once, in {took:.1?}");
}

async fn lease_races_have_one_winner(server: &Server, races: usize, racers: usize) {
    let store: Arc<dyn ObjectStore> = store(server.address()).await;
    for race in 0..races {
        let layout = Layout::new(format!("races/{race}"));
        let log = S3Log::open(Arc::clone(&store), layout.clone(), key()).await.unwrap();
        let attempts = (0..racers).map(|_| {
            let other = S3Log::open(Arc::clone(&store), layout.clone(), key());
            let holder = LeaseHolder::new(draft("").actor, "apply");
            let log = &log;
            async {
                let lease = Arc::new(other.await.unwrap().lease());
                Lease::acquire(lease, log, holder, &LeaseOptions::new()).await
            }
        });
        let mut held = 0;
        for result in futures::future::join_all(attempts).await {
            match result {
                // Kept until the race is over: the others must not follow a release.
                Ok(lease) => {
                    held += 1;
                    drop(lease);
                }
                Err(LeaseError::Held(_)) => {}
                Err(error) => panic!("race {race}: {error}"),
            }
        }
        assert_eq!(held, 1, "race {race}");
    }
    println!("{races} races of {racers} for a lease on {:?}: one holder each", server.kind());
}

async fn nothing_secret_is_stored(server: &Server) {
    let log = open(&store(server.address()).await, "sealed").await;
    log.append(0, vec![draft("hunter2-hunter2")]).await.unwrap();
    let client = client(server.address());
    let mut pages = client.list_objects_v2().bucket("states").into_paginator().send();
    let mut objects = 0;
    while let Some(page) = pages.next().await {
        for object in page.unwrap().contents() {
            let found = client.get_object().bucket("states").key(object.key().unwrap()).send().await.unwrap();
            let body = found.body.collect().await.unwrap().to_vec();
            assert!(!body.windows(7).any(|window| window == b"hunter2"), "{:?}", object.key());
            objects += 1;
        }
    }
    assert!(objects > 0);
    println!("{objects} objects on {:?}: none has the secret", server.kind());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ministack_keeps_log_and_lease() {
    let Some(server) = Server::start(Kind::Ministack).await else { return };
    conditions_are_told_apart(&server).await;
    it_is_a_log(&server).await;
    nothing_secret_is_stored(&server).await;
    writers_lose_nothing(server.address(), 8, scaled(1000, 25)).await;
    lease_races_have_one_winner(&server, scaled(200, 20), 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seaweed_keeps_log_and_lease() {
    let Some(server) = Server::start(Kind::Seaweed).await else { return };
    conditions_are_told_apart(&server).await;
    reopened_and_lease(&store(server.address()).await).await;
    nothing_secret_is_stored(&server).await;
    writers_lose_nothing(server.address(), 2, 25).await;
    lease_races_have_one_winner(&server, 10, 2).await;
}

/// A store whose requests are counted, each of which takes a while longer, as over a long line.
struct Distant {
    inner: Arc<AwsStore>,
    requests: std::sync::atomic::AtomicU64,
}

const DISTANCE: std::time::Duration = std::time::Duration::from_millis(20);

impl Distant {
    async fn pass(&self) -> &AwsStore {
        self.requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        tokio::time::sleep(DISTANCE).await;
        &self.inner
    }
}

#[async_trait::async_trait]
impl ObjectStore for Distant {
    async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.pass().await.put_if_absent(key, body).await
    }
    async fn replace(&self, key: &str, version: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.pass().await.replace(key, version, body).await
    }
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        self.pass().await.put(key, body).await
    }
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.pass().await.get(key).await
    }
    async fn list(&self, prefix: &str, after: &str) -> Result<Page, StoreError> {
        self.pass().await.list(prefix, after).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.pass().await.delete(key).await
    }
}

/// An append is one request, and nothing else is waited for: the second one per append is the hint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_waits_for_one_request() {
    const APPENDS: u64 = 50;
    let Some(server) = Server::start(Kind::Ministack).await else { return };
    let distant = Arc::new(Distant { inner: store(server.address()).await, requests: 0.into() });
    let log = S3Log::open(Arc::clone(&distant) as _, Layout::new("distant"), key()).await.unwrap();
    // The first event makes the log, and the second one looks whether its keys are the newest.
    for head in 0..2 {
        log.append(head, vec![draft("first")]).await.unwrap();
    }
    log.settle().await;
    distant.requests.store(0, std::sync::atomic::Ordering::SeqCst);
    let begun = std::time::Instant::now();
    for head in 2..APPENDS + 2 {
        log.append(head, vec![draft("x")]).await.unwrap();
    }
    let took = begun.elapsed() / u32::try_from(APPENDS).unwrap();
    log.settle().await;
    let requests = distant.requests.load(std::sync::atomic::Ordering::SeqCst);
    println!("an append over a line of {DISTANCE:?}: {took:.1?}, {APPENDS} appends: {requests} requests");
    assert!(requests <= 2 * APPENDS, "{requests}");
}

/// Two runs, one after the other, as the command line would do them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_continues_where_the_first_ended() {
    let Some(server) = Server::start(Kind::Ministack).await else { return };
    let settings = settings(server.address(), &[("encrypt", pve_model::Value::bool(true))]);
    for run in 0..2 {
        let shared = SharedLog::connect(&settings, "prod", key()).await.unwrap();
        let holder = LeaseHolder::new(draft("").actor, "apply");
        let options = LeaseOptions::new();
        let lease = Lease::acquire(shared.lease.clone(), &*shared.log, holder, &options).await.unwrap();
        let state = shared.log.state().await.unwrap();
        assert_eq!((state.sequence, lease.epoch()), (10 * run, run + 1));
        let writer = Writer::start(shared.log.clone(), state, draft("").actor);
        let events = (0..10).map(|i| draft(&format!("{run}/{i}")).payload);
        let recorded = futures::future::join_all(events.map(|payload| writer.record(payload))).await;
        assert!(recorded.iter().all(Result::is_ok), "{recorded:?}");
        shared.log.save_snapshot(&writer.state()).await.unwrap();
        lease.release().await.unwrap();
    }
    let shared = SharedLog::connect(&settings, "prod", key()).await.unwrap();
    assert_eq!(shared.log.state().await.unwrap().sequence, 20);
    assert_eq!(shared.log.verify().await.unwrap().fault, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_refused_at_once() {
    let Some(server) = Server::start(Kind::Seaweed).await else { return };
    let wrong = settings(server.address(), &[("secret_key", pve_model::Value::string("wrong"))]);
    let store: Arc<dyn ObjectStore> = Arc::new(AwsStore::connect(&wrong).await.unwrap());
    let error = S3Log::open(store, Layout::new("x"), key()).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("403") && !error.contains(server::SECRET_KEY), "{error}");
}

/// Lost, late, doubled, refused and masked requests: one in five.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_fails_loses_and_doubles_nothing() {
    let Some(server) = Server::start(Kind::Ministack).await else { return };
    let seed = 7;
    println!("seed {seed}");
    let address = server::proxy::start(server.address(), seed, 5).await;
    writers_lose_nothing(address, 2, scaled(5000, 100)).await;
}

/// The server is killed while it is written to: whatever `append` returned for is there afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_events_survive_a_killed_server() {
    let Some(mut server) = Server::start(Kind::Seaweed).await else { return };
    for seed in 0..scaled(10, 2) as u64 {
        let wait = std::time::Duration::from_millis(fastrand::Rng::with_seed(seed).u64(20..500));
        let address = server.address();
        let acknowledged = Arc::new(std::sync::Mutex::new(Vec::new()));
        let noted = Arc::clone(&acknowledged);
        let prefix = format!("killed/{seed}");
        let writing = prefix.clone();
        let writer = tokio::spawn(async move {
            let log = open(&store(address).await, &writing).await;
            for head in 0.. {
                let events = log.append(head, vec![draft(&head.to_string())]).await.unwrap();
                noted.lock().unwrap().extend(events.into_iter().map(|event| event.id));
            }
        });
        while acknowledged.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(wait).await;
        writer.abort();
        server.kill_and_restart().await;
        let log = open(&store(address).await, &prefix).await;
        let stored: BTreeSet<_> = log.read(0).await.unwrap().iter().map(|event| event.id).collect();
        let acknowledged = acknowledged.lock().unwrap().clone();
        println!("seed {seed}: {} acknowledged, {} stored", acknowledged.len(), stored.len());
        assert!(acknowledged.iter().all(|id| stored.contains(id)), "seed {seed}");
        assert_eq!(log.verify().await.unwrap().fault, None, "seed {seed}");
    }
}

/// The whole measure when `PVE_TEST_FULL` is set, otherwise a part of it.
fn scaled(full: usize, part: usize) -> usize {
    if std::env::var_os("PVE_TEST_FULL").is_some() { full } else { part }
}
