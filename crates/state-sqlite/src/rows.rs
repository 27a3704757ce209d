//! The events of a log in its file, and where it ends.

use pve_model::event::Actor;
use pve_state::{Fault, Head, LogError, StoredEvent};
use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

/// The hash of an event; that before the first one for 0.
pub(crate) fn hash_of(connection: &Connection, sequence: u64, place: &str) -> Result<[u8; 32], LogError> {
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

pub(crate) fn write_events(connection: &Connection, events: &[StoredEvent]) -> rusqlite::Result<()> {
    for event in events {
        insert(connection, event)?;
    }
    if let Some(last) = events.last() {
        let update = "UPDATE meta SET head = ?1, hash = ?2";
        connection.execute(update, params![signed(last.sequence), last.hash])?;
    }
    Ok(())
}

pub(crate) fn read_head(connection: &Connection, place: &str) -> Result<(u64, [u8; 32]), LogError> {
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

pub(crate) fn read_stored(
    connection: &Connection,
    after: u64,
    place: &str,
) -> Result<Vec<StoredEvent>, LogError> {
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

pub(crate) fn storage(place: &str, error: &rusqlite::Error) -> LogError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    if matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)) {
        return LogError::Damaged(format!("the log {place} is damaged: {error}"));
    }
    LogError::Storage { place: place.into(), reason: error.to_string() }
}

pub(crate) fn signed(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}
