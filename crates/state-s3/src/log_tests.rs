//! The log on a store that works, on one that loses answers, on one that ignores conditions, and after tampering.

use std::sync::atomic::{AtomicU64, Ordering};

use pve_state::conformance::{draft, run, run_reopened};

use super::*;
use crate::MemoryStore;
use crate::faults::{Careless, FaultyStore};
use crate::store::{Object, Page};

pub(super) fn key() -> Key {
    Key::from_bytes([5; 32])
}

pub(super) fn layout() -> Layout {
    Layout::new("team/prod")
}

pub(super) async fn open(store: &Arc<MemoryStore>) -> S3Log {
    S3Log::open(Arc::clone(store) as Arc<dyn ObjectStore>, layout(), key()).await.unwrap()
}

async fn open_faulty(store: &Arc<MemoryStore>, seed: u64) -> S3Log {
    let faulty = FaultyStore::new(Arc::clone(store) as Arc<dyn ObjectStore>, seed);
    S3Log::open(Arc::new(faulty), layout(), key())
        .await
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}

#[tokio::test]
async fn the_log_on_objects_is_a_log() {
    run(|| async { Arc::new(open(&Arc::default()).await) }).await;
    let store = Arc::default();
    run_reopened(async || Arc::new(open(&store).await)).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_a_log_over_a_store_that_loses_requests_and_answers() {
    let seed = AtomicU64::new(0);
    for _ in 0..10 {
        run(|| {
            let seed = seed.fetch_add(1, Ordering::Relaxed);
            println!("seed {seed}");
            async move { Arc::new(open_faulty(&Arc::default(), seed).await) }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn processes_that_race_over_faults_append_each_event_once() {
    for seed in 0..20 {
        let store = Arc::default();
        let writers = (0..3).map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let log = open_faulty(&store, 1000 * seed + writer).await;
                for i in 0..10 {
                    let event = draft(&format!("{writer}/{i}"));
                    loop {
                        let head = log.head().await.unwrap();
                        match log.append(head, vec![event.clone()]).await {
                            Ok(_) => break,
                            Err(error) => assert!(error.is_conflict(), "seed {seed}: {error}"),
                        }
                    }
                }
            })
        });
        futures::future::try_join_all(writers).await.unwrap();
        let log = open(&store).await;
        let events = log.read(0).await.unwrap();
        let ids: std::collections::BTreeSet<Uuid> = events.iter().map(|event| event.id).collect();
        assert_eq!((events.len(), ids.len()), (30, 30), "seed {seed}");
        assert_eq!(log.verify().await.unwrap().fault, None, "seed {seed}");
    }
}

#[tokio::test]
async fn processes_that_make_a_log_at_once_make_one_log() {
    let store = Arc::default();
    let (one, other) = tokio::join!(open(&store), open(&store));
    one.append(0, vec![draft("a")]).await.unwrap();
    assert!(other.append(0, vec![draft("b")]).await.unwrap_err().is_conflict());
    assert_eq!(other.read(0).await.unwrap()[0].payload, draft("a").payload);
    assert_eq!(one.id(), other.id());
}

#[tokio::test]
async fn processes_that_append_the_first_event_at_once_make_one_log() {
    let store = Arc::default();
    let (one, other) = tokio::join!(open(&store), open(&store));
    let (first, second) = tokio::join!(one.append(0, vec![draft("a")]), other.append(0, vec![draft("b")]));
    assert!(first.is_ok() != second.is_ok());
    assert_eq!(open(&store).await.read(0).await.unwrap().len(), 1);
}

#[tokio::test]
async fn reading_where_no_log_is_writes_nothing() {
    let store: Arc<MemoryStore> = Arc::default();
    let log = open(&store).await;
    assert_eq!(log.head().await.unwrap(), 0);
    assert_eq!(log.state().await.unwrap(), State::default());
    assert_eq!((log.read(0).await.unwrap(), log.verify().await.unwrap().events), (vec![], 0));
    assert_eq!(store.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn events_without_the_object_that_names_their_log_are_not_another_log() {
    let store = Arc::default();
    five_events(&store).await;
    store.remove(&layout().format()).unwrap();
    store.remove(&layout().head()).unwrap();
    let log = open(&store).await;
    for error in [log.read(0).await.unwrap_err(), log.append(5, vec![draft("x")]).await.unwrap_err()] {
        assert!(error.to_string().contains("team/prod/format was removed"), "{error}");
    }
}

#[tokio::test]
async fn a_log_moves_into_objects_and_keeps_its_name() {
    let from = five_events(&Arc::default()).await;
    let store: Arc<MemoryStore> = Arc::default();
    let to = S3Log::open_as(Arc::clone(&store) as _, layout(), key(), from.id()).await.unwrap();
    assert_eq!(pve_state::copy_log(&from, &to).await.unwrap().events, 5);
    assert_eq!(open(&store).await.id(), from.id());
    assert_eq!(open(&store).await.read(0).await.unwrap(), from.read(0).await.unwrap());
    assert_eq!(pve_state::copy_log(&from, &to).await.unwrap().events, 5);
}

#[tokio::test]
async fn batches_are_read_from_within() {
    let log = open(&Arc::default()).await;
    log.append(0, ["a", "b", "c"].map(draft).to_vec()).await.unwrap();
    log.append(3, ["d", "e"].map(draft).to_vec()).await.unwrap();
    for after in 0..=6 {
        let read = log.read(after).await.unwrap();
        let sequences: Vec<u64> = read.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, (after + 1..=5).collect::<Vec<_>>());
    }
    // A head within a batch, or behind the end, is no head.
    for wrong in [1, 4, 6] {
        assert!(log.append(wrong, vec![draft("x")]).await.unwrap_err().is_conflict());
    }
}

#[tokio::test]
async fn events_are_sealed_in_the_store() {
    let store = Arc::default();
    let log = open(&store).await;
    log.append(0, vec![draft("hunter2-hunter2")]).await.unwrap();
    for key in store.keys() {
        let body = String::from_utf8(store.get(&key).await.unwrap().unwrap().body).unwrap();
        assert!(!body.contains("hunter2"), "{key}");
    }
    let wrong = S3Log::open(store, layout(), Key::from_bytes([6; 32])).await.unwrap();
    assert!(matches!(wrong.read(0).await, Err(LogError::Key(_))));
    assert_eq!(wrong.verify().await.unwrap().fault, None, "checking needs no key");
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused() {
    let store = Arc::new(Careless::of_all());
    let log = S3Log::open(Arc::clone(&store) as _, layout(), key()).await.unwrap();
    let error = log.append(0, vec![draft("a")]).await.unwrap_err().to_string();
    assert!(error.contains("If-None-Match"), "{error}");
    assert_eq!(store.store.keys(), [layout().probe()]);
}

/// Counts writes of the hint, each of which waits until it is let through.
struct SlowHints {
    inner: MemoryStore,
    puts: AtomicU64,
    gate: tokio::sync::Semaphore,
}

#[async_trait]
impl ObjectStore for SlowHints {
    async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.inner.put_if_absent(key, body).await
    }
    async fn replace(&self, key: &str, version: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.inner.replace(key, version, body).await
    }
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.inner.put(key, body).await
    }
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.inner.get(key).await
    }
    async fn list(&self, prefix: &str, after: &str) -> Result<Page, StoreError> {
        self.inner.list(prefix, after).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }
}

