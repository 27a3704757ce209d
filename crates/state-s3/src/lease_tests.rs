//! The lease over a store that works and over one that loses requests and answers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pve_model::event::Payload;
use pve_state::conformance::draft;
use pve_state::{
    EventLog as _, Key, Lease, LeaseError, LeaseHolder, LeaseOptions, break_lease, lease_status,
};
use tokio::time::sleep;

use super::*;
use crate::faults::{Careless, FaultyStore};
use crate::{MemoryStore, Page, S3Log};

const TIME_TO_LIVE: Duration = Duration::from_secs(60);

fn layout() -> Layout {
    Layout::new("team/prod")
}

fn holder(name: &str) -> LeaseHolder {
    let mut actor = draft("").actor;
    actor.user = name.into();
    LeaseHolder::new(actor, "apply")
}

fn options(wait: u64) -> LeaseOptions<'static> {
    LeaseOptions { wait: Duration::from_secs(wait), ..LeaseOptions::new() }
}

async fn log(store: &Arc<dyn ObjectStore>) -> S3Log {
    S3Log::open(Arc::clone(store), layout(), Key::from_bytes([5; 32])).await.unwrap()
}

fn lease(store: &Arc<dyn ObjectStore>) -> Arc<S3Lease> {
    let probe = Arc::new(Probe::new(Arc::clone(store), layout()));
    Arc::new(S3Lease::new(Arc::clone(store), layout(), probe))
}

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(MemoryStore::default())
}

#[tokio::test]
async fn the_lease_of_a_store_is_a_lease() {
    pve_state::conformance::run_lease(lease(&memory())).await;
}

/// A store that one process is cut off from.
struct CutOff(Arc<dyn ObjectStore>, std::sync::atomic::AtomicBool);

