//! What every log must do. Each log's tests run this suite.

#![allow(clippy::expect_used, reason = "a suite of tests: what fails should end it")]

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use pve_model::event::{Actor, Payload, RunStarted};
use pve_model::state::State;
use uuid::Uuid;

use crate::chain::ORIGIN;
use crate::lease::{LeaseHolder, LeaseRecord, LeaseStore, LeaseWrite};
use crate::log::{Draft, EventLog, Head};

/// A draft that can be told from others by `text`.
pub fn draft(text: &str) -> Draft {
    Draft {
        id: Uuid::now_v7(),
        time: Timestamp::UNIX_EPOCH,
        run: Uuid::nil(),
        actor: Actor { user: "ops".into(), host: "desk".into(), version: "0".into() },
        payload: Payload::RunStarted(RunStarted {
            command: text.into(),
            environment: "default".into(),
            cluster: "none".into(),
            place: None,
            store: None,
        }),
    }
}

/// Runs the suite; `make` makes an empty log each time.
///
/// # Panics
/// When the log fails a part of the suite.
pub async fn run<L, F>(make: impl Fn() -> F)
where
    L: EventLog + 'static,
    F: Future<Output = Arc<L>>,
{
    batches_are_whole_and_in_order(make().await).await;
    an_old_head_is_a_conflict_and_writes_nothing(make().await).await;
    an_empty_batch_changes_nothing(make().await).await;
    racing_writers_lose_nothing(make().await).await;
    the_projection_is_that_of_the_events(make().await).await;
    the_known_end_is_the_last_event_that_was_seen(make().await).await;
}

/// Runs the part for logs that outlive what opened them; `open` opens the same log each time, which is empty at first.
///
/// # Panics
/// When the log fails it.
pub async fn run_reopened<L, F>(open: impl Fn() -> F)
where
    L: EventLog + 'static,
    F: Future<Output = Arc<L>>,
{
    let log = open().await;
    let written = log.append(0, vec![draft("a"), draft("b")]).await.expect("append");
    let state = log.state().await.expect("state");
    let (id, end) = (log.id(), log.known_end().await.expect("end"));
    log.settle().await;
    drop(log);
    let log = open().await;
    assert_eq!(log.read(0).await.expect("read"), written, "with nothing read before");
    assert_eq!((log.id(), log.state().await.expect("state")), (id, state));
    assert_eq!(log.known_end().await.expect("end"), end);
    assert!(log.append(0, vec![draft("c")]).await.expect_err("an append at the beginning").is_conflict());
    log.append(2, vec![draft("c")]).await.expect("append");
    log.save_snapshot(&log.state().await.expect("state")).await.expect("snapshot");
    // What one has open sees what another one appends.
    let other = open().await;
    other.append(3, vec![draft("d")]).await.expect("append");
    assert_eq!(log.head().await.expect("head"), 4);
    let whole = State::project(&other.read(0).await.expect("read")).expect("projection");
    for log in [log, other, open().await] {
        assert_eq!(log.state().await.expect("state"), whole);
        assert_eq!(log.verify().await.expect("verify").fault, None);
    }
}

async fn the_projection_is_that_of_the_events(log: Arc<impl EventLog>) {
    assert_eq!(log.state().await.expect("state of an empty log"), State::default());
    for (head, text) in (0..).zip(["a", "b", "c"]) {
        log.append(head, vec![draft(text)]).await.expect("append");
        let state = log.state().await.expect("state");
        assert_eq!(state, State::project(&log.read(0).await.expect("read")).expect("projection"));
        assert_eq!(state.sequence, head + 1);
        if text == "b" {
            log.save_snapshot(&state).await.expect("snapshot");
            assert_eq!(log.state().await.expect("state"), state);
        }
    }
}

async fn the_known_end_is_the_last_event_that_was_seen(log: Arc<impl EventLog>) {
    assert_eq!(log.known_end().await.expect("end"), Head { sequence: 0, hash: ORIGIN });
    let mut ends = vec![];
    for head in [0, 2] {
        log.append(head, vec![draft("a"), draft("b")]).await.expect("append");
        ends.push(log.known_end().await.expect("end"));
    }
    assert_eq!(ends.iter().map(|end| end.sequence).collect::<Vec<_>>(), [2, 4]);
    assert_ne!(ends[0].hash, ends[1].hash);
    for end in ends {
        // A log need not keep it.
        let known = log.known_hash(end.sequence).await.expect("hash");
        assert!(known.is_none_or(|hash| hash == end.hash));
    }
    assert_eq!(log.known_hash(5).await.expect("hash"), None);
}

