//! Archives, made here, good and evil.

use std::io::Write as _;

use super::*;

enum Entry<'a> {
    File(&'a str, &'a str),
    Executable(&'a str),
    Folder(&'a str),
    Link(&'a str, &'a str),
    HardLink(&'a str, &'a str),
}
use Entry::{Executable, File as Plain, Folder, HardLink, Link};

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let (kind, name, text, link, mode) = match entry {
            Plain(name, text) => (tar::EntryType::Regular, name, *text, "", 0o644),
            Executable(name) => (tar::EntryType::Regular, name, "", "", 0o755),
            Folder(name) => (tar::EntryType::Directory, name, "", "", 0o755),
            Link(name, link) => (tar::EntryType::Symlink, name, "", *link, 0o777),
            HardLink(name, link) => (tar::EntryType::Link, name, "", *link, 0o644),
        };
        // The builder itself refuses evil names, so that they are put in by hand.
        let mut header = tar::Header::new_gnu();
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(text.len() as u64);
        header.set_cksum();
        builder.append(&header, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn zip(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for entry in entries {
        match entry {
            Plain(name, text) => {
                writer.start_file(*name, options.unix_permissions(0o644)).unwrap();
                writer.write_all(text.as_bytes()).unwrap();
            }
            Executable(name) => writer.start_file(*name, options.unix_permissions(0o755)).unwrap(),
            Folder(name) => writer.add_directory(*name, options).unwrap(),
            Link(name, link) => writer.add_symlink(*name, *link, options).unwrap(),
            HardLink(..) => unreachable!("zip has no hard links"),
        }
    }
    writer.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::default()).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// Unpacks into a folder within a folder of its own, whose other content is returned with the result.
fn unpacked(bytes: &[u8], kind: ArchiveKind) -> (tempfile::TempDir, Result<(), FetchError>) {
    let outer = tempfile::tempdir().unwrap();
    fs::write(outer.path().join("archive"), bytes).unwrap();
    fs::write(outer.path().join("secret"), "outside").unwrap();
    let result = unpack(&outer.path().join("archive"), kind, &outer.path().join("module"));
    (outer, result)
}

#[test]
fn every_kind_is_unpacked_with_folders_modes_and_links() {
    let entries = [
        Folder("modules/"),
        Plain("main.tf", "locals {}"),
        Plain("./modules/deep/er/x.tf", "# x"),
        Executable("run.sh"),
        Link("modules/main.tf", "../main.tf"),
        Link("gone", "nowhere"),
    ];
    let tarred = tar(&entries);
    let archives = [
        (ArchiveKind::Zip, zip(&entries)),
        (ArchiveKind::TarGz, gzip(&tarred)),
        (ArchiveKind::TarXz, xz(&tarred)),
        (ArchiveKind::Tar, tarred),
    ];
    for (kind, bytes) in archives {
        let (outer, result) = unpacked(&bytes, kind);
        assert_eq!(result, Ok(()), "{kind:?}");
        let read = |name: &str| fs::read_to_string(outer.path().join("module").join(name)).unwrap();
        assert_eq!(read("main.tf"), "locals {}");
        assert_eq!(read("modules/deep/er/x.tf"), "# x");
        assert_eq!(read("modules/main.tf"), "locals {}");
        assert!(fs::symlink_metadata(outer.path().join("module/gone")).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |name: &str| {
                fs::metadata(outer.path().join("module").join(name)).unwrap().permissions().mode() & 0o111
            };
            assert_eq!((mode("run.sh"), mode("main.tf")), (0o111, 0));
        }
    }
}

#[test]
fn nothing_is_written_outside_of_the_folder() {
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim").to_string_lossy().into_owned();
    let folder = elsewhere.path().to_string_lossy().into_owned();
    let attacks: Vec<Vec<Entry<'_>>> = vec![
        vec![Plain("../evil.tf", "x")],
        vec![Plain("a/../../evil.tf", "x")],
        vec![Plain(&victim, "x")],
        vec![Plain("a\\..\\evil.tf", "x")],
        vec![Folder("../evil/")],
        vec![Link("evil", "../secret")],
        vec![Link("evil", "/etc/passwd")],
        vec![Link("evil", &folder), Plain("evil/victim", "x")],
        vec![Link("evil", &folder), Link("evil/victim", "anything")],
        vec![Link("evil", ".."), Plain("evil/evil.tf", "x")],
        // Each link leads to a place inside when it is read as a text, but not when it is followed.
        vec![Plain("a/b/c", "x"), Link("a/up", "b/.."), Link("d", "a/up/../.."), Link("e", "d/secret")],
    ];
    for (number, entries) in attacks.iter().enumerate() {
        for (kind, bytes) in [(ArchiveKind::Tar, tar(entries)), (ArchiveKind::Zip, zip(entries))] {
            let (outer, result) = unpacked(&bytes, kind);
            assert!(result.is_err(), "attack {number} as {kind:?}");
            let mut around: Vec<String> = fs::read_dir(outer.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            around.sort();
            assert_eq!(around, ["archive", "module", "secret"], "attack {number} as {kind:?}");
            assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "attack {number} as {kind:?}");
            assert_eq!(fs::read_to_string(outer.path().join("secret")).unwrap(), "outside");
        }
    }
}

#[test]
fn hard_links_are_refused() {
    let (_outer, result) = unpacked(&tar(&[HardLink("x", "../secret")]), ArchiveKind::Tar);
    assert!(result.unwrap_err().message.contains("neither a file nor a folder"));
}

#[test]
fn damaged_archives_are_told() {
    let good = gzip(&tar(&[Plain("main.tf", &"x".repeat(5000))]));
    let cases = [
        (ArchiveKind::Zip, b"no archive".to_vec()),
        (ArchiveKind::TarGz, b"no archive".to_vec()),
        (ArchiveKind::TarXz, b"no archive".to_vec()),
        (ArchiveKind::TarGz, good[..good.len() / 2].to_vec()),
    ];
    for (kind, bytes) in cases {
        let (_outer, result) = unpacked(&bytes, kind);
        let message = result.unwrap_err().message;
        assert!(message.contains("damaged"), "{kind:?}: {message}");
    }
}
