//! Whether a VM can be what its template is not, and where its cloud-init drive is when nobody names an interface.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::event::Operation;
use pve_model::{Path, PathStep, Value};

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::references::short;
use super::is_of;
use crate::guest::Unlike;
use crate::observed::Observed;
use crate::values::{all_blocks, block, changed, int, text};
use crate::vm::{DEFAULT_CLOUD_INIT, is_inherited, other_drive_at, present_cloud_init, unlike_template};

/// What a template, or the VM itself, has otherwise than is planned and cannot be changed.
pub(in super::super) async fn at_odds_with_template(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
) -> Vec<Doubt> {
    let mut found = Vec::new();
    for change in changes.iter().filter(|change| short(&change.address.resource.kind) == "vm") {
        let Some(planned) = &change.planned else { continue };
        let is_new = change.operation == Operation::Create;
        let source = if is_new { block(planned, "clone") } else { change.prior.as_ref() };
        let Some(id) = source.and_then(|source| int(source, "vm_id")) else { continue };
        let has_parts = ["disk", "efi_disk", "tpm_state"].iter().any(|name| block(planned, name).is_some());
        let is_moved = change.prior.as_ref().is_none_or(|prior| {
            let changed = changed(prior, planned);
            ["cdrom", "disk", "initialization"].iter().any(|name| changed.contains(*name))
        });
        let is_asked = is_inherited(planned) && is_moved || is_new && has_parts;
        // One that this plan changes or makes may be another one by then.
        let is_changed = |other: &&ApplyRequest| other.address != change.address && is_of(other, id);
        if !is_asked || changes.iter().any(is_changed) {
            continue;
        }
        let Some(seen) = seen(facts, "qemu", id).await else { continue };
        let in_the_way = in_the_way(&seen, planned, is_new.then_some(id));
        found.extend(in_the_way.map(|(fault, path)| fault.at(change, path)));
        let unlike = unlike_template(&seen, planned).into_iter().filter(|_| is_new);
        found.extend(unlike.map(|unlike| told(unlike, id, change)));
    }
    found
}

/// What a template has otherwise than its clone is to have it.
pub(super) fn told(unlike: Unlike, template: i64, change: &ApplyRequest) -> Doubt {
    let summary = |name: &str| format!("{name} of template {template} is {}", unlike.has);
    let detail = format!("a clone of it cannot have {}: {}", unlike.wants, unlike.hint);
    Fault::certain(&unlike.name, summary, detail).at(change, unlike.path)
}

/// The options of a guest of this type.
pub(super) async fn seen(facts: &mut Facts<'_>, kind: &str, id: i64) -> Option<Observed> {
    let guests = facts.guests().await?;
    let guest = guests.iter().find(|guest| i64::from(guest.vmid) == id && guest.kind == kind)?;
    let config = facts.answer(&format!("/nodes/{}/{kind}/{id}/config", guest.node), "").await?;
    Some(Observed { config: config.as_object()?.clone(), ..Observed::default() })
}

/// The drive that is to be where the cloud-init drive is.
fn in_the_way(seen: &Observed, planned: &Value, template: Option<i64>) -> Option<(Fault, Path)> {
    let present = present_cloud_init(seen);
    let place = present.as_deref().unwrap_or(DEFAULT_CLOUD_INIT);
    let has_it = other_drive_at(planned, place).filter(|_| is_inherited(planned))?;
    let why = match (&present, template) {
        (Some(_), Some(id)) => format!("its template {id} has it there"),
        (Some(_), None) => "it is there".to_string(),
        (None, _) => "without an interface it comes there".to_string(),
    };
    let detail = format!(
        "the cloud-init drive is to be there, too: {why}. Write a free one as interface of the initialization block"
    );
    let summary = |place: &str| format!("{place} is the interface of {has_it}");
    let disk = all_blocks(planned, "disk").iter().position(|disk| text(disk, "interface") == Some(place));
    let (name, index) = disk.map_or(("cdrom", 0), |index| ("disk", index as u64));
    let path = Path::attribute(name).child(PathStep::Index(index));
    Some((Fault::certain(place, summary, detail), path.child(PathStep::Attribute("interface".to_string()))))
}
