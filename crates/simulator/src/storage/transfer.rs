//! Downloads and uploads. Nothing is fetched: what is behind a URL is made from the URL, or registered.

use std::collections::BTreeSet;

use serde_json::json;
use sha2::Digest as _;

use crate::failure::Failure;
use crate::guests::hex;
use crate::request::{Answer, Request};
use crate::state::{RemoteFile, State, Volume};
use crate::volumes;

/// Digests of bytes by algorithm.
pub(crate) fn checksums(bytes: &[u8]) -> std::collections::BTreeMap<String, String> {
    [
        ("md5", hex(&md5::Md5::digest(bytes))),
        ("sha1", hex(&sha1::Sha1::digest(bytes))),
        ("sha224", hex(&sha2::Sha224::digest(bytes))),
        ("sha256", hex(&sha2::Sha256::digest(bytes))),
        ("sha384", hex(&sha2::Sha384::digest(bytes))),
        ("sha512", hex(&sha2::Sha512::digest(bytes))),
    ]
    .into_iter()
    .map(|(name, digest)| (name.to_owned(), digest))
    .collect()
}

/// Bytes of the disk in an image: qcow2 (big-endian at offset 24), vmdk (sectors, little-endian at 12); else of the
/// file.
pub(crate) fn virtual_size(bytes: &[u8]) -> u64 {
    let number = |at: usize| bytes.get(at..at + 8).and_then(|size| size.try_into().ok());
    match (number(24), number(12)) {
        (Some(size), _) if bytes.starts_with(b"QFI\xfb") => u64::from_be_bytes(size),
        (_, Some(sectors)) if bytes.starts_with(b"KDMV") => u64::from_le_bytes(sectors).saturating_mul(512),
        _ => bytes.len() as u64,
    }
}

/// What is behind a URL: registered, or of a size that follows from the URL. Without registration there are
/// no checksums, and any is accepted.
pub(crate) fn remote_file(state: &State, url: &str) -> RemoteFile {
    if let Some(found) = state.remote_files.get(url) {
        return found.clone();
    }
    let digest = sha2::Sha256::digest(url.as_bytes());
    let number = u64::from(digest[0]) << 16 | u64::from(digest[1]) << 8 | u64::from(digest[2]);
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let size = (256 << 20) + number * 16;
    let disk = ["qcow2", "img", "raw", "vmdk"].iter().any(|kind| path.ends_with(kind));
    let mime_type =
        if path.ends_with(".iso") { "application/x-iso9660-image" } else { "application/octet-stream" };
    RemoteFile {
        size,
        virtual_size: if disk { 2 << 30 } else { size },
        checksums: Default::default(),
        mime_type: mime_type.to_owned(),
        exists: true,
        trusted: true,
    }
}

/// `GET query-url-metadata`.
pub(crate) fn metadata(request: &mut Request<'_>) -> Answer {
    let url = request.text("url");
    let file = remote_file(request.state, &url);
    if !file.trusted && request.get("verify-certificates").is_none_or(|value| value == "1") {
        let text = format!(
            "invalid server response: '500 Can't connect to {} (certificate verify failed)'",
            host(&url)
        );
        return Err(Failure::died(text));
    }
    if !file.exists {
        return Err(Failure::died("invalid server response: '404 File not found'"));
    }
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    Ok(json!({ "filename": name, "size": file.size, "mimetype": file.mime_type }))
}

/// Host and port of a URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// A length as wget shows it.
fn length(bytes: u64) -> String {
    let (shift, unit) = match bytes {
        0..1024 => return bytes.to_string(),
        1024..1_048_576 => (10, 'K'),
        1_048_576..1_073_741_824 => (20, 'M'),
        _ => (30, 'G'),
    };
    let value = bytes as f64 / (1u64 << shift) as f64;
    let digits = if value < 10.0 && value.fract() > 0.0 { 1 } else { 0 };
    format!("{bytes} ({value:.digits$}{unit})")
}

