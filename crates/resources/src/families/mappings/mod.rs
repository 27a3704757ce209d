//! Hardware and directories of nodes under names that the whole cluster knows.

use crate::definition::{Fields, Item, flag, number, object_set, text};
use crate::limits;
use crate::object::Object;

/// The kinds of this family.
pub(super) fn objects() -> Vec<Object> {
    vec![directory(), pci(), usb()]
}

fn comment() -> Item {
    text().param("description")
}

/// What every mapping has: `map` says what the name means on each node.
fn fields(map: Fields) -> Fields {
    vec![
        ("comment", comment().checked(limits::comment)),
        ("id", text().read_only()),
        ("map", object_set(map).required().filled()),
        ("name", text().required().replaces().param("id").only_made().checked(limits::not_empty)),
    ]
}

/// `proxmox_hardware_mapping_dir`
fn directory() -> Object {
    const PLACE: &str = "/cluster/mapping/dir/{name}";
    Object {
        names: &["proxmox_hardware_mapping_dir", "proxmox_virtual_environment_hardware_mapping_dir"],
        what: "directory mapping",
        about: "Directories of nodes that guests share by virtiofs.",
        fields: fields(vec![("node", text().required()), ("path", text().required().checked(folder))]),
        whole: true,
        example: r#"
  name = "media"
  map  = [{ node = "pve", path = "/srv/media" }]
"#,
        ..Object::listed("/cluster/mapping/dir", PLACE, "{name}")
    }
}

/// `proxmox_hardware_mapping_pci`
fn pci() -> Object {
    const PLACE: &str = "/cluster/mapping/pci/{name}";
    let mut fields = fields(vec![
        ("comment", comment().checked(remark)),
        ("id", text().required().checked(device_id)),
        ("iommu_group", number().param("iommugroup")),
        ("node", text().required()),
        ("path", text().required().checked(place)),
        ("subsystem_id", text().param("subsystem-id").checked(device_id)),
    ]);
    fields.push(("mediated_devices", flag().computed().or(false).param("mdev")));
    Object {
        names: &["proxmox_hardware_mapping_pci", "proxmox_virtual_environment_hardware_mapping_pci"],
        what: "PCI mapping",
        about: "PCI devices of nodes.",
        fields,
        whole: true,
        example: r#"
  name = "gpu"
  map  = [{ node = "pve", id = "10de:2684", path = "0000:01:00.0", iommu_group = 12 }]
"#,
        ..Object::listed("/cluster/mapping/pci", PLACE, "{name}")
    }
}

/// `proxmox_hardware_mapping_usb`
fn usb() -> Object {
    const PLACE: &str = "/cluster/mapping/usb/{name}";
    Object {
        names: &["proxmox_hardware_mapping_usb", "proxmox_virtual_environment_hardware_mapping_usb"],
        what: "USB mapping",
        about: "USB devices of nodes.",
        fields: fields(vec![
            ("comment", comment().checked(remark)),
            ("id", text().required().checked(device_id)),
            ("node", text().required()),
            ("path", text().checked(limits::part_of_property)),
        ]),
        whole: true,
        example: r#"
  name = "zigbee"
  map  = [{ node = "pve", id = "10c4:ea60" }]
"#,
        ..Object::listed("/cluster/mapping/usb", PLACE, "{name}")
    }
}

fn folder(text: &str) -> Option<String> {
    limits::absolute_path(text).or_else(|| limits::part_of_property(text))
}

fn place(text: &str) -> Option<String> {
    limits::not_empty(text).or_else(|| limits::part_of_property(text))
}

fn device_id(text: &str) -> Option<String> {
    let half = |part: &str| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = text.split_once(':').is_some_and(|(vendor, device)| half(vendor) && half(device));
    (!fits).then(|| {
        format!("{text:?} is no id of a device: write it as VENDOR:DEVICE, each of 4 hexadecimal digits")
    })
}

fn remark(text: &str) -> Option<String> {
    limits::comment(text).or_else(|| limits::part_of_property(text))
}