impl CutOff {
    fn check(&self) -> Result<(), StoreError> {
        if self.1.load(Ordering::Relaxed) { Err(StoreError::Unclear("timeout".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl ObjectStore for CutOff {
    async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.check()?;
        self.0.put_if_absent(key, body).await
    }
    async fn replace(&self, key: &str, version: &str, body: Vec<u8>) -> Result<String, StoreError> {
        self.check()?;
        self.0.replace(key, version, body).await
    }
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        self.check()?;
        self.0.put(key, body).await
    }
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.check()?;
        self.0.get(key).await
    }
    async fn list(&self, prefix: &str, after: &str) -> Result<Page, StoreError> {
        self.check()?;
        self.0.list(prefix, after).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.check()?;
        self.0.delete(key).await
    }
}

#[tokio::test]
async fn a_store_that_ignores_conditions_on_versions_is_refused_before_there_is_a_lease() {
    let careless = Arc::new(Careless::of_versions());
    let store: Arc<dyn ObjectStore> = Arc::<Careless>::clone(&careless);
    let log = log(&store).await;
    let refused = Lease::acquire(Arc::new(log.lease()), &log, holder("ann"), &options(0)).await.map(drop);
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("ignores `If-Match`"), "{error}");
    assert_eq!(careless.store.keys(), [layout().probe()]);
}

#[tokio::test(start_paused = true)]
async fn a_second_run_is_told_who_the_first_is_and_follows_its_release() {
    let store = memory();
    let log = log(&store).await;
    let first = Lease::acquire(lease(&store), &log, holder("ann"), &options(0)).await.unwrap();
    let refused = Lease::acquire(lease(&store), &log, holder("bob"), &options(0)).await.map(drop);
    assert!(matches!(&refused, Err(LeaseError::Held(other)) if other.actor.user == "ann"), "{refused:?}");
    let told = AtomicU32::new(0);
    let waiting = |other: &LeaseHolder, _: Option<Duration>| {
        assert_eq!(other.actor.user, "ann");
        told.fetch_add(1, Ordering::Relaxed);
    };
    let patient = LeaseOptions { wait: Duration::from_secs(600), waiting: &waiting, ..LeaseOptions::new() };
    let (released, second) = tokio::join!(
        async {
            sleep(Duration::from_secs(300)).await;
            assert!(!first.is_lost(), "it is renewed");
            first.release().await
        },
        Lease::acquire(lease(&store), &log, holder("bob"), &patient),
    );
    released.unwrap();
    let second = second.unwrap();
    assert_eq!((second.epoch(), told.load(Ordering::Relaxed)), (2, 1));
    assert_eq!(log.head().await.unwrap(), 0, "a lease that was given back needs no fencing");
    second.release().await.unwrap();
    assert!(lease_status(&*lease(&store)).await.unwrap().is_none());
    assert_eq!(lease(&store).read().await.unwrap().unwrap().record.epoch, 2, "the record stays");
}

#[tokio::test(start_paused = true)]
async fn two_hundred_races_have_one_winner_each() {
    for seed in 0..200 {
        let store = memory();
        let racers = (0..4).map(|racer| {
            let faulty = FaultyStore::new(Arc::clone(&store), 1000 * seed + racer);
            let faulty: Arc<dyn ObjectStore> = Arc::new(faulty);
            async move {
                let log = log(&faulty).await;
                Lease::acquire(lease(&faulty), &log, holder(&racer.to_string()), &options(0)).await
            }
        });
        let mut held = Vec::new();
        for result in futures::future::join_all(racers).await {
            match result {
                Ok(lease) => held.push(lease),
                Err(LeaseError::Held(_)) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        assert_eq!(held.len(), 1, "seed {seed}");
        let found = lease_status(&*lease(&store)).await.unwrap().unwrap();
        assert_eq!(found.record.epoch, held[0].epoch(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_stopped_cannot_append_and_its_place_is_taken_by_one() {
    for seed in 0..20 {
        let store = memory();
        let cut: Arc<CutOff> = Arc::new(CutOff(Arc::clone(&store), false.into()));
        let held: Arc<dyn ObjectStore> = Arc::<CutOff>::clone(&cut);
        let stale_log = log(&held).await;
        stale_log.append(0, vec![draft("before")]).await.unwrap();
        let stale = Lease::acquire(lease(&held), &stale_log, holder("ann"), &options(0)).await.unwrap();
        let stopped = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = Arc::clone(&stopped);
        stale.on_loss(move || flag.store(true, Ordering::Relaxed));
        cut.1.store(true, Ordering::Relaxed);

        let takers = (0..3).map(|taker| {
            let store = Arc::clone(&store);
            async move {
                let faulty: Arc<dyn ObjectStore> =
                    Arc::new(FaultyStore::new(Arc::clone(&store), 1000 * seed + taker));
                let log = log(&faulty).await;
                Lease::acquire(lease(&faulty), &log, holder("bob"), &options(100)).await
            }
        });
        let results = futures::future::join_all(takers).await;
        let won: Vec<Lease> = results.into_iter().filter_map(Result::ok).collect();
        assert_eq!(won.len(), 1, "seed {seed}");
        assert!(
            stale.is_lost() && stopped.load(Ordering::Relaxed),
            "seed {seed}: it knows without the store"
        );

        cut.1.store(false, Ordering::Relaxed);
        let error = stale_log.append(1, vec![draft("late")]).await.unwrap_err();
        assert!(error.is_conflict(), "seed {seed}: {error}");
        assert!(matches!(stale.release().await, Err(LeaseError::Lost)), "seed {seed}");
        let events = log(&store).await.read(1).await.unwrap();
        assert_eq!(events.len(), 1, "seed {seed}");
        assert!(matches!(&events[0].payload, Payload::LeaseTakenOver(over) if over.epoch == 2));
        assert!(!won[0].is_lost(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_not_taken_before_its_holder_knows_that_it_lost_it() {
    let store = memory();
    let cut: Arc<CutOff> = Arc::new(CutOff(Arc::clone(&store), false.into()));
    let held: Arc<dyn ObjectStore> = Arc::<CutOff>::clone(&cut);
    let log = log(&store).await;
    let stale = Lease::acquire(lease(&held), &log, holder("ann"), &options(0)).await.unwrap();
    sleep(Duration::from_secs(40)).await;
    cut.1.store(true, Ordering::Relaxed);
    let early = Lease::acquire(lease(&store), &log, holder("bob"), &options(59)).await.map(drop);
    assert!(matches!(early, Err(LeaseError::Held(_))), "{early:?}");
    let cut_for = tokio::time::Instant::now();
    let taken = Lease::acquire(lease(&store), &log, holder("bob"), &options(120)).await.unwrap();
    assert!(stale.is_lost());
    assert!(cut_for.elapsed() >= TIME_TO_LIVE && taken.epoch() == 2);
}

#[tokio::test(start_paused = true)]
async fn renewals_survive_lost_answers() {
    for seed in 0..20 {
        let faulty: Arc<dyn ObjectStore> = Arc::new(FaultyStore::new(memory(), seed));
        let log = log(&faulty).await;
        let held = Lease::acquire(lease(&faulty), &log, holder("ann"), &options(0)).await.unwrap();
        sleep(Duration::from_secs(3600)).await;
        assert!(!held.is_lost(), "seed {seed}");
        held.release().await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[tokio::test(start_paused = true)]
async fn breaking_a_lease_fences_its_holder_and_spares_the_one_that_followed() {
    let store = memory();
    let log = log(&store).await;
    let broken = Lease::acquire(lease(&store), &log, holder("ann"), &options(0)).await.unwrap();
    let shown = lease_status(&*lease(&store)).await.unwrap().unwrap();
    sleep(Duration::from_secs(20)).await; // Renewed since it was shown.
    let remaining = break_lease(&*lease(&store), &log, &shown, holder("eve")).await.unwrap();
    assert_eq!(remaining, Some(TIME_TO_LIVE), "its process goes on");
    assert!(log.append(0, vec![draft("late")]).await.unwrap_err().is_conflict());
    sleep(Duration::from_secs(20)).await;
    assert!(broken.is_lost());
    let next = Lease::acquire(lease(&store), &log, holder("bob"), &options(0)).await.unwrap();
    assert_eq!(next.epoch(), 3);
    let again = break_lease(&*lease(&store), &log, &shown, holder("eve")).await;
    assert!(matches!(again, Err(LeaseError::Lost)), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_broken_while_the_log_was_away_is_fenced_by_whoever_takes_it_next() {
    let store = memory();
    let good = log(&store).await;
    good.append(0, vec![draft("one")]).await.unwrap();
    let held = Lease::acquire(lease(&store), &good, holder("ann"), &options(0)).await.unwrap();
    let shown = lease_status(&*lease(&store)).await.unwrap().unwrap();
    let cut = Arc::new(CutOff(Arc::clone(&store), false.into()));
    let cut_off = log(&(Arc::<CutOff>::clone(&cut) as _)).await;
    cut.1.store(true, Ordering::Relaxed);
    break_lease(&*lease(&store), &cut_off, &shown, holder("bob")).await.unwrap_err();
    assert_eq!(good.head().await.unwrap(), 1, "nobody was fenced yet");
    assert_eq!(lease_status(&*lease(&store)).await.unwrap(), None);
    let next = Lease::acquire(lease(&store), &good, holder("eve"), &options(0)).await.unwrap();
    let events = good.read(1).await.unwrap();
    assert!(
        matches!(&events[..], [one] if matches!(&one.payload, Payload::LeaseTakenOver(over) if over.from.contains("ann")))
    );
    next.release().await.unwrap();
    drop(held);
    // It is told once.
    let again = Lease::acquire(lease(&store), &good, holder("eve"), &options(0)).await.unwrap();
    assert_eq!((again.epoch(), good.head().await.unwrap()), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_broken_lease_is_not_taken_while_its_holder_cannot_know() {
    let store = memory();
    let cut: Arc<CutOff> = Arc::new(CutOff(Arc::clone(&store), false.into()));
    let held: Arc<dyn ObjectStore> = Arc::<CutOff>::clone(&cut);
    let log = log(&store).await;
    let broken = Lease::acquire(lease(&held), &log, holder("ann"), &options(0)).await.unwrap();
    let watch = broken.watch();
    sleep(Duration::from_secs(16)).await;
    // Renewed just now, and away from then on.
    cut.1.store(true, Ordering::Relaxed);
    let shown = lease_status(&*lease(&store)).await.unwrap().unwrap();
    break_lease(&*lease(&store), &log, &shown, holder("eve")).await.unwrap();
    assert!(!watch.is_lost(), "it cannot know");
    let told = AtomicU32::new(0);
    let waiting = |other: &LeaseHolder, remaining: Option<Duration>| {
        assert!(other.actor.user == "ann" && remaining.is_some_and(|time| time <= TIME_TO_LIVE * 2));
        told.fetch_add(1, Ordering::Relaxed);
    };
    let impatient = LeaseOptions { waiting: &waiting, ..LeaseOptions::new() };
    let next = Lease::acquire(lease(&store), &log, holder("bob"), &impatient).await.unwrap();
    assert!(watch.is_lost(), "by its own clock");
    assert_eq!((next.epoch(), told.load(Ordering::Relaxed)), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_broken_lease_of_a_process_that_has_ended_is_free() {
    let store = memory();
    let log = log(&store).await;
    let mut ended = std::process::Command::new("true").spawn().unwrap();
    let dead = LeaseHolder { process: ended.id(), ..holder("ann") };
    ended.wait().unwrap();
    if dead.machine.is_none() {
        return;
    }
    assert!(dead.has_ended() && !holder("ann").has_ended());
    assert!(!LeaseHolder { machine: Some("another".into()), ..dead.clone() }.has_ended());
    drop(Lease::acquire(lease(&store), &log, dead, &options(0)).await.unwrap());
    let shown = lease_status(&*lease(&store)).await.unwrap().unwrap();
    assert_eq!(break_lease(&*lease(&store), &log, &shown, holder("eve")).await.unwrap(), None);
    let begun = tokio::time::Instant::now();
    Lease::acquire(lease(&store), &log, holder("bob"), &options(0)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// Says that everything is there for writes and nothing for reads.
struct NoStore(AtomicU32);

#[async_trait]
impl LeaseStore for NoStore {
    async fn read(&self) -> Result<Option<pve_state::StoredLease>, LogError> {
        Ok(None)
    }
    async fn write(&self, _: Option<&str>, _: &LeaseRecord) -> Result<LeaseWrite, LogError> {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) < 100, "without end");
        Ok(LeaseWrite::Other(None))
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_store_is_not_asked_for_ever() {
    let log = log(&memory()).await;
    let asked = Lease::acquire(Arc::new(NoStore(0.into())), &log, holder("ann"), &options(0)).await;
    let error = asked.map(drop).unwrap_err().to_string();
    assert!(error.contains("no object store"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_read_is_made_anew_and_waited_for() {
    for damage in ["", "{\"epoch\":", "epoch", "time_to_live"] {
        let store = memory();
        let log = log(&store).await;
        let held = Lease::acquire(lease(&store), &log, holder("ann"), &options(0)).await.unwrap();
        assert!(!lease(&store).repair(holder("eve")).await.unwrap(), "it can be read");
        let body = store.get(&layout().lease()).await.unwrap().unwrap().body;
        let mut body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let damage = if body.get(damage).is_some() {
            // One that nobody could count on from, or that would be waited for for ever.
            body[damage] = u64::MAX.into();
            body.to_string()
        } else {
            damage.to_string()
        };
        store.put(&layout().lease(), damage.into_bytes()).await.unwrap();
        let refused = Lease::acquire(lease(&store), &log, holder("bob"), &options(0)).await.map(drop);
        assert!(matches!(refused, Err(LeaseError::Log(LogError::Damaged(_)))), "{refused:?}");
        assert!(lease(&store).repair(holder("eve")).await.unwrap());
        let begun = tokio::time::Instant::now();
        let next = Lease::acquire(lease(&store), &log, holder("bob"), &options(0)).await.unwrap();
        assert!(begun.elapsed() >= TIME_TO_LIVE && held.is_lost(), "{:?}", begun.elapsed());
        assert!(next.epoch() > 1_000_000, "it only rises");
    }
}
