//! The lock on writing to a log: the system's for one on this machine, the lease for a shared one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pve_state::{Lease, LeaseError, LeaseHolder, LeaseOptions};
use pve_state_s3::{Settings, SharedLog, StoreError, TerraformLock};
use pve_state_sqlite::{Holder, LockError, WriterLock};

use super::Backend;
use crate::failure::Failure;
use crate::project::{Project, actor};
use crate::replace_file::write_private;

/// The pause between looks at a lock on this machine.
const LOOK: Duration = Duration::from_millis(200);

/// What to do about a lock of Terraform.
const WAIT: &str = "Wait until it is done, or give -lock-timeout=5m to wait for it.";
const DEAD: &str = "Wait until it is done, or give -lock-timeout=5m to wait for it. If that run is dead: `terraform \
                    force-unlock`, or `pve unlock -terraform`, which leaves the lock there and passes over it.";
const UNNAMED: &str = "Once nobody runs Terraform on this state any more, remove the lock: the object with a client of the \
                       store, the item with one of DynamoDB.";

/// The right to write to a log; given back when it is dropped. A lease that cannot be given back runs out by itself.
pub struct RunLock(Held);

enum Held {
    Local { _lock: WriterLock },
    Shared(Option<Box<Lease>>),
}

impl Drop for RunLock {
    fn drop(&mut self) {
        let Held::Shared(lease) = &mut self.0 else { return };
        let Some(lease) = lease.take() else { return };
        // Every way out of a command passes here, the ones by `?` too; none of them can wait for a future.
        let released =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(lease.release()));
        if let Err(error) = released {
            eprintln!("Note: the lease could not be given back ({error}); it runs out within a minute.");
        }
    }
}

impl RunLock {
    /// Waits for the lock of the log in a backend.
    ///
    /// # Errors
    /// When another run still holds it, or the store fails.
    pub(super) async fn take(
        project: &Project,
        backend: &Backend,
        command: &str,
        wait: Duration,
    ) -> Result<RunLock, Failure> {
        match backend {
            Backend::Local(local) => RunLock::local(&local.log(project), command, wait).await,
            Backend::Shared(settings) => RunLock::shared(project, settings, command, wait).await,
        }
    }

    /// Waits for the lock of this machine.
    async fn local(log: &Path, command: &str, wait: Duration) -> Result<RunLock, Failure> {
        let actor = actor();
        let holder = Holder {
            user: actor.user,
            host: actor.host,
            process: std::process::id(),
            since: jiff::Timestamp::now(),
            command: command.to_string(),
        };
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder).map_err(Failure::writing(folder))?;
        }
        let deadline = tokio::time::Instant::now() + wait;
        let mut told = false;
        loop {
            match WriterLock::acquire(log, &holder) {
                Err(error @ LockError::Held { .. }) if tokio::time::Instant::now() < deadline => {
                    if !std::mem::replace(&mut told, true) {
                        eprintln!("Waiting: {error}");
                    }
                    tokio::time::sleep(LOOK).await;
                }
                result => return Ok(RunLock(Held::Local { _lock: result? })),
            }
        }
    }

    /// Waits for the lease of a shared log, and for Terraform where that holds its own lock: that is looked at with the
    /// lease in hand, since it may come while the lease is waited for.
    async fn shared(
        project: &Project,
        settings: &Settings,
        command: &str,
        wait: Duration,
    ) -> Result<RunLock, Failure> {
        let shared = SharedLog::connect(settings, project.stream(), project.key()?).await?;
        let deadline = tokio::time::Instant::now() + wait;
        let waiting = |holder: &LeaseHolder, remaining: Option<Duration>| match remaining {
            None => eprintln!("Waiting: another run works here: {holder}"),
            Some(time) => eprintln!(
                "Waiting for {} s: the lease was broken, and its holder may still have a request under way: {holder}",
                time.as_secs() + 1
            ),
        };
        loop {
            let wait = deadline.saturating_duration_since(tokio::time::Instant::now());
            let options = LeaseOptions { wait, waiting: &waiting, ..LeaseOptions::new() };
            let holder = LeaseHolder::new(actor(), command);
            let store = Arc::clone(&shared.lease);
            let lease = Lease::acquire(store, &*shared.log, holder, &options).await?;
            let lock = RunLock(Held::Shared(Some(Box::new(lease))));
            let Some(held) = held_by_terraform(project, settings, &shared).await? else { return Ok(lock) };
            drop(lock);
            wait_for_terraform(project, settings, &shared, held, deadline).await?;
        }
    }

    /// Tells at any time whether the lock is lost.
    pub fn watch(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        match &self.0 {
            Held::Shared(Some(lease)) => {
                let watch = lease.watch();
                Arc::new(move || watch.is_lost())
            }
            _ => Arc::new(|| false),
        }
    }

    /// Calls `stop` when the lock is lost while it should be held.
    pub fn on_loss(&self, stop: impl FnOnce() + Send + 'static) {
        if let Held::Shared(Some(lease)) = &self.0 {
            lease.on_loss(stop);
        }
    }
}

