//! Whom the log is sealed for: rotations, logs of before there were keyrings, and what those who were removed may try.

use pve_state::conformance::draft;

use super::tests::{five_events, key, layout, open};
use super::*;
use crate::MemoryStore;

#[tokio::test]
async fn a_rotation_is_followed_by_those_who_know_an_older_keyring() {
    let store = Arc::default();
    let log = five_events(&store).await;
    let early = open(&store).await;
    let rotated = log.change_keyring("ann", KeyringChange::Rotate).await.unwrap();
    assert_eq!(rotated.revision, 2);
    log.append(5, vec![draft("f")]).await.unwrap();
    assert_eq!(early.read(0).await.unwrap().len(), 6);
    let fresh = open(&store).await;
    fresh.append(6, vec![draft("g")]).await.unwrap();
    // Neither the hint nor the first keyring is needed to find the newest.
    store.remove(&layout().head()).unwrap();
    store.remove(&layout().keyring(1)).unwrap();
    let cold = open(&store).await;
    assert_eq!(cold.read(4).await.unwrap().len(), 3);
    assert_eq!(cold.keyring().await.unwrap(), Some(rotated));
}

#[tokio::test]
async fn a_log_whose_keyrings_were_removed_is_damaged() {
    let store = Arc::default();
    five_events(&store).await;
    store.remove(&layout().head()).unwrap();
    store.remove(&layout().keyring(1)).unwrap();
    let log = open(&store).await;
    for error in [log.read(0).await.unwrap_err(), log.append(5, vec![draft("x")]).await.unwrap_err()] {
        assert!(error.to_string().contains("was removed: the log is sealed with its keys"), "{error}");
    }
}

#[tokio::test]
async fn whoever_is_no_recipient_is_told_for_whom_the_log_is_sealed() {
    let store = Arc::default();
    five_events(&store).await;
    let other = S3Log::open(Arc::clone(&store) as _, layout(), Key::from_bytes([6; 32])).await.unwrap();
    let error = other.read(0).await.unwrap_err().to_string();
    assert!(error.contains("for ops@desk"), "{error}");
    assert!(matches!(other.append(5, vec![draft("x")]).await, Err(LogError::Key(_))));
    let identity = pve_state::Identity::of("six", &Key::from_bytes([6; 32])).unwrap();
    open(&store).await.change_keyring("ann", KeyringChange::Add(identity)).await.unwrap();
    other.append(5, vec![draft("x")]).await.unwrap();
}

#[tokio::test]
async fn a_log_of_before_there_were_keyrings_is_read_written_and_rotated() {
    let store: Arc<MemoryStore> = Arc::default();
    let id = Uuid::now_v7();
    let format = format!("{{\"format\":1,\"writer\":\"{id}\"}}");
    store.put(&layout().format(), format.into_bytes()).await.unwrap();
    // As it was written then: sealed with the key itself, for log and place.
    let old = draft("old");
    let sealed = key().seal(&serde_json::to_vec(&old.payload).unwrap(), &format!("{id}/1")).unwrap();
    let mut event = StoredEvent {
        sequence: 1,
        id: old.id,
        time: old.time,
        run: old.run,
        actor: old.actor,
        kind: "run_started".into(),
        sealed,
        hash: [0; 32],
    };
    event.hash = event.expected_hash(&[0; 32]);
    store.put(&layout().batch(1), encode_batch(id, &[event]).unwrap()).await.unwrap();

    let log = open(&store).await;
    log.append(1, vec![draft("b")]).await.unwrap();
    assert_eq!(log.keyring().await.unwrap(), None);
    moves_whole(&log, 2).await;
    log.change_keyring("ann", KeyringChange::Rotate).await.unwrap();
    log.append(2, vec![draft("c")]).await.unwrap();
    for log in [&log, &open(&store).await] {
        let payloads: Vec<_> = log.read(0).await.unwrap().into_iter().map(|event| event.payload).collect();
        assert_eq!(payloads, ["old", "b", "c"].map(|text| draft(text).payload));
    }
    moves_whole(&log, 3).await;
}

