//! Limits on files of datastores and what is in drives, sizes, paths and permissions.

use super::texts::not_empty;

/// What is in a CD-ROM drive.
pub(crate) fn medium(text: &str) -> Option<String> {
    if matches!(text, "none" | "cdrom") {
        return None;
    }
    file_id(text)
        .map(|_| format!("{text:?} is neither none nor cdrom, nor a file such as local:iso/debian.iso"))
}

/// What is in a CD-ROM drive that is named.
pub(crate) fn some_medium(text: &str) -> Option<String> {
    not_empty(text).or_else(|| medium(text))
}

/// A file in a datastore, or nothing.
pub(crate) fn file_id(text: &str) -> Option<String> {
    let good = text.is_empty()
        || text.split_once(':').is_some_and(|(store, file)| !store.is_empty() && !file.is_empty());
    (!good).then(|| format!("{text:?} is no file such as local:snippets/user.yaml"))
}

/// A path from the root.
pub(crate) fn absolute_path(text: &str) -> Option<String> {
    (!text.starts_with('/')).then(|| format!("{text:?} must begin with /"))
}

/// Permissions of a device in octal (`pct.conf(5)`, `dev`).
pub(crate) fn mode(text: &str) -> Option<String> {
    let good = text.len() == 4 && text.starts_with('0') && text.chars().all(|c| ('0'..='7').contains(&c));
    (!good).then(|| format!("{text:?} are no permissions such as 0660"))
}

/// Permissions of a file in octal.
pub(crate) fn file_mode(text: &str) -> Option<String> {
    let good = u32::from_str_radix(text, 8).is_ok_and(|mode| mode > 0) && !text.starts_with('+');
    (!good).then(|| format!("{text:?} are no permissions such as 0700"))
}

/// A size with its unit.
pub(crate) fn size(text: &str) -> Option<String> {
    let is_size = !text.contains(char::is_whitespace) && crate::size::parse_size(text).is_some();
    let good = text.is_empty() || is_size;
    (!good).then(|| format!("{text:?} is no size such as 8G"))
}

/// The endings that files of a content must have to be uploaded or downloaded (PVE::Storage, `ISO_EXT_RE_0`,
/// `VZTMPL_EXT_RE_1`, `UPLOAD_IMPORT_EXT_RE_1`); every file may be a snippet or a backup here.
const ENDINGS: &[(&str, &[&str])] = &[
    ("iso", &[".iso", ".img"]),
    ("vztmpl", &[".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2", ".tgz", ".tar"]),
    ("import", &[".ova", ".qcow2", ".raw", ".vmdk"]),
];

/// What is wrong with the name of a file of a content. In another name Proxmox VE puts `_` for what it does not take
/// (PVE::Storage, `normalize_content_filename`), and the file would not be where it is looked for.
pub(crate) fn wrong_file_name(content: &str, name: &str) -> Option<String> {
    let (_, endings) = ENDINGS.iter().find(|(known, _)| *known == content)?;
    let lower = name.to_ascii_lowercase();
    let fits = |ending: &&str| lower.strip_suffix(ending).is_some_and(|rest| !rest.is_empty());
    let is_kept = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !name.chars().all(is_kept) {
        let kept: String = name.chars().map(|c| if is_kept(c) { c } else { '_' }).collect();
        return Some(format!("Proxmox VE would keep it as {kept:?}: give it that file_name"));
    }
    (!endings.iter().any(fits)).then(|| format!("give it a file_name that ends in {}", endings.join(", ")))
}
