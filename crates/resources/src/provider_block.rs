//! The attributes of a `provider "proxmox"` block.

use crate::definition::{Fields, blocks, flag, number, text};

pub(crate) fn fields() -> Fields {
    vec![
        ("api_token", text().sensitive().means("USER@REALM!NAME=SECRET; or PROXMOX_VE_API_TOKEN")),
        ("auth_ticket", text().sensitive()),
        ("csrf_prevention_token", text().sensitive()),
        ("endpoint", text().means("https://HOST:8006/; or PROXMOX_VE_ENDPOINT")),
        ("insecure", flag().means("accept any certificate; or PROXMOX_VE_INSECURE")),
        ("min_tls", text()),
        ("otp", text().deprecated("use an API token")),
        ("password", text().sensitive()),
        ("random_vm_id_end", number().range(100, 999_999_999)),
        ("random_vm_id_start", number().range(100, 999_999_999)),
        ("random_vm_ids", flag()),
        ("ssh", blocks(ssh())),
        ("tmp_dir", text()),
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
