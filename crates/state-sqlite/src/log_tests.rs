//! The log in a file: reopened, tampered with, read beside a writer, moved.

use pve_state::conformance::{draft, run, run_reopened};

use super::*;

fn key() -> Key {
    Key::from_bytes([3; 32])
}

#[tokio::test]
async fn the_sqlite_log_is_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    run(|| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = folder.path().join(format!("{number}.db"));
        async move { Arc::new(SqliteLog::open(&path, key()).unwrap()) }
    })
    .await;
    run_reopened(async || Arc::new(SqliteLog::open(&folder.path().join("again.db"), key()).unwrap())).await;
}

#[tokio::test]
async fn all_keyrings_go_with_a_log_that_moves() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(&folder.path().join("log.db"), key()).unwrap();
    log.append(0, vec![draft("a")]).await.unwrap();
    for _ in 0..2 {
        log.change_keyring("ann", KeyringChange::Rotate).await.unwrap();
    }
    let rings = log.keyrings().await.unwrap();
    assert_eq!(rings.iter().map(|ring| ring.revision).collect::<Vec<_>>(), [1, 2, 3]);
    let to = SqliteLog::open_as(&folder.path().join("to.db"), key(), log.id()).unwrap();
    assert_eq!(pve_state::copy_log(&log, &to).await.unwrap().events, 1);
    assert_eq!(to.keyrings().await.unwrap(), rings);
}

#[tokio::test]
async fn events_are_there_after_reopening_and_sealed_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path, key()).unwrap();
    log.append(0, vec![draft("hunter2-hunter2")]).await.unwrap();
    drop(log);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(15).any(|window| window == b"hunter2-hunter2"));
    }
    let log = SqliteLog::open(&path, key()).unwrap();
    assert_eq!(log.read(0).await.unwrap()[0].payload, draft("hunter2-hunter2").payload);
    let other = SqliteLog::open(&path, Key::from_bytes([4; 32])).unwrap();
    let error = other.read(0).await.unwrap_err().to_string();
    assert!(error.contains("another key"), "{error}");
}

#[tokio::test]
async fn a_log_of_a_newer_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    drop(SqliteLog::open(&path, key()).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", FORMAT + 1).unwrap();
    assert!(matches!(SqliteLog::open(&path, key()), Err(LogError::Newer { .. })));
}

#[tokio::test]
async fn a_log_without_its_end_is_not_read_as_if_nothing_were_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path, key()).unwrap();
    log.append(0, ["a", "b", "c", "d"].map(draft).to_vec()).await.unwrap();
    Connection::open(&path).unwrap().execute_batch("DELETE FROM events WHERE sequence > 2").unwrap();
    for after in [0, 1, 2] {
        let error = log.read(after).await.unwrap_err();
        assert!(matches!(error, LogError::Damaged(_)), "{error}");
        assert!(error.to_string().contains("the end is missing"), "{error}");
    }
}

#[test]
fn a_file_that_is_no_log_is_damage_that_does_not_pass() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    std::fs::write(&path, "this is no database ".repeat(100)).unwrap();
    assert!(matches!(SqliteLog::open(&path, key()), Err(LogError::Damaged(_))));
}

#[tokio::test]
async fn an_event_that_is_of_another_shape_is_damage_and_named() {
    for damage in ["time = 'yesterday'", "id = x'00'", "user = x'00'"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let log = SqliteLog::open(&path, key()).unwrap();
        log.append(0, ["a", "b", "c"].map(draft).to_vec()).await.unwrap();
        let statement = format!("UPDATE events SET {damage} WHERE sequence = 2");
        Connection::open(&path).unwrap().execute_batch(&statement).unwrap();
        for error in [log.read(0).await.unwrap_err(), log.verify().await.unwrap_err()] {
            assert!(matches!(error, LogError::Damaged(_)), "{damage}: {error}");
            assert!(error.to_string().contains("event 2 was changed"), "{damage}: {error}");
        }
    }
}

#[tokio::test]
async fn verification_beside_a_writer_finds_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let (writer, reader) = (SqliteLog::open(&path, key()).unwrap(), SqliteLog::open(&path, key()).unwrap());
    let writing = tokio::spawn(async move {
        for head in 0..200 {
            writer.append(head, vec![draft("a")]).await.unwrap();
        }
    });
    while !writing.is_finished() {
        assert_eq!(reader.verify().await.unwrap().fault, None);
    }
    writing.await.unwrap();
    assert_eq!(reader.verify().await.unwrap().events, 200);
}

