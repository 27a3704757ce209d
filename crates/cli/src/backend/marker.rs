//! What is kept beside an environment of its log: where it is, which one, and how far it was seen to go. So a log that
//! was emptied, replaced or left behind is noticed where it can be.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use pve_model::event::Event;
use pve_model::state::State;
use pve_state::{Draft, EventLog, Head, Key, KnownKeys, LogError, Verification};
use pve_state_sqlite::SqliteLog;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::copy::place;
use super::given::{Protected, protected, restored};
use super::{Backend, Local, bucket};
use crate::failure::Failure;
use crate::project::Project;

/// The newest format of the file.
const FORMAT: u32 = 1;

/// Where a log is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Place {
    /// The type of backend.
    kind: String,
    /// How it is called; two places of one name are one.
    pub(super) name: String,
    /// What is needed to get there again.
    #[serde(flatten)]
    arguments: Protected,
}

impl Place {
    /// The place of an environment's log in a backend.
    ///
    /// # Errors
    /// When there are secrets and no key to seal them with.
    pub(super) fn of(project: &Project, backend: &Backend) -> Result<Place, Failure> {
        let name = name(project, backend);
        let (kind, arguments) = match backend {
            Backend::Local(local) => ("local", local.arguments.clone()),
            Backend::Shared(bucket) => ("s3", bucket.lasting_arguments()),
        };
        Ok(Place { kind: kind.into(), name, arguments: protected(project, &arguments)? })
    }

    /// The backend that the log is in.
    ///
    /// # Errors
    /// When its arguments cannot be read.
    pub(super) fn backend(&self, project: &Project) -> Result<Backend, Failure> {
        let arguments = restored(project, &self.arguments, &path(project))?;
        if self.kind == "local" {
            return Local::from_arguments(arguments).map(Backend::Local);
        }
        bucket(arguments)
    }

    /// The same, to go there: refused where it leads somewhere else by now.
    fn reached(&self, project: &Project) -> Result<Backend, Failure> {
        let backend = self.backend(project)?;
        let found = name(project, &backend);
        if self.kind == "local" || found == self.name {
            return Ok(backend);
        }
        Err(Failure::hinted(
            format!(
                "the log was last used as {}, and what is remembered of that leads to {found} now",
                self.name
            ),
            "The environment has changed since, or the profile: set AWS_ENDPOINT_URL_S3 as it was. Nothing was changed.",
        ))
    }
}

/// How the place of an environment's log is called.
pub(super) fn name(project: &Project, backend: &Backend) -> String {
    match backend {
        Backend::Local(local) => local.name(project),
        Backend::Shared(bucket) => bucket.place(project.stream()),
    }
}

/// The file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Marker {
    format: u32,
    pub(super) place: Place,
    log: Uuid,
    pub(super) sequence: u64,
    hash: String,
    /// The revision of the log's keyring.
    #[serde(default)]
    keyring: u64,
    /// By what its data keys are known again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<KnownKeys>,
}

fn path(project: &Project) -> PathBuf {
    project.data_folder().join("log.json")
}

