//! Answers of a cluster, each asked for once and only when a rule needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value as Json;

use super::things::{Thing, Visibility};
use crate::cluster::{ApiError, Cluster, Guest, Method};

/// All names of a sort that there are, read out of a list once.
pub(super) type Names = Arc<BTreeSet<String>>;

/// The elements of an answer; none where it is no list.
#[derive(Default)]
pub(super) struct List(Arc<Json>);

impl Deref for List {
    type Target = [Json];

    fn deref(&self) -> &[Json] {
        self.0.as_array().map_or(&[], Vec::as_slice)
    }
}

/// Answers of a cluster. `None` where it did not answer.
pub(super) struct Facts<'c> {
    cluster: &'c Cluster,
    answers: BTreeMap<String, Option<Arc<Json>>>,
    /// Why a GET is refused, where its refusal was asked for.
    refusals: BTreeMap<String, Option<String>>,
    /// By sort and path of the list.
    names: BTreeMap<(Thing, String), Names>,
    guests: Option<Option<Arc<Vec<Guest>>>>,
    contents: BTreeMap<(String, String), Option<Arc<Vec<Json>>>>,
    /// Why something could not be asked.
    unseen: BTreeSet<String>,
    /// Nobody answers, or not to this user: nothing more is asked.
    is_closed: bool,
}