/// The lock that Terraform holds on its state, which may be about the same guests. One that `pve unlock -terraform`
/// passed over does not count.
async fn held_by_terraform(
    project: &Project,
    settings: &Settings,
    shared: &SharedLog,
) -> Result<Option<TerraformLock>, Failure> {
    match shared.terraform_locks().await {
        Ok(found) => Ok(found.into_iter().find(|lock| !is_passed_over(project, lock))),
        Err(error) if settings.lock_file || settings.lock_table.is_some() => Err(unknown_lock(&error)),
        Err(error) => {
            eprintln!("Note: it cannot be told whether Terraform holds its lock: {error}");
            Ok(None)
        }
    }
}

/// Waits until Terraform gives back its lock.
async fn wait_for_terraform(
    project: &Project,
    settings: &Settings,
    shared: &SharedLog,
    mut lock: TerraformLock,
    deadline: tokio::time::Instant,
) -> Result<(), Failure> {
    let mut told = false;
    loop {
        if tokio::time::Instant::now() >= deadline {
            return Err(Failure::hinted(
                format!("Terraform holds its lock on the state beside this log: {lock}"),
                if lock.is_named() { DEAD.to_string() } else { format!("{WAIT} {UNNAMED}") },
            ));
        }
        if !std::mem::replace(&mut told, true) {
            eprintln!("Waiting: Terraform works here: {lock}");
        }
        tokio::time::sleep(LOOK * 10).await;
        match held_by_terraform(project, settings, shared).await? {
            Some(held) => lock = held,
            None => return Ok(()),
        }
    }
}

/// Says, where the block tells that Terraform locks its state, that it holds that lock, or that it cannot be told: what
/// only looks does not wait for it, and what writes does.
///
/// # Errors
/// When the backend cannot be used.
pub async fn tell_terraform_lock(project: &Project) -> Result<(), Failure> {
    let Backend::Shared(bucket) = project.backend()? else { return Ok(()) };
    if !bucket.lock_file && bucket.lock_table.is_none() {
        return Ok(());
    }
    match pve_state_s3::terraform_locks(bucket, project.stream()).await? {
        Ok(locks) => {
            for lock in locks.iter().filter(|lock| !is_passed_over(project, lock)) {
                eprintln!(
                    "Note: Terraform holds its lock on the state beside this log: {lock}. `pve apply` is refused until it is \
                     given back (-lock-timeout=5m waits)."
                );
            }
        }
        Err(error) => eprintln!(
            "Note: it cannot be told whether Terraform holds its lock: {error}. Until it can be, what writes is refused."
        ),
    }
    Ok(())
}

/// What may be held and cannot be looked at.
pub fn unknown_lock(error: &StoreError) -> Failure {
    Failure::hinted(
        format!("it cannot be told whether Terraform holds its lock: {error}"),
        "Nothing was changed. Whoever writes here must be able to read that lock (dynamodb:GetItem on the table). If \
         nobody uses Terraform on this state any more, take dynamodb_table and use_lockfile out of the `backend` block.",
    )
}

fn passed_over(project: &Project) -> PathBuf {
    project.data_folder().join("terraform-lock")
}

/// Whether `pve unlock -terraform` passed over a lock, which is told.
pub fn is_passed_over(project: &Project, lock: &TerraformLock) -> bool {
    let passed = std::fs::read_to_string(passed_over(project));
    let passed = lock.is_named() && passed.is_ok_and(|ids| ids.lines().any(|id| id == lock.id));
    if passed {
        eprintln!("Note: Terraform's lock is passed over: {lock}");
    }
    passed
}

/// Passes over locks of Terraform from now on: these, not what follows them. They are left where they are.
///
/// # Errors
/// When one of them could not be told from what follows it, or that cannot be kept.
pub fn pass_over(project: &Project, locks: &[TerraformLock]) -> Result<(), Failure> {
    if let Some(lock) = locks.iter().find(|lock| !lock.is_named()) {
        return Err(Failure::hinted(
            format!("it cannot be passed over without passing over each one that follows: {lock}"),
            format!("Nothing was changed. {UNNAMED}"),
        ));
    }
    let path = passed_over(project);
    let ids: String = locks.iter().map(|lock| format!("{}\n", lock.id)).collect();
    write_private(&path, ids.as_bytes(), true).map_err(Failure::writing(&path))
}

impl From<LeaseError> for Failure {
    fn from(error: LeaseError) -> Failure {
        let error = match error {
            LeaseError::Log(error) => return error.into(),
            other => other,
        };
        let hint = match &error {
            LeaseError::Held(_) => {
                "Wait until it is done, or give -lock-timeout=5m to wait for it. A run that died is overtaken after a \
                 minute of waiting."
            }
            LeaseError::Lost => "Nothing more was begun. Plan again.",
            LeaseError::Log(_) => "",
        };
        Failure::hinted(crate::failure::chain(&error), hint)
    }
}
