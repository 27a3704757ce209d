//! The attributes of `firewall_options`.

use crate::definition::{Fields, flag, number, text};

/// The attributes.
pub(crate) fn fields() -> Fields {
    vec![
        ("container_id", number().range(100, 2147483647)),
        ("dhcp", flag().or(false)),
        ("enabled", flag().or(false)),
        ("input_policy", text().or("DROP").one_of(&["ACCEPT", "REJECT", "DROP"])),
        ("ipfilter", flag()),
        (
            "log_level_in",
            text()
                .or("nolog")
                .one_of(&["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog"]),
        ),
        (
            "log_level_out",
            text()
                .or("nolog")
                .one_of(&["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog"]),
        ),
        ("macfilter", flag().or(true)),
        ("ndp", flag().or(false)),
        ("id", text().read_only()),
        ("node_name", text().required()),
        ("output_policy", text().or("ACCEPT").one_of(&["ACCEPT", "REJECT", "DROP"])),
        ("radv", flag().or(true)),
        ("vm_id", number().range(100, 2147483647)),
    ]
}
