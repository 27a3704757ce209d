//! Migrations: a guest that HA manages is moved by its manager, some time after the task that asks for it has ended.

use std::time::Duration;

use pve_executor::ports::ProviderError;

use super::refused;
use super::{Call, Method, Step};
use crate::params::Params;

impl Call<'_> {
    /// Asks for a migration and waits until the guest is on its new node.
    pub(crate) async fn migrate(
        &self,
        kind: &str,
        vmid: u32,
        path: &str,
        target: &str,
        params: &Params,
        most: Duration,
    ) -> Result<(), ProviderError> {
        let asked = self.step(Step::MIGRATE, Method::Post, path, params, most).await;
        self.cluster.forget_guests().await;
        asked?;
        let waiting = (Step::of("await", "the end of the migration"), "waiting for HA to migrate it");
        if !self.has_come(waiting, most, || self.has_arrived(kind, vmid, target)).await? {
            return Err(self.still_moving(target, most));
        }
        self.cluster.forget_guests().await;
        Ok(())
    }

    /// Its manager was asked for it, and may move it yet.
    fn still_moving(&self, target: &str, most: Duration) -> ProviderError {
        let message = format!("migrate {}: it is not on {target} after {} s", self.object, most.as_secs());
        let hint = "look at the tasks of the node, and at the state of HA if it manages it";
        ProviderError { indeterminate: true, ..refused(message, Some(hint)) }
    }

    async fn has_arrived(&self, kind: &str, vmid: u32, target: &str) -> Result<bool, ProviderError> {
        let there = self.cluster.look_at_options(kind, vmid, target).await;
        Ok(there.map_err(|error| self.failed(Step::FIND, &error))?.is_some())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use async_trait::async_trait;
    use serde_json::{Value as Json, json};

    use super::super::{Api, ApiError, Cluster, Content, Silent};
    use super::*;

    /// A guest that stays as it is and where it is, and a task that may go on for ever.
    pub(in super::super) struct Slow {
        pub(in super::super) task_ends: bool,
        pub(in super::super) task: &'static str,
        /// Its current status.
        pub(in super::super) status: Json,
        /// How often something was asked for.
        pub(in super::super) posts: std::sync::atomic::AtomicU32,
    }

    fn error(message: &str, lost: bool) -> ApiError {
        ApiError { message: message.into(), hint: None, status: Some(500), lost }
    }

    #[async_trait]
    impl Api for Slow {
        async fn send(&self, method: Method, path: &str, _: &[(String, String)]) -> Result<Json, ApiError> {
            match method {
                Method::Post => {
                    self.posts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    Ok(json!(format!("UPID:a:00000001:00000002:00000003:{}:100:root@pam:", self.task)))
                }
                _ if path.ends_with("/status/current") => Ok(self.status.clone()),
                _ => Err(error("Configuration file does not exist", false)),
            }
        }

        async fn wait(&self, _: &str, most: Duration) -> Result<(), ApiError> {
            if self.task_ends {
                return Ok(());
            }
            tokio::time::sleep(most).await;
            Err(error("it still runs", true))
        }

        async fn upload(
            &self,
            _: &str,
            _: &str,
            _: &str,
            _: &str,
            _: Content<'_>,
            _: Duration,
        ) -> Result<String, ApiError> {
            Err(error("nothing is uploaded", false))
        }

        async fn write_file(&self, _: &str, _: &str, _: Content<'_>, _: Option<u32>) -> Result<(), ApiError> {
            Err(error("nothing is written", false))
        }

        async fn run(&self, _: &str, _: &[&str], _: Duration) -> Result<String, ApiError> {
            Err(error("nothing is run", false))
        }

        fn user(&self) -> String {
            "root@pam".into()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_migration_that_takes_too_long_is_not_known_to_have_failed() {
        for (task_ends, says) in [(false, "it still runs"), (true, "it is not on b after 60 s")] {
            let api = std::sync::Arc::new(Slow {
                task_ends,
                task: "qmigrate",
                status: json!({}),
                posts: Default::default(),
            });
            let cluster = Cluster::new(api, Duration::ZERO, false);
            let call = Call::new(&cluster, &Silent, "vm 100 on a".into());
            let most = Duration::from_secs(60);
            let path = "/nodes/a/qemu/100/migrate";
            let moved = call.migrate("qemu", 100, path, "b", &Params::default(), most).await;
            let error = moved.unwrap_err();
            assert!(error.indeterminate && error.message.contains(says), "{error:?}");
        }
    }
}
