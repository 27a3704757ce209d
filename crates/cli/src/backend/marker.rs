//! What is kept beside an environment of its log: where it is, which one, and how far it was seen to go. So a log that
//! was emptied, replaced or left behind is noticed where it can be.

use std::path::Path;

use pve_state::{EventLog, Head, KnownKeys};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::place::{Place, path};
use crate::failure::Failure;
use crate::project::Project;
use crate::replace_file::write_private;

/// The newest format of the file.
const FORMAT: u32 = 1;

/// What the file holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Marker {
    format: u32,
    pub(super) place: Place,
    pub(super) log: Uuid,
    pub(super) sequence: u64,
    hash: String,
    /// The revision of the log's keyring.
    #[serde(default)]
    keyring: u64,
    /// By what its data keys are known again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<KnownKeys>,
}

fn hexadecimal(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Marker {
    /// What is kept of the environment's log.
    ///
    /// # Errors
    /// When it is there and cannot be read, or is of a newer format.
    pub(super) fn read(project: &Project) -> Result<Option<Marker>, Failure> {
        match std::fs::read(path(project)) {
            Ok(text) => Marker::parse(&text).map(Some).map_err(|why| {
                let file = path(project);
                Failure::hinted(
                    format!("{}: {why}", file.display()),
                    "It tells which log the environment has, and how far it was seen to go. Put it back from a copy; without \
                     one, remove it if you are sure that the log is the right one and whole.",
                )
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::reading(&path(project))(error)),
        }
    }

    fn parse(text: &[u8]) -> Result<Marker, String> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        // What a power cut leaves, a file that is cut off or full of zeros, would let an empty log pass for the right one.
        let unreadable = |error: serde_json::Error| match error.is_eof() || text.ends_with(&[0]) {
            true => "it is empty or cut off, perhaps by a power cut".to_string(),
            false => format!("it cannot be read: {error}"),
        };
        let Format { format } = serde_json::from_slice(text).map_err(unreadable)?;
        if format > FORMAT {
            return Err(format!("its format is {format}: a newer version of pve wrote it"));
        }
        let mut marker: Marker = serde_json::from_slice(text).map_err(unreadable)?;
        // A slash at the end of an endpoint says nothing, and was kept once.
        marker.place.name.truncate(marker.place.name.trim_end_matches('/').len());
        Ok(marker)
    }

    /// A marker of this end of a log.
    pub(super) fn new(place: Place, log: Uuid, end: Head, keyring: u64) -> Marker {
        let hash = hexadecimal(&end.hash);
        Marker { format: FORMAT, place, log, sequence: end.sequence, hash, keyring, keys: None }
    }

    /// The same of a log whose data keys are known.
    pub(super) fn with_keys(self, keys: Option<KnownKeys>) -> Marker {
        Marker { keys, ..self }
    }

    /// The same of the log under another name.
    pub(super) fn moved_to(self, place: Place) -> Marker {
        Marker { place, ..self }
    }

    /// Keeps it. It is written with every append: one that a power cut takes back to the one before only says less, but
    /// the first one has none before it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        write_private(path, &serde_json::to_vec_pretty(self)?, !path.exists())
    }

    /// How the event at this place, if there is one, differs from what was seen.
    pub(super) fn differs(&self, found: Option<Head>) -> Option<String> {
        let seen = format!("when it was last used here, the log had an event {} that", self.sequence);
        match found {
            Some(head) if hexadecimal(&head.hash) == self.hash => None,
            Some(_) => Some(format!("{seen} is another one now: the log was written anew")),
            None => Some(format!("{seen} is not there: its end is missing")),
        }
    }

    /// Refuses a log that is not the one that was seen, or not all of it, or whose keys are older ones. Asks the log only
    /// for keys that are not known here.
    ///
    /// # Errors
    /// When it is so, or the log cannot be asked.
    pub(super) async fn check_log(&self, project: &Project, log: &dyn EventLog) -> Result<(), Failure> {
        let end = log.known_end().await?;
        self.check(project, log.id(), end)?;
        let hash = log.known_hash(self.sequence).await?.filter(|_| self.sequence > 0);
        if let Some(seen) = self.differs_at(hash) {
            let hint = "Somebody who can write to its place did that. `pve log verify` says what is wrong; put it back from \
                        a copy.";
            return Err(Failure::hinted(format!("the log {}: {seen}", self.place.name), hint));
        }
        let found = log.keyring_revision(self.keyring).await?;
        if found >= self.keyring || self.log != log.id() {
            return self.check_keys(log).await;
        }
        Err(Failure::hinted(
            format!(
                "the keys of the log {} are those of revision {found}, and were of revision {} when it was last used here",
                self.place.name, self.keyring
            ),
            "Somebody who can write to its place put older ones back, perhaps to go on reading. Put the newest back from a \
             copy, and take away that access.",
        ))
    }

    /// Refuses keys that did not grow from those that were seen. Events behind what was seen are believed by them.
    async fn check_keys(&self, log: &dyn EventLog) -> Result<(), Failure> {
        let Some(seen) = self.keys.as_ref().filter(|_| self.log == log.id()) else { return Ok(()) };
        match log.known_keys(Some(seen.count)).await? {
            Some(found) if found != *seen => Err(Failure::hinted(
                format!("the log {} has other keys than when it was last used here", self.place.name),
                "Somebody who can write to its place and does not have its keys did that: what follows in the log may be \
                 theirs. Put both back from a copy, and take away that access.",
            )),
            _ => Ok(()),
        }
    }

    fn differs_at(&self, hash: Option<[u8; 32]>) -> Option<String> {
        self.differs(Some(Head { sequence: self.sequence, hash: hash? }))
    }

    /// Refuses a log that is another one than was seen, or shorter.
    ///
    /// # Errors
    /// When it is.
    pub(super) fn check(&self, project: &Project, log: Uuid, end: Head) -> Result<(), Failure> {
        let what = if end.sequence == 0 {
            "is empty".to_string()
        } else if self.log != log {
            format!("is another log, with {} events", end.sequence)
        } else if end.sequence < self.sequence {
            format!("ends at event {}", end.sequence)
        } else if end.sequence == self.sequence && hexadecimal(&end.hash) != self.hash {
            format!("has another event {}", end.sequence)
        } else {
            return Ok(());
        };
        if self.sequence == 0 {
            return Ok(());
        }
        Err(Failure::hinted(
            format!(
                "the log {} {what}, but it went up to event {} when it was last used here",
                self.place.name, self.sequence
            ),
            format!(
                "Put it back from a copy: without it nothing is known of what is managed. If it was emptied on \
                 purpose, remove {} too.",
                path(project).display()
            ),
        ))
    }
}
