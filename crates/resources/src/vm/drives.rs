//! A VM's drives as parameters of the API: disks, EFI and TPM state, CD-ROM and cloud-init.

use pve_model::Value;

use crate::property::Properties;
use crate::values::{all_blocks, block, flag, int, is_unset, text, texts};

/// Where a disk's content comes from.
pub(super) enum Volume<'a> {
    /// A new volume, empty or made from an image.
    New,
    /// A volume that exists.
    Existing(&'a str),
}

/// One disk.
pub(super) fn encode_disk(disk: &Value, volume: Volume<'_>) -> Properties {
    let datastore = text(disk, "datastore_id").unwrap_or_default();
    let image = text(disk, "import_from").or_else(|| text(disk, "file_id"));
    let mut properties = match volume {
        Volume::Existing(volume) => Properties::starting(volume),
        Volume::New => {
            let existing = text(disk, "path_in_datastore");
            match (image, existing) {
                (Some(image), _) => {
                    Properties::starting(format!("{datastore}:0")).with("import-from", Some(image))
                }
                (None, Some(path)) if datastore.is_empty() => Properties::starting(path),
                (None, Some(path)) => Properties::starting(format!("{datastore}:{path}")),
                (None, None) => {
                    Properties::starting(format!("{datastore}:{}", int(disk, "size").unwrap_or(8)))
                }
            }
            .with("format", text(disk, "file_format"))
        }
    };
    let interface = text(disk, "interface").unwrap_or_default();
    let on = |name: &str| flag(disk, name).filter(|on| *on && has_option(interface, name));
    properties = properties
        .with("aio", text(disk, "aio").filter(|aio| *aio != "io_uring"))
        .with_flag("backup", flag(disk, "backup").filter(|on| !on))
        .with("cache", text(disk, "cache").filter(|cache| *cache != "none"))
        .with("discard", text(disk, "discard").filter(|discard| *discard != "ignore"))
        .with_flag("iothread", on("iothread"))
        .with("queues", int(disk, "queues").filter(|queues| *queues > 0))
        .with_flag("replicate", flag(disk, "replicate").filter(|on| !on))
        .with("serial", text(disk, "serial"))
        .with_flag("ssd", on("ssd"));
    if let Some(speed) = block(disk, "speed") {
        for (attribute, key) in SPEEDS {
            properties = properties.with(key, int(speed, attribute).filter(|limit| *limit > 0));
        }
    }
    properties
}

/// Options of a disk and the buses that have them, by the API's schema of `ide0`, `sata0`, `scsi0` and `virtio0`.
pub(super) const BUS_OPTIONS: [(&str, &[&str]); 3] =
    [("iothread", &["scsi", "virtio"]), ("queues", &["scsi"]), ("ssd", &["ide", "sata", "scsi"])];

/// Whether the bus of an interface has the option: the API refuses the whole VM otherwise.
pub(super) fn has_option(interface: &str, option: &str) -> bool {
    let bus = interface.trim_end_matches(|letter: char| letter.is_ascii_digit());
    bus.is_empty() || BUS_OPTIONS.iter().all(|(name, buses)| *name != option || buses.contains(&bus))
}

/// The limits of a disk: megabytes a second and operations a second.
pub(super) const SPEEDS: &[(&str, &str)] = &[
    ("iops_read", "iops_rd"),
    ("iops_read_burstable", "iops_rd_max"),
    ("iops_write", "iops_wr"),
    ("iops_write_burstable", "iops_wr_max"),
    ("read", "mbps_rd"),
    ("read_burstable", "mbps_rd_max"),
    ("write", "mbps_wr"),
    ("write_burstable", "mbps_wr_max"),
];

/// Whether an attribute is for an option of a disk. Of the others, as `wwn`, nothing is known: they stay.
pub(super) fn has_attribute(option: &str) -> bool {
    let options = ["aio", "backup", "cache", "discard", "iothread", "queues", "replicate", "serial", "ssd"];
    options.contains(&option) || SPEEDS.iter().any(|(_, key)| *key == option)
}

/// The EFI disk of a new VM. The API wants a size and ignores it.
pub(super) fn encode_efi_disk(disk: &Value) -> Properties {
    Properties::starting(format!("{}:1", text(disk, "datastore_id").unwrap_or_default()))
        .with("format", text(disk, "file_format"))
        .with("efitype", text(disk, "type"))
        .with_flag("pre-enrolled-keys", flag(disk, "pre_enrolled_keys"))
}

/// The TPM state of a new VM. The API wants a size and ignores it.
pub(super) fn encode_tpm_state(state: &Value) -> Properties {
    Properties::starting(format!("{}:1", text(state, "datastore_id").unwrap_or_default()))
        .with("version", text(state, "version"))
}

/// The interface of the CD-ROM drive where none is configured.
pub(super) const DEFAULT_CDROM: &str = "ide3";

/// The CD-ROM drive: its interface and what is in it.
pub(super) fn encode_cdrom(value: &Value) -> Option<(String, Properties)> {
    let cdrom = block(value, "cdrom")?;
    let interface = text(cdrom, "interface").unwrap_or(DEFAULT_CDROM).to_string();
    let file = text(cdrom, "file_id").unwrap_or("cdrom");
    Some((interface, Properties::starting(file).with("media", Some("cdrom"))))
}

/// The interface of the cloud-init drive where none is configured.
pub(crate) const DEFAULT_CLOUD_INIT: &str = "ide2";

