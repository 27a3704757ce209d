//! A look at a log that may be somebody else's: nothing of it is changed, and nothing is made beside it.

use std::path::Path;
use std::time::Duration;

use pve_state::LogError;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use uuid::Uuid;

use crate::rows::storage;

/// The id of the log in a file; `None` when there is no file, or it is none of a log.
///
/// # Errors
/// When there is a file and it cannot be read.
pub fn log_id(path: &Path) -> Result<Option<Uuid>, LogError> {
    let place = path.display().to_string();
    let exists = path.try_exists();
    if !exists.map_err(|error| LogError::Storage { place: place.clone(), reason: error.to_string() })? {
        return Ok(None);
    }
    match read_id(path) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Ok(None),
        found => found.map_err(|error| storage(&place, &error)),
    }
}

fn read_id(path: &Path) -> rusqlite::Result<Option<Uuid>> {
    let mut journal = path.as_os_str().to_os_string();
    journal.push("-wal");
    // Without a journal nobody has it open, and all that there is stands in the file.
    let kind = if Path::new(&journal).exists() { "mode=ro" } else { "immutable=1" };
    let name = path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{name}?{kind}"), flags)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    let tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'meta'";
    if connection.query_row(tables, [], |row| row.get::<_, u32>(0))? == 0 {
        return Ok(None);
    }
    let id: [u8; 16] = connection.query_row("SELECT id FROM meta", [], |row| row.get(0))?;
    Ok(Some(Uuid::from_bytes(id)))
}

#[cfg(test)]
mod tests {
    use pve_state::conformance::draft;
    use pve_state::{EventLog as _, Key};

    use super::*;
    use crate::SqliteLog;

    #[tokio::test]
    async fn a_look_changes_nothing_and_sees_a_log_that_is_worked_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a%20b#c?.db");
        assert_eq!(log_id(&path).unwrap(), None);
        let log = SqliteLog::open(&path, Key::from_bytes([3; 32])).unwrap();
        log.append(0, vec![draft("a")]).await.unwrap();
        let working = Connection::open(&path).unwrap();
        working.execute_batch("BEGIN IMMEDIATE; UPDATE meta SET head = head").unwrap();
        assert_eq!(log_id(&path).unwrap(), Some(log.id()));
        drop(working);
        let id = log.id();
        drop(log);
        // As a newer and an older version would keep it.
        for format in [9, 1] {
            let other = Connection::open(&path).unwrap();
            other.pragma_update(None, "user_version", format).unwrap();
            other.pragma_update(None, "journal_mode", "DELETE").unwrap();
            drop(other);
            let (bytes, there) = (std::fs::read(&path).unwrap(), folder.path().read_dir().unwrap().count());
            assert_eq!(log_id(&path).unwrap(), Some(id));
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
            assert_eq!(folder.path().read_dir().unwrap().count(), there);
        }
    }

    #[test]
    fn a_file_that_is_no_log_has_no_id_and_one_that_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for text in [
            "",
            "a note that is long enough to have been a header of one hundred bytes, had it been a database",
        ] {
            let path = folder.path().join("note");
            std::fs::write(&path, text.repeat(3)).unwrap();
            assert_eq!(log_id(&path).unwrap(), None);
        }
        assert!(log_id(folder.path()).is_err());
    }
}
