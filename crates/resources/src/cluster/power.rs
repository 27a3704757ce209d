//! Starting and stopping guests. What HA manages is only asked for: the task ends when its manager has been told, and the
//! manager acts some seconds later (the tasks `hastart` and `hastop` of `PVE::API2::Qemu` and `PVE::API2::LXC::Status`).

use std::time::Duration;

use pve_executor::ports::ProviderError;
use serde_json::Value as Json;
use tokio::time::Instant;

use super::{Call, Method, Step, refused};
use crate::params::Params;

/// What is asked of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    Start,
    ShutDown,
    Stop,
    Reboot,
}

/// How long a VM that HA does not manage has to come back: whatever starts it again is no part of the reboot's task.
const COMES_BACK: Duration = Duration::from_secs(120);

/// After which a stop is asked for again: a manager that does not know the guest yet, as for some seconds after its HA
/// resource was made, drops the request (`PVE::HA::Manager`, `update_crm_commands`).
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// The pauses between two looks.
fn pauses() -> impl Iterator<Item = Duration> {
    (0..).map(|looked: u32| Duration::from_millis(250 << looked.min(3)))
}

impl Power {
    fn step(self) -> Step<'static> {
        match self {
            Power::Start => Step::START,
            Power::ShutDown => Step::SHUT_DOWN,
            Power::Stop => Step::STOP,
            Power::Reboot => Step::REBOOT,
        }
    }

    fn path(self, guest: &str) -> String {
        let name = match self {
            Power::Start => "start",
            Power::ShutDown => "shutdown",
            Power::Stop => "stop",
            Power::Reboot => "reboot",
        };
        format!("{guest}/status/{name}")
    }

    /// Whether the guest runs when it is done.
    fn runs(self) -> bool {
        matches!(self, Power::Start | Power::Reboot)
    }
}

/// A guest as its node tells.
struct Status {
    runs: bool,
    /// The state of its HA service, where HA manages it.
    service: Option<String>,
}

impl Status {
    fn parse(answer: &Json) -> Status {
        let ha = answer.get("ha").filter(|ha| ha.get("managed").and_then(Json::as_u64) == Some(1));
        let service = ha.map(|ha| ha.get("state").and_then(Json::as_str).unwrap_or_default().to_string());
        Status { runs: answer.get("status").and_then(Json::as_str) == Some("running"), service }
    }

    /// Whether HA has taken up that it is to be stopped.
    fn is_stopping(&self) -> bool {
        self.service.as_deref() == Some("request_stop")
    }
}

/// Whether a task only passed on what is wanted.
fn is_wish(upid: &str) -> bool {
    upid.split(':').nth(5).is_some_and(|kind| kind.starts_with("ha"))
}

