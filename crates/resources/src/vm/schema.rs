//! The attributes of a VM.

use crate::definition::{Fields, blocks, flag, number, of_type, text, texts};
use pve_model::Type;

use super::devices;
use crate::limits;

pub(crate) fn fields() -> Fields {
    vec![
        ("acpi", flag().or(true)),
        ("agent", blocks(agent()).most(1)),
        ("amd_sev", blocks(amd_sev()).most(1).replaces()),
        ("audio_device", blocks(devices::audio_device()).most(1)),
        ("bios", text().or("seabios").one_of(&["ovmf", "seabios"])),
        ("boot_order", texts().computed()),
        ("cdrom", blocks(devices::cdrom()).most(1)),
        ("clone", blocks(clone()).most(1)),
        ("cpu", blocks(cpu()).most(1)),
        ("delete_unreferenced_disks_on_destroy", flag().or(true)),
        ("description", text()),
        ("disk", blocks(devices::disk()).most(31)),
        ("efi_disk", blocks(devices::efi_disk()).most(1)),
        ("hook_script_file_id", text()),
        ("hostpci", blocks(devices::hostpci()).most(16)),
        ("hotplug", text().computed().checked(limits::hotplug)),
        ("id", text().read_only()),
        ("initialization", blocks(initialization()).most(1)),
        ("ipv4_addresses", of_type(Type::list(Type::list(Type::String))).read_only()),
        ("ipv6_addresses", of_type(Type::list(Type::list(Type::String))).read_only()),
        (
            "keyboard_layout",
            text().or("en-us").one_of(&[
                "da", "de", "de-ch", "en-gb", "en-us", "es", "fi", "fr", "fr-be", "fr-ca", "fr-ch", "hu",
                "is", "it", "ja", "lt", "mk", "nl", "no", "pl", "pt", "pt-br", "sl", "sv", "tr",
            ]),
        ),
        ("kvm_arguments", text()),
        ("mac_addresses", texts().computed()),
        ("machine", text().checked(limits::machine)),
        ("memory", blocks(memory()).most(1)),
        ("migrate", flag().or(false)),
        ("name", text().checked(limits::guest_name)),
        ("network_device", blocks(devices::network_device()).most(32)),
        ("network_interface_names", texts().read_only()),
        ("node_name", text().required().checked(limits::not_empty)),
        ("numa", blocks(devices::numa())),
        ("on_boot", flag().or(true)),
        ("operating_system", blocks(operating_system()).most(1)),
        ("pool_id", text()),
        ("protection", flag().or(false)),
        ("purge_on_destroy", flag().or(true)),
        ("reboot", flag().or(false)),
        ("reboot_after_update", flag().or(true)),
        ("rng", blocks(devices::rng())),
        (
            "scsi_hardware",
            text().or("virtio-scsi-pci").one_of(&[
                "lsi",
                "lsi53c810",
                "virtio-scsi-pci",
                "virtio-scsi-single",
                "megasas",
                "pvscsi",
            ]),
        ),
        ("serial_device", blocks(devices::serial_device()).most(4)),
        ("smbios", blocks(smbios()).most(1)),
        ("started", flag().or(true)),
        ("startup", blocks(startup()).most(1)),
        ("stop_on_destroy", flag().or(false)),
        ("tablet_device", flag().or(true)),
        ("tags", texts()),
        ("template", flag().or(false)),
        ("timeout_clone", number().or(1800)),
        ("timeout_create", number().or(1800)),
        ("timeout_migrate", number().or(1800)),
        ("timeout_move_disk", number().or(1800).deprecated("it has no effect")),
        ("timeout_reboot", number().or(1800)),
        ("timeout_shutdown_vm", number().or(1800)),
        ("timeout_start_vm", number().or(1800)),
        ("timeout_stop_vm", number().or(300)),
        ("tpm_state", blocks(devices::tpm_state()).most(1)),
        ("usb", blocks(devices::usb())),
        ("vga", blocks(devices::vga()).most(1)),
        ("virtiofs", blocks(devices::virtiofs()).most(8)),
        ("vm_id", number().computed().replaces().range(100, 2147483647)),
        ("watchdog", blocks(devices::watchdog()).most(1)),
    ]
}

