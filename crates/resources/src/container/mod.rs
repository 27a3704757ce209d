//! `proxmox_virtual_environment_container`: an LXC container.
//!
//! Where it departs from the reference: node, pool, datastore of the root disk, mount points and becoming a template
//! are changes in place. So are password and keys, but Proxmox VE takes those only when a container is made: a change
//! is recorded and has to be made inside of the container. `idmap` is written over SSH: the API only shows it. A mount
//! point keeps its volume when its path changes, and moves when its datastore does. A container that was imported does not
//! tell what it was made from, and a block that is left out means its defaults. Mount points and network interfaces that
//! nobody configured are treated as the disks and network devices of a VM.

mod addresses;
mod apply;
mod cloning;
mod decode;
mod encode;
mod idmap;
mod leaving;
mod mount_points;
mod plan;
mod protection;
mod root_options;
mod schema;
mod validate;
mod volumes;

use crate::adoption::adopted_clone;
use crate::beside::remarks_on_guest;
use crate::guest::{GuestKind, claim_guest, guest_protection};
use crate::registry::Rules;

pub(crate) use apply::Target;
pub(crate) use cloning::{is_unprivileged, unlike_template};
pub(crate) use decode::decode_container;
pub(crate) use leaving::with_leaving;
pub(crate) use mount_points::slot_of;
pub(crate) use protection::held_by_protection;
pub(crate) use root_options::only_for_root;
pub(crate) use schema::fields;

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_container"];

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    Rules {
        validate: validate::validate,
        plan: plan::plan,
        claim: claim_guest,
        protection: guest_protection,
        remarks: |beside, before, after| remarks_on_guest(GuestKind::Container, beside, (before, after)),
        adopted: |schema, imported, config| adopted_clone(GuestKind::Container, schema, imported, config),
        ..Rules::default()
    }
}
