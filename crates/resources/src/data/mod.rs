//! Data sources: what can be asked of a cluster.

mod derived;
mod list_schema;
mod lists;
mod read;
mod schema;

use crate::definition::Fields;

pub(crate) use derived::DERIVED;
pub(crate) use read::read;

/// The names and attributes of every data source.
pub(crate) fn sources() -> Vec<(&'static [&'static str], Fields)> {
    let mut sources = single();
    sources.extend(list_schema::sources());
    let mut objects = crate::families::objects();
    for derived in DERIVED {
        let object = objects.iter().position(|object| object.names[0] == derived.resource);
        if let Some(object) = object.map(|index| objects.swap_remove(index)) {
            sources.push((derived.names, derived::fields(derived, object)));
        }
    }
    sources
}

/// Those of nodes, guests and files.
fn single() -> Vec<(&'static [&'static str], Fields)> {
    vec![
        (&["proxmox_virtual_environment_nodes"], schema::nodes()),
        (&["proxmox_virtual_environment_node"], schema::node()),
        (&["proxmox_datastores", "proxmox_virtual_environment_datastores"], schema::datastores()),
        (&["proxmox_version", "proxmox_virtual_environment_version"], schema::version()),
        (&["proxmox_virtual_environment_vms"], schema::guests("vms")),
        (&["proxmox_virtual_environment_containers"], schema::guests("containers")),
        (&["proxmox_virtual_environment_vm"], schema::guest()),
        (&["proxmox_virtual_environment_container"], schema::guest()),
        (&["proxmox_files"], schema::files()),
        (&["proxmox_file", "proxmox_virtual_environment_file"], schema::file()),
    ]
}
