//! The attributes of a `provider "proxmox"` block.

use crate::definition::{Fields, blocks, flag, number, text};

pub(crate) fn fields() -> Fields {
    vec![
        ("api_token", text().sensitive().means("USER@REALM!NAME=SECRET; or PROXMOX_VE_API_TOKEN")),
        ("auth_ticket", text().sensitive().means("with csrf_prevention_token; or PROXMOX_VE_AUTH_TICKET")),
        ("csrf_prevention_token", text().sensitive().means("or PROXMOX_VE_CSRF_PREVENTION_TOKEN")),
        ("endpoint", text().means("https://HOST:8006/; or PROXMOX_VE_ENDPOINT")),
        ("insecure", flag().means("accept any certificate; or PROXMOX_VE_INSECURE")),
        ("min_tls", text().means("1.2 or 1.3 (where it is left out); or PROXMOX_VE_MIN_TLS")),
        ("otp", text().deprecated("use an API token")),
        ("password", text().sensitive()),
        ("random_vm_id_end", number().range(100, 999_999_999)),
        ("random_vm_id_start", number().range(100, 999_999_999)),
        ("random_vm_ids", flag()),
        ("ssh", blocks(ssh()).most(1)),
        (
            "tmp_dir",
            text().means("has no effect: nothing is put aside, files go to the cluster as they are read"),
        ),
        ("username", text()),
    ]
}

fn ssh() -> Fields {
    vec![
        ("agent", flag()),
        ("agent_forwarding", flag()),
        ("agent_socket", text()),
        ("node", blocks(node())),
        ("node_address_source", text().one_of(&["api", "dns"])),
        ("password", text().sensitive()),
        ("private_key", text().sensitive()),
        ("socks5_password", text().sensitive()),
        ("socks5_server", text()),
        ("socks5_username", text()),
        ("username", text()),
    ]
}

fn node() -> Fields {
    vec![("address", text().required()), ("name", text().required()), ("port", number().range(1, 65535))]
}
