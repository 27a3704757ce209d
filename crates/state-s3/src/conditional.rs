//! Conditional writes over answers that get lost.
//!
//! A request without an answer may still take effect later, so reading never proves that it did not. The same
//! conditional request is sent again until the store says either that it wrote, or that there is an object; whose it
//! is, is told by the id of its writer.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::batch::writer_of;
use crate::store::{Object, ObjectStore, Page, StoreError};

/// How often a request is sent before it is given up: some 12 seconds with the pauses.
const ATTEMPTS: u32 = 9;
/// For how long, when answers do not come at all: with the last request it ends before a lease that is not renewed does,
/// so that what happened is kept elsewhere in time.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause after the first try; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Who wrote an object that is written once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// This write.
    Mine,
    /// Another one; the object as it is.
    Other(Vec<u8>),
}

/// The tries of one request.
pub(crate) struct Tries {
    made: u32,
    most: u32,
    until: Instant,
}

impl Tries {
    pub(crate) fn begin() -> Tries {
        Tries { made: 0, most: ATTEMPTS, until: Instant::now() + PATIENCE }
    }

    /// Two, for what is only told: nobody is to wait for it.
    pub(crate) fn brief() -> Tries {
        Tries { most: 2, ..Tries::begin() }
    }

    /// Pauses before the next try; `false` when it is given up.
    pub(crate) async fn next(&mut self) -> bool {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.made).min(LONGEST_PAUSE);
        self.made += 1;
        if self.made == self.most || Instant::now() + pause >= self.until {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}

/// Writes an object that must not be there; `body` must have `writer` in it, which no other write has.
pub(crate) async fn create(
    store: &dyn ObjectStore,
    key: &str,
    writer: Uuid,
    body: &[u8],
) -> Result<Created, StoreError> {
    let mut tries = Tries::begin();
    loop {
        let last = match store.put_if_absent(key, body.to_vec()).await {
            Ok(_) => return Ok(Created::Mine),
            Err(StoreError::Condition { .. }) => match read(store, key).await? {
                Some(found) if writer_of(&found) == Some(writer) => return Ok(Created::Mine),
                Some(found) => return Ok(Created::Other(found)),
                None => format!("{key} is there for writes and not there for reads"),
            },
            Err(StoreError::Unclear(reason)) => reason,
            Err(refused @ StoreError::Refused(_)) => return Err(refused),
        };
        if !tries.next().await {
            return Err(StoreError::Unclear(last));
        }
    }
}

/// What a compare-and-swap did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// It was written and has this version.
    Done(String),
    /// There is this. It may be what was to be written; when it is not, that may have been there in between.
    Found(Option<Object>),
}

/// Overwrites an object of the version `expected`, or writes one that must not be there.
pub(crate) async fn swap(
    store: &dyn ObjectStore,
    key: &str,
    expected: Option<&str>,
    body: &[u8],
) -> Result<Replaced, StoreError> {
    match write_if(store, key, expected, body).await? {
        Some(version) => Ok(Replaced::Done(version)),
        None => Ok(Replaced::Found(read_object(store, key).await?)),
    }
}

/// Sends a conditional write until the store says what became of it: the version that it has, or `None` when the
/// condition does not hold, which may be so because an earlier try of it landed.
pub(crate) async fn write_if(
    store: &dyn ObjectStore,
    key: &str,
    expected: Option<&str>,
    body: &[u8],
) -> Result<Option<String>, StoreError> {
    let mut tries = Tries::begin();
    loop {
        let written = match expected {
            Some(version) => store.replace(key, version, body.to_vec()).await,
            None => store.put_if_absent(key, body.to_vec()).await,
        };
        match written {
            Ok(version) => return Ok(Some(version)),
            Err(StoreError::Condition { .. }) => return Ok(None),
            Err(unclear @ StoreError::Unclear(_)) if !tries.next().await => return Err(unclear),
            Err(StoreError::Unclear(_)) => {}
            Err(refused @ StoreError::Refused(_)) => return Err(refused),
        }
    }
}

/// Reads an object, again when there is no answer.
pub(crate) async fn read(store: &dyn ObjectStore, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(read_object(store, key).await?.map(|object| object.body))
}

/// Reads an object with its version, again when there is no answer.
pub(crate) async fn read_object(store: &dyn ObjectStore, key: &str) -> Result<Option<Object>, StoreError> {
    let mut tries = Tries::begin();
    loop {
        match store.get(key).await {
            Err(StoreError::Unclear(_)) if tries.next().await => {}
            result => return result,
        }
    }
}

/// Lists all keys that begin with `prefix` and sort after the key `after`; each part again when there is no answer.
pub(crate) async fn list(
    store: &dyn ObjectStore,
    prefix: &str,
    after: &str,
) -> Result<Vec<String>, StoreError> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let last = keys.last().map_or(after, String::as_str);
        let page = list_page(store, prefix, last).await?;
        // Otherwise the same part would come for ever.
        if page.keys.first().is_some_and(|first| first.as_str() <= last)
            || (page.more && page.keys.is_empty())
        {
            return Err(StoreError::Refused(format!(
                "the store does not list {prefix} from where it is asked to"
            )));
        }
        keys.extend(page.keys);
        if !page.more {
            return Ok(keys);
        }
    }
}

async fn list_page(store: &dyn ObjectStore, prefix: &str, after: &str) -> Result<Page, StoreError> {
    let mut tries = Tries::begin();
    loop {
        match store.list(prefix, after).await {
            Err(StoreError::Unclear(_)) if tries.next().await => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    /// Answers nothing, each time for as long as a request may take.
    struct Silent;

    #[async_trait::async_trait]
    impl ObjectStore for Silent {
        async fn put_if_absent(&self, key: &str, _: Vec<u8>) -> Result<String, StoreError> {
            self.get(key).await.map(|_| String::new())
        }
        async fn replace(&self, key: &str, _: &str, _: Vec<u8>) -> Result<String, StoreError> {
            self.get(key).await.map(|_| String::new())
        }
        async fn put(&self, key: &str, _: Vec<u8>) -> Result<(), StoreError> {
            self.get(key).await.map(drop)
        }
        async fn get(&self, _: &str) -> Result<Option<Object>, StoreError> {
            tokio::time::sleep(Duration::from_secs(10)).await;
            Err(StoreError::Unclear("timeout".into()))
        }
        async fn list(&self, prefix: &str, _: &str) -> Result<Page, StoreError> {
            self.get(prefix).await.map(|_| Page::default())
        }
        async fn delete(&self, key: &str) -> Result<(), StoreError> {
            self.get(key).await.map(drop)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_answers_nothing_is_given_up_before_a_lease_runs_out() {
        let begun = Instant::now();
        let unclear = Err(StoreError::Unclear("timeout".into()));
        assert_eq!(create(&Silent, "a", Uuid::now_v7(), b"{}").await, unclear);
        // Renewed every 15 seconds, a lease has at least 45 left.
        assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
        assert!(begun.elapsed() > Duration::from_secs(10), "more than one try");
    }

    #[tokio::test]
    async fn an_object_is_mine_whichever_try_of_mine_wrote_it() {
        let (store, mine) = (MemoryStore::default(), Uuid::now_v7());
        let body = format!("{{\"writer\":\"{mine}\"}}").into_bytes();
        assert_eq!(create(&store, "a", mine, &body).await, Ok(Created::Mine));
        assert_eq!(create(&store, "a", mine, &body).await, Ok(Created::Mine));
        assert_eq!(create(&store, "a", Uuid::now_v7(), b"{}").await, Ok(Created::Other(body)));
    }
}
