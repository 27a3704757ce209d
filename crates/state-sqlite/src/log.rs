//! The log in a SQLite file: write-ahead journal, every commit synced.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use pve_model::event::Event;
use pve_state::{
    Draft, EventLog, Fault, Head, Key, Keyring, KeyringChange, KnownKeys, LogError, MovableLog, Seal,
    StoredEvent, Verification, check_following, verify_chain,
};
use rusqlite::{Connection, TransactionBehavior, params};
use uuid::Uuid;

use crate::keyrings::{has_ring, present_seal, read_rings, write_ring};
use crate::rows::{hash_of, read_head, read_stored, storage, write_events};

/// The newest format that this program writes and reads; kept in `user_version`.
const FORMAT: u32 = 2;

const SCHEMA: &str = "
    CREATE TABLE meta (id BLOB NOT NULL, head INTEGER NOT NULL, hash BLOB NOT NULL);
    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY, id BLOB NOT NULL, time TEXT NOT NULL, run BLOB NOT NULL,
        user TEXT NOT NULL, host TEXT NOT NULL, version TEXT NOT NULL, kind TEXT NOT NULL,
        sealed BLOB NOT NULL, hash BLOB NOT NULL);
";
/// Since format 2.
const KEYRINGS: &str = "CREATE TABLE keyrings (revision INTEGER PRIMARY KEY, body TEXT NOT NULL)";

/// A log in a file.
pub struct SqliteLog {
    seal: Arc<RwLock<Arc<Seal>>>,
    place: String,
    connection: Arc<Mutex<Connection>>,
}

impl SqliteLog {
    /// Opens the log at `path`, or makes it.
    ///
    /// # Errors
    /// When the file cannot be used or is of a newer program.
    pub fn open(path: &Path, key: Key) -> Result<SqliteLog, LogError> {
        SqliteLog::open_named(path, key, None)
    }

    /// The same; a log that has no events is given the id of the log that moves here.
    ///
    /// # Errors
    /// When the file cannot be used or is of a newer program.
    pub fn open_as(path: &Path, key: Key, id: Uuid) -> Result<SqliteLog, LogError> {
        SqliteLog::open_named(path, key, Some(id))
    }

    fn open_named(path: &Path, key: Key, name: Option<Uuid>) -> Result<SqliteLog, LogError> {
        let place = path.display().to_string();
        let storage = |error: rusqlite::Error| storage(&place, &error);
        make_private(path)
            .map_err(|error| LogError::Storage { place: place.clone(), reason: error.to_string() })?;
        let mut connection = Connection::open(path).map_err(storage)?;
        connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(storage)?;
        let format: u32 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(storage)?;
        if format > FORMAT {
            return Err(LogError::Newer { place, found: format, known: FORMAT });
        }
        connection.pragma_update(None, "journal_mode", "WAL").map_err(storage)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(storage)?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(storage)?;
        let format: u32 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(storage)?;
        if format == 0 {
            transaction.execute_batch(SCHEMA).map_err(storage)?;
            let insert = "INSERT INTO meta (id, head, hash) VALUES (?1, 0, ?2)";
            transaction.execute(insert, params![Uuid::now_v7().as_bytes(), [0_u8; 32]]).map_err(storage)?;
        }
        if format < 2 {
            transaction.execute_batch(KEYRINGS).map_err(storage)?;
            transaction.pragma_update(None, "user_version", FORMAT).map_err(storage)?;
        }
        if let Some(name) = name {
            let update = "UPDATE meta SET id = ?1 WHERE head = 0";
            transaction.execute(update, params![name.as_bytes()]).map_err(storage)?;
        }
        let id: [u8; 16] =
            transaction.query_row("SELECT id FROM meta", [], |row| row.get(0)).map_err(storage)?;
        transaction.commit().map_err(storage)?;
        let seal = Seal::new(Uuid::from_bytes(id), key, None);
        let connection = Arc::new(Mutex::new(connection));
        Ok(SqliteLog { seal: Arc::new(RwLock::new(Arc::new(seal))), place, connection })
    }

    /// Runs a blocking piece of work on the connection.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let connection = Arc::clone(&self.connection);
        let place = self.place.clone();
        let run = move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(run)
            .await
            .unwrap_or_else(|error| Err(LogError::Storage { place, reason: error.to_string() }))
    }
}

#[async_trait]
impl EventLog for SqliteLog {
    fn id(&self) -> Uuid {
        self.seal.read().unwrap_or_else(PoisonError::into_inner).log()
    }

