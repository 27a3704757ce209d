//! The log in a file: reopened, tampered with, read beside a writer, moved.

use pve_state::conformance::{draft, run};

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
