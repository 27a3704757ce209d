//! The shared view of a cluster: one list of all guests, asked for once and shared by all reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value as Json};
use tokio::sync::Mutex;

use super::api::{Api, ApiError, Method, if_there};
use crate::observed::{Observed, from_pending};
use crate::provider::identity::Traits;

/// A guest in the list of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) node: String,
    pub(crate) vmid: u32,
    /// `qemu` or `lxc`.
    pub(crate) kind: String,
    pub(crate) name: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) pool: Option<String>,
    pub(crate) tags: Option<String>,
    pub(crate) template: bool,
}

type Volumes = Arc<Vec<Json>>;

/// A list with whether something may have changed since.
struct Kept {
    guests: Arc<Vec<Guest>>,
    stale: bool,
}

/// What provider blocks that lead to one server have to know of each other.
#[derive(Default)]
pub(crate) struct Shared {
    /// VMIDs that were handed out, or that guests are planned to have.
    pub(crate) reserved: std::sync::Mutex<BTreeSet<u32>>,
    /// Entries of the access control list that were given in this run, and what gave them.
    pub(crate) granted: Mutex<BTreeMap<crate::families::PermissionEntry, crate::families::Grantor>>,
    /// Whether an object of a software-defined network that goes now is applied at once.
    pub(crate) applies_sdn: AtomicBool,
    /// Networks of nodes that are being changed.
    pub(crate) reloads: crate::families::Reloads,
}

/// A cluster with what was read of it once.
pub(crate) struct Cluster {
    pub(crate) api: Arc<dyn Api>,
    /// The longest wait for a guest agent.
    pub(crate) agent_wait: Duration,
    /// Whether a change may take permissions from whoever makes it.
    pub(crate) allow_lockout: bool,
    /// Held while the permissions of whoever makes requests are being changed; with what was read of them, where that still
    /// holds.
    pub(crate) permissions: Mutex<Option<crate::families::PermissionsReview>>,
    /// What this run has done there, by whatever provider block.
    pub(crate) shared: Arc<Shared>,
    guests: Mutex<Option<Kept>>,
    /// What guests are known by, as they were seen last. One that is made under an id has nothing of the one before.
    seen: std::sync::Mutex<BTreeMap<u32, Traits>>,
    /// By node and datastore.
    content: Mutex<BTreeMap<(String, String), Volumes>>,
}

impl Cluster {
    pub(crate) fn new(api: Arc<dyn Api>, agent_wait: Duration, allow_lockout: bool) -> Cluster {
        Cluster {
            api,
            agent_wait,
            allow_lockout,
            permissions: Mutex::default(),
            shared: Arc::default(),
            guests: Mutex::new(None),
            seen: Default::default(),
            content: Mutex::new(BTreeMap::new()),
        }
    }

    /// One GET without parameters.
    pub(crate) async fn get(&self, path: &str) -> Result<Json, ApiError> {
        self.api.send(Method::Get, path, &[]).await
    }

    /// All guests. Concurrent callers share one request.
    pub(crate) async fn guests(&self) -> Result<Arc<Vec<Guest>>, ApiError> {
        let mut cached = self.guests.lock().await;
        if let Some(kept) = cached.as_ref().filter(|kept| !kept.stale) {
            return Ok(kept.guests.clone());
        }
        let params = [("type".to_string(), "vm".to_string())];
        let list = self.api.send(Method::Get, "/cluster/resources", &params).await?;
        let guests: Arc<Vec<Guest>> =
            Arc::new(elements("the guests", &list)?.iter().filter_map(parse_guest).collect());
        *cached = Some(Kept { guests: guests.clone(), stale: false });
        Ok(guests)
    }

    /// All guests as they were listed last: good enough to know where a guest is looked for first.
    pub(crate) async fn known_guests(&self) -> Result<Arc<Vec<Guest>>, ApiError> {
        if let Some(kept) = &*self.guests.lock().await {
            return Ok(kept.guests.clone());
        }
        self.guests().await
    }

