//! Runs whose log goes away, and what is pushed afterwards.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use pve_model::event::{
    ActionFailed, ActionIndeterminate, ActionIntended, ActionSucceeded, Claim, LeaseTakenOver, Operation,
};
use pve_model::state::InstanceRecord;

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
impl crate::Layer for Unreliable {
    fn inner(&self) -> &dyn EventLog {
        &*self.log
    }
    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        let away = self.away.load(Ordering::Relaxed);
        let result =
            if !away || self.lands { self.log.append(expected_head, batch).await } else { Ok(Vec::new()) };
        if away { Err(LogError::Storage { place: "far".into(), reason: "timeout".into() }) } else { result }
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
        assert_eq!(push(&log, &spool).await.events, missing);
        assert_eq!(push(&log, &spool).await.events, 0);
        let texts: Vec<Payload> = log.read(0).await.unwrap().into_iter().map(|event| event.payload).collect();
        assert_eq!(texts, ["before", "a", "b", "c"].map(|text| draft(text).payload));
    }
}

#[tokio::test]
async fn a_lease_that_was_taken_over_is_not_in_the_way_and_what_another_run_made_old_is_told() {
    let (log, spool) = spooled(false).await;
    log.append(1, vec![taken_over()]).await.unwrap();
    assert_eq!(push(&log, &spool).await.events, 3);

    let (log, spool) = spooled(false).await;
    log.append(1, vec![taken_over(), draft("other")]).await.unwrap();
    let pushed = push(&log, &spool).await;
    assert_eq!((pushed.events, pushed.passed_over), (0, 3), "starts of runs are no news");
    let events = log.read(3).await.unwrap();
    assert!(matches!(&events[..], [one] if matches!(&one.payload, Payload::EventsMerged(merged)
        if merged.passed_over.len() == 3 && merged.passed_over[0].payload == draft("a").payload)));
    assert_eq!(push(&log, &spool).await, Pushed::default(), "it is told once");
    assert_eq!(log.head().await.unwrap(), 4);
}

fn intended(name: &str, operation: Operation) -> (Uuid, Draft) {
    let action = Uuid::now_v7();
    let payload = Payload::ActionIntended(ActionIntended {
        action,
        address: format!("x.{name}").parse().unwrap(),
        deposed: None,
        operation,
        provider: "p".into(),
        claim: Claim { vmid: Some(101), ..Claim::default() },
        planned: serde_json::Value::Null,
        sensitive: vec![],
        depose_as: None,
        dependencies: vec![],
        create_before_destroy: false,
        provisioners: 0,
    });
    (action, Draft { payload, ..draft("") })
}

fn replacing(name: &str, aside: &str) -> (Uuid, Draft) {
    let (action, mut draft) = intended(name, Operation::Create);
    if let Payload::ActionIntended(intent) = &mut draft.payload {
        intent.depose_as = Some(aside.into());
    }
    (action, draft)
}

fn succeeded(action: Uuid, value: &str) -> Draft {
    let record = InstanceRecord {
        provider: "p".into(),
        schema_version: 0,
        values: value.into(),
        sensitive: vec![],
        dependencies: vec![],
        create_before_destroy: false,
        keep: false,
        tainted: false,
        identity: None,
        unspoken: None,
    };
    let payload = Payload::ActionSucceeded(ActionSucceeded { action, record: Some(record) });
    Draft { payload, ..draft("") }
}

fn unclear(action: Uuid) -> Draft {
    let payload = Payload::ActionIndeterminate(ActionIndeterminate { action, reason: "who knows".into() });
    Draft { payload, ..draft("") }
}

fn nothing(action: Uuid) -> Draft {
    let payload = Payload::ActionFailed(ActionFailed { action, error: "nothing".into(), record: None });
    Draft { payload, ..draft("") }
}

/// A run that intended to make `a`, `b` and `c` and was overtaken, and what it knows of them.
async fn overtaken(others: impl Fn([Uuid; 3]) -> Vec<Draft>) -> (Arc<MemoryLog>, Arc<MemoryLog>) {
    let log = memory();
    let spool = Arc::new(MemoryLog::named(log.id(), Key::from_bytes([1; 32])));
    let intents = ["a", "b", "c"].map(|name| intended(name, Operation::Create));
    let actions = [intents[0].0, intents[1].0, intents[2].0];
    log.append(0, intents.map(|(_, draft)| draft).to_vec()).await.unwrap();
    let mut meanwhile = vec![taken_over()];
    meanwhile.extend(others(actions));
    log.append(3, meanwhile).await.unwrap();
    let known = actions.map(|action| Draft { run: Uuid::max(), ..succeeded(action, "once") });
    let (late, intent) = intended("d", Operation::Create);
    let mut kept = known.to_vec();
    kept.extend([intent, nothing(late)]);
    spool.append(0, kept).await.unwrap();
    (log, spool)
}

#[tokio::test]
async fn results_that_an_overtaken_run_kept_are_taken_in_where_the_log_knows_no_better() {
    // Nobody could tell of a, b was found, c was settled too early.
    let others = |[a, b, c]: [Uuid; 3]| vec![unclear(a), succeeded(b, "found"), nothing(c)];
    let (log, spool) = overtaken(others).await;
    let pushed = push_after(&log, &spool, 3).await;
    assert_eq!((pushed.events, pushed.passed_over, pushed.notes.len()), (3, 3, 0));
    let state = log.state().await.unwrap();
    let value =
        |name: &str| state.current(&format!("x.{name}").parse().unwrap()).map(|one| one.values.clone());
    let expected = ["once", "found", "once"].map(|text| Some(text.into()));
    assert_eq!([value("a"), value("b"), value("c")], expected);
    assert!(value("d").is_none() && state.open_actions.is_empty());
    let events = log.read(0).await.unwrap();
    let by_it = events.iter().filter(|event| event.run == Uuid::max()).count();
    assert_eq!(by_it, 2, "they keep their run");
    assert_eq!(push_after(&log, &spool, 3).await, Pushed::default());
}

