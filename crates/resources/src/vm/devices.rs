//! The attributes of disks, network devices and other hardware of a VM.

use crate::definition::{Fields, blocks, flag, number, text};
use crate::limits;

pub(super) fn audio_device() -> Fields {
    vec![
        ("device", text().or("intel-hda").one_of(&["AC97", "ich9-intel-hda", "intel-hda"])),
        ("driver", text().or("spice").one_of(&["spice"])),
        ("enabled", flag().or(true)),
    ]
}

pub(super) fn cdrom() -> Fields {
    vec![
        ("enabled", flag().or(false).deprecated("leave the block out instead")),
        ("file_id", text().checked(limits::medium)),
        ("interface", text().or("ide3").checked(limits::cdrom_interface)),
    ]
}

pub(super) fn disk() -> Fields {
    vec![
        ("aio", text().or("io_uring").one_of(&["io_uring", "native", "threads"])),
        ("backup", flag().or(true)),
        ("cache", text().or("none").one_of(&["none", "writethrough", "writeback", "unsafe", "directsync"])),
        ("datastore_id", text().or("local-lvm")),
        ("discard", text().or("ignore")),
        ("file_format", text().computed().one_of(&["qcow2", "raw", "vmdk"])),
        ("file_id", text().checked(limits::file_id)),
        ("import_from", text().checked(limits::file_id)),
        ("interface", text().required().checked(limits::disk_interface)),
        ("iothread", flag().or(false)),
        ("path_in_datastore", text().computed()),
        ("queues", number().or(0)),
        ("replicate", flag().or(true)),
        ("serial", text().checked(limits::disk_serial)),
        ("size", number().computed().or(8).range(1, i64::MAX)),
        (
            "speed",
            blocks(vec![
                ("iops_read", number().or(0)),
                ("iops_read_burstable", number().or(0)),
                ("iops_write", number().or(0)),
                ("iops_write_burstable", number().or(0)),
                ("read", number().or(0)),
                ("read_burstable", number().or(0)),
                ("write", number().or(0)),
                ("write_burstable", number().or(0)),
            ])
            .most(1),
        ),
        ("ssd", flag().or(false)),
    ]
}

pub(super) fn efi_disk() -> Fields {
    vec![
        ("datastore_id", text().or("local-lvm")),
        ("file_format", text().computed().one_of(&["qcow2", "raw", "vmdk"])),
        ("pre_enrolled_keys", flag().or(false)),
        ("type", text().or("2m").one_of(&["2m", "4m"])),
    ]
}

pub(super) fn hostpci() -> Fields {
    vec![
        ("device", text().required()),
        ("id", text()),
        ("mapping", text()),
        ("mdev", text()),
        ("pcie", flag()),
        ("rom_file", text()),
        ("rombar", flag()),
        ("xvga", flag()),
    ]
}

pub(super) fn network_device() -> Fields {
    vec![
        ("bridge", text().or("vmbr0")),
        ("disconnected", flag()),
        ("enabled", flag().or(true).deprecated("leave the block out instead")),
        ("firewall", flag().or(false)),
        ("mac_address", text().computed()),
        ("model", text().or("virtio").one_of(&["e1000", "e1000e", "rtl8139", "virtio", "vmxnet3"])),
        ("mtu", number().or(0)),
        ("queues", number().or(0).range(0, 64)),
        ("rate_limit", number().or(0).range(0, i64::MAX)),
        ("trunks", text()),
        ("vlan_id", number().or(0)),
    ]
}

pub(super) fn numa() -> Fields {
    vec![
        ("cpus", text().required().checked(limits::numa_range)),
        ("device", text().required().checked(limits::numa_device)),
        ("hostnodes", text().checked(limits::numa_range)),
        ("memory", number().required().range(64, 268435456)),
        ("policy", text().or("preferred").one_of(&["bind", "interleave", "preferred"])),
    ]
}

pub(super) fn rng() -> Fields {
    vec![
        ("max_bytes", number().computed().range(1, i64::MAX)),
        ("period", number().computed().range(1, i64::MAX)),
        ("source", text().required().one_of(&["/dev/urandom", "/dev/random", "/dev/hwrng"])),
    ]
}

pub(super) fn serial_device() -> Fields {
    vec![("device", text().or("socket").checked(limits::serial_device))]
}

pub(super) fn tpm_state() -> Fields {
    vec![("datastore_id", text().or("local-lvm")), ("version", text().or("v2.0").one_of(&["v1.2", "v2.0"]))]
}

pub(super) fn usb() -> Fields {
    vec![("host", text()), ("mapping", text()), ("usb3", flag())]
}

pub(super) fn vga() -> Fields {
    vec![
        ("clipboard", text().one_of(&["", "vnc"])),
        ("memory", number().or(16).range(4, 512)),
        (
            "type",
            text().or("std").one_of(&[
                "cirrus",
                "none",
                "qxl",
                "qxl2",
                "qxl3",
                "qxl4",
                "serial0",
                "serial1",
                "serial2",
                "serial3",
                "std",
                "virtio",
                "virtio-gl",
                "vmware",
            ]),
        ),
    ]
}

pub(super) fn virtiofs() -> Fields {
    vec![
        ("cache", text().or("auto").one_of(&["auto", "always", "metadata", "never"])),
        ("direct_io", flag().or(false)),
        ("expose_acl", flag().or(false)),
        ("expose_xattr", flag().or(false)),
        ("mapping", text().required().checked(limits::not_empty)),
    ]
}

pub(super) fn watchdog() -> Fields {
    vec![
        ("action", text().or("none").one_of(&["debug", "none", "pause", "poweroff", "reset", "shutdown"])),
        ("enabled", flag().or(false)),
        ("model", text().or("i6300esb").one_of(&["i6300esb", "ib700"])),
    ]
}
