//! Limits on names and tags.

/// The name of a guest is a DNS name.
pub(crate) fn guest_name(text: &str) -> Option<String> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    (!text.is_empty() && !text.split('.').all(label))
        .then(|| format!("{text:?} is no DNS name: only letters, digits and hyphens, up to 63 between dots"))
}

/// A text that the cluster takes apart into tags, each as it accepts them (`pve-tag`).
pub(crate) fn tags(text: &str) -> Option<String> {
    text.split(crate::values::separates_tags).filter(|part| !part.is_empty()).find_map(tag)
}

fn tag(text: &str) -> Option<String> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || "_+.-".contains(c));
    (!first || !rest).then(|| format!("{text:?} is no tag: only letters, digits and _ + . - are accepted"))
}

/// The name of an alias, IP set or security group (`pve-firewall(8)`).
pub(crate) fn firewall_name(text: &str) -> Option<String> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    (!first || !rest || text.len() < 2).then(|| {
        format!(
            "{text:?} is no name here: a letter first, then at least one letter, digit, hyphen or underscore"
        )
    })
}

/// Whether two texts are the same tag: Proxmox VE keeps them in lower case unless a cluster is told otherwise.
pub(crate) fn same_tag(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// A name of letters, digits and `.-_` that begins with a letter, of at least two characters.
pub(super) fn is_name(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-_".contains(letter))
}

/// The name of a section of a configuration file (`pve-configid`).
pub(crate) fn config_id(text: &str) -> Option<String> {
    let is_good = is_name(text) && !text.contains('.');
    (!is_good).then(|| format!("{text:?} is no id: two letters, digits, `-` and `_` or more, a letter first"))
}
