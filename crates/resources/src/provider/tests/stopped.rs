//! Runs that are stopped between the requests of one action: what was written is known.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use pve_executor::ports::{ActionProgress, ProviderError};
use serde_json::json;

use super::World;
use crate::values::{all_blocks, text};

/// Stops the run when so many steps are done.
struct StoppedAfter(AtomicUsize);

#[async_trait]
impl ActionProgress for StoppedAfter {
    async fn task_submitted(&self, _: &str, _: &str) -> Result<(), ProviderError> {
        Ok(())
    }
    async fn step_completed(&self, _: &str) -> Result<(), ProviderError> {
        self.0.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
    fn status(&self, _: &str) {}
    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

/// Stops the run once one step has begun.
struct StoppedInStep(AtomicUsize);

#[async_trait]
impl ActionProgress for StoppedInStep {
    async fn task_submitted(&self, _: &str, _: &str) -> Result<(), ProviderError> {
        Ok(())
    }
    async fn step_completed(&self, _: &str) -> Result<(), ProviderError> {
        Ok(())
    }
    fn status(&self, _: &str) {}
    fn is_cancelled(&self) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst) > 0
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_met_a_lock_is_not_sent_again_after_a_stop() {
    let world = World::new(super::lives::VM);
    let config = world.config(json!({"node_name": "pve", "vm_id": 500, "name": "x"}));
    world.double.0.lock().unwrap().all_locked = true;
    let stopped = StoppedInStep(AtomicUsize::new(0));
    let error = world.try_apply(None, Some(&config), &stopped).await.unwrap_err();
    assert!(error.hint.unwrap().contains("the same command again"), "{}", error.message);
    let requests = world.double.0.lock().unwrap().requests.clone();
    assert_eq!(requests.iter().filter(|request| request.starts_with("Post")).count(), 1, "{requests:?}");
}

#[tokio::test]
async fn firewall_rules_that_were_written_before_a_stop_are_completed_by_the_next_run() {
    let ports = ["22", "80", "443"];
    let rule = |port: &str| json!({"type": "in", "action": "ACCEPT", "proto": "tcp", "dport": port});
    let rules: Vec<_> = ports.into_iter().map(rule).collect();
    for steps in 0..ports.len() {
        let world = World::new("proxmox_virtual_environment_firewall_rules");
        let config = world.config(json!({"node_name": "pve", "vm_id": 100, "rule": rules}));
        let stopped = StoppedAfter(AtomicUsize::new(steps));
        let error = world.try_apply(None, Some(&config), &stopped).await.unwrap_err();
        assert_eq!((error.left.is_some(), error.indeterminate), (steps > 0, false), "{}", error.message);
        if let Some(left) = &error.left {
            let known: Vec<_> =
                all_blocks(left, "rule").iter().filter_map(|rule| text(rule, "dport")).collect();
            assert_eq!(known, ports[ports.len() - steps..]);
            assert_eq!(world.read(left).await.as_ref(), Some(left), "it is what is there");
        }
        let whole = StoppedAfter(AtomicUsize::new(usize::MAX));
        let made = world.try_apply(error.left.as_ref(), Some(&config), &whole).await.unwrap().unwrap();
        let read = world.read(&made).await.unwrap();
        assert_eq!(read, made, "after {steps} steps");
        assert_eq!(all_blocks(&read, "rule").len(), ports.len());
    }
}
