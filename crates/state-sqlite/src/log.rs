//! The log in a SQLite file: write-ahead journal, every commit synced.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use pve_model::event::{Actor, Event};
use pve_state::{
    Draft, EventLog, Fault, Head, Key, Keyring, KeyringChange, KnownKeys, LogError, MovableLog, Seal,
    StoredEvent, Verification, check_following, verify_chain,
};
use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use uuid::Uuid;

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

/// The seal with the keyring that is in force; kept for the next time.
fn present_seal(
    connection: &Connection,
    known: &RwLock<Arc<Seal>>,
    place: &str,
) -> Result<Arc<Seal>, LogError> {
    let seal = Arc::clone(&known.read().unwrap_or_else(PoisonError::into_inner));
    let revision = seal.ring().map_or(0, |ring| ring.revision);
    let query = "SELECT body FROM keyrings WHERE revision > ?1 ORDER BY revision DESC LIMIT 1";
    let newer: Option<String> = connection
        .query_row(query, params![signed(revision)], |row| row.get(0))
        .optional()
        .map_err(|error| storage(place, &error))?;
    let Some(body) = newer else { return Ok(seal) };
    let seal = Arc::new(seal.with_ring(decode_ring(&body, place)?)?);
    *known.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&seal);
    Ok(seal)
}

fn decode_ring(body: &str, place: &str) -> Result<Keyring, LogError> {
    serde_json::from_str(body)
        .map_err(|error| LogError::Damaged(format!("the keyring of {place} cannot be read: {error}")))
}

fn read_rings(connection: &Connection, place: &str) -> Result<Vec<Keyring>, LogError> {
    let fail = |error: rusqlite::Error| storage(place, &error);
    let mut query = connection.prepare("SELECT body FROM keyrings ORDER BY revision").map_err(fail)?;
    let bodies = query.query_map((), |row| row.get::<_, String>(0)).map_err(fail)?;
    bodies.map(|body| decode_ring(&body.map_err(fail)?, place)).collect()
}

fn has_ring(connection: &Connection, revision: u64, place: &str) -> Result<bool, LogError> {
    let query = "SELECT count(*) FROM keyrings WHERE revision = ?1";
    let found: i64 = connection
        .query_row(query, params![signed(revision)], |row| row.get(0))
        .map_err(|error| storage(place, &error))?;
    Ok(found > 0)
}

fn write_ring(connection: &Connection, ring: &Keyring, place: &str) -> Result<(), LogError> {
    let body = serde_json::to_string(ring)
        .map_err(|error| LogError::Damaged(format!("a keyring cannot be written: {error}")))?;
    let insert = "INSERT INTO keyrings (revision, body) VALUES (?1, ?2)";
    let written = connection.execute(insert, params![signed(ring.revision), body]);
    written.map(drop).map_err(|error| storage(place, &error))
}

/// The hash of an event; that before the first one for 0.
fn hash_of(connection: &Connection, sequence: u64, place: &str) -> Result<[u8; 32], LogError> {
    if sequence == 0 {
        return Ok(Head::default().hash);
    }
    let query = "SELECT hash FROM events WHERE sequence = ?1";
    let found = connection.query_row(query, params![signed(sequence)], |row| row.get(0)).optional();
    let found = found.map_err(|error| match error {
        FromSqlConversionFailure(..) | InvalidColumnType(..) => {
            LogError::Damaged(Fault::Changed { sequence }.to_string())
        }
        error => storage(place, &error),
    })?;
    found.ok_or_else(|| LogError::Damaged(Fault::Missing { sequence }.to_string()))
}

fn write_events(connection: &Connection, events: &[StoredEvent]) -> rusqlite::Result<()> {
    for event in events {
        insert(connection, event)?;
    }
    if let Some(last) = events.last() {
        let update = "UPDATE meta SET head = ?1, hash = ?2";
        connection.execute(update, params![signed(last.sequence), last.hash])?;
    }
    Ok(())
}

fn storage(place: &str, error: &rusqlite::Error) -> LogError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    if matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)) {
        return LogError::Damaged(format!("the log {place} is damaged: {error}"));
    }
    LogError::Storage { place: place.into(), reason: error.to_string() }
}

fn signed(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

fn read_head(connection: &Connection, place: &str) -> Result<(u64, [u8; 32]), LogError> {
    let row = connection
        .query_row("SELECT head, hash FROM meta", [], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
        .optional()
        .map_err(|error| storage(place, &error))?;
    let damaged = || LogError::Damaged(format!("the log {place} has no head"));
    let (head, hash) = row.ok_or_else(damaged)?;
    Ok((u64::try_from(head).map_err(|_| damaged())?, hash))
}

fn insert(connection: &Connection, event: &StoredEvent) -> rusqlite::Result<usize> {
    connection.prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?.execute(
        params![
            signed(event.sequence),
            event.id.as_bytes(),
            event.time.to_string(),
            event.run.as_bytes(),
            event.actor.user,
            event.actor.host,
            event.actor.version,
            event.kind,
            event.sealed,
            event.hash,
        ],
    )
}

fn read_stored(connection: &Connection, after: u64, place: &str) -> Result<Vec<StoredEvent>, LogError> {
    let fail = |error: rusqlite::Error| storage(place, &error);
    let query = "SELECT sequence, id, time, run, user, host, version, kind, sealed, hash FROM events
                 WHERE sequence > ?1 ORDER BY sequence";
    let mut statement = connection.prepare_cached(query).map_err(fail)?;
    let rows = statement.query_map(params![signed(after)], stored_event).map_err(fail)?;
    let mut last = after;
    let mut events = Vec::new();
    for row in rows {
        let event = row.map_err(|error| match error {
            FromSqlConversionFailure(..) | InvalidColumnType(..) | IntegralValueOutOfRange(..) => {
                LogError::Damaged(Fault::Changed { sequence: last + 1 }.to_string())
            }
            error => fail(error),
        })?;
        last = event.sequence;
        events.push(event);
    }
    Ok(events)
}

fn stored_event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let time: String = row.get(2)?;
    Ok(StoredEvent {
        sequence: row.get::<_, i64>(0)?.unsigned_abs(),
        id: Uuid::from_bytes(row.get(1)?),
        time: time.parse().map_err(|error| FromSqlConversionFailure(2, Type::Text, Box::new(error)))?,
        run: Uuid::from_bytes(row.get(3)?),
        actor: Actor { user: row.get(4)?, host: row.get(5)?, version: row.get(6)? },
        kind: row.get(7)?,
        sealed: row.get(8)?,
        hash: row.get(9)?,
    })
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