fn hexadecimal(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Marker {
    /// What is kept of the environment's log. A file that was cut off by a crash says nothing.
    ///
    /// # Errors
    /// When it is there and cannot be read, or is of a newer format.
    pub(super) fn read(project: &Project) -> Result<Option<Marker>, Failure> {
        match std::fs::read(path(project)) {
            Ok(text) => Marker::parse(&text).map_err(|why| {
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

    /// `None` for what a crash leaves: a file that is cut off, or has zeros in place of what was written last.
    fn parse(text: &[u8]) -> Result<Option<Marker>, String> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let cut_off = |error: serde_json::Error| match error.is_eof() || text.ends_with(&[0]) {
            true => Ok(None),
            false => Err(format!("it cannot be read: {error}")),
        };
        match serde_json::from_slice::<Format>(text) {
            Ok(Format { format }) if format > FORMAT => {
                Err(format!("its format is {format}: a newer version of pve wrote it"))
            }
            Ok(_) => {
                let read = |mut marker: Marker| {
                    // A slash at the end of an endpoint says nothing, and was kept once.
                    marker.place.name.truncate(marker.place.name.trim_end_matches('/').len());
                    Some(marker)
                };
                serde_json::from_slice(text).map(read).or_else(cut_off)
            }
            Err(error) => cut_off(error),
        }
    }

    /// A marker of this end of a log.
    pub(super) fn new(place: Place, log: Uuid, end: Head, keyring: u64) -> Marker {
        let hash = hexadecimal(&end.hash);
        Marker { format: FORMAT, place, log, sequence: end.sequence, hash, keyring, keys: None }
    }

    /// Keeps it. It is written with every append: one that a power cut takes back only says less.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, path: &std::path::Path) -> std::io::Result<()> {
        super::write_private(path, &serde_json::to_vec_pretty(self)?, false)
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

/// Refuses to open a log in one place while the environment's log is in another one.
///
/// # Errors
/// When there is a log that would be left behind, or the file of the log is gone.
pub async fn refuse_left_behind(project: &Project) -> Result<(), Failure> {
    let here = project.backend()?;
    let wanted = name(project, here);
    let Some((found, events)) = elsewhere(project, here).await? else { return Ok(()) };
    if renamed(project, here)?.is_some() {
        return Err(Failure::hinted(
            format!(
                "the log of the environment {} is {found}, and the configuration now names {wanted}",
                project.stream()
            ),
            "If that is another name of the same store, `pve init -reconfigure` goes on with it, and the log there has to be \
             this one. If it is another store, `pve init -migrate` moves the log there. Nothing was read or written.",
        ));
    }
    Err(Failure::hinted(
        format!(
            "the log of the environment {} is {found} ({events} events), and the configuration now names {wanted}",
            project.stream()
        ),
        "`pve init -migrate` moves it there; `pve init -reconfigure` leaves it behind. Nothing was read or written.",
    ))
}

/// What is kept of the log, if it is in the same bucket, at the same key, of another endpoint than the backend says: that
/// may be another name of the same store.
fn renamed(project: &Project, here: &Backend) -> Result<Option<Marker>, Failure> {
    let (Some(marker), Backend::Shared(wanted)) = (Marker::read(project)?, here) else { return Ok(None) };
    let same = match marker.place.backend(project)? {
        Backend::Shared(known) => place(&known, project) == place(wanted, project),
        Backend::Local(_) => false,
    };
    Ok(same.then_some(marker))
}

/// The name of a log with events that is not where the backend is, and how many it has.
async fn elsewhere(project: &Project, here: &Backend) -> Result<Option<(String, u64)>, Failure> {
    let wanted = name(project, here);
    if let Some(marker) = Marker::read(project)? {
        let other = marker.place.name != wanted && marker.sequence > 0;
        return Ok(other.then_some((marker.place.name, marker.sequence)));
    }
    // A log of before there were markers.
    let before = Local::default();
    let file = before.log(project);
    if before.name(project) == wanted || !file.exists() {
        return Ok(None);
    }
    let events = SqliteLog::open(&file, Key::from_bytes([0; 32]))?.head().await?;
    Ok((events > 0).then(|| (before.name(project), events)))
}

/// The backend that the environment's log is in, when that is not the one of the configuration.
///
/// # Errors
/// When it cannot be told.
pub(super) async fn left_behind(project: &Project) -> Result<Option<Backend>, Failure> {
    if elsewhere(project, project.backend()?).await?.is_none() {
        return Ok(None);
    }
    match Marker::read(project)? {
        Some(marker) => marker.place.reached(project).map(Some),
        None => Ok(Some(Backend::Local(Local::default()))),
    }
}

/// Lets the log that is elsewhere be: from now on the one that the configuration names counts. Says which one that was;
/// `None` when it may be the same one, which it has to be then.
///
/// # Errors
/// When it cannot be kept.
pub async fn leave_behind(project: &Project) -> Result<Option<String>, Failure> {
    let Some((found, _)) = elsewhere(project, project.backend()?).await? else { return Ok(None) };
    let place = Place::of(project, project.backend()?)?;
    let (marker, left) = match renamed(project, project.backend()?)? {
        Some(marker) => (Marker { place, ..marker }, None),
        None => (Marker::new(place, Uuid::nil(), Head::default(), 0), Some(found)),
    };
    marker.write(&path(project)).map_err(Failure::writing(&path(project)))?;
    Ok(left)
}

/// Refuses to make a local log anew where one was.
///
/// # Errors
/// When its file is gone.
pub(super) fn refuse_vanished(project: &Project) -> Result<(), Failure> {
    let Backend::Local(local) = project.backend()? else { return Ok(()) };
    if local.log(project).exists() {
        return Ok(());
    }
    match Marker::read(project)? {
        Some(marker) if marker.place.name == local.name(project) => {
            marker.check(project, marker.log, Head::default())
        }
        _ => Ok(()),
    }
}

/// A log with a marker beside it that follows every append.
pub(super) struct NotedLog {
    log: Arc<dyn EventLog>,
    place: Place,
    path: PathBuf,
}

impl NotedLog {
    pub(super) fn new(project: &Project, log: Arc<dyn EventLog>) -> Result<NotedLog, Failure> {
        Ok(NotedLog { log, place: Place::of(project, project.backend()?)?, path: path(project) })
    }

    /// The marker only makes noticing possible: an append does not fail for it.
    pub(super) async fn note(&self) {
        if let Ok(end) = self.log.known_end().await
            && let Ok(keyring) = self.log.keyring_revision(0).await
            && end.sequence > 0
        {
            let keys = self.log.known_keys(None).await.ok().flatten();
            let marker = Marker::new(self.place.clone(), self.log.id(), end, keyring);
            let _ = Marker { keys, ..marker }.write(&self.path);
        }
    }
}

#[async_trait]
impl EventLog for NotedLog {
    fn id(&self) -> Uuid {
        self.log.id()
    }

    async fn head(&self) -> Result<u64, LogError> {
        self.log.head().await
    }

    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        let events = self.log.append(expected_head, batch).await?;
        self.note().await;
        Ok(events)
    }

    async fn keep(&self, batch: Vec<Draft>) {
        self.log.keep(batch).await;
    }

    async fn read(&self, after: u64) -> Result<Vec<Event>, LogError> {
        self.log.read(after).await
    }

    async fn state(&self) -> Result<State, LogError> {
        self.log.state().await
    }

    async fn save_snapshot(&self, state: &State) -> Result<(), LogError> {
        self.log.save_snapshot(state).await
    }

    async fn settle(&self) {
        self.log.settle().await;
    }

    async fn known_end(&self) -> Result<Head, LogError> {
        self.log.known_end().await
    }

    async fn known_hash(&self, sequence: u64) -> Result<Option<[u8; 32]>, LogError> {
        self.log.known_hash(sequence).await
    }

    async fn keyring_revision(&self, hoped: u64) -> Result<u64, LogError> {
        self.log.keyring_revision(hoped).await
    }

    async fn known_keys(&self, count: Option<usize>) -> Result<Option<KnownKeys>, LogError> {
        self.log.known_keys(count).await
    }

    async fn verify(&self) -> Result<Verification, LogError> {
        self.log.verify().await
    }
}
