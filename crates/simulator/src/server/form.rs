//! Form parameters as PVE reads them: `;` separates as `&` does, and an unescaped `=` cuts the value.

use std::collections::BTreeMap;

use crate::schema::Raw;

/// Decodes `%XX`.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Reads a query or a form body; a parameter that comes twice becomes a list.
pub(crate) fn parse(text: &str) -> BTreeMap<String, Raw> {
    let mut parameters: BTreeMap<String, Raw> = BTreeMap::new();
    for part in text.split(['&', ';']).filter(|part| !part.is_empty()) {
        let mut pieces = part.split('=');
        let decode = |piece: Option<&str>| percent_decode(&piece.unwrap_or_default().replace('+', " "));
        let (name, value) = (decode(pieces.next()), decode(pieces.next()));
        let merged = match parameters.remove(&name) {
            None => Raw::Text(value),
            Some(Raw::Text(first)) => Raw::List(vec![first, value]),
            Some(Raw::List(mut all)) => {
                all.push(value);
                Raw::List(all)
            }
            Some(other) => other,
        };
        parameters.insert(name, merged);
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_the_real_server_reads_them() {
        let text = |value: &str| Raw::Text(value.to_owned());
        assert_eq!(parse("description=a;name=b")["name"], text("b"));
        assert_eq!(parse("net0=virtio,bridge=vmbr0")["net0"], text("virtio,bridge"));
        assert_eq!(parse("d=a+b%2Bc%20d")["d"], text("a b+c d"));
        assert_eq!(parse("c=1&c=2")["c"], Raw::List(vec!["1".to_owned(), "2".to_owned()]));
    }
}