fn agent() -> Fields {
    vec![
        ("enabled", flag().or(false)),
        ("timeout", text().or("15m").checked(limits::duration)),
        ("trim", flag().or(false)),
        ("type", text().or("virtio").one_of(&["isa", "virtio"])),
        (
            "wait_for_ip",
            blocks(vec![
                ("disabled", flag().or(false)),
                ("ipv4", flag().or(false)),
                ("ipv6", flag().or(false)),
            ])
            .most(1),
        ),
    ]
}

fn amd_sev() -> Fields {
    vec![
        ("allow_smt", flag().or(true)),
        ("kernel_hashes", flag().or(false)),
        ("no_debug", flag().or(false)),
        ("no_key_sharing", flag().or(false)),
        ("type", text().or("std").one_of(&["std", "es", "snp"])),
    ]
}

fn clone() -> Fields {
    vec![
        ("datastore_id", text()),
        ("full", flag().or(true)),
        ("node_name", text()),
        ("retries", number().or(1)),
        ("vm_id", number().required().range(100, 2147483647)),
    ]
}

fn cpu() -> Fields {
    vec![
        ("affinity", text().checked(limits::affinity)),
        ("architecture", text().one_of(&["", "aarch64", "x86_64"])),
        ("cores", number().or(1).range(1, 2304)),
        ("flags", texts()),
        ("hotplugged", number().or(0).range(0, 2304)),
        ("limit", number().or(0).range(0, 128)),
        ("numa", flag().or(false)),
        ("sockets", number().or(1).range(1, 16)),
        ("type", text().or("qemu64").checked(limits::cpu_type)),
        ("units", number().computed().range(1, 262144)),
    ]
}

fn initialization() -> Fields {
    vec![
        ("datastore_id", text().or("local-lvm")),
        ("dns", blocks(vec![("domain", text()), ("servers", texts().checked(limits::server))]).most(1)),
        ("file_format", text().computed().one_of(&["qcow2", "raw", "vmdk"])),
        ("interface", text().checked(limits::media_interface)),
        (
            "ip_config",
            blocks(vec![
                (
                    "ipv4",
                    blocks(vec![("address", text().checked(limits::address)), ("gateway", text())]).most(1),
                ),
                (
                    "ipv6",
                    blocks(vec![("address", text().checked(limits::address)), ("gateway", text())]).most(1),
                ),
            ])
            .most(32),
        ),
        ("meta_data_file_id", text().computed().checked(limits::file_id)),
        ("network_data_file_id", text().computed().checked(limits::file_id)),
        ("type", text().computed().one_of(&["configdrive2", "nocloud"])),
        ("upgrade", flag().computed()),
        (
            "user_account",
            blocks(vec![("keys", texts()), ("password", text().sensitive()), ("username", text())]).most(1),
        ),
        ("user_data_file_id", text().computed().checked(limits::file_id)),
        ("vendor_data_file_id", text().computed().checked(limits::file_id)),
    ]
}

fn memory() -> Fields {
    vec![
        ("dedicated", number().or(512).range(64, 268435456)),
        ("floating", number().or(0).range(0, 268435456)),
        ("hugepages", text().one_of(&["1024", "2", "any"])),
        ("keep_hugepages", flag().or(false)),
        ("shared", number().or(0).range(0, 268435456)),
    ]
}

fn operating_system() -> Fields {
    vec![(
        "type",
        text().or("other").one_of(&[
            "l24", "l26", "other", "solaris", "w2k", "w2k3", "w2k8", "win7", "win8", "win10", "win11",
            "wvista", "wxp",
        ]),
    )]
}

fn smbios() -> Fields {
    vec![
        ("family", text()),
        ("manufacturer", text()),
        ("product", text()),
        ("serial", text()),
        ("sku", text()),
        ("uuid", text().computed()),
        ("version", text()),
    ]
}

fn startup() -> Fields {
    let least = || number().or(-1).range(-1, i64::MAX);
    vec![("down_delay", least()), ("order", least()), ("up_delay", least())]
}