fn keys_changed(revision: u64) -> Draft {
    let changed = pve_model::event::KeysChanged { revision, change: String::new(), recipients: Vec::new() };
    Draft { payload: pve_model::event::Payload::KeysChanged(changed), ..draft("") }
}

#[tokio::test]
async fn a_writer_that_a_new_key_overtook_seals_with_that_from_then_on() {
    let store = Arc::default();
    let other = five_events(&store).await;
    let log = open(&store).await;
    log.change_keyring("ann", KeyringChange::Rotate).await.unwrap();
    log.append(5, vec![keys_changed(2)]).await.unwrap();
    assert!(other.append(5, vec![draft("old")]).await.unwrap_err().is_conflict());
    other.append(6, vec![draft("f")]).await.unwrap();
    assert_eq!(other.keyring().await.unwrap().unwrap().revision, 2);
    assert_eq!(open(&store).await.read(0).await.unwrap().len(), 7);
}

/// Bob was let in, and out again. He can write to the bucket and knows the keys of his time.
#[tokio::test]
async fn nothing_that_a_removed_recipient_seals_is_taken_for_the_teams() {
    let store: Arc<MemoryStore> = Arc::default();
    let log = five_events(&store).await;
    let bob = Key::from_bytes([6; 32]);
    let identity = pve_state::Identity::of("bob", &bob).unwrap();
    log.change_keyring("ann", KeyringChange::Add(identity)).await.unwrap();
    let as_bob = S3Log::open(Arc::clone(&store) as _, layout(), bob).await.unwrap();
    let (state, theirs) = (as_bob.state().await.unwrap(), as_bob.naming.seal());
    log.change_keyring("ann", KeyringChange::Remove("bob".into())).await.unwrap();
    log.append(5, vec![keys_changed(3)]).await.unwrap();
    log.settle().await;

    // An event of his own behind those of the team.
    let end = log.known_end().await.unwrap();
    let forged = theirs.seal_batch(end, &[draft("forged")]).unwrap();
    let batch = layout().batch(7);
    store.put(&batch, encode_batch(Uuid::now_v7(), &forged).unwrap()).await.unwrap();
    for error in [log.read(0).await.unwrap_err(), open(&store).await.state().await.unwrap_err()] {
        assert!(error.to_string().contains("event 7 cannot be opened"), "{error}");
    }
    store.remove(&batch).unwrap();

    // A snapshot of his own: one that cannot be used is passed over.
    let forged = State { sequence: 6, moved_to: Some("elsewhere".into()), ..state };
    let last = log.known.lock().await.last.clone().unwrap();
    let body = encode_snapshot(&theirs, Uuid::now_v7(), &last, &forged).unwrap();
    store.put(&layout().snapshot(6), body).await.unwrap();
    assert_eq!(open(&store).await.state().await.unwrap().moved_to, None);

    // The keyring of his time in the place of the present one.
    store.remove(&layout().head()).unwrap();
    store.remove(&layout().keyring(3)).unwrap();
    let behind = open(&store).await;
    for error in [behind.state().await.unwrap_err(), behind.read(0).await.unwrap_err()] {
        assert!(matches!(error, LogError::Key(KeyError::Wrong { .. })), "{error}");
    }
}

/// A keyring of data keys of her own that Mallory wraps for whom the log is sealed for: she can write to the bucket, knows
/// the public halves, and has no key.
fn forged_ring(log: &S3Log, revision: u64) -> Keyring {
    let mut ring = pve_state::Seal::new(log.id(), key(), None).first_ring("ops@desk", false).unwrap();
    while ring.revision < revision {
        ring = ring.changed(&key(), KeyringChange::Rotate).unwrap();
    }
    ring
}

