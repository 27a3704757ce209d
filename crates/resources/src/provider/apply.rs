//! Making changes: create, update and delete of every kind.

use pve_executor::ports::{ActionProgress, ApplyRequest, ProviderError};
use pve_model::Value;
use pve_model::event::Operation;
use pve_model::schema::Block;

use super::claims::{RACES, is_taken, record_other_id, vmid_of};
use super::guest_change::GuestChange;
use super::{Connection, Family, ProxmoxProvider, SeenGuest};
use crate::cluster::{ApiError, Call, Step};
use crate::operations::{Operations, broken_off, stored};
use crate::registry::Kind;
use crate::values::{complete, with};
use crate::{download_file, file};

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
        let address = request.address.clone();
        let known = vmid_of_request(kind, family, &request);
        if let Some(vmid) = known.filter(|_| request.operation == Operation::Create) {
            connection.cluster.forget_seen(vmid);
        }
        let done = match family {
            Family::Guest(guest) => {
                GuestChange { connection, kind, guest, request: &request, progress }.apply().await
            }
            _ => change_other(connection, (kind, family), request, progress).await,
        };
        let left = match &done {
            Ok(value) => value.as_ref(),
            Err(error) => error.left.as_ref(),
        };
        if let Some((value, vmid)) = left.and_then(|value| Some((value, vmid_of(kind, family, value)?))) {
            self.take_in(address, SeenGuest::settled(connection.cluster.seen(vmid), family, value));
        }
        done
    }
}

/// The VMID of the guest that a change is about.
fn vmid_of_request(kind: &Kind, family: Family, request: &ApplyRequest) -> Option<u32> {
    let values = request.planned.as_ref().or(request.prior.as_ref())?;
    vmid_of(kind, family, values).or(request.claim.vmid)
}

/// Changes what is no guest of the older kinds.
async fn change_other(
    connection: &Connection,
    (kind, family): (&Kind, Family),
    request: ApplyRequest,
    progress: &dyn ActionProgress,
) -> Result<Option<Value>, ProviderError> {
    let mut call = Call::new(&connection.cluster, progress, request.address.to_string());
    call.recreated = request.recreated;
    call.identity.clone_from(&request.identity);
    let request = with_secrets(kind, request);
    match kind.operations() {
        Some(operations) if kind.is_described_guest() && request.prior.is_none() => {
            create_guest(connection, &call, kind.block(), operations, request).await
        }
        Some(operations) => apply_plain(&call, kind.block(), operations, &request).await,
        None => apply_file(&call, kind.block(), family, &request).await,
    }
}

async fn apply_plain(
    call: &Call<'_>,
    block: &Block,
    operations: &dyn Operations,
    request: &ApplyRequest,
) -> Result<Option<Value>, ProviderError> {
    let (prior, planned) = (request.prior.as_ref(), request.planned.as_ref());
    let done = match (prior, planned) {
        (None, Some(planned)) => operations.create(call, planned).await.map(Some),
        (Some(prior), Some(planned)) => operations.update(call, prior, planned).await.map(Some),
        (Some(prior), None) => operations.delete(call, prior).await.map(|()| None),
        (None, None) => Ok(None),
    };
    match done {
        Ok(done) => Ok(done),
        Err(error) => {
            let left = operations.left(block, call, prior, planned);
            Err(broken_off(call, error, planned.is_none(), left).await)
        }
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
    block: &Block,
    operations: &dyn Operations,
    mut request: ApplyRequest,
) -> Result<Option<Value>, ProviderError> {
    let Some(planned) = request.planned.clone() else { return Ok(None) };
    if planned.get("id").is_some_and(Value::is_known) {
        return apply_plain(call, block, operations, &request).await;
    }
    let mut vmid = request.claim.vmid.unwrap_or_default();
    for race in 0.. {
        request.planned = Some(with(&planned, "id", Value::number(i64::from(vmid))));
        match apply_plain(call, block, operations, &request).await {
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
    block: &Block,
    family: Family,
    request: &ApplyRequest,
) -> Result<Option<Value>, ProviderError> {
    match change_file(call, family, request).await {
        Ok(done) => Ok(done),
        Err(error) => {
            let left = left_of_file(call, block, family, request);
            Err(broken_off(call, error, request.planned.is_none(), left).await)
        }
    }
}

/// The file as a change of it left it that broke off.
async fn left_of_file(
    call: &Call<'_>,
    block: &Block,
    family: Family,
    request: &ApplyRequest,
) -> Result<Option<Value>, ApiError> {
    for named in [&request.planned, &request.prior].into_iter().flatten() {
        call.cluster.forget_content().await;
        let named = stored(block, named);
        let read = match family {
            Family::DownloadFile => download_file::read(call.cluster, &named).await?,
            _ => file::read_again(call.cluster, &named).await?,
        };
        if read.is_some() {
            return Ok(read);
        }
    }
    Ok(None)
}

async fn change_file(
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