impl<'c> Facts<'c> {
    pub(super) fn new(cluster: &'c Cluster) -> Facts<'c> {
        Facts {
            cluster,
            answers: BTreeMap::new(),
            refusals: BTreeMap::new(),
            names: BTreeMap::new(),
            guests: None,
            contents: BTreeMap::new(),
            unseen: BTreeSet::new(),
            is_closed: false,
        }
    }

    /// Why something could not be asked, each reason once.
    pub(super) fn unseen(self) -> Vec<String> {
        self.unseen.into_iter().collect()
    }

    /// Whether whoever asks sees everything of a sort.
    pub(super) async fn may_see_all(&mut self, visibility: Visibility) -> bool {
        match visibility {
            Visibility::With(privilege, area) => self.holds(privilege, area).await,
            Visibility::Whole => true,
            Visibility::ByAll | Visibility::ByNone => false,
        }
    }

    /// Whether whoever asks has a privilege everywhere below a path.
    pub(super) async fn holds(&mut self, privilege: &str, area: &str) -> bool {
        let permissions = self.answer("/access/permissions", "").await;
        permissions.is_some_and(|paths| reaches_all(&paths, privilege, area))
    }

    /// The elements of a list.
    pub(super) async fn list(&mut self, path: &str, only: &str) -> Option<List> {
        self.answer(path, only).await.filter(|answer| answer.is_array()).map(List)
    }

    /// The names that were read out of the list at a path.
    pub(super) fn known_names(&self, thing: Thing, path: &str) -> Option<Names> {
        self.names.get(&(thing, path.to_string())).cloned()
    }

    /// Keeps the names that were read out of the list at a path.
    pub(super) fn keep_names(&mut self, thing: Thing, path: &str, names: BTreeSet<String>) -> Names {
        let names = Arc::new(names);
        self.names.insert((thing, path.to_string()), names.clone());
        names
    }

    /// One GET, for objects of the type `only` if that is not empty.
    pub(super) async fn answer(&mut self, path: &str, only: &str) -> Option<Arc<Json>> {
        let key = format!("{path}?{only}");
        if !self.answers.contains_key(&key) {
            let (place, query) = path.split_once('?').unwrap_or((path, ""));
            let params = query.split('&').filter_map(|pair| pair.split_once('='));
            let params = params.chain(Some(("type", only)).filter(|(_, only)| !only.is_empty()));
            let params: Vec<_> = params.map(|(name, text)| (name.into(), text.into())).collect();
            let answer = match self.is_closed {
                true => None,
                false => self.told(self.cluster.api.send(Method::Get, place, &params).await).map(Arc::new),
            };
            self.answers.insert(key.clone(), answer);
        }
        self.answers.get(&key)?.clone()
    }

    /// Who asks.
    pub(super) fn user(&self) -> String {
        self.cluster.api.user()
    }

    /// Why a GET is refused, where the refusal itself tells something.
    pub(super) async fn refusal(&mut self, path: &str) -> Option<String> {
        if let Some(known) = self.refusals.get(path) {
            return known.clone();
        }
        if self.is_closed {
            return None;
        }
        let answer = self.cluster.api.send(Method::Get, path, &[]).await;
        let refusal = answer.as_ref().err().filter(|error| error.status.is_some());
        let refusal = refusal.map(|error| error.message.clone());
        self.is_closed |= answer.is_err_and(|error| closes(&error));
        self.refusals.insert(path.to_string(), refusal.clone());
        refusal
    }

    /// All guests that whoever asks may see.
    pub(super) async fn guests(&mut self) -> Option<Arc<Vec<Guest>>> {
        if self.guests.is_none() && !self.is_closed {
            self.guests = Some(self.told(self.cluster.known_guests().await));
        }
        self.guests.clone()?
    }

    /// The volumes of a datastore, as a node sees it.
    pub(super) async fn content(&mut self, node: &str, datastore: &str) -> Option<Arc<Vec<Json>>> {
        let key = (node.to_string(), datastore.to_string());
        if !self.contents.contains_key(&key) && !self.is_closed {
            let content = self.told(self.cluster.content(node, datastore).await);
            self.contents.insert(key.clone(), content);
        }
        self.contents.get(&key)?.clone()
    }

    fn told<T>(&mut self, answer: Result<T, ApiError>) -> Option<T> {
        let Err(error) = &answer else { return answer.ok() };
        self.is_closed |= closes(error);
        // What is not there is an answer.
        if !error.is_missing() {
            self.unseen.insert(error.message.clone());
        }
        None
    }
}

/// Nobody answers, or not to this user.
fn closes(error: &ApiError) -> bool {
    matches!(error.status, None | Some(401))
}

/// Whether a privilege holds for all paths below `area`. The API has every path with an entry of its own; a privilege that
/// does not propagate has 0 there, and holds for that path alone.
fn reaches_all(permissions: &Json, privilege: &str, area: &str) -> bool {
    let propagates =
        |value: &Json| value.as_i64() == Some(1) || value.as_str() == Some("1") || *value == true;
    let Some(paths) = permissions.as_object() else { return false };
    paths.get("/").is_some()
        && paths.iter().all(|(path, privileges)| {
            let value = privileges.get(privilege);
            let whole = path.trim_end_matches('/');
            if area == whole || area.strip_prefix(whole).is_some_and(|rest| rest.starts_with('/')) {
                return value.is_some_and(propagates);
            }
            let is_below = path.strip_prefix(area).is_some_and(|rest| rest.starts_with('/'));
            !is_below || value.is_some()
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_privilege_that_reaches_every_object_of_a_sort_sees_all_of_them() {
        let sees = |permissions: Json| reaches_all(&permissions, "VM.Audit", "/vms");
        assert!(sees(json!({"/": {"VM.Audit": 1}, "/storage": {"Datastore.Audit": 1}})));
        assert!(sees(json!({"/": {"VM.Audit": 1}, "/vms/100": {"VM.Audit": 0}})));
        for hidden in [
            json!({"/": {"VM.Audit": 0}}),
            json!({"/": {"Sys.Audit": 1}}),
            json!({"/vms": {"VM.Audit": 1}}),
            json!({"/": {"VM.Audit": 1}, "/vms": {"VM.Audit": 0}}),
            json!({"/": {"VM.Audit": 1}, "/vms/100": {"VM.Console": 1}}),
        ] {
            assert!(!sees(hidden.clone()), "{hidden}");
        }
    }
}
