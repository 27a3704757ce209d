//! The attributes of `download_file`.

use crate::definition::{Fields, flag, number, text};

/// The attributes.
pub(crate) fn fields() -> Fields {
    vec![
        ("checksum", text()),
        ("checksum_algorithm", text().one_of(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])),
        ("content_type", text().required().replaces().one_of(&["iso", "vztmpl", "import"])),
        ("datastore_id", text().required().replaces()),
        ("decompression_algorithm", text().one_of(&["gz", "lzo", "zst", "bz2"])),
        ("file_name", text().computed().replaces()),
        ("id", text().read_only()),
        ("node_name", text().required().replaces()),
        ("overwrite", flag().computed().or(true)),
        ("overwrite_unmanaged", flag().computed().or(false)),
        ("size", number().read_only()),
        ("upload_timeout", number().computed().or(600)),
        ("url", text().required()),
        ("verify", flag().computed().or(true)),
    ]
}
