//! Limits on what the devices of a VM are called, and which of them are plugged in while it runs.

use super::texts::not_empty;

/// A drive of a VM: `ide0`-`ide3`, `sata0`-`sata5`, `scsi0`-`scsi30`, `virtio0`-`virtio15`
/// (`qm.conf(5)`).
pub(crate) fn disk_interface(text: &str) -> Option<String> {
    let buses = [("ide", 3), ("sata", 5), ("scsi", 30), ("virtio", 15)];
    let fits = buses.iter().any(|(bus, last)| {
        text.strip_prefix(bus).and_then(|number| number.parse::<u8>().ok()).is_some_and(|n| n <= *last)
    });
    (!fits).then(|| {
        format!(
            "{text:?} is no drive; it must be one of ide0-ide3, sata0-sata5, scsi0-scsi30, virtio0-virtio15"
        )
    })
}

/// The slot of a network device: `net0`.
pub(crate) fn network_slot(text: &str) -> Option<String> {
    numbered(text, "net", 31)
}

/// The slot of a device that is passed through: `hostpci0`.
pub(crate) fn pci_slot(text: &str) -> Option<String> {
    numbered(text, "hostpci", 15)
}

/// The name of a numbered device.
pub(super) fn numbered(text: &str, prefix: &str, most: u32) -> Option<String> {
    let number = text.strip_prefix(prefix).and_then(|number| number.parse::<u32>().ok());
    number.is_none_or(|number| number > most).then(|| format!("{text:?} is none of {prefix}0-{prefix}{most}"))
}

/// A drive that media can be in: not virtio.
pub(crate) fn media_interface(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    disk_interface(text).or_else(|| {
        text.starts_with("virtio").then(|| format!("{text:?} cannot be: use an ide, sata or scsi interface"))
    })
}

/// A drive for media that is named, as it has to be for a CD-ROM.
pub(crate) fn cdrom_interface(text: &str) -> Option<String> {
    not_empty(text).or_else(|| media_interface(text))
}

/// The serial number of a disk.
pub(crate) fn disk_serial(text: &str) -> Option<String> {
    (text.chars().count() > 20).then(|| format!("{text:?} is longer than 20 characters"))
}

/// What is plugged in while a VM runs (`qm.conf(5)`).
pub(crate) fn hotplug(text: &str) -> Option<String> {
    let words = ["cloudinit", "cpu", "disk", "memory", "network", "usb"];
    let good = matches!(text, "" | "0" | "1") || text.split(',').all(|word| words.contains(&word.trim()));
    (!good).then(|| format!("{text:?} must be 0, 1, or a list of {}", words.join(", ")))
}

/// A serial device: a socket, or a device of the host.
pub(crate) fn serial_device(text: &str) -> Option<String> {
    let good = text == "socket" || text.starts_with("/dev/");
    (!good).then(|| format!("{text:?} must be socket or a device such as /dev/ttyS0"))
}
