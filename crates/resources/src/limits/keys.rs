//! Limits on keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A public key as OpenSSH writes it, options before it allowed: Proxmox VE has `ssh-keygen -l` read each line
/// (PVE::Tools, `validate_ssh_public_keys`). A line of blank space is passed over there. What is looked at is the type.
pub(crate) fn public_key(text: &str) -> Option<String> {
    let is_key = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.windows(2).any(|pair| is_of_type(pair[0], pair[1]))
    };
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    (!lines.all(is_key))
        .then(|| "that is no public key as OpenSSH writes it, `TYPE BASE64 COMMENT`".to_string())
}

/// Whether the data of a key begin with its type, as they must (RFC 4253, 6.6), and go on behind it.
fn is_of_type(name: &str, data: &str) -> bool {
    let whole = data.trim_end_matches('=').len() / 4 * 4;
    let Ok(data) = STANDARD_NO_PAD.decode(data.get(..whole).unwrap_or_default()) else { return false };
    let Some((length, rest)) = data.split_first_chunk::<4>() else { return false };
    let length = u32::from_be_bytes(*length) as usize;
    length == name.len() && rest.len() > length && rest.starts_with(name.as_bytes())
}
