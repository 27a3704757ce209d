//! `multipart/form-data` of uploads.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::request::Upload;
use crate::schema::Raw;

/// Reads the parts: fields, and the one file.
pub(crate) fn parse(body: &Bytes, boundary: &str) -> (BTreeMap<String, Raw>, Option<Upload>) {
    let delimiter = format!("--{boundary}").into_bytes();
    let mut fields = BTreeMap::new();
    let mut upload = None;
    let mut at = match find(body, &delimiter, 0) {
        Some(start) => start + delimiter.len(),
        None => return (fields, upload),
    };
    let separator = [b"\r\n".as_slice(), &delimiter].concat();
    while let Some(head_end) = find(body, b"\r\n\r\n", at) {
        let Some(end) = find(body, &separator, head_end + 2) else { break };
        let head = String::from_utf8_lossy(&body[at..head_end]).into_owned();
        let content = body.slice((head_end + 4).min(end)..end);
        let name = attribute(&head, "name").unwrap_or_default();
        match attribute(&head, "filename") {
            Some(file_name) => upload = Some(Upload { file_name, bytes: content }),
            None => {
                fields.insert(name, Raw::Text(String::from_utf8_lossy(&content).into_owned()));
            }
        }
        at = end + separator.len();
        if body.get(at..at + 2) == Some(b"--") {
            break;
        }
    }
    (fields, upload)
}

fn attribute(head: &str, name: &str) -> Option<String> {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition"))?;
    let quoted = format!("; {name}=\"");
    let start = line.find(&quoted)? + quoted.len();
    let rest = &line[start..];
    Some(rest[..rest.find('"')?].to_owned())
}

fn find(body: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = from;
    while at + wanted.len() <= body.len() {
        match body[at..=body.len() - wanted.len()].iter().position(|byte| *byte == first) {
            Some(step) if body[at + step..].starts_with(wanted) => return Some(at + step),
            Some(step) => at += step + 1,
            None => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_the_file_are_told_apart() {
        let body = Bytes::from_static(
            b"--xx\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n--xx\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"a.iso\"\r\nContent-Type: application/octet-stream\r\n\r\n1\r\n2\r\n--xx--\r\n",
        );
        let (fields, upload) = parse(&body, "xx");
        assert_eq!(fields["content"], Raw::Text("iso".to_owned()));
        let upload = upload.unwrap();
        assert_eq!((upload.file_name.as_str(), &upload.bytes[..]), ("a.iso", &b"1\r\n2"[..]));
    }
}
