//! Runs whose log goes away, and what is pushed afterwards.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use pve_model::event::LeaseTakenOver;

use super::*;
use crate::conformance::{draft, run};
use crate::{Key, MemoryLog, Writer};

fn memory() -> Arc<MemoryLog> {
    Arc::new(MemoryLog::new(Key::from_bytes([1; 32])))
}

/// A log that cannot be reached; appends may take effect all the same.
struct Unreliable {
    log: Arc<MemoryLog>,
    away: AtomicBool,
    lands: bool,
}

#[async_trait]
impl EventLog for Unreliable {
    fn id(&self) -> Uuid {
        self.log.id()
    }
    async fn head(&self) -> Result<u64, LogError> {
        self.log.head().await
    }
    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        let away = self.away.load(Ordering::Relaxed);
        let result =
            if !away || self.lands { self.log.append(expected_head, batch).await } else { Ok(Vec::new()) };
        if away { Err(LogError::Storage { place: "far".into(), reason: "timeout".into() }) } else { result }
    }
    async fn read(&self, after: u64) -> Result<Vec<Event>, LogError> {
        self.log.read(after).await
    }
    async fn known_end(&self) -> Result<Head, LogError> {
        self.log.known_end().await
    }
    async fn verify(&self) -> Result<Verification, LogError> {
        self.log.verify().await
    }
}

/// One event in the log, three recorded while it is away: the log, the spool.
async fn spooled(lands: bool) -> (Arc<MemoryLog>, Arc<MemoryLog>) {
    let log = memory();
    let spool = Arc::new(MemoryLog::named(log.id(), Key::from_bytes([1; 32])));
    let unreliable = Arc::new(Unreliable { log: Arc::clone(&log), away: false.into(), lands });
    let told = Arc::new(AtomicU32::new(0));
    let (opened, count) = (Arc::clone(&spool), Arc::clone(&told));
    let wrapped = Arc::new(SpooledLog::new(
        Arc::<Unreliable>::clone(&unreliable),
        Box::new(move |_, _| Ok(Arc::<MemoryLog>::clone(&opened))),
        move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        },
    ));
    let writer = Writer::start(wrapped.clone(), State::default(), draft("").actor);
    writer.record(draft("before").payload).await.unwrap();
    assert_eq!(wrapped.spooled_after().await, None);
    unreliable.away.store(true, Ordering::Relaxed);
    for text in ["a", "b", "c"] {
        writer.record(draft(text).payload).await.unwrap();
    }
    assert_eq!((wrapped.spooled_after().await, told.load(Ordering::Relaxed)), (Some(1), 1));
    assert_eq!((writer.state().sequence, wrapped.head().await.unwrap()), (4, 4));
    for after in 0..=4 {
        let read = wrapped.read(after).await.unwrap();
        let sequences: Vec<u64> = read.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, (after + 1..=4).collect::<Vec<_>>(), "after {after}");
    }
    (log, spool)
}

#[tokio::test]
async fn a_log_that_is_away_from_the_start_is_not_spooled() {
    let unreliable = Arc::new(Unreliable { log: memory(), away: true.into(), lands: false });
    let wrapped = SpooledLog::new(unreliable, Box::new(|_, _| panic!("a spool was opened")), |_| {});
    assert!(matches!(wrapped.append(0, vec![draft("a")]).await, Err(LogError::Storage { .. })));
    assert_eq!(wrapped.spooled_after().await, None);
}

fn taken_over() -> Draft {
    let payload = Payload::LeaseTakenOver(LeaseTakenOver { from: "ann".into(), epoch: 2 });
    Draft { payload, ..draft("") }
}

#[tokio::test]
async fn a_log_that_does_not_go_away_is_a_log() {
    run(|| async { Arc::new(SpooledLog::new(memory(), Box::new(|_, _| Ok(memory())), |_| {})) }).await;
}

#[tokio::test]
async fn what_was_kept_is_pushed_once() {
    for lands in [false, true] {
        let (log, spool) = spooled(lands).await;
        let missing = if lands { 2 } else { 3 };
        assert_eq!(push_spool(&*log, &*spool, 1).await.unwrap(), missing);
        assert_eq!(push_spool(&*log, &*spool, 1).await.unwrap(), 0);
        let texts: Vec<Payload> = log.read(0).await.unwrap().into_iter().map(|event| event.payload).collect();
        assert_eq!(texts, ["before", "a", "b", "c"].map(|text| draft(text).payload));
    }
}

#[tokio::test]
async fn a_lease_that_was_taken_over_is_not_in_the_way_but_another_run_is() {
    let (log, spool) = spooled(false).await;
    log.append(1, vec![taken_over()]).await.unwrap();
    assert_eq!(push_spool(&*log, &*spool, 1).await.unwrap(), 3);

    let (log, spool) = spooled(false).await;
    log.append(1, vec![taken_over(), draft("other")]).await.unwrap();
    let error = push_spool(&*log, &*spool, 1).await.unwrap_err();
    assert!(matches!(error, PushError::Overtaken { sequence: 3, events: 3 }), "{error}");
    assert_eq!(log.head().await.unwrap(), 3);
}

#[tokio::test]
async fn a_spool_is_pushed_to_its_own_log_only() {
    let (_, spool) = spooled(false).await;
    let other = memory();
    other.append(0, vec![draft("one")]).await.unwrap();
    assert!(matches!(push_spool(&*other, &*spool, 1).await, Err(PushError::OtherLog)));
    assert_eq!(other.head().await.unwrap(), 1);
}