#[tokio::test]
async fn no_append_waits_for_the_hint_and_the_last_one_is_written() {
    let gate = tokio::sync::Semaphore::new(0);
    let store = Arc::new(SlowHints { inner: MemoryStore::default(), puts: AtomicU64::new(0), gate });
    let log = S3Log::open(Arc::clone(&store) as _, layout(), key()).await.unwrap();
    for head in 0..10 {
        log.append(head, vec![draft("x")]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(store.puts.load(Ordering::SeqCst), 1, "the others wait for the first one");
    // Without a hint the log is read whole.
    assert_eq!(
        S3Log::open(Arc::clone(&store) as _, layout(), key()).await.unwrap().head().await.unwrap(),
        10
    );
    store.gate.add_permits(10);
    log.settle().await;
    assert_eq!(store.puts.load(Ordering::SeqCst), 2, "one for the first event, and one for all others");
    assert_eq!(read_hint(&*store, &layout()).await.unwrap().unwrap().head.sequence, 10);
    log.append(10, vec![draft("y")]).await.unwrap();
    drop(log);
    while read_hint(&*store, &layout()).await.unwrap().unwrap().head.sequence < 11 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_log_of_a_newer_program_is_refused_and_left_alone() {
    let store = Arc::new(MemoryStore::default());
    store.put(&layout().format(), br#"{"format": 3, "name": "other"}"#.to_vec()).await.unwrap();
    let opened = S3Log::open(Arc::clone(&store) as _, layout(), key()).await;
    assert!(matches!(opened.map(drop), Err(LogError::Newer { found: 3, .. })));
    assert_eq!(store.keys(), [layout().format()]);
}

pub(super) async fn five_events(store: &Arc<MemoryStore>) -> S3Log {
    let log = open(store).await;
    log.append(0, ["a", "b"].map(draft).to_vec()).await.unwrap();
    log.append(2, vec![draft("c")]).await.unwrap();
    log.append(3, ["d", "e"].map(draft).to_vec()).await.unwrap();
    log.settle().await;
    log
}

#[tokio::test]
async fn removed_batches_are_noticed_and_not_written_over() {
    for (first, fault) in [
        (1, Fault::Missing { sequence: 1 }),
        (3, Fault::Missing { sequence: 3 }),
        (4, Fault::Truncated { last: 3, written: 5 }),
    ] {
        let store = Arc::default();
        let log = five_events(&store).await;
        store.remove(&layout().batch(first)).unwrap();
        assert_eq!(log.verify().await.unwrap().fault, Some(fault.clone()));
        if let Fault::Truncated { .. } = fault {
            let error = open(&store).await.append(3, vec![draft("x")]).await.unwrap_err();
            assert!(matches!(error, LogError::Damaged(_)), "{error}");
        } else {
            assert!(matches!(log.read(0).await, Err(LogError::Damaged(_))));
        }
    }
}

/// Leaves out of each listing some keys that are there, by chance.
struct Forgetful(Arc<MemoryStore>, std::sync::Mutex<fastrand::Rng>);

#[async_trait]
impl ObjectStore for Forgetful {
    async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.0.put_if_absent(key, body).await
    }
    async fn replace(&self, key: &str, version: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.0.replace(key, version, body).await
    }
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        self.0.put(key, body).await
    }
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.0.get(key).await
    }
    async fn list(&self, prefix: &str, after: &str) -> Result<Page, StoreError> {
        let mut page = self.0.list(prefix, after).await?;
        // The last key is where the next part begins.
        let last = page.keys.pop();
        page.keys.retain(|_| self.1.lock().unwrap().bool());
        page.keys.extend(last);
        Ok(page)
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.delete(key).await
    }
}

#[tokio::test]
async fn a_listing_that_leaves_batches_out_hides_no_event() {
    for seed in 0..20 {
        let store: Arc<MemoryStore> = Arc::default();
        let log = open(&store).await;
        for head in 0..30 {
            log.append(head, vec![draft("x")]).await.unwrap();
        }
        let forgetful = Forgetful(Arc::clone(&store), fastrand::Rng::with_seed(seed).into());
        let log = S3Log::open(Arc::new(forgetful), layout(), key()).await.unwrap();
        assert_eq!(log.state().await.unwrap().sequence, 30, "seed {seed}");
        assert_eq!(log.read(0).await.unwrap().len(), 30, "seed {seed}");
        let verification = log.verify().await.unwrap();
        assert_eq!((verification.events, verification.fault), (30, None), "seed {seed}");
        store.remove(&layout().batch(20)).unwrap();
        assert!(matches!(log.state().await, Err(LogError::Damaged(_))), "seed {seed}");
        assert_eq!(log.verify().await.unwrap().fault, Some(Fault::Missing { sequence: 20 }), "seed {seed}");
    }
}

#[tokio::test]
async fn changed_events_are_named() {
    for (first, from, to, sequence) in
        [(1, "ops", "eve", 1), (3, "run_started", "run_begun", 3), (4, "desk", "disk", 4)]
    {
        let store = Arc::default();
        let log = five_events(&store).await;
        let object = layout().batch(first);
        let body = String::from_utf8(store.get(&object).await.unwrap().unwrap().body).unwrap();
        store.put(&object, body.replacen(from, to, 1).into_bytes()).await.unwrap();
        assert_eq!(log.verify().await.unwrap().fault, Some(Fault::Changed { sequence }));
    }
}
