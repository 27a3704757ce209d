//! What every log must do. Each log's tests run this suite.

#![allow(clippy::expect_used, reason = "a suite of tests: what fails should end it")]

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use pve_model::event::{Actor, Payload, RunStarted};
use uuid::Uuid;

use crate::log::{Draft, EventLog};

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