#[tokio::test]
async fn a_state_by_keys_that_no_event_was_sealed_with_is_not_believed() {
    for (revision, makes_an_event) in [(1, false), (2, false), (1, true)] {
        let store: Arc<MemoryStore> = Arc::default();
        let log = five_events(&store).await;
        let (end, state) = (log.known_end().await.unwrap(), log.state().await.unwrap());
        log.settle().await;
        let ring = forged_ring(&log, revision);
        let hers = pve_state::Seal::new(log.id(), key(), Some(ring.clone()));
        let mut last = log.known.lock().await.last.clone().unwrap();
        if makes_an_event {
            let before = pve_state::Head { sequence: 4, hash: last.before };
            last.event = hers.seal_batch(before, &[draft("hers")]).unwrap().remove(0);
            last.event.hash = end.hash;
        }
        let forged = State { moved_to: Some("elsewhere".into()), ..state };
        let body = encode_snapshot(&hers, Uuid::now_v7(), &last, &forged).unwrap();
        store.put(&layout().snapshot(5), body).await.unwrap();
        let head = Hint { format: FORMAT, log: log.id(), head: end, snapshot: 5, ring: Some(ring) };
        store.put(&layout().head(), to_json(&head).unwrap()).await.unwrap();
        let error = open(&store).await.state().await.unwrap_err();
        assert!(matches!(error, LogError::Key(KeyError::Wrong { .. })), "revision {revision}: {error}");
    }
}

#[tokio::test]
async fn a_keyring_that_does_not_begin_with_the_known_keys_is_not_taken() {
    let store: Arc<MemoryStore> = Arc::default();
    let log = five_events(&store).await;
    log.settle().await;
    let forged = forged_ring(&log, 2);
    store.put(&layout().keyring(2), to_json(&forged).unwrap()).await.unwrap();
    for log in [log, open(&store).await] {
        let error = log.keyring().await.unwrap_err();
        assert!(matches!(error, LogError::Key(KeyError::Forged)), "{error}");
    }
    let error = open(&store).await.append(5, vec![draft("x")]).await.unwrap_err();
    assert!(matches!(error, LogError::Key(KeyError::Forged)), "{error}");
}

async fn moves_whole(log: &S3Log, events: u64) {
    let store: Arc<MemoryStore> = Arc::default();
    let to = S3Log::open_as(Arc::clone(&store) as _, layout(), key(), log.id()).await.unwrap();
    assert_eq!(pve_state::copy_log(log, &to).await.unwrap().events, events);
    let copy = open(&store).await;
    assert_eq!(copy.read(0).await.unwrap(), log.read(0).await.unwrap());
    assert_eq!(copy.verify().await.unwrap().fault, None);
    copy.append(events, vec![draft("on")]).await.unwrap();
}

#[tokio::test]
async fn a_log_comes_back_with_every_change_of_its_keys() {
    for changed_here in [false, true] {
        let store = Arc::default();
        let log = five_events(&store).await;
        let away = pve_state::MemoryLog::named(log.id(), key());
        pve_state::copy_log(&log, &away).await.unwrap();
        for revision in 2..4 {
            away.change_keyring("ann", KeyringChange::Rotate).await.unwrap();
            away.append(revision + 3, vec![keys_changed(revision)]).await.unwrap();
        }
        let early = open(&store).await;
        early.state().await.unwrap();
        if changed_here {
            log.change_keyring("bob", KeyringChange::Rotate).await.unwrap();
        }
        let back = pve_state::copy_log(&away, &open(&store).await).await;
        if changed_here {
            let error = back.unwrap_err().to_string();
            assert!(error.contains("were changed since it was moved away from here"), "{error}");
            continue;
        }
        assert_eq!(back.unwrap().events, 7);
        for reader in [early, open(&store).await] {
            assert_eq!(reader.read(0).await.unwrap(), away.read(0).await.unwrap());
            assert_eq!(reader.keyrings().await.unwrap(), away.keyrings().await.unwrap());
            assert_eq!(reader.verify().await.unwrap().fault, None);
        }
    }
}
