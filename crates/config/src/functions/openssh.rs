//! RSA keys in OpenSSH's own form (PROTOCOL.key of its source), without a passphrase.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rsa::{BoxedUint, RsaPrivateKey};

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";

/// The key in the text; none if it is no such key or has a passphrase.
pub(super) fn private_key(text: &str) -> Option<RsaPrivateKey> {
    let inside = text.split_once(BEGIN)?.1.split_once(END)?.0;
    let inside: String = inside.split_whitespace().collect();
    let bytes = BASE64_STANDARD.decode(inside).ok()?;
    let mut outer = Reader(bytes.strip_prefix(b"openssh-key-v1\0")?);
    let is_plain = outer.string()? == b"none" && outer.string()? == b"none";
    outer.string()?;
    if !is_plain || outer.number()? != 1 {
        return None;
    }
    outer.string()?;
    let mut key = Reader(outer.string()?);
    if key.number()? != key.number()? || key.string()? != b"ssh-rsa" {
        return None;
    }
    let (n, e, d) = (key.integer()?, key.integer()?, key.integer()?);
    let _inverse = key.string()?;
    let primes = vec![key.integer()?, key.integer()?];
    RsaPrivateKey::from_components(n, e, d, primes).ok()
}

/// Lengths and numbers of four bytes, as in the protocol of SSH.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*head))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn integer(&mut self) -> Option<BoxedUint> {
        let bytes = self.string()?;
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        let bytes = &bytes[start..];
        let bits = u32::try_from(bytes.len()).ok()?.checked_mul(8)?;
        BoxedUint::from_be_slice(bytes, bits).ok()
    }
}