/// Whether an option of a VM is a cloud-init drive.
pub(super) fn is_cloud_init_drive(name: &str, option: &str) -> bool {
    let number = ["ide", "sata", "scsi", "virtio"].into_iter().find_map(|bus| name.strip_prefix(bus));
    number.is_some_and(|number| number.parse::<u8>().is_ok()) && option.contains("cloudinit")
}

/// The interface of the cloud-init drive.
pub(super) fn cloud_init_interface(initialization: &Value) -> String {
    text(initialization, "interface").unwrap_or(DEFAULT_CLOUD_INIT).to_string()
}

/// Whether the cloud-init drive of a clone is where its template has it: without an interface only the cluster tells.
pub(crate) fn is_inherited(value: &Value) -> bool {
    let interface = block(value, "initialization").and_then(|block| block.get("interface"));
    interface.is_some_and(is_unset) && block(value, "clone").is_some()
}

/// What else than the cloud-init drive is to be at an interface.
pub(crate) fn other_drive_at(value: &Value, interface: &str) -> Option<&'static str> {
    if all_blocks(value, "disk").iter().any(|disk| text(disk, "interface") == Some(interface)) {
        return Some("a disk");
    }
    encode_cdrom(value).is_some_and(|(cdrom, _)| cdrom == interface).then_some("the CD-ROM drive")
}

/// The cloud-init drive of a new VM.
pub(super) fn encode_cloud_init(value: &Value) -> Option<(String, Properties)> {
    let initialization = block(value, "initialization")?;
    let datastore = text(initialization, "datastore_id").unwrap_or("local-lvm");
    let drive = Properties::starting(format!("{datastore}:cloudinit"))
        .with("media", Some("cdrom"))
        .with("format", text(initialization, "file_format"));
    Some((cloud_init_interface(initialization), drive))
}

/// What the VM is to boot from, as the option has it.
pub(super) fn boot_order(planned: &Value) -> Option<String> {
    let order = texts(planned, "boot_order");
    if order.is_empty() { default_boot_order(planned) } else { Some(format!("order={}", order.join(";"))) }
}

/// The disks that a VM boots from when the configuration does not say.
const FIRST_DISKS: [&str; 4] = ["ide0", "sata0", "scsi0", "virtio0"];

/// What a new VM boots from when the configuration does not say: the CD-ROM, the first disks, the first network device.
/// Left to itself the API would put the cloud-init drive among them.
fn default_boot_order(value: &Value) -> Option<String> {
    let names = device_names(value);
    let cdrom = encode_cdrom(value).map(|(interface, _)| interface);
    let usual = FIRST_DISKS.iter().chain(&["net0"]).map(|name| (*name).to_string());
    let cloud_init = block(value, "initialization").map(cloud_init_interface);
    let mut order: Vec<String> = Vec::new();
    for name in cdrom.into_iter().chain(usual) {
        if names.contains(&name) && Some(&name) != cloud_init.as_ref() && !order.contains(&name) {
            order.push(name);
        }
    }
    (!order.is_empty()).then(|| format!("order={}", order.join(";")))
}

/// A boot order that was never configured, after a change: the devices that are taken out leave it, and where no disk
/// would be left in it, the first new ones take their place. `None` when it stays as it is.
pub(super) fn following_boot_order(prior: &Value, planned: &Value) -> Option<Vec<String>> {
    let before = texts(prior, "boot_order");
    let (known, left) = (device_names(prior), device_names(planned));
    // A clone may have devices of its template that nobody configured.
    let stays = |name: &&String| left.contains(name) || !known.contains(name);
    let interfaces = |value: &Value| -> Vec<String> {
        let disks = all_blocks(value, "disk").iter().filter_map(|disk| text(disk, "interface"));
        disks.map(str::to_string).collect()
    };
    let (old, new) = (interfaces(prior), interfaces(planned));
    let mut order: Vec<String> = before.iter().filter(stays).cloned().collect();
    if !before.is_empty() && !order.iter().any(|name| new.contains(name) || !left.contains(name)) {
        let fresh: Vec<&String> = new.iter().filter(|name| !old.contains(name)).collect();
        let usual = FIRST_DISKS.iter().filter_map(|name| fresh.iter().find(|disk| disk.as_str() == *name));
        let mut first: Vec<String> = usual.map(|name| (*name).clone()).collect();
        if first.is_empty() {
            first.extend(fresh.first().map(|name| (*name).clone()));
        }
        let gone = before.iter().position(|name| old.contains(name));
        let network = order.iter().position(|name| name.starts_with("net"));
        let place = gone.or(network).unwrap_or(order.len()).min(order.len());
        order.splice(place..place, first);
    }
    (order != before).then_some(order)
}

/// The names of the devices that a VM can boot from.
pub(super) fn device_names(value: &Value) -> Vec<String> {
    let disks = all_blocks(value, "disk").iter().filter_map(|disk| text(disk, "interface"));
    let mut names: Vec<String> = disks.map(str::to_string).collect();
    names.extend(encode_cdrom(value).map(|(interface, _)| interface));
    names.extend(block(value, "initialization").map(cloud_init_interface));
    let devices = all_blocks(value, "network_device").iter().enumerate();
    let devices = devices.filter(|(_, device)| flag(device, "enabled") != Some(false));
    names.extend(devices.map(|(index, _)| format!("net{index}")));
    let passed = all_blocks(value, "hostpci").iter().filter_map(|device| text(device, "device"));
    names.extend(passed.map(str::to_string));
    names.extend((0..all_blocks(value, "usb").len()).map(|index| format!("usb{index}")));
    names
}
