//! Where an environment's log is, by the `backend` block: the file at hand, or a bucket. And the lock on writing to it.

use std::sync::Arc;
use std::time::Duration;

use pve_config::configuration::{Configuration, DiskFiles, constant, load};
use pve_config::syntax::{Body, Item};
use pve_state::{EventLog, Key, Lease, LeaseError, LeaseHolder, LeaseOptions};
use pve_state_s3::{Settings, SharedLog};
use pve_state_sqlite::{Holder, LockError, SqliteLog, WriterLock};

use crate::failure::Failure;
use crate::project::{Project, actor};

/// The pause between looks at a lock on this machine.
const LOOK: Duration = Duration::from_millis(200);

/// Where logs are.
pub enum Backend {
    /// A file in the environment's data folder.
    Local,
    /// A bucket.
    Shared(Box<Settings>),
}

impl Backend {
    /// The backend that the root module names; the local one without a block.
    ///
    /// # Errors
    /// When its arguments cannot be used, or it is of a type that pve does not have: a log somewhere else than where the
    /// configuration says would be a log that nobody shares.
    pub fn of(project: &Project) -> Result<Backend, Failure> {
        let loaded = load(&DiskFiles, &project.root);
        let found = backend_of(&loaded.configuration);
        found.map_err(|error| match error {
            Fault::Diagnosed(diagnostics) => Failure::Diagnosed { diagnostics, sources: loaded.sources },
            Fault::Plain(failure) => failure,
        })
    }
}

enum Fault {
    Diagnosed(Vec<pve_config::syntax::Diagnostic>),
    Plain(Failure),
}

fn backend_of(configuration: &Configuration) -> Result<Backend, Fault> {
    let Some((kind, body)) = &configuration.root.backend else { return Ok(Backend::Local) };
    match kind.as_str() {
        "local" => Ok(Backend::Local),
        "s3" => {
            let arguments = arguments(body).map_err(Fault::Diagnosed)?;
            let settings = Settings::from_arguments(&arguments, &|name| std::env::var(name).ok());
            settings.map(|settings| Backend::Shared(Box::new(settings))).map_err(|errors| {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                Fault::Plain(Failure::hinted(errors.join("\n"), "Nothing was read or written."))
            })
        }
        other => Err(Fault::Plain(Failure::hinted(
            format!("pve keeps no log in a backend \"{other}\": it has \"local\" and \"s3\""),
            "Name one of them, for instance in a file backend_override.tf.",
        ))),
    }
}

type Arguments = std::collections::BTreeMap<Arc<str>, pve_model::Value>;

fn arguments(body: &Body) -> Result<Arguments, Vec<pve_config::syntax::Diagnostic>> {
    let mut values = Arguments::new();
    for item in &body.items {
        match item {
            Item::Attribute(attribute) => {
                values.insert(Arc::from(attribute.name.as_str()), constant(&attribute.expr)?);
            }
            Item::Block(block) => {
                let nested = arguments(&block.body)?;
                values.insert(Arc::from(block.block_type.as_str()), pve_model::Value::object(nested));
            }
        }
    }
    Ok(values)
}

/// Opens the log to check it, which needs no key.
///
/// # Errors
/// When it cannot be opened.
pub async fn open_without_key(project: &Project) -> Result<Arc<dyn EventLog>, Failure> {
    let key = Key::from_bytes([0; 32]);
    Ok(match Backend::of(project)? {
        Backend::Local => Arc::new(SqliteLog::open(&project.log_path(), key)?),
        Backend::Shared(settings) => SharedLog::connect(&settings, project.stream(), key).await?.log,
    })
}

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
    /// Waits for the lock of this machine.
    ///
    /// # Errors
    /// When another run still holds it.
    pub async fn local(project: &Project, command: &str, wait: Duration) -> Result<RunLock, Failure> {
        let actor = actor();
        let holder = Holder {
            user: actor.user,
            host: actor.host,
            process: std::process::id(),
            since: jiff::Timestamp::now(),
            command: command.to_string(),
        };
        std::fs::create_dir_all(project.data_folder())?;
        let deadline = tokio::time::Instant::now() + wait;
        let mut told = false;
        loop {
            match WriterLock::acquire(&project.log_path(), &holder) {
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

    /// Waits for the lease of a shared log.
    ///
    /// # Errors
    /// When another run still holds it, or the store fails.
    pub async fn shared(
        project: &Project,
        settings: &Settings,
        command: &str,
        wait: Duration,
    ) -> Result<RunLock, Failure> {
        let shared = SharedLog::connect(settings, project.stream(), project.key()?).await?;
        let waiting = |holder: &LeaseHolder| eprintln!("Waiting: another run works here: {holder}");
        let options = LeaseOptions { wait, waiting: &waiting, ..LeaseOptions::new() };
        let holder = LeaseHolder::new(actor(), command);
        let lease = Lease::acquire(shared.lease, &*shared.log, holder, &options).await?;
        Ok(RunLock(Held::Shared(Some(Box::new(lease)))))
    }

    /// Calls `stop` when the lock is lost while it should be held.
    pub fn on_loss(&self, stop: impl FnOnce() + Send + 'static) {
        if let Held::Shared(Some(lease)) = &self.0 {
            lease.on_loss(stop);
        }
    }
}

impl From<LeaseError> for Failure {
    fn from(error: LeaseError) -> Failure {
        let hint = match &error {
            LeaseError::Held(_) => {
                "Wait until it is done, or give -lock-timeout=5m to wait for it. A run that died is overtaken after a \
                 minute of waiting."
            }
            LeaseError::Lost => "Nothing more was begun. Plan again.",
            LeaseError::Log(_) => "Nothing was lost: what the log has is there. Try again.",
        };
        Failure::hinted(crate::failure::chain(&error), hint)
    }
}