    /// The node that has a guest. `None` when both the list and the node say that there is none.
    pub(crate) async fn locate(
        &self,
        kind: &str,
        vmid: u32,
        last_node: &str,
    ) -> Result<Option<String>, ApiError> {
        let known = self.known_guests().await?;
        let node = known.iter().find(|guest| guest.vmid == vmid).map_or(last_node, |guest| &guest.node);
        if self.look_at_options(kind, vmid, node).await?.is_some() {
            return Ok(Some(node.to_string()));
        }
        self.forget_guests().await;
        Ok(self.find(vmid).await?.filter(|guest| guest.kind == kind).map(|guest| guest.node))
    }

    /// Makes the next caller ask again.
    pub(crate) async fn forget_guests(&self) {
        if let Some(kept) = &mut *self.guests.lock().await {
            kept.stale = true;
        }
    }

    /// The volumes of a datastore, as one node sees it. Concurrent callers share one request.
    pub(crate) async fn content(&self, node: &str, datastore: &str) -> Result<Volumes, ApiError> {
        let mut cached = self.content.lock().await;
        let key = (node.to_string(), datastore.to_string());
        if let Some(list) = cached.get(&key) {
            return Ok(list.clone());
        }
        let list = self.get(&format!("/nodes/{node}/storage/{datastore}/content")).await?;
        let list = Arc::new(elements("the volumes", &list)?.clone());
        cached.insert(key, list.clone());
        Ok(list)
    }

    /// Makes the next caller ask again.
    pub(crate) async fn forget_content(&self) {
        self.content.lock().await.clear();
    }

    /// A guest by its list entry and its own configuration: one request, beside the shared list, and one more where the
    /// list does not tell whether it runs, or not what was `known`: it is some seconds old. `None` when both say that it
    /// is not there; an error when they contradict each other or one cannot be asked.
    pub(crate) async fn observe(
        &self,
        kind: &str,
        vmid: u32,
        last_node: &str,
        known: Option<bool>,
    ) -> Result<Option<Observed>, ApiError> {
        let entry = self.find(vmid).await?;
        let is_template = entry.as_ref().is_some_and(|guest| guest.template);
        let node = entry.as_ref().map_or(last_node, |guest| guest.node.as_str()).to_string();
        // A guest that runs may have changes that wait for a reboot: the same request tells both.
        let may_run = entry.as_ref().is_some_and(|guest| guest.status.as_deref() != Some("stopped"));
        let both = if may_run { self.with_pending(kind, vmid, &node, entry.as_ref()).await } else { None };
        let seen = match both {
            Some(seen) => Some(seen),
            None => match self.get(&format!("/nodes/{node}/{kind}/{vmid}/config")).await {
                Ok(config) => Some(observed(&node, vmid, entry.as_ref(), config)),
                Err(error) if error.is_missing() => self.observe_again(kind, vmid, &node, error).await?,
                Err(error) => return Err(error),
            },
        };
        seen.iter().for_each(|seen| self.saw(seen));
        match seen {
            // For some seconds after a stop, and for all guests of a node whose status daemon hangs.
            Some(mut seen)
                if seen.running.is_none() || !is_template && known.is_some() && seen.running != known =>
            {
                seen.running = self.runs(kind, vmid, &seen.node).await?;
                Ok(Some(seen))
            }
            seen => Ok(seen),
        }
    }

    /// A guest with what waits for a reboot. `None` where that cannot be asked: its configuration then tells why.
    async fn with_pending(
        &self,
        kind: &str,
        vmid: u32,
        node: &str,
        entry: Option<&Guest>,
    ) -> Option<Observed> {
        let rows = self.get(&format!("/nodes/{node}/{kind}/{vmid}/pending")).await.ok()?;
        let (config, in_force) = from_pending(&rows)?;
        Some(Observed { in_force, ..observed(node, vmid, entry, Json::Object(config)) })
    }

    /// Adds the lines of a container's own file, which the rows of pending changes do not have.
    pub(crate) async fn add_lists(&self, kind: &str, seen: &mut Observed) -> Result<(), ApiError> {
        if kind == "lxc" && !seen.config.contains_key("lxc") {
            let options = self.look_at_options(kind, seen.vmid, &seen.node).await?;
            let lines = options.and_then(|mut options| options.config.remove_entry("lxc"));
            seen.config.extend(lines.clone());
            seen.in_force.iter_mut().for_each(|present| present.extend(lines.clone()));
        }
        Ok(())
    }