/// The folder and format of a file, by content type and name; refuses names that do not fit.
fn place(content: &str, name: &str) -> Result<&'static str, Failure> {
    let lower = name.to_ascii_lowercase();
    let fits = |list: &[&str]| {
        list.iter().any(|extension| lower.ends_with(extension) && lower.len() > extension.len())
    };
    match content {
        "iso" if fits(&[".iso", ".img"]) => Ok("iso"),
        "vztmpl" if fits(&[".tar.gz", ".tgz"]) => Ok("tgz"),
        "vztmpl" if fits(&[".tar.xz"]) => Ok("txz"),
        "vztmpl" if fits(&[".tar.zst"]) => Ok("tzst"),
        "vztmpl" if fits(&[".tar.bz2"]) => Ok("tbz2"),
        "vztmpl" if fits(&[".tar"]) => Ok("tar"),
        "import" if fits(&[".qcow2"]) => Ok("qcow2"),
        "import" if fits(&[".raw"]) => Ok("raw"),
        "import" if fits(&[".vmdk"]) => Ok("vmdk"),
        "import" if fits(&[".ova"]) => Ok("ova"),
        "import" => Err(Failure::parameter("filename", "invalid filename or wrong extension")),
        _ => Err(Failure::parameter("filename", "wrong file extension")),
    }
}

/// Replaces what may not be in a file name.
fn sanitise(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or_default();
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}

/// The storage of the call, if it keeps files; `why` is told of one that does not.
fn check_storage(request: &Request<'_>, why: &str) -> Result<String, Failure> {
    let storage = request.text("storage");
    let options = volumes::usable(request.state, &storage, &request.node)?;
    if volumes::is_block(options) || options.get("type").is_some_and(|kind| kind == "pbs") {
        let kind = options.get("type").cloned().unwrap_or_default();
        return Err(Failure::died(format!("can't upload to storage type '{kind}'{why}")));
    }
    Ok(storage)
}

fn allows(request: &Request<'_>, storage: &str, content: &str) -> bool {
    request.state.storages.get(storage).is_some_and(|options| volumes::allows(options, content))
}

fn volume(request: &Request<'_>, content: &str, format: &str, size: u64, virtual_size: u64) -> Volume {
    Volume {
        content: content.to_owned(),
        format: format.to_owned(),
        size: virtual_size,
        file_size: size,
        owner: None,
        parent: None,
        created: request.seconds(),
        bytes: None,
        backup: None,
        nodes: BTreeSet::new(),
    }
}

/// `POST download-url`.
pub(crate) fn download(request: &mut Request<'_>) -> Answer {
    let (content, url) = (request.text("content"), request.text("url"));
    let name = sanitise(&request.text("filename"));
    let storage = check_storage(request, ", not a file based storage!")?;
    if !allows(request, &storage, &content) {
        return Err(Failure::died(format!(
            "storage '{storage}' is not configured for content-type '{content}'"
        )));
    }
    let format = place(&content, &name)?;
    if request.get("checksum").is_some() && request.get("checksum-algorithm").is_none() {
        return Err(Failure::parameter("checksum-algorithm", "missing property required by 'checksum'"));
    }
    let id = format!("{storage}:{content}/{name}");
    let path = volumes::path(request.state, &id);
    let compressed = request.get("compression").is_some();
    Ok(request.task("download", &name, |request, outcome| {
        if compressed && content != "iso" {
            return Err(Failure::died(format!("decompression not supported for {content}")));
        }
        outcome.say(format!("downloading {url} to {path}"));
        if volumes::is_on(request.state, &id, &request.node) {
            return Err(Failure::died(format!("refusing to override existing file '{path}'")));
        }
        let file = remote_file(request.state, &url);
        if !file.trusted {
            let name = host(&url).split(':').next().unwrap_or_default().to_owned();
            let strict = request.get("verify-certificates").is_none_or(|value| value == "1");
            let word = if strict { "ERROR" } else { "WARNING" };
            outcome.say(format!("{word}: The certificate of '{name}' is not trusted."));
            let issuer = format!("{word}: The certificate of '{name}' doesn't have a known issuer.");
            if strict {
                return Err(Failure::died(format!("download failed: {issuer}")));
            }
            outcome.say(issuer);
        }
        if !file.exists {
            outcome.say("HTTP request sent, awaiting response... 404 File not found");
            outcome.say(format!("{} ERROR 404: File not found.", crate::tasks::clock(request.seconds())));
            return Err(Failure::died("download failed: exit code 8"));
        }
        outcome.say("HTTP request sent, awaiting response... 200 OK");
        let kind = if file.mime_type.is_empty() { String::new() } else { format!(" [{}]", file.mime_type) };
        outcome.say(format!("Length: {}{kind}", length(file.size)));
        if let (Some(expected), Some(algorithm)) =
            (request.get("checksum"), request.get("checksum-algorithm"))
        {
            let got = file.checksums.get(algorithm);
            if let Some(got) = got.filter(|got| !got.eq_ignore_ascii_case(expected)) {
                outcome.say("calculating checksum...");
                return Err(Failure::died(format!("checksum mismatch: got '{got}' != expect '{expected}'")));
            }
            outcome.say("calculating checksum...OK, checksum verified");
        }
        if format == "qcow2" && file.virtual_size == file.size && file.mime_type.contains("iso9660") {
            let part = format!("{path}.tmp_dwnl.{}", request.state.process());
            outcome.say(format!(
                "command '/usr/bin/qemu-img info '--output=json' {part} -f qcow2' failed: exit code 1"
            ));
            return Err(Failure::died(format!(
                "failed to verify file: qemu-img: Could not open '{part}': Image is not in qcow2 format"
            )));
        }
        let mut made = volume(request, &content, format, file.size, file.virtual_size);
        made.nodes = volumes::place(request, &storage);
        // The file is there when the task ends, as the real one is renamed to its name at the end.
        outcome.effects.push(crate::state::Effect::AddVolume { id: id.clone(), volume: Box::new(made) });
        outcome.say(format!("download of '{url}' to '{path}' finished"));
        Ok(())
    }))
}

