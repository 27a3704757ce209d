//! `proxmox_virtual_environment_vm`: a QEMU virtual machine.
//!
//! Where it departs from the reference: another node is a migration, cloud-init files and `clone.retries` change in
//! place, disks are known by interface, removed tags, disks and network devices are taken away, a smaller disk is
//! refused while planning, `clone` added to a VM that is there changes nothing, and a template is replaced when it is to
//! be a VM again. How a VM was made cannot be read: one that was imported does not tell, and `file_id` and `import_from` are
//! no changes of it; a `clone` is taken for its origin, as its configuration has it. A block that is left out means its defaults, but for the display. A VM keeps its
//! UUID when other details of `smbios` change. Disks that nobody configured are told and left alone: they have data, and
//! whoever attached one had a reason. Network devices are taken for what the configuration has wholly, as by the
//! reference, where it has any: others are planned to go, since a device more changes what a guest is reached by, and
//! one is made again without loss. With or without pre-enrolled keys, the EFI disk is made anew in place.
//!
//! A clone has from its template whatever its configuration says nothing of. Without an interface of its own its cloud-init
//! drive is where the template has it, which is told where another drive is to be there; a template's drive for media makes
//! room for a drive that is configured in its place.

mod agent;
mod apply;
mod change;
mod cloning;
mod decode;
mod decode_devices;
mod devices;
mod drive_changes;
mod drives;
mod encode;
mod encode_devices;
mod image_import;
mod leaving;
mod media;
mod option_changes;
mod plan;
mod protection;
mod root_options;
#[cfg(test)]
mod round_trips;
mod schema;
mod validate;
mod volumes;

use crate::adoption::adopted_clone;
use crate::beside::remarks_on_guest;
use crate::guest::{GuestKind, claim_guest, guest_protection};
use crate::registry::Rules;

pub(crate) use agent::{addresses, parse_duration};
pub(crate) use apply::Target;
pub(crate) use cloning::{unlike_template, without_unasked};
pub(crate) use decode::decode_vm;
pub(crate) use decode_devices::is_media;
pub(crate) use drives::{DEFAULT_CLOUD_INIT, is_inherited, other_drive_at};
pub(crate) use leaving::with_leaving_drives;
pub(crate) use media::present_cloud_init;
pub(crate) use protection::held_by_protection;
pub(crate) use root_options::only_for_root;
pub(crate) use schema::fields;

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_vm"];

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    Rules {
        validate: validate::validate,
        plan: plan::plan,
        claim: claim_guest,
        protection: guest_protection,
        remarks: |beside, before, after| remarks_on_guest(GuestKind::Vm, beside, (before, after)),
        adopted: |schema, imported, config| adopted_clone(GuestKind::Vm, schema, imported, config),
        ..Rules::default()
    }
}