#[tokio::test]
async fn what_was_made_by_two_runs_is_told() {
    let others = |[a, b, c]: [Uuid; 3]| {
        let (again, intent) = intended("c", Operation::Create);
        vec![unclear(a), succeeded(b, "found"), nothing(c), intent, succeeded(again, "second")]
    };
    let (log, spool) = overtaken(others).await;
    let pushed = push_after(&log, &spool, 3).await;
    assert_eq!((pushed.events, pushed.passed_over), (1, 4));
    assert!(
        matches!(&pushed.notes[..], [(address, text)] if address.to_string() == "x.c" && text.contains("guest 101")),
        "{:?}",
        pushed.notes
    );
}

/// A replacement that is made before the old object goes, and was settled too early: the old one is back in its place.
#[tokio::test]
async fn a_replacement_made_first_is_taken_in_beside_the_object_that_it_replaces() {
    for is_made_again in [false, true] {
        let log = memory();
        let spool = Arc::new(MemoryLog::named(log.id(), Key::from_bytes([1; 32])));
        let (first, old) = intended("a", Operation::Create);
        let (action, replacement) = replacing("a", "aside");
        log.append(0, vec![old, succeeded(first, "old"), replacement]).await.unwrap();
        let mut meanwhile = vec![taken_over(), nothing(action)];
        if is_made_again {
            let (again, intent) = replacing("a", "away");
            meanwhile.extend([intent, succeeded(again, "second")]);
        }
        log.append(3, meanwhile).await.unwrap();
        spool.append(0, vec![succeeded(action, "new")]).await.unwrap();
        let pushed = push_after(&log, &spool, 3).await;
        let state = log.state().await.unwrap();
        let address = "x.a".parse().unwrap();
        let current = state.current(&address).map(|record| record.values.clone());
        if is_made_again {
            assert_eq!((pushed.events, pushed.notes.len(), current), (0, 1, Some("second".into())));
        } else {
            assert_eq!((pushed.events, pushed.notes), (2, vec![]));
            assert_eq!(current, Some("new".into()));
            assert_eq!(state.instances[&address].deposed["aside"].values, "old");
        }
    }
}

#[tokio::test]
async fn what_a_run_still_does_when_it_is_overtaken_is_kept() {
    let log = memory();
    let spool = Arc::new(MemoryLog::named(log.id(), Key::from_bytes([1; 32])));
    let opened = Arc::clone(&spool);
    let wrapped = Arc::new(SpooledLog::new(
        Arc::<MemoryLog>::clone(&log),
        Box::new(move |_, _| Ok(Arc::<MemoryLog>::clone(&opened))),
        |error| assert!(error.is_conflict()),
    ));
    let writer = Writer::start(wrapped, State::default(), draft("").actor);
    let (action, intent) = intended("a", Operation::Create);
    writer.record(intent.payload).await.unwrap();
    log.append(1, vec![taken_over(), nothing(action)]).await.unwrap();
    // Its run is told to stop; what comes to an end all the same is not lost.
    for draft in [unclear(action), succeeded(action, "made")] {
        assert!(writer.record(draft.payload).await.unwrap_err().lost);
    }
    assert_eq!((log.head().await.unwrap(), spool.head().await.unwrap()), (3, 2));
    assert_eq!(push_after(&log, &spool, 1).await.events, 3);
    assert!(log.state().await.unwrap().current(&"x.a".parse().unwrap()).is_some());
}

/// A disk that is full must not hide that another run took over.
#[tokio::test]
async fn a_run_that_is_overtaken_and_can_keep_nothing_is_told_both() {
    let log = memory();
    let full = || LogError::Storage { place: "spool.db".into(), reason: "the disk is full".into() };
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    let wrapped = Arc::new(SpooledLog::new(
        Arc::<MemoryLog>::clone(&log),
        Box::new(move |_, _| Err(full())),
        move |_| stop.store(true, Ordering::Relaxed),
    ));
    let writer = Writer::start(wrapped, State::default(), draft("").actor);
    writer.record(draft("one").payload).await.unwrap();
    log.append(1, vec![taken_over()]).await.unwrap();
    let error = writer.record(draft("two").payload).await.unwrap_err();
    assert!(error.lost && error.message.contains("the disk is full"), "{error:?}");
    assert!(stopped.load(Ordering::Relaxed));
}

async fn push(log: &MemoryLog, spool: &MemoryLog) -> Pushed {
    push_after(log, spool, 1).await
}

async fn push_after(log: &MemoryLog, spool: &MemoryLog, base: u64) -> Pushed {
    push_spool(log, spool, base, &draft("").actor).await.unwrap()
}

#[tokio::test]
async fn a_spool_is_pushed_to_its_own_log_only() {
    let (_, spool) = spooled(false).await;
    let other = memory();
    other.append(0, vec![draft("one")]).await.unwrap();
    assert!(matches!(push_spool(&*other, &*spool, 1, &draft("").actor).await, Err(PushError::OtherLog)));
    assert_eq!(other.head().await.unwrap(), 1);
}
