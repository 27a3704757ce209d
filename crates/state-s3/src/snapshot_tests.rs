//! Cold starts with snapshots, without them, and with bad ones; counted requests.

use std::sync::atomic::{AtomicU64, Ordering};

use pve_state::conformance::draft;

use super::*;
use crate::MemoryStore;
use crate::store::{Object, Page};

/// Counts what is asked of a store.
#[derive(Default)]
struct Counting(Arc<MemoryStore>, AtomicU64);

impl Counting {
    fn count(&self) -> &MemoryStore {
        self.1.fetch_add(1, Ordering::Relaxed);
        &self.0
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.count().put_if_absent(key, body).await
    }
    async fn replace(&self, key: &str, version: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.count().replace(key, version, body).await
    }
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        self.count().put(key, body).await
    }
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.count().get(key).await
    }
    async fn list(&self, prefix: &str, after: &str) -> Result<Page, StoreError> {
        self.count().list(prefix, after).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.count().delete(key).await
    }
}

fn layout() -> Layout {
    Layout::new("team/prod")
}

async fn open(store: &Arc<MemoryStore>) -> (S3Log, Arc<Counting>) {
    let counting = Arc::new(Counting(Arc::clone(store), AtomicU64::new(0)));
    let log = S3Log::open(Arc::<Counting>::clone(&counting), layout(), Key::from_bytes([5; 32])).await;
    (log.unwrap(), counting)
}

async fn append(log: &S3Log, events: std::ops::Range<u64>) {
    for head in events {
        log.append(head, vec![draft(&head.to_string())]).await.unwrap();
    }
}