    async fn head(&self) -> Result<u64, LogError> {
        let place = self.place.clone();
        self.with(move |connection| Ok(read_head(connection, &place)?.0)).await
    }

    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        let (place, known) = (self.place.clone(), Arc::clone(&self.seal));
        self.with(move |connection| {
            let fail = |error: rusqlite::Error| storage(&place, &error);
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
            let (head, hash) = read_head(&transaction, &place)?;
            if head != expected_head {
                return Err(LogError::Conflict { expected: expected_head, found: head });
            }
            let mut seal = present_seal(&transaction, &known, &place)?;
            if let (0, None, Some(first)) = (head, seal.ring(), batch.first()) {
                let name = format!("{}@{}", first.actor.user, first.actor.host);
                write_ring(&transaction, &seal.first_ring(&name, false)?, &place)?;
                seal = present_seal(&transaction, &known, &place)?;
            }
            let stored = seal.seal_batch(Head { sequence: head, hash }, &batch)?;
            write_events(&transaction, &stored).map_err(fail)?;
            transaction.commit().map_err(fail)?;
            seal.open_events(hash, &stored)
        })
        .await
    }

    async fn read(&self, after: u64) -> Result<Vec<Event>, LogError> {
        let (place, known) = (self.place.clone(), Arc::clone(&self.seal));
        self.with(move |connection| {
            // Before the events: an append in between only makes them more.
            let (head, _) = read_head(connection, &place)?;
            let stored = read_stored(connection, after, &place)?;
            let last = stored.last().map_or(after, |event| event.sequence);
            if last < head {
                return Err(LogError::Damaged(Fault::Truncated { last, written: head }.to_string()));
            }
            if stored.is_empty() {
                return Ok(Vec::new());
            }
            let before = hash_of(connection, after, &place)?;
            present_seal(connection, &known, &place)?.open_events(before, &stored)
        })
        .await
    }

    async fn known_end(&self) -> Result<Head, LogError> {
        let place = self.place.clone();
        self.with(move |connection| {
            let (sequence, hash) = read_head(connection, &place)?;
            Ok(Head { sequence, hash })
        })
        .await
    }

    async fn known_hash(&self, sequence: u64) -> Result<Option<[u8; 32]>, LogError> {
        let place = self.place.clone();
        self.with(move |connection| {
            let (head, _) = read_head(connection, &place)?;
            if sequence > head { Ok(None) } else { hash_of(connection, sequence, &place).map(Some) }
        })
        .await
    }

    async fn keyring_revision(&self, _: u64) -> Result<u64, LogError> {
        Ok(self.keyring().await?.map_or(0, |ring| ring.revision))
    }

    async fn known_keys(&self, count: Option<usize>) -> Result<Option<KnownKeys>, LogError> {
        let (place, known) = (self.place.clone(), Arc::clone(&self.seal));
        self.with(move |connection| Ok(present_seal(connection, &known, &place)?.known_keys(count))).await
    }

    async fn verify(&self) -> Result<Verification, LogError> {
        let place = self.place.clone();
        self.with(move |connection| {
            // One view of both: an append in between would look like tampering.
            let view = connection.transaction().map_err(|error| storage(&place, &error))?;
            let (head, hash) = read_head(&view, &place)?;
            Ok(verify_chain(&read_stored(&view, 0, &place)?, head, &hash))
        })
        .await
    }
}

#[async_trait]
impl MovableLog for SqliteLog {
    async fn stored(&self, after: u64) -> Result<Vec<StoredEvent>, LogError> {
        let place = self.place.clone();
        self.with(move |connection| read_stored(connection, after, &place)).await
    }

    async fn adopt(&self, events: &[StoredEvent], rings: &[Keyring]) -> Result<(), LogError> {
        let (place, events, rings) = (self.place.clone(), events.to_vec(), rings.to_vec());
        self.with(move |connection| {
            let fail = |error: rusqlite::Error| storage(&place, &error);
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
            let (sequence, hash) = read_head(&transaction, &place)?;
            let mut end = Head { sequence, hash };
            check_following(&mut end, &events)?;
            write_events(&transaction, &events).map_err(fail)?;
            for ring in &rings {
                if !has_ring(&transaction, ring.revision, &place)? {
                    write_ring(&transaction, ring, &place)?;
                }
            }
            transaction.commit().map_err(fail)
        })
        .await
    }

    async fn keyring(&self) -> Result<Option<Keyring>, LogError> {
        let (place, known) = (self.place.clone(), Arc::clone(&self.seal));
        self.with(move |connection| Ok(present_seal(connection, &known, &place)?.ring().cloned())).await
    }

    async fn keyrings(&self) -> Result<Vec<Keyring>, LogError> {
        let place = self.place.clone();
        self.with(move |connection| read_rings(connection, &place)).await
    }

    async fn change_keyring(&self, name: &str, change: KeyringChange) -> Result<Keyring, LogError> {
        let (place, known, name) = (self.place.clone(), Arc::clone(&self.seal), name.to_string());
        self.with(move |connection| {
            let fail = |error: rusqlite::Error| storage(&place, &error);
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
            let (head, _) = read_head(&transaction, &place)?;
            let next = present_seal(&transaction, &known, &place)?.next_ring(&name, head > 0, change)?;
            write_ring(&transaction, &next, &place)?;
            transaction.commit().map_err(fail)?;
            Ok(next)
        })
        .await
    }
}

/// Makes the file before SQLite does, readable by its owner alone.
fn make_private(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path).map(drop)
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
