//! The keyrings of a log in its file, and the seal that the newest one makes.

use std::sync::{Arc, PoisonError, RwLock};

use pve_state::{Keyring, LogError, Seal};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::rows::{signed, storage};

/// The seal with the keyring that is in force; kept for the next time.
pub(crate) fn present_seal(
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

pub(crate) fn read_rings(connection: &Connection, place: &str) -> Result<Vec<Keyring>, LogError> {
    let fail = |error: rusqlite::Error| storage(place, &error);
    let mut query = connection.prepare("SELECT body FROM keyrings ORDER BY revision").map_err(fail)?;
    let bodies = query.query_map((), |row| row.get::<_, String>(0)).map_err(fail)?;
    bodies.map(|body| decode_ring(&body.map_err(fail)?, place)).collect()
}

pub(crate) fn has_ring(connection: &Connection, revision: u64, place: &str) -> Result<bool, LogError> {
    let query = "SELECT count(*) FROM keyrings WHERE revision = ?1";
    let found: i64 = connection
        .query_row(query, params![signed(revision)], |row| row.get(0))
        .map_err(|error| storage(place, &error))?;
    Ok(found > 0)
}

pub(crate) fn write_ring(connection: &Connection, ring: &Keyring, place: &str) -> Result<(), LogError> {
    let body = serde_json::to_string(ring)
        .map_err(|error| LogError::Damaged(format!("a keyring cannot be written: {error}")))?;
    let insert = "INSERT INTO keyrings (revision, body) VALUES (?1, ?2)";
    let written = connection.execute(insert, params![signed(ring.revision), body]);
    written.map(drop).map_err(|error| storage(place, &error))
}