/// Runs the suite for what keeps a lease; `store` has none yet.
///
/// # Panics
/// When it fails a part of the suite.
pub async fn run_lease(store: Arc<dyn LeaseStore>) {
    let record = |epoch| LeaseRecord {
        epoch,
        holder: Some(LeaseHolder::new(draft("").actor, "apply")),
        broken: None,
        time_to_live: 60_000,
        renewed: Timestamp::UNIX_EPOCH,
    };
    let (first, second) = (record(1), record(2));
    assert_eq!(store.read().await.expect("read"), None);
    assert_eq!(store.write(Some("1"), &first).await.expect("write"), LeaseWrite::Other(None));
    let written = async |expected: Option<&str>, record: &LeaseRecord| match store
        .write(expected, record)
        .await
        .expect("write")
    {
        LeaseWrite::Written(version) => version,
        LeaseWrite::Other(found) => panic!("{found:?} is there"),
    };
    let refused = async |expected: Option<&str>| match store.write(expected, &record(9)).await.expect("write")
    {
        LeaseWrite::Written(version) => panic!("it was written over: {version}"),
        LeaseWrite::Other(found) => *found.expect("what is there"),
    };
    let old = written(None, &first).await;
    assert_eq!(refused(None).await.record, first);
    // The same record once more is another version: who waits sees that it was renewed.
    let renewed = written(Some(&old), &first).await;
    assert_ne!(renewed, old);
    let present = refused(Some(&old)).await;
    assert_eq!((present.record, &present.version), (first, &renewed));
    let version = written(Some(&renewed), &second).await;
    let present = store.read().await.expect("read").expect("a lease");
    assert_eq!((present.record, present.version), (second, version));
    // Of those that know the same version one writes.
    let present = store.read().await.expect("read").expect("a lease");
    let racers: Vec<_> = (0..4)
        .map(|_| {
            let (store, version, record) = (Arc::clone(&store), present.version.clone(), record(3));
            tokio::spawn(async move { store.write(Some(&version), &record).await.expect("write") })
        })
        .collect();
    let mut winners = 0;
    for racer in racers {
        winners += u32::from(matches!(racer.await.expect("a racer"), LeaseWrite::Written(_)));
    }
    assert_eq!(winners, 1);
}

async fn batches_are_whole_and_in_order(log: Arc<impl EventLog>) {
    assert_eq!(log.head().await.expect("head of an empty log"), 0);
    let events = log.append(0, vec![draft("a"), draft("b")]).await.expect("first append");
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2]);
    log.append(2, vec![draft("c")]).await.expect("second append");
    assert_eq!(log.head().await.expect("head"), 3);
    let read = log.read(1).await.expect("read");
    assert_eq!(read.iter().map(|event| event.sequence).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(read[0].payload, draft("b").payload);
    assert_eq!(log.verify().await.expect("verify").fault, None);
}

async fn an_old_head_is_a_conflict_and_writes_nothing(log: Arc<impl EventLog>) {
    log.append(0, vec![draft("a")]).await.expect("append");
    for wrong in [0, 2] {
        let error = log.append(wrong, vec![draft("b")]).await.expect_err("an append at another head");
        assert!(error.is_conflict(), "{error}");
    }
    assert_eq!(log.read(0).await.expect("read").len(), 1);
}

async fn an_empty_batch_changes_nothing(log: Arc<impl EventLog>) {
    for head in [0, 1] {
        assert_eq!(log.append(head, vec![]).await.expect("an append of nothing"), []);
        assert_eq!(log.head().await.expect("head"), head);
        log.append(head, vec![draft("a")]).await.expect("append");
    }
    assert!(log.append(0, vec![]).await.expect_err("nothing, at another head").is_conflict());
}

async fn racing_writers_lose_nothing(log: Arc<impl EventLog + 'static>) {
    const WRITERS: usize = 4;
    const APPENDS: usize = 25;
    // Each has seen the same end before the first of them appends.
    let start = Arc::new(tokio::sync::Barrier::new(WRITERS));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (log, start) = (Arc::clone(&log), Arc::clone(&start));
            tokio::spawn(async move {
                let mut conflicts = 0;
                for i in 0..APPENDS {
                    loop {
                        let head = log.head().await.expect("head");
                        if head == 0 && conflicts == 0 {
                            start.wait().await;
                        }
                        tokio::task::yield_now().await;
                        match log.append(head, vec![draft(&format!("{writer}/{i}"))]).await {
                            Ok(_) => break,
                            Err(error) => assert!(error.is_conflict(), "{error}"),
                        }
                        conflicts += 1;
                    }
                }
                conflicts
            })
        })
        .collect();
    let mut conflicts = 0;
    for writer in writers {
        conflicts += writer.await.expect("a writer");
    }
    assert!(conflicts >= WRITERS - 1, "they raced: {conflicts} conflicts");
    let events = log.read(0).await.expect("read");
    let mut ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), WRITERS * APPENDS);
    assert_eq!(events.len(), ids.len(), "no event is there twice");
    assert_eq!(log.verify().await.expect("verify").fault, None);
}