impl Call<'_> {
    /// Starts, stops or reboots the guest at this path, and waits until that has happened: for the task, and then for HA,
    /// at most this long each. HA keeps a guest started once it was asked to start it.
    pub(crate) async fn power(
        &self,
        change: Power,
        guest: &str,
        params: &Params,
        most: Duration,
    ) -> Result<(), ProviderError> {
        let step = change.step();
        self.go_on(step)?;
        let answer = self.send(Method::Post, &change.path(guest), params).await;
        let answer = answer.map_err(|error| self.failed(step, &error))?;
        let upid = answer.as_str().filter(|answer| answer.starts_with("UPID:"));
        if let Some(upid) = upid {
            self.await_task(step, upid, most).await?;
        }
        // A reboot ends with the guest stopped: it is started behind it (`qm cleanup`), by HA if that manages it.
        if change == Power::Reboot || upid.is_some_and(is_wish) {
            self.await_power(change, guest, params, most).await?;
        }
        self.completed(step).await
    }

    async fn await_power(
        &self,
        change: Power,
        guest: &str,
        params: &Params,
        most: Duration,
    ) -> Result<(), ProviderError> {
        let path = change.path(guest);
        let (began, mut asked, mut told) = (Instant::now(), Instant::now(), None);
        for pause in pauses() {
            let status = self.status_of(change, guest).await?;
            if status.runs == change.runs() {
                break;
            }
            let limit = if status.service.is_some() { most } else { most.min(COMES_BACK) };
            if status.service.as_deref() == Some("error") || began.elapsed() >= limit {
                return Err(self.not_done(change, &status, limit));
            }
            self.go_on(Step::of("await", if change.runs() { "the start" } else { "the stop" }))?;
            let waits = match (&status.service, change.runs()) {
                (Some(_), true) => "waiting for HA to start it",
                (Some(_), false) => "waiting for HA to stop it",
                (None, _) => "waiting for it to run again",
            };
            if told.replace(waits) != Some(waits) {
                self.progress.status(waits);
            }
            tokio::time::sleep(pause.min(limit)).await;
            if !change.runs() && !status.is_stopping() && asked.elapsed() >= ASK_AGAIN {
                asked = Instant::now();
                // What comes of it shows in the status.
                let _ = self.cluster.api.send(Method::Post, &path, &params.pairs()).await;
            }
        }
        Ok(())
    }

    async fn status_of(&self, change: Power, guest: &str) -> Result<Status, ProviderError> {
        match self.cluster.get(&format!("{guest}/status/current")).await {
            Ok(answer) => Ok(Status::parse(&answer)),
            Err(error) if error.is_missing() => {
                self.cluster.forget_guests().await;
                let message = format!("{}: it is not there any more", change.step().on(&self.object));
                let hint = "HA takes a guest to the node that its rules want it on: plan again";
                Err(refused(message, Some(hint)))
            }
            Err(error) => Err(self.failed(Step::of("read", "the status"), &error)),
        }
    }

    /// Whoever was asked may do it yet, unless HA has given it up.
    fn not_done(&self, change: Power, status: &Status, limit: Duration) -> ProviderError {
        let what = change.step().on(&self.object);
        if status.service.as_deref() == Some("error") {
            let hint = "look at the tasks of its node for the reason; then set the state of its HA resource to disabled, \
                        and after that apply again";
            return refused(format!("{what}: HA has given it up (state error)"), Some(hint));
        }
        let (is, seconds) = (if status.runs { "runs" } else { "does not run" }, limit.as_secs());
        let hint = match status.service {
            Some(_) => "look at the state of HA: the guest's service, and whether its manager is active",
            None => "look at the tasks of its node",
        };
        let message = format!("{what}: it {is} after {seconds} s");
        ProviderError { indeterminate: true, ..refused(message, Some(hint)) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use pve_executor::ports::ActionProgress;
    use serde_json::json;

    use super::super::migration::tests::Slow;
    use super::super::{Cluster, Silent};
    use super::*;

    const MOST: Duration = Duration::from_secs(600);

    async fn ask(
        change: Power,
        task: &'static str,
        status: Json,
        progress: &dyn ActionProgress,
    ) -> Result<Duration, (ProviderError, Duration)> {
        let cluster = Cluster::new(
            Arc::new(Slow { task_ends: true, task, status, posts: Default::default() }),
            Duration::ZERO,
            false,
        );
        let call = Call::new(&cluster, progress, "vm 100 on a".into());
        let began = Instant::now();
        let asked = call.power(change, "/nodes/a/qemu/100", &Params::default(), MOST).await;
        asked.map(|()| began.elapsed()).map_err(|error| (error, began.elapsed()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_only_asked_for_is_waited_for_as_long_as_the_resource_says() {
        let ha = json!({"managed": 1, "state": "started"});
        let plain = json!({"managed": 0});
        for (change, task, status, ha, expected) in [
            (Power::Stop, "hastop", "running", &ha, Err(("stop vm 100 on a: it runs after 600 s", 600))),
            (Power::ShutDown, "hashutdown", "stopped", &ha, Ok(())),
            (
                Power::Start,
                "hastart",
                "stopped",
                &ha,
                Err(("start vm 100 on a: it does not run after 600 s", 600)),
            ),
            (
                Power::Reboot,
                "qmreboot",
                "stopped",
                &ha,
                Err(("reboot vm 100 on a: it does not run after 600 s", 600)),
            ),
            (
                Power::Reboot,
                "qmreboot",
                "stopped",
                &plain,
                Err(("reboot vm 100 on a: it does not run after 120 s", 120)),
            ),
            (Power::Reboot, "qmreboot", "running", &plain, Ok(())),
            // The task has done it: what it is like now may be somebody else's doing.
            (Power::Stop, "qmstop", "running", &plain, Ok(())),
            (Power::Start, "qmstart", "stopped", &plain, Ok(())),
        ] {
            let asked = ask(change, task, json!({"status": status, "ha": ha}), &Silent).await;
            match (asked, expected) {
                (Ok(took), Ok(())) => assert_eq!(took, Duration::ZERO),
                (Err((error, took)), Err((message, seconds))) => {
                    assert_eq!(error.message, message);
                    assert!(error.indeterminate && error.hint.is_some(), "{error:?}");
                    assert!(took.as_secs() - seconds < 3, "{took:?}");
                }
                (asked, _) => panic!("{change:?} {task}: {asked:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_that_ha_dropped_is_asked_for_again() {
        for (service, expected) in [(json!("started"), 21), (Json::Null, 21), (json!("request_stop"), 1)] {
            let status = json!({"status": "running", "ha": {"managed": 1, "state": service}});
            let api = Arc::new(Slow { task_ends: true, task: "hastop", status, posts: Default::default() });
            let cluster = Cluster::new(api.clone(), Duration::ZERO, false);
            let call = Call::new(&cluster, &Silent, "vm 100 on a".into());
            let params = Params::default();
            assert!(call.power(Power::ShutDown, "/nodes/a/qemu/100", &params, MOST).await.is_err());
            let posts = api.posts.load(std::sync::atomic::Ordering::SeqCst);
            assert_eq!(posts, expected, "{service}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_ha_has_given_up_is_not_waited_for() {
        let status = json!({"status": "running", "ha": {"managed": 1, "state": "error"}});
        let (error, took) = ask(Power::Stop, "hastop", status, &Silent).await.unwrap_err();
        assert_eq!(error.message, "stop vm 100 on a: HA has given it up (state error)");
        assert_eq!((error.indeterminate, took), (false, Duration::ZERO));
    }

    /// Interrupted as soon as something waits.
    #[derive(Default)]
    struct Impatient(std::sync::atomic::AtomicBool);

    #[async_trait]
    impl ActionProgress for Impatient {
        async fn task_submitted(&self, _: &str, _: &str) -> Result<(), ProviderError> {
            Ok(())
        }
        async fn step_completed(&self, _: &str) -> Result<(), ProviderError> {
            Ok(())
        }
        fn status(&self, text: &str) {
            self.0.fetch_or(text == "waiting for HA to stop it", std::sync::atomic::Ordering::SeqCst);
        }
        fn is_cancelled(&self) -> bool {
            self.0.load(std::sync::atomic::Ordering::SeqCst)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupt_ends_the_wait_for_ha() {
        let status = json!({"status": "running", "ha": {"managed": 1, "state": "started"}});
        let (error, took) = ask(Power::Stop, "hastop", status, &Impatient::default()).await.unwrap_err();
        assert_eq!(error.message, "interrupted before it could await the stop of vm 100 on a");
        assert!(took < Duration::from_secs(1));
    }
}
