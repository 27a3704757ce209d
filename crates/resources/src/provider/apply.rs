//! Making changes: create, update and delete of every kind.

use std::sync::PoisonError;

use pve_executor::ports::{ActionProgress, ApplyRequest, ProviderError};
use pve_model::event::Operation;
use pve_model::{Type, Value};

use super::broken_off::PlainChange;
use super::claims::{record_other_id, vmid_is_free};
use super::identity::is_replaced;
use super::{Connection, Family, ProxmoxProvider, Seen};
use crate::cluster::{Call, Step, failed, refused};
use crate::operations::Operations;
use crate::registry::Kind;
use crate::values::{all_blocks, block, complete, text, with, with_elements};
use crate::{container, download_file, file, vm};

/// How many VMIDs are tried when others are faster.
const RACES: u32 = 10;

impl ProxmoxProvider {
    pub(super) async fn apply_change(
        &self,
        request: ApplyRequest,
        progress: &dyn ActionProgress,
    ) -> Result<Option<Value>, ProviderError> {
        let (kind, family) = self.kind(&request.address.resource.kind)?;
        if family.is_built_in() {
            let id = request.claim.marker.clone().unwrap_or_default();
            return Ok(request.planned.map(|planned| family.applied(&planned, &id)));
        }
        let connection = self.connection(&request.provider)?;
        match family {
            Family::Vm | Family::Container => {
                let done =
                    GuestChange { connection, kind, family, request: &request, progress }.apply().await;
                let value = match &done {
                    Ok(value) => value.as_ref(),
                    Err(error) => error.left.as_ref(),
                };
                let vmid = value.and_then(|value| crate::values::int(value, "vm_id"));
                if let Some(vmid) = vmid.and_then(|id| u32::try_from(id).ok()) {
                    let identity = connection.cluster.identity(vmid);
                    let seen = Seen { identity, ..Seen::default() };
                    let mut known = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                    known.insert(request.address.clone(), seen);
                }
                done
            }
            _ => {
                let object = request.address.to_string();
                let call = Call::new(&connection.cluster, progress, object);
                let request = with_secrets(kind, request);
                let change = PlainChange { call: &call, kind, family, request: &request };
                let done = match kind.operations() {
                    Some(operations) if kind.is_described_guest() && request.prior.is_none() => {
                        create_guest(connection, &call, operations, request.clone()).await
                    }
                    Some(operations) => apply_plain(&call, operations, &request).await,
                    None => apply_file(&call, family, &request).await,
                };
                match done {
                    // The engine itself tells what its creates and updates left.
                    Err(error) if kind.engine().is_none() || request.planned.is_none() => {
                        Err(change.broken_off(error).await)
                    }
                    done => done,
                }
            }
        }
    }
}

async fn apply_plain(
    call: &Call<'_>,
    operations: &dyn Operations,
    request: &ApplyRequest,
) -> Result<Option<Value>, ProviderError> {
    match (request.prior.as_ref(), request.planned.as_ref()) {
        (None, Some(planned)) => operations.create(call, planned).await.map(Some),
        (Some(prior), Some(planned)) => operations.update(call, prior, planned).await.map(Some),
        (Some(prior), None) => operations.delete(call, prior).await.map(|()| None),
        (None, None) => Ok(None),
    }
}

/// What is never stored is not in the plan: it is taken from the configuration, in a change only where the version
/// beside it changes.
fn with_secrets(kind: &Kind, mut request: ApplyRequest) -> ApplyRequest {
    let (Some(planned), Some(config)) = (&request.planned, &request.config) else { return request };
    let secrets = kind.block().attributes.iter().filter(|(_, attribute)| attribute.write_only);
    let renewed = |name: &str| {
        let version = |value: &Value| value.get(&format!("{name}_version")).cloned();
        request.prior.as_ref().is_none_or(|prior| version(prior) != version(planned))
    };
    let planned = secrets.filter(|(name, _)| renewed(name)).fold(planned.clone(), |planned, (name, _)| {
        match config.get(name) {
            Some(secret) => with(&planned, name, secret.clone()),
            None => planned,
        }
    });
    request.planned = Some(planned);
    request
}