    /// What the guest with this id is known by, as it was seen last.
    pub(crate) fn seen(&self, vmid: u32) -> Option<Traits> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&vmid).cloned()
    }

    /// Forgets what the guest with this id was known by: another one is about to be made under it.
    pub(crate) fn forget_seen(&self, vmid: u32) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(&vmid);
    }

    fn saw(&self, seen: &Observed) {
        let known = Traits::found(seen);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(seen.vmid, known);
    }

    /// Whether a guest runs, from its own node.
    async fn runs(&self, kind: &str, vmid: u32, node: &str) -> Result<Option<bool>, ApiError> {
        let status = self.get(&format!("/nodes/{node}/{kind}/{vmid}/status/current")).await?;
        Ok(status.get("status").and_then(Json::as_str).map(|status| status == "running"))
    }

    /// The list may be older than a migration or a deletion: it is asked once more before a guest counts as gone.
    async fn observe_again(
        &self,
        kind: &str,
        vmid: u32,
        asked: &str,
        error: ApiError,
    ) -> Result<Option<Observed>, ApiError> {
        self.forget_guests().await;
        match self.find(vmid).await? {
            None => Ok(None),
            Some(guest) if guest.kind != kind => Ok(None),
            Some(guest) if guest.node != asked => {
                let config = self.get(&format!("/nodes/{}/{kind}/{vmid}/config", guest.node)).await?;
                Ok(Some(observed(&guest.node, vmid, Some(&guest), config)))
            }
            Some(_) => Err(error),
        }
    }

    async fn find(&self, vmid: u32) -> Result<Option<Guest>, ApiError> {
        Ok(self.guests().await?.iter().find(|guest| guest.vmid == vmid).cloned())
    }

    /// The configuration of a guest right now, from its own node, past every cache. Whether it runs is not asked.
    /// `None` when it is not there.
    pub(crate) async fn look_at_options(
        &self,
        kind: &str,
        vmid: u32,
        node: &str,
    ) -> Result<Option<Observed>, ApiError> {
        let config = self.get(&format!("/nodes/{node}/{kind}/{vmid}/config")).await;
        let Some(config) = if_there(config)? else { return Ok(None) };
        let seen = observed(node, vmid, None, config);
        self.saw(&seen);
        Ok(Some(seen))
    }

    /// A guest as it is right now, from its own node, past every cache. `None` when it is not there.
    pub(crate) async fn look(&self, kind: &str, vmid: u32, node: &str) -> Result<Option<Observed>, ApiError> {
        let Some(mut seen) = self.look_at_options(kind, vmid, node).await? else { return Ok(None) };
        seen.running = self.runs(kind, vmid, node).await?;
        Ok(Some(seen))
    }
}

/// What is no list proves nothing: read as an empty one it would say that everything is gone.
pub(crate) fn elements<'j>(what: &str, list: &'j Json) -> Result<&'j Vec<Json>, ApiError> {
    list.as_array().ok_or_else(|| ApiError {
        message: format!("the cluster's list of {what} is no list"),
        hint: None,
        status: None,
        lost: false,
    })
}

fn parse_guest(entry: &Json) -> Option<Guest> {
    let text = |name: &str| entry.get(name).and_then(Json::as_str).map(str::to_string);
    Some(Guest {
        node: text("node")?,
        vmid: u32::try_from(entry.get("vmid")?.as_u64()?).ok()?,
        kind: text("type")?,
        name: text("name"),
        status: text("status"),
        pool: text("pool"),
        tags: text("tags"),
        template: entry.get("template").and_then(Json::as_u64) == Some(1),
    })
}

fn observed(node: &str, vmid: u32, entry: Option<&Guest>, config: Json) -> Observed {
    let status = entry.and_then(|guest| guest.status.as_deref());
    Observed {
        node: node.to_string(),
        vmid,
        running: status.filter(|status| *status != "unknown").map(|status| status == "running"),
        pool: entry.and_then(|guest| guest.pool.clone()),
        config: match config {
            Json::Object(config) => config,
            _ => Map::new(),
        },
        in_force: None,
    }
}
