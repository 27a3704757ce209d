//! A simulator that joins another one's cluster: from then on it answers as a node of that cluster.

use std::sync::Arc;

use super::Simulator;
use crate::cluster::Member;
use crate::cluster::log::{self, Priority};
use crate::request::{Admission, Identity, Request};
use crate::{access, ha};

/// The cluster a simulator has joined.
pub(super) struct Joined {
    pub cluster: Simulator,
    /// When the join is complete, by the clock of the one that joins.
    pub from: u64,
}

impl Simulator {
    /// Lets two servers reach each other: one may join the other's cluster (`POST /cluster/config/join`). Whatever
    /// `hostname` the call names, the other one is asked.
    pub fn connect(&self, other: &Simulator) {
        if Arc::ptr_eq(&self.inner, &other.inner) {
            return;
        }
        self.lock().peers.push(other.clone());
        other.lock().peers.push(self.clone());
    }

    /// Lets a node fail: its guests are gone, and nobody reaches it.
    pub fn fail_node(&self, node: &str) {
        let mut inner = self.lock();
        let (now, settings) = (inner.now(), inner.options.clone());
        inner.state.down.insert(node.to_owned(), now);
        let here: Vec<u32> = inner
            .state
            .guests
            .iter()
            .filter(|(_, guest)| guest.node == node)
            .map(|(vmid, _)| *vmid)
            .collect();
        for vmid in here {
            if let Some(guest) = inner.state.guests.get_mut(&vmid) {
                guest.running = false;
            }
        }
        ha::schedule(&mut inner.state, &settings, now);
        // A test that cannot write its state notices at the next request.
        let _ = inner.save();
    }

    /// Lets a node that has failed come back.
    pub fn return_node(&self, node: &str) {
        let mut inner = self.lock();
        let (now, settings) = (inner.now(), inner.options.clone());
        inner.state.down.remove(node);
        ha::restart(&mut inner.state, node);
        ha::schedule(&mut inner.state, &settings, now);
        // A test that cannot write its state notices at the next request.
        let _ = inner.save();
    }

    /// Adds a node to the cluster as its members do when a server asks to join.
    ///
    /// # Errors
    /// What the task of the join ends with, after lines that it logs.
    pub(crate) fn admit(&self, asked: &Admission) -> Result<(), (Vec<String>, String)> {
        let refused = |text: &str| Err((Vec::new(), text.to_owned()));
        let Ok(mut inner) = self.inner.try_lock() else {
            return refused("500 read timeout");
        };
        let own = crate::nodes::fingerprint(&inner.state, &inner.options.node);
        if !own.eq_ignore_ascii_case(&asked.fingerprint) {
            return refused(&format!("fingerprint '{own}' not verified, abort!"));
        }
        if !access::is_password(&inner.state, &inner.options, "root@pam", &asked.password) {
            return refused("401 authentication failure");
        }
        let aborted = |text: String| Err((vec![text], "Cluster join aborted!".to_owned()));
        if inner.state.cluster_name.is_none() && inner.options.other_nodes.is_empty() {
            return aborted("An error occurred on the cluster node: no cluster configuration".to_owned());
        }
        let node = &asked.node;
        if inner.options.nodes().any(|known| known == node) && !asked.force {
            return aborted(format!(
                "An error occurred on the cluster node: can't add existing node '{node}'"
            ));
        }
        let since = inner.now() + inner.options.task_duration.as_millis() as u64;
        let identity = Identity { user: "root@pam".to_owned(), token: None };
        let (settings, now) = (inner.options.clone(), inner.now());
        let request = &mut Request::new(&mut inner.state, &settings, &identity, now);
        log::note(request, "successful auth for user 'root@pam'".to_owned());
        log::write(request, Priority::Notice, "root@pam", format!("adding node {node} to cluster"));
        inner.state.members.insert(node.clone(), Member { since, present: true });
        // A test that cannot write its state notices at the next request.
        let _ = inner.save();
        Ok(())
    }

    /// The cluster that this server has joined, and which node of it this is.
    pub(super) fn cluster(&self) -> Option<(Simulator, String)> {
        let (cluster, node, tasks) = {
            let mut inner = self.lock();
            let now = inner.now();
            let cluster = inner.joined.as_ref().filter(|joined| joined.from <= now)?.cluster.clone();
            // The list of a node's tasks stays on the node.
            let tasks = std::mem::take(&mut inner.state.tasks);
            (cluster, inner.options.node.clone(), tasks)
        };
        for task in tasks.values() {
            cluster.lock().state.tasks.push(task.clone(), usize::MAX);
        }
        Some((cluster, node))
    }
}
