//! The attributes of `file`.

use crate::definition::{Fields, blocks, flag, number, text};

/// The attributes.
pub(crate) fn fields() -> Fields {
    vec![
        (
            "content_type",
            text().computed().replaces().one_of(&["backup", "iso", "snippets", "vztmpl", "import"]),
        ),
        ("id", text().read_only()),
        ("datastore_id", text().required().replaces()),
        ("file_mode", text().replaces().checked(crate::limits::file_mode)),
        ("file_modification_date", text().read_only()),
        ("file_name", text().read_only()),
        ("file_size", number().read_only()),
        ("file_tag", text().read_only()),
        ("node_name", text().required().replaces()),
        ("overwrite", flag().or(true)),
        (
            "source_file",
            blocks(vec![
                ("changed", flag().or(false)),
                ("checksum", text()),
                ("file_name", text()),
                ("insecure", flag().or(false)),
                ("min_tls", text()),
                ("path", text().required()),
            ])
            .most(1),
        ),
        (
            "source_raw",
            blocks(vec![
                ("data", text().required()),
                ("file_name", text().required()),
                ("resize", number().or(0)),
            ])
            .most(1),
        ),
        ("timeout_upload", number().or(1800)),
        ("upload_mode", text().or("stream").one_of(&["sftp", "stream"])),
    ]
}
