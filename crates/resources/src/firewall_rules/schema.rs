//! The attributes of `firewall_rules`.

use crate::definition::{Fields, blocks, flag, number, text};

/// The attributes.
pub(crate) fn fields() -> Fields {
    vec![
        ("container_id", number().range(100, 2147483647)),
        ("id", text().read_only()),
        ("node_name", text()),
        (
            "rule",
            blocks(vec![
                ("action", text().one_of(&["ACCEPT", "REJECT", "DROP"])),
                ("comment", text()),
                ("dest", text()),
                ("dport", text()),
                ("enabled", flag().or(true)),
                ("iface", text()),
                ("log", text()),
                ("macro", text()),
                ("pos", number().read_only()),
                ("proto", text()),
                ("security_group", text()),
                ("source", text()),
                ("sport", text()),
                ("type", text().one_of(&["in", "out", "forward"])),
            ]),
        ),
        ("vm_id", number().range(100, 2147483647)),
    ]
}