/// Makes a guest that is described as data under the VMID that was reserved for it, or, where somebody else was faster,
/// under the next one.
async fn create_guest(
    connection: &Connection,
    call: &Call<'_>,
    operations: &dyn Operations,
    mut request: ApplyRequest,
) -> Result<Option<Value>, ProviderError> {
    let Some(planned) = request.planned.clone() else { return Ok(None) };
    if planned.get("id").is_some_and(Value::is_known) {
        return apply_plain(call, operations, &request).await;
    }
    let mut vmid = request.claim.vmid.unwrap_or_default();
    for race in 0.. {
        request.planned = Some(with(&planned, "id", Value::number(i64::from(vmid))));
        match apply_plain(call, operations, &request).await {
            Err(error) if is_taken(&error, vmid) && race < RACES => {
                connection.cluster.forget_guests().await;
                vmid = connection.reserve().await?;
                record_other_id(call.progress, vmid).await?;
            }
            done => return done,
        }
    }
    Ok(None)
}

async fn apply_file(
    call: &Call<'_>,
    family: Family,
    request: &ApplyRequest,
) -> Result<Option<Value>, ProviderError> {
    let prior = request.prior.as_ref();
    let Some(planned) = request.planned.as_ref() else {
        let Some(prior) = prior else { return Ok(None) };
        match family {
            Family::DownloadFile => delete_file(call, download_file::volume(prior)).await?,
            _ => delete_file(call, file::volume(prior)).await?,
        }
        return Ok(None);
    };
    let done = match (family, prior) {
        (Family::DownloadFile, None) => download_file::create(call, planned).await?,
        (Family::DownloadFile, Some(prior)) => download_file::update(planned, prior),
        (_, Some(prior)) if same_content(prior, planned) => complete(planned, prior),
        (_, prior) => file::write(call, planned, prior.is_some()).await?,
    };
    Ok(Some(done))
}

/// Whether an update of a file leaves its content alone.
fn same_content(prior: &Value, planned: &Value) -> bool {
    let same = |name: &str| match (prior.get(name), planned.get(name)) {
        (Some(before), Some(after)) => crate::values::same(before, after),
        _ => true,
    };
    same("source_raw") && same("source_file")
}

async fn delete_file(call: &Call<'_>, volume: Option<crate::volumes::Volume>) -> Result<(), ProviderError> {
    match volume {
        Some(volume) => volume.delete(call, Step::DELETE).await,
        None => Ok(()),
    }
}

/// One change of a VM or container.
struct GuestChange<'a> {
    connection: &'a Connection,
    kind: &'a Kind,
    family: Family,
    request: &'a ApplyRequest,
    progress: &'a dyn ActionProgress,
}

/// A VM or container as the target of calls.
pub(super) enum Guest<'a> {
    Vm(vm::Target<'a>),
    Container(container::Target<'a>),
}

impl<'a> Guest<'a> {
    pub(super) fn new(
        family: Family,
        kind: &'a Kind,
        call: Call<'a>,
        (node, vmid): (String, u32),
        identity: Option<String>,
    ) -> Guest<'a> {
        match family {
            Family::Vm => Guest::Vm(vm::Target { call, kind, node, vmid, identity }),
            _ => Guest::Container(container::Target { call, kind, node, vmid, identity }),
        }
    }

    pub(super) async fn look(&self) -> Result<Option<crate::observed::Observed>, ProviderError> {
        match self {
            Guest::Vm(vm) => vm.look().await,
            Guest::Container(container) => container.look().await,
        }
    }

    /// Whether what was read after a change broke off is the guest that was to be changed, and not the one that has its id
    /// now: as `left` it would count as ours from then on. Where a step was done, it was looked at before.
    fn is_known(&self, prior: &Value, left: &Value) -> bool {
        let (call, known, vmid) = match self {
            Guest::Vm(vm) => (&vm.call, &vm.identity, vm.vmid),
            Guest::Container(container) => (&container.call, &container.identity, container.vmid),
        };
        let now = call.cluster.identity(vmid);
        let other = is_replaced((prior, known.as_deref()), (left, now.as_deref()));
        !call.done().is_empty() || other.is_none()
    }

    pub(super) async fn read(&self, planned: &Value) -> Result<Value, ProviderError> {
        match self {
            Guest::Vm(vm) => vm.read(planned).await,
            Guest::Container(container) => container.read(planned).await,
        }
    }

    /// The values of a guest whose change broke off. A password cannot be read back, so it counts as not set: setting
    /// it once more does no harm.
    pub(super) async fn read_unfinished(&self, planned: &Value) -> Result<Value, ProviderError> {
        let value = self.read(planned).await?;
        Ok(match self {
            Guest::Vm(_) => without_password(&value),
            Guest::Container(_) => value,
        })
    }

    async fn make(&self, planned: &Value, marker: Option<&str>) -> Result<(), ProviderError> {
        match (self, block(planned, "clone")) {
            (Guest::Vm(vm), Some(clone)) => vm.clone_from(planned, clone, marker).await,
            (Guest::Vm(vm), None) => vm.create(planned, marker).await,
            (Guest::Container(container), Some(clone)) => container.clone_from(planned, clone, marker).await,
            (Guest::Container(container), None) => container.create(planned, marker).await,
        }
    }

    async fn bring_to(&self, prior: Option<&Value>, planned: &Value) -> Result<(), ProviderError> {
        let cloned = block(planned, "clone").is_some();
        match self {
            Guest::Vm(vm) => vm.bring_to(prior, planned, cloned).await,
            Guest::Container(container) => container.bring_to(prior, planned, cloned).await,
        }
    }

    async fn finish(&self, planned: &Value) -> Result<Value, ProviderError> {
        match self {
            Guest::Vm(vm) => vm.finish(planned).await,
            Guest::Container(container) => container.finish(planned).await,
        }
    }

    async fn delete(&self, prior: &Value) -> Result<(), ProviderError> {
        match self {
            Guest::Vm(vm) => vm.delete(prior).await,
            Guest::Container(container) => container.delete(prior).await,
        }
    }

    async fn migrate(&self, prior: &Value, planned: &Value, to: &str) -> Result<(), ProviderError> {
        match self {
            Guest::Vm(vm) => vm.migrate(prior, planned, to).await,
            Guest::Container(container) => container.migrate(prior, planned, to).await,
        }
    }
}