/// A log of 30 events with a snapshot at 20, and the projection of all.
async fn with_snapshot(store: &Arc<MemoryStore>) -> State {
    let (log, _) = open(store).await;
    append(&log, 0..20).await;
    log.save_snapshot(&log.state().await.unwrap()).await.unwrap();
    append(&log, 20..30).await;
    State::project(&log.read(0).await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_cold_start_is_one_snapshot_and_the_tail() {
    let store = Arc::default();
    let whole = with_snapshot(&store).await;
    for first in 1..=20 {
        store.remove(&layout().batch(first)).unwrap();
    }
    let (log, _) = open(&store).await;
    assert_eq!(log.state().await.unwrap(), whole);
    append(&log, 30..31).await;
    let (log, _) = open(&store).await;
    assert_eq!(log.state().await.unwrap().sequence, 31);
    let error = log.read(0).await.unwrap_err().to_string();
    assert!(error.contains("events 1 to 20 are missing"), "{error}");
}

#[tokio::test]
async fn a_plan_on_a_warm_snapshot_takes_three_requests() {
    let store = Arc::default();
    with_snapshot(&store).await;
    let (log, _) = open(&store).await;
    let state = log.state().await.unwrap();
    log.save_snapshot(&state).await.unwrap();
    let (log, counted) = open(&store).await;
    assert_eq!(log.state().await.unwrap(), state);
    assert_eq!(counted.1.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn snapshots_and_the_hint_can_be_removed_changed_or_old() {
    let snapshot = layout().snapshot(20);
    for (object, body) in
        [(snapshot.clone(), None), (layout().head(), None), (snapshot, Some(br#"{"format":9}"#))]
    {
        let store: Arc<MemoryStore> = Arc::default();
        let whole = with_snapshot(&store).await;
        match body {
            Some(body) => store.put(&object, body.to_vec()).await.unwrap(),
            None => drop(store.remove(&object).unwrap()),
        }
        assert_eq!(open(&store).await.0.state().await.unwrap(), whole, "{object}");
    }
}

/// A version of before knows nothing of what its projection lacks.
#[tokio::test]
async fn a_snapshot_of_another_form_is_passed_over() {
    let store: Arc<MemoryStore> = Arc::default();
    let whole = with_snapshot(&store).await;
    let object = layout().snapshot(20);
    let (log, _) = open(&store).await;
    let mut forged = log.state().await.unwrap();
    forged.stores.insert("another".into());
    log.save_snapshot(&forged).await.unwrap();
    assert_eq!(open(&store).await.0.state().await.unwrap(), forged);
    for object in [object, layout().snapshot(30)] {
        let body = String::from_utf8(store.get(&object).await.unwrap().unwrap().body).unwrap();
        let old = body.replacen("\"format\":3", "\"format\":2", 1);
        assert_ne!(old, body);
        store.put(&object, old.into_bytes()).await.unwrap();
    }
    assert_eq!(open(&store).await.0.state().await.unwrap(), whole);
}

#[tokio::test]
async fn a_snapshot_of_another_place_is_not_taken() {
    let store: Arc<MemoryStore> = Arc::default();
    let whole = with_snapshot(&store).await;
    let object = layout().snapshot(20);
    let body = String::from_utf8(store.get(&object).await.unwrap().unwrap().body).unwrap();
    let moved = body.replace("\"sequence\":20", "\"sequence\":21");
    assert_ne!(moved, body);
    store.put(&object, moved.into_bytes()).await.unwrap();
    assert_eq!(open(&store).await.0.state().await.unwrap(), whole);
}

#[tokio::test]
async fn nothing_is_appended_before_a_batch_that_is_behind_a_gap() {
    let store: Arc<MemoryStore> = Arc::default();
    with_snapshot(&store).await;
    store.remove(&layout().batch(26)).unwrap();
    store.remove(&layout().head()).unwrap();
    let (log, _) = open(&store).await;
    let error = log.append(25, vec![draft("x")]).await.unwrap_err();
    assert!(matches!(&error, LogError::Damaged(_)), "{error}");
    assert!(log.verify().await.unwrap().fault.is_some());
}

#[tokio::test]
async fn nothing_is_appended_behind_a_newest_event_that_is_gone_or_changed() {
    let newest = layout().batch(30);
    let flip = |body: Vec<u8>| {
        let text = String::from_utf8(body).unwrap();
        let at = text.find("\"sealed\":\"").unwrap() + 20;
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        [&text[..at], other, &text[at + 1..]].concat().into_bytes()
    };
    type Harm = Box<dyn Fn(&MemoryStore)>;
    let harms: [(&str, Harm); 4] = [
        ("the newest", Box::new(|store| drop(store.remove(&layout().batch(30))))),
        ("all", Box::new(|store| (1..=30).for_each(|first| drop(store.remove(&layout().batch(first)))))),
        (
            "the last ten",
            Box::new(|store| (21..=30).for_each(|first| drop(store.remove(&layout().batch(first))))),
        ),
        (
            "its payload",
            Box::new(move |store| {
                let body = store.remove(&layout().batch(30)).unwrap();
                futures::executor::block_on(store.put(&layout().batch(30), flip(body))).unwrap();
            }),
        ),
    ];
    for (what, harm) in harms {
        let store: Arc<MemoryStore> = Arc::default();
        with_snapshot(&store).await;
        let (log, _) = open(&store).await;
        log.save_snapshot(&log.state().await.unwrap()).await.unwrap();
        assert!(store.keys().contains(&newest));
        harm(&store);
        let (log, _) = open(&store).await;
        assert_eq!(log.state().await.unwrap().sequence, 30, "{what}: the snapshot has everything");
        let error = log.append(30, vec![draft("behind a hole")]).await.unwrap_err();
        assert!(matches!(&error, LogError::Damaged(_)), "{what}: {error}");
        assert!(!store.keys().contains(&layout().batch(31)), "{what}");
    }
    // What was put away in front of the newest is no hole.
    let store: Arc<MemoryStore> = Arc::default();
    with_snapshot(&store).await;
    let (log, _) = open(&store).await;
    log.save_snapshot(&log.state().await.unwrap()).await.unwrap();
    (1..30).for_each(|first| drop(store.remove(&layout().batch(first))));
    let (log, _) = open(&store).await;
    log.state().await.unwrap();
    append(&log, 30..31).await;
}

#[tokio::test]
async fn what_a_log_needs_beside_its_events_is_verified_too() {
    let lease = (layout().lease(), Some("{}"));
    for (object, body) in
        [(layout().format(), None), (layout().keyring(1), None), (layout().keyring(1), Some("{")), lease]
    {
        let store: Arc<MemoryStore> = Arc::default();
        with_snapshot(&store).await;
        let (log, _) = open(&store).await;
        assert_eq!(log.verify().await.unwrap().fault, None);
        match body {
            Some(body) => store.put(&object, body.into()).await.unwrap(),
            None => drop(store.remove(&object).unwrap()),
        }
        let fault = open(&store).await.0.verify().await.unwrap().fault;
        assert!(matches!(&fault, Some(Fault::Beside { object: named, .. }) if *named == object), "{fault:?}");
    }
}

#[tokio::test]
async fn old_snapshots_are_removed_and_whoever_would_read_one_reads_a_newer_one() {
    let store: Arc<MemoryStore> = Arc::default();
    let (log, counted) = open(&store).await;
    // Not of this log's making.
    let others = [format!("{}note", layout().snapshots()), layout().snapshot(100)];
    for other in &others {
        store.put(other, b"{}".to_vec()).await.unwrap();
    }
    let snapshots = || -> Vec<String> {
        let keys = store.keys().into_iter();
        keys.filter(|key| key.starts_with(&layout().snapshots()) && !others.contains(key)).collect()
    };
    let mut early = None;
    for sequence in 1..=8 {
        append(&log, sequence - 1..sequence).await;
        log.settle().await;
        let state = log.state().await.unwrap();
        let before = counted.1.load(Ordering::Relaxed);
        log.save_snapshot(&state).await.unwrap();
        let requests = counted.1.load(Ordering::Relaxed) - before;
        // The snapshot, the hint, the listing, and from the fourth on a removal.
        assert_eq!(requests, 3 + u64::from(sequence > 3), "{sequence}");
        let first = sequence.saturating_sub(2).max(1);
        assert_eq!(snapshots(), (first..=sequence).map(|last| layout().snapshot(last)).collect::<Vec<_>>());
        if sequence == 2 {
            early = Some(open(&store).await.0);
        }
    }
    assert!(others.iter().all(|other| store.keys().contains(other)));
    // Its hint names one that is gone.
    let whole = State::project(&log.read(0).await.unwrap()).unwrap();
    assert_eq!(early.unwrap().state().await.unwrap(), whole);
}

#[tokio::test]
async fn a_store_from_before_is_tidied_a_part_at_a_time() {
    let store: Arc<MemoryStore> = Arc::default();
    let (log, _) = open(&store).await;
    append(&log, 0..30).await;
    for last in 1..30 {
        store.put(&layout().snapshot(last), b"{}".to_vec()).await.unwrap();
    }
    log.save_snapshot(&log.state().await.unwrap()).await.unwrap();
    let left = store.keys().iter().filter(|key| key.starts_with(&layout().snapshots())).count();
    // Seven of the first ten that a listing of this store shows.
    assert_eq!(left, 30 - 7);
}