#[tokio::test]
async fn verification_names_the_event_that_was_tampered_with() {
    let tampering = [
        ("UPDATE events SET user = 'mallory' WHERE sequence = 2", Fault::Changed { sequence: 2 }),
        ("UPDATE events SET sealed = x'00' WHERE sequence = 3", Fault::Changed { sequence: 3 }),
        ("DELETE FROM events WHERE sequence = 2", Fault::Missing { sequence: 2 }),
        ("DELETE FROM events WHERE sequence = 4", Fault::Truncated { last: 3, written: 4 }),
        (
            "UPDATE events SET sequence = 9 WHERE sequence = 2; UPDATE events SET sequence = 2 WHERE sequence = 3;
             UPDATE events SET sequence = 3 WHERE sequence = 9",
            Fault::Changed { sequence: 2 },
        ),
    ];
    for (statement, expected) in tampering {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let log = SqliteLog::open(&path, key()).unwrap();
        log.append(0, ["a", "b", "c", "d"].map(draft).to_vec()).await.unwrap();
        Connection::open(&path).unwrap().execute_batch(statement).unwrap();
        assert_eq!(log.verify().await.unwrap().fault, Some(expected), "{statement}");
    }
}

#[tokio::test]
async fn a_log_moves_into_a_file_and_keeps_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let from = SqliteLog::open(&folder.path().join("from.db"), key()).unwrap();
    from.append(0, ["a", "b", "c"].map(draft).to_vec()).await.unwrap();
    let path = folder.path().join("to.db");
    drop(SqliteLog::open(&path, key()).unwrap());
    let to = SqliteLog::open_as(&path, key(), from.id()).unwrap();
    assert_eq!(pve_state::copy_log(&from, &to).await.unwrap().events, 3);
    assert_eq!(to.read(0).await.unwrap(), from.read(0).await.unwrap());
    let again = SqliteLog::open_as(&path, key(), Uuid::now_v7()).unwrap();
    assert_eq!(again.id(), from.id(), "a log with events keeps its id");
}

#[tokio::test]
async fn a_log_of_the_format_before_keyrings_is_read_written_and_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path, key()).unwrap();
    log.append(0, vec![draft("a")]).await.unwrap();
    drop(log);
    // As it was written then: no table of keyrings, the payload sealed with the key itself for log and place.
    let connection = Connection::open(&path).unwrap();
    let id: [u8; 16] = connection.query_row("SELECT id FROM meta", [], |row| row.get(0)).unwrap();
    let mut event = read_stored(&connection, 0, "it").unwrap().remove(0);
    let json = serde_json::to_vec(&draft("old").payload).unwrap();
    event.sealed = key().seal(&json, &format!("{}/1", Uuid::from_bytes(id))).unwrap();
    event.hash = event.expected_hash(&[0; 32]);
    connection.execute_batch("DROP TABLE keyrings; DELETE FROM events; PRAGMA user_version = 1").unwrap();
    write_events(&connection, &[event]).unwrap();
    drop(connection);

    let log = SqliteLog::open(&path, key()).unwrap();
    log.append(1, vec![draft("b")]).await.unwrap();
    assert_eq!(log.keyring().await.unwrap(), None);
    log.change_keyring("ann", KeyringChange::Rotate).await.unwrap();
    log.append(2, vec![draft("c")]).await.unwrap();
    for log in [&log, &SqliteLog::open(&path, key()).unwrap()] {
        let payloads: Vec<_> = log.read(0).await.unwrap().into_iter().map(|event| event.payload).collect();
        assert_eq!(payloads, ["old", "b", "c"].map(|text| draft(text).payload));
    }
}

#[tokio::test]
async fn who_has_the_key_notices_a_log_that_was_written_anew_around_its_seals() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path, key()).unwrap();
    log.append(0, ["a", "b", "c"].map(draft).to_vec()).await.unwrap();
    // Every hash is right again, as anybody can make it.
    let connection = Connection::open(&path).unwrap();
    let mut stored = read_stored(&connection, 0, "it").unwrap();
    stored[1].actor.user = "mallory".into();
    let mut before = [0; 32];
    for event in &mut stored {
        event.hash = event.expected_hash(&before);
        before = event.hash;
    }
    connection.execute_batch("DELETE FROM events").unwrap();
    write_events(&connection, &stored).unwrap();
    assert_eq!(log.verify().await.unwrap().fault, None);
    assert!(matches!(log.read(0).await, Err(LogError::Key(_))));
    assert!(matches!(log.read(1).await, Err(LogError::Key(_))));
}

#[tokio::test]
async fn a_rotation_by_another_process_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let (one, other) = (SqliteLog::open(&path, key()).unwrap(), SqliteLog::open(&path, key()).unwrap());
    one.append(0, vec![draft("a")]).await.unwrap();
    other.change_keyring("ann", KeyringChange::Rotate).await.unwrap();
    other.append(1, vec![draft("b")]).await.unwrap();
    one.append(2, vec![draft("c")]).await.unwrap();
    assert_eq!(one.read(0).await.unwrap().len(), 3);
    assert_eq!(one.keyring().await.unwrap().unwrap().revision, 2);
}