impl<'a> GuestChange<'a> {
    fn guest(&self, node: &str, vmid: u32) -> Guest<'a> {
        let label = if self.family == Family::Vm { "vm" } else { "container" };
        let object = format!("{label} {vmid} on {node}");
        let call = Call::new(&self.connection.cluster, self.progress, object);
        let identity = self.request.identity.clone();
        Guest::new(self.family, self.kind, call, (node.to_string(), vmid), identity)
    }

    async fn apply(&self) -> Result<Option<Value>, ProviderError> {
        let done = match (self.request.operation, &self.request.planned, &self.request.prior) {
            (Operation::Create, Some(planned), _) => self.create(planned).await.map(Some),
            (Operation::Update, Some(planned), Some(prior)) => self.update(prior, planned).await.map(Some),
            (Operation::Delete, _, Some(prior)) => self.delete(prior).await.map(|()| None),
            _ => Err(refused(format!("{}: nothing to apply", self.request.address), None)),
        };
        self.connection.cluster.forget_guests().await;
        done
    }

    async fn create(&self, planned: &Value) -> Result<Value, ProviderError> {
        let node = text(planned, "node_name").unwrap_or_default().to_string();
        let mut vmid = self.request.claim.vmid.unwrap_or_default();
        let marker = self.request.claim.marker.as_deref();
        for race in 0.. {
            let planned = with(planned, "vm_id", Value::number(i64::from(vmid)));
            let guest = self.guest(&node, vmid);
            match guest.make(&planned, marker).await {
                Ok(()) => return self.complete(&guest, &planned).await,
                Err(error) if is_taken(&error, vmid) => {
                    if !vmid_is_free(self.request) || race >= RACES {
                        return Err(taken(error, vmid));
                    }
                    self.connection.cluster.forget_guests().await;
                    vmid = self.connection.reserve().await?;
                    record_other_id(self.progress, vmid).await?;
                }
                Err(error) => return Err(self.with_left(&planned, error, vmid).await),
            }
        }
        Err(refused(format!("create {}: no free VMID", self.request.address), None))
    }

    async fn complete(&self, guest: &Guest<'_>, planned: &Value) -> Result<Value, ProviderError> {
        let finished = async {
            guest.bring_to(None, planned).await?;
            guest.finish(planned).await
        };
        match finished.await {
            Ok(value) => Ok(value),
            Err(error) => {
                let left = guest.read_unfinished(planned).await.ok();
                // It is there. Where it cannot be read the action stays open: as failed, it would be forgotten.
                Err(ProviderError { indeterminate: error.indeterminate || left.is_none(), left, ..error })
            }
        }
    }

    /// After a failed create: what is there under the id, if our marker is on it, on whatever node: a clone is made beside
    /// its template. Where that cannot be found out the action stays open.
    async fn with_left(&self, planned: &Value, error: ProviderError, vmid: u32) -> ProviderError {
        let wanted = text(planned, "node_name").unwrap_or_default();
        let node = self.connection.cluster.locate(self.api_kind(), vmid, wanted).await;
        let left = match node {
            Ok(Some(node)) => self.marked(&node, planned, vmid).await,
            Ok(None) => Ok(None),
            // A node that is not there tells nothing of its guests; the list of the whole cluster does.
            Err(_) if self.is_listed_nowhere(vmid).await => Ok(None),
            Err(unknown) => Err(failed(format!("look for guest {vmid}"), &unknown)),
        };
        ProviderError {
            indeterminate: error.indeterminate || left.is_err(),
            left: left.ok().flatten(),
            ..error
        }
    }

    /// The guest on this node, if our marker is on it.
    async fn marked(&self, node: &str, planned: &Value, vmid: u32) -> Result<Option<Value>, ProviderError> {
        let guest = self.guest(node, vmid);
        let Some(observed) = guest.look().await? else { return Ok(None) };
        let description = observed.text("description");
        match self.request.claim.marker.as_deref() {
            Some(marker) if description.is_some_and(|text| text.trim() == marker) => {
                guest.read_unfinished(planned).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    fn api_kind(&self) -> &'static str {
        if self.family == Family::Vm { "qemu" } else { "lxc" }
    }

    /// Whether the cluster answers and has no guest of this id on any node.
    async fn is_listed_nowhere(&self, vmid: u32) -> bool {
        self.connection.cluster.forget_guests().await;
        let guests = self.connection.cluster.guests().await;
        guests.is_ok_and(|guests| guests.iter().all(|guest| guest.vmid != vmid))
    }

    async fn update(&self, prior: &Value, planned: &Value) -> Result<Value, ProviderError> {
        let vmid = self.vmid(prior)?;
        let from = text(prior, "node_name").unwrap_or_default();
        let to = text(planned, "node_name").unwrap_or_default();
        if from != to {
            self.guest(from, vmid).migrate(prior, planned, to).await?;
        }
        let guest = self.guest(to, vmid);
        let finished = async {
            guest.bring_to(Some(prior), planned).await?;
            guest.finish(planned).await
        };
        match finished.await {
            Ok(value) => Ok(value),
            Err(error) => {
                let same = passwords(prior) == passwords(planned);
                let left =
                    if same { guest.read(planned).await } else { guest.read_unfinished(planned).await };
                let left = left.ok().filter(|left| guest.is_known(prior, left));
                Err(ProviderError { left, ..error })
            }
        }
    }

    async fn delete(&self, prior: &Value) -> Result<(), ProviderError> {
        let vmid = self.vmid(prior)?;
        // It may have been moved to another node since it was read.
        let known = text(prior, "node_name").unwrap_or_default();
        let node = self.connection.cluster.locate(self.api_kind(), vmid, known).await;
        match node.map_err(|error| failed(format!("look for guest {vmid}"), &error))? {
            Some(node) => {
                let guest = self.guest(&node, vmid);
                match guest.delete(prior).await {
                    Ok(()) => Ok(()),
                    // It may have been shut down before it could not be destroyed.
                    Err(error) => {
                        let left = guest.read(prior).await.ok().filter(|left| guest.is_known(prior, left));
                        Err(ProviderError { left, ..error })
                    }
                }
            }
            None => Ok(()),
        }
    }

    fn vmid(&self, prior: &Value) -> Result<u32, ProviderError> {
        crate::values::int(prior, "vm_id")
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| refused(format!("{}: its vm_id is not known", self.request.address), None))
    }
}

