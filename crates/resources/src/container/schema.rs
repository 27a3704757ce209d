//! The attributes of a container.

use crate::definition::{Fields, blocks, flag, number, of_type, text, texts};
use pve_model::Type;

use crate::limits;

pub(crate) fn fields() -> Fields {
    vec![
        ("clone", blocks(clone()).most(1)),
        ("console", blocks(console()).most(1)),
        ("cpu", blocks(cpu()).most(1)),
        ("description", text()),
        ("device_passthrough", blocks(device_passthrough()).most(128)),
        ("disk", blocks(disk()).most(1)),
        ("environment_variables", of_type(Type::map(Type::String))),
        ("features", blocks(features()).most(1)),
        ("hook_script_file_id", text()),
        ("idmap", blocks(idmap())),
        ("id", text().read_only()),
        ("initialization", blocks(initialization()).most(1)),
        ("ipv4", of_type(Type::map(Type::String)).read_only()),
        ("ipv6", of_type(Type::map(Type::String)).read_only()),
        ("memory", blocks(memory()).most(1)),
        ("mount_point", blocks(mount_point()).most(256)),
        ("network_interface", blocks(network_interface()).most(10)),
        ("node_name", text().required().checked(limits::not_empty)),
        ("operating_system", blocks(operating_system()).most(1)),
        ("pool_id", text()),
        ("protection", flag().or(false)),
        ("start_on_boot", flag().or(true)),
        ("started", flag().or(true)),
        ("startup", blocks(startup()).most(1)),
        ("tags", texts()),
        ("template", flag().or(false)),
        ("timeout_clone", number().or(1800)),
        ("timeout_create", number().or(1800)),
        ("timeout_delete", number().or(60)),
        ("timeout_start", number().or(300).deprecated("it has no effect")),
        ("timeout_update", number().or(1800)),
        ("unprivileged", flag().or(false).replaces()),
        ("vm_id", number().computed().replaces().range(100, 2147483647)),
        ("wait_for_ip", blocks(wait_for_ip()).most(1)),
    ]
}

fn clone() -> Fields {
    vec![
        ("datastore_id", text()),
        ("full", flag().or(true)),
        ("node_name", text()),
        ("vm_id", number().required().range(100, 2147483647)),
    ]
}

fn console() -> Fields {
    vec![
        ("enabled", flag().or(true)),
        ("tty_count", number().or(2).range(0, 6)),
        ("type", text().or("tty").one_of(&["console", "shell", "tty"])),
    ]
}

fn cpu() -> Fields {
    vec![
        ("architecture", text().or("amd64").one_of(&["amd64", "arm64", "armhf", "i386"])),
        ("cores", number().or(1).range(1, 128)),
        ("limit", number().or(0).range(0, 8192)),
        ("units", number().computed().range(1, 500000)),
    ]
}

fn device_passthrough() -> Fields {
    vec![
        ("deny_write", flag().or(false)),
        ("gid", number().range(0, i64::MAX)),
        ("mode", text().or("0660").checked(limits::mode)),
        ("path", text().required().checked(limits::absolute_path)),
        ("uid", number().range(0, i64::MAX)),
    ]
}

fn disk() -> Fields {
    vec![
        ("acl", flag().or(false)),
        ("datastore_id", text().or("local")),
        ("mount_options", texts()),
        ("path_in_datastore", text().read_only()),
        ("quota", flag().or(false)),
        ("replicate", flag().or(false)),
        ("size", number().or(4).range(0, i64::MAX)),
    ]
}

fn features() -> Fields {
    vec![
        ("fuse", flag().or(false)),
        ("keyctl", flag().or(false)),
        ("mknod", flag().or(false)),
        ("mount", texts().one_of(&["cifs", "nfs"])),
        ("nesting", flag().or(false)),
    ]
}

fn idmap() -> Fields {
    vec![
        ("container_id", number().required().range(0, i64::MAX)),
        ("host_id", number().required().range(0, i64::MAX)),
        ("size", number().required().range(1, i64::MAX)),
        ("type", text().required().one_of(&["uid", "gid"])),
    ]
}

fn initialization() -> Fields {
    vec![
        (
            "dns",
            blocks(vec![
                ("domain", text()),
                ("server", text().deprecated("use servers")),
                ("servers", texts().checked(limits::server_of_container)),
            ])
            .most(1),
        ),
        ("entrypoint", text().checked(limits::command)),
        ("hostname", text().checked(limits::guest_name)),
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
            .most(10),
        ),
        ("user_account", blocks(vec![("keys", texts()), ("password", text().sensitive())]).most(1)),
    ]
}

fn memory() -> Fields {
    vec![("dedicated", number().or(512).range(16, 268435456)), ("swap", number().or(0).range(0, 268435456))]
}

fn mount_point() -> Fields {
    vec![
        ("acl", flag().or(false)),
        ("backup", flag().or(false)),
        ("mount_options", texts()),
        ("path", text().required()),
        ("path_in_datastore", text().read_only()),
        ("quota", flag().or(false)),
        ("read_only", flag().or(false)),
        ("replicate", flag().or(true)),
        ("shared", flag().or(false)),
        ("size", text().checked(limits::size)),
        ("volume", text().required()),
    ]
}

fn network_interface() -> Fields {
    vec![
        ("bridge", text().or("vmbr0")),
        ("enabled", flag().or(true)),
        ("firewall", flag().or(false)),
        ("host_managed", flag().or(false)),
        ("mac_address", text().computed()),
        ("mtu", number().or(0)),
        ("name", text().required()),
        ("rate_limit", number().or(0).range(0, i64::MAX)),
        ("vlan_id", number().or(0)),
    ]
}

fn operating_system() -> Fields {
    vec![
        ("template_file_id", text().required().checked(limits::file_id)),
        (
            "type",
            text().or("unmanaged").one_of(&[
                "alpine",
                "archlinux",
                "centos",
                "debian",
                "devuan",
                "fedora",
                "gentoo",
                "nixos",
                "opensuse",
                "ubuntu",
                "unmanaged",
            ]),
        ),
    ]
}

fn startup() -> Fields {
    let least = || number().or(-1).range(-1, i64::MAX);
    vec![("down_delay", least()), ("order", least()), ("up_delay", least())]
}

fn wait_for_ip() -> Fields {
    vec![("ipv4", flag().or(false)), ("ipv6", flag().or(false))]
}