/// `POST upload` (multipart).
pub(crate) fn upload(request: &mut Request<'_>) -> Answer {
    let content = request.text("content");
    let storage = check_storage(request, "")?;
    let Some(upload) = request.upload.clone() else {
        return Err(Failure::parameter("filename", "property is missing and it is not optional"));
    };
    let name = sanitise(&upload.file_name);
    let format = place(&content, &name)?;
    if !allows(request, &storage, &content) {
        return Err(Failure::died(format!("storage '{storage}' does not support '{content}' content")));
    }
    if let (Some(expected), Some(algorithm)) = (request.get("checksum"), request.get("checksum-algorithm")) {
        let got = checksums(&upload.bytes).remove(algorithm).unwrap_or_default();
        if !got.eq_ignore_ascii_case(expected) {
            return Err(Failure::bare(400, "Bad Request"));
        }
    }
    let id = format!("{storage}:{content}/{name}");
    let path = volumes::path(request.state, &id);
    Ok(request.task("imgcopy", "", |request, outcome| {
        let part = format!("/var/tmp/pveupload-{}", uuid::Uuid::new_v4().simple());
        outcome.say(format!("starting file import from: {part}"));
        outcome.say(format!("target node: {}", request.node));
        outcome.say(format!("target file: {path}"));
        let size = upload.bytes.len() as u64;
        outcome.say(format!("file size is: {size}"));
        outcome.say(format!("command: cp -- {part} {path}"));
        let mut made = volume(request, &content, format, size, virtual_size(&upload.bytes));
        made.nodes = volumes::place(request, &storage);
        volumes::add(request.state, id, made);
        outcome.say("finished file import successfully");
        Ok(())
    }))
}

/// Records a file that came by SFTP.
pub(crate) fn store_file(state: &mut State, id: &str, bytes: &[u8], seconds: u64) {
    let content = volumes::split(id)
        .and_then(|(_, name)| name.split_once('/'))
        .map_or("snippets", |(folder, _)| folder);
    let format = match content {
        "snippets" => "snippet",
        "iso" => "iso",
        other => place(other, id).unwrap_or(match other {
            "import" => "qcow2",
            _ => "raw",
        }),
    };
    let kept = (bytes.len() <= 1 << 20).then(|| String::from_utf8_lossy(bytes).into_owned());
    state.volumes.insert(
        id.to_owned(),
        Volume {
            content: content.to_owned(),
            format: format.to_owned(),
            size: virtual_size(bytes),
            file_size: bytes.len() as u64,
            owner: None,
            parent: None,
            created: seconds,
            bytes: kept,
            backup: None,
            nodes: BTreeSet::new(),
        },
    );
}