/// The passwords that cloud-init is to set.
fn passwords(value: &Value) -> Vec<Option<String>> {
    let accounts = all_blocks(value, "initialization");
    let accounts = accounts.iter().flat_map(|initialization| all_blocks(initialization, "user_account"));
    accounts.map(|account| text(account, "password").map(str::to_string)).collect()
}

fn without_password(value: &Value) -> Value {
    let in_each = |value: &Value, name: &str, change: &dyn Fn(&Value) -> Value| {
        with_elements(value, name, all_blocks(value, name).iter().map(change).collect())
    };
    in_each(value, "initialization", &|initialization| {
        in_each(initialization, "user_account", &|account| {
            with(account, "password", Value::null(Type::String))
        })
    })
}

/// Whether somebody else has the VMID. Proxmox VE has several wordings for it.
fn is_taken(error: &ProviderError, vmid: u32) -> bool {
    let texts = [
        format!("VM {vmid} already exists"),
        format!("CT {vmid} already exists"),
        format!("unable to create VM {vmid}: config file already exists"),
        format!("unable to create CT {vmid}: config file already exists"),
    ];
    texts.iter().any(|text| error.message.contains(text))
}

fn taken(error: ProviderError, vmid: u32) -> ProviderError {
    let hint = format!("guest {vmid} is there already and was not touched: import it, or set another vm_id");
    ProviderError { hint: Some(hint), left: None, ..error }
}
