//! The newer kinds of virtual machines: what is not configured is left as it is.

mod checks;
mod cloning;
mod devices;
mod drives;
mod hooks;
mod in_the_way;
mod requests;
mod root_options;
mod slots;

use crate::cluster::Method;
use crate::definition::{Fields, Item, flag, number, object, object_map, text, text_set, texts};
use crate::limits;
use crate::object::{Delete, Form, Object, Read};
pub(crate) use in_the_way::{InTheWay, in_the_way as in_the_way_of_newer};
pub(crate) use requests::UNPROTECT_BY_HAND;
pub(crate) use root_options::only_for_root as newer_only_for_root;

const MADE: &[&str] = &["proxmox_vm", "proxmox_virtual_environment_vm2"];
const CLONED: &[&str] = &["proxmox_cloned_vm", "proxmox_virtual_environment_cloned_vm"];

/// Whether a kind is one of this family, under any of its names.
pub(crate) fn is_newer_vm(kind: &str) -> bool {
    MADE.contains(&kind) || CLONED.contains(&kind)
}

/// The kinds of this family.
pub(super) fn objects() -> Vec<Object> {
    vec![vm(), cloned_vm()]
}

const PLACE: &str = "/nodes/{node_name}/qemu/{id}/config";
const GONE: &str = "/nodes/{node_name}/qemu/{id}?purge={purge_on_destroy}\
                    &destroy-unreferenced-disks={delete_unreferenced_disks_on_destroy}";

fn cpu() -> Item {
    object(vec![
        ("affinity", text().checked(limits::affinity)),
        ("architecture", text().param("arch").one_of(&["aarch64", "x86_64"])),
        ("cores", number().range(1, 1024)),
        ("flags", text_set().part_of("cpu", "flags").form(Form::Joined(';'))),
        ("limit", number().param("cpulimit").range(0, 128)),
        ("numa", flag()),
        ("sockets", number().range(1, 16)),
        ("type", text().part_of("cpu", "cputype")),
        ("units", number().param("cpuunits").range(0, i64::MAX)),
        ("vcpus", number().range(1, 1024)),
    ])
    .form(Form::Flat)
}

fn rng() -> Item {
    object(vec![
        ("max_bytes", number().range(0, i64::MAX)),
        ("period", number().range(0, i64::MAX)),
        ("source", text().checked(limits::not_empty)),
    ])
    .param("rng0")
}

fn vga() -> Item {
    object(vec![
        ("clipboard", text().one_of(&["vnc"])),
        ("memory", number().range(4, 512).means("MiB")),
        ("type", text()),
    ])
}

fn timeouts() -> Item {
    object(["create", "delete", "read", "update"].map(|name| (name, text().checked(limits::duration))).into())
        .local()
}

/// What both kinds have.
fn common(unreferenced: bool) -> Fields {
    vec![
        ("cpu", cpu()),
        ("delete_unreferenced_disks_on_destroy", flag().computed().or(unreferenced).local()),
        ("description", text()),
        ("id", number().computed().replaces().param("vmid").only_made()),
        ("purge_on_destroy", flag().computed().or(true).local()),
        ("rng", rng()),
        ("stop_on_destroy", flag().computed().or(false).local()),
        ("timeouts", timeouts()),
        ("vga", vga()),
    ]
}

/// `proxmox_vm`
fn vm() -> Object {
    let mut fields = common(true);
    fields.extend([
        (
            "cdrom",
            object_map(vec![("file_id", text().computed().or("cdrom").checked(limits::some_medium))])
                .unsent()
                .unread(),
        ),
        ("name", text().checked(limits::guest_name)),
        ("node_name", text().required().unsent().param("node")),
        (
            "tags",
            text_set()
                .computed()
                .checked(limits::not_empty)
                .same_as(limits::same_tag)
                .form(Form::Joined(';')),
        ),
        ("template", flag().replaces().unsent()),
    ]);
    Object {
        names: MADE,
        what: "vm",
        about: "A virtual machine without disks and network devices of its own, for trials: the reference calls it \
                experimental. What is not configured is left as it is. Another node is a migration.",
        fields,
        create: (Method::Post, "/nodes/{node_name}/qemu"),
        read: Read::At(PLACE),
        update: (Method::Post, PLACE),
        delete: Delete::At(GONE),
        guest: true,
        import: "{node_name}/{id}",
        example: r#"
  node_name   = "pve"
  name        = "trial"
  description = "made by hand before"

  cpu = {
    cores = 2
    type  = "x86-64-v2-AES"
  }
"#,
        hooks: &hooks::Machine::Made,
        ..Object::default()
    }
}

/// `proxmox_cloned_vm`
fn cloned_vm() -> Object {
    let mut fields = common(false);
    let clone = vec![
        ("bandwidth_limit", number().replaces()),
        ("full", flag().computed().or(true).replaces()),
        ("pool_id", text().replaces()),
        ("retries", number().computed().or(3).replaces().range(1, i64::MAX)),
        ("snapshot_name", text().replaces()),
        ("source_node_name", text().replaces()),
        ("source_vm_id", number().required().replaces().range(1, i64::MAX)),
        ("target_datastore", text().replaces()),
        ("target_format", text().replaces()),
    ];
    let memory = vec![
        ("balloon", number().range(0, 268_435_456).means("MiB")),
        ("hugepages", text().one_of(&["2", "1024", "any"])),
        ("keep_hugepages", flag().param("keephugepages")),
        ("shares", number().range(0, 50_000)),
        ("size", number().param("memory").range(64, 268_435_456).means("MiB")),
    ];
    fields.extend([
        ("cdrom", object_map(vec![("file_id", text().checked(limits::some_medium))]).unsent().unread()),
        ("clone", object(clone).required().local()),
        (
            "delete",
            object(vec![
                ("disk", texts().checked(limits::disk_interface)),
                ("network", texts().checked(limits::network_slot)),
            ])
            .local(),
        ),
        ("disk", object_map(drives::disk()).unsent().unread()),
        ("memory", object(memory).form(Form::Flat)),
        ("name", text()),
        ("network", object_map(slots::network()).unsent().unread()),
        ("node_name", text().required().unsent().param("node").checked(limits::not_empty)),
        ("started", flag().computed().or(true).unsent().unread()),
        ("tags", text_set().checked(limits::not_empty).same_as(limits::same_tag).form(Form::Joined(';'))),
    ]);
    Object {
        names: CLONED,
        what: "vm",
        about: "A clone of a virtual machine. Only what is configured is brought about; the rest stays as the template has \
                it, and is taken away only where `delete` says so. Another node is a migration.",
        fields,
        // The clone is made before: this brings about what differs from the template.
        create: (Method::Post, PLACE),
        read: Read::At(PLACE),
        update: (Method::Post, PLACE),
        delete: Delete::At(GONE),
        guest: true,
        import: "{node_name}/{id}",
        example: r#"
  node_name = "pve"
  name      = "clone-1"

  clone = {
    source_vm_id = proxmox_virtual_environment_vm.golden.vm_id
  }
  disk = {
    scsi0 = { size_gb = 20 }
  }
"#,
        beside: r#"
resource "proxmox_virtual_environment_vm" "golden" {
  node_name = "pve"
  template  = true
  started   = false

  disk {
    interface    = "scsi0"
    datastore_id = "local-lvm"
    size         = 8
  }
}
"#,
        hooks: &hooks::Machine::Cloned,
        ..Object::default()
    }
}
