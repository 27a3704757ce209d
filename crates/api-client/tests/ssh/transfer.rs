//! Files are written whole, at the right place, with the right mode.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use pve_api_client::ssh::{SshErrorKind, SshExit, SshUploader};

use crate::sshd;

#[tokio::test]
async fn a_file_is_written_read_and_removed() {
    let Some(server) = sshd::start("ed25519") else { return };
    let uploader = SshUploader::new(server.settings());
    let path = server.remote("a.yml");
    // More than one chunk, and no whole number of them.
    let content: Vec<u8> = (0..1_000_003_u32).map(|number| (number % 251) as u8).collect();
    // In a task of its own: that needs a future that may move between threads.
    let (target, name, bytes) = (server.target.clone(), path.clone(), content.clone());
    let uploader = Arc::new(uploader);
    let other = Arc::clone(&uploader);
    let task = tokio::spawn(async move { other.write_file(&target, &name, &bytes, Some(0o640)).await });
    task.await.unwrap().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(uploader.read_file(&server.target, &path).await.unwrap(), content);
    uploader.remove_file(&server.target, &path).await.unwrap();
    assert!(!std::fs::exists(&path).unwrap());
    uploader.remove_file(&server.target, &path).await.unwrap();
    let error = uploader.read_file(&server.target, &path).await.unwrap_err();
    assert_eq!(error.kind, SshErrorKind::NotFound);
    assert_eq!(error.operation, format!("read {path} on {}", server.target));
}

#[tokio::test]
async fn missing_folders_are_made() {
    let Some(server) = sshd::start("ed25519") else { return };
    let uploader = SshUploader::new(server.settings());
    let path = server.remote("deep/er/snippets/a.yml");
    uploader.write_file(&server.target, &path, b"a", None).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"a");

    let below_a_file = format!("{path}/b.yml");
    let error = uploader.write_file(&server.target, &below_a_file, b"b", None).await.unwrap_err();
    assert!(error.message.contains("no folder") || error.message.contains("Failure"), "{error}");
    let error = uploader.write_file(&server.target, &server.remote("deep"), b"b", None).await.unwrap_err();
    assert!(error.message.contains("is a folder"), "{error}");
    let error = uploader.write_file(&server.target, &format!("{path}/"), b"b", None).await.unwrap_err();
    assert_eq!(error.kind, SshErrorKind::Settings, "{error}");
}

#[tokio::test]
async fn a_file_is_replaced_by_another_and_never_changed_in_place() {
    // The second server cannot rename over a file.
    for arguments in ["", "-P posix-rename,fsync"] {
        let Some(server) = sshd::start_with("ed25519", &[], arguments) else { return };
        let uploader = SshUploader::new(server.settings());
        let path = server.remote("snippets/a.yml");
        uploader.write_file(&server.target, &path, b"old content", Some(0o600)).await.unwrap();
        let mut open = std::fs::File::open(&path).unwrap();
        uploader.write_file(&server.target, &path, b"new", None).await.unwrap();
        let mut still = String::new();
        open.read_to_string(&mut still).unwrap();
        assert_eq!(still, "old content");
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "the mode of the replaced file stays");
        assert_eq!(names_in(&server.path("snippets")), ["a.yml"], "nothing else remains");
    }
}

#[tokio::test]
async fn a_failed_transfer_leaves_the_old_file_and_nothing_else() {
    // The server takes a file, and refuses to move it to its place.
    let Some(server) = sshd::start_with("ed25519", &[], "-P rename,posix-rename") else { return };
    let uploader = SshUploader::new(server.settings());
    std::fs::create_dir(server.path("snippets")).unwrap();
    let path = server.remote("snippets/b.yml");
    let error = uploader.write_file(&server.target, &path, b"new", None).await.unwrap_err();
    assert!(matches!(error.kind, SshErrorKind::Refused | SshErrorKind::PermissionDenied), "{error:?}");
    assert_eq!(names_in(&server.path("snippets")), [""; 0]);

    let Some(server) = sshd::start_with("ed25519", &[], "-P write") else { return };
    let uploader = SshUploader::new(server.settings());
    std::fs::create_dir(server.path("snippets")).unwrap();
    let path = server.remote("snippets/b.yml");
    std::fs::write(&path, "old").unwrap();
    uploader.write_file(&server.target, &path, b"new", None).await.unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(names_in(&server.path("snippets")), ["b.yml"]);
}

#[tokio::test]
async fn what_a_killed_transfer_left_is_taken_away_and_no_strange_file_is_written_through() {
    use sha1::Digest as _;
    let Some(server) = sshd::start("ed25519") else { return };
    let uploader = SshUploader::new(server.settings());
    std::fs::create_dir(server.path("snippets")).unwrap();
    let digest: String = sha1::Sha1::digest(b"new").iter().map(|byte| format!("{byte:02x}")).collect();
    let left = server.path("snippets").join(format!(".a.yml.{digest}.part"));
    let path = server.remote("snippets/a.yml");

    std::fs::write(&left, "ne").unwrap();
    uploader.write_file(&server.target, &path, b"new", None).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(names_in(&server.path("snippets")), ["a.yml"]);

    let elsewhere = server.path("elsewhere");
    std::fs::write(&elsewhere, "mine").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &left).unwrap();
    uploader.write_file(&server.target, &path, b"new", None).await.unwrap();
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"mine");
    assert!(std::fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(names_in(&server.path("snippets")), ["a.yml"]);
}

fn names_in(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_command_gets_its_arguments_as_they_are_and_tells_how_it_ended() {
    let Some(server) = sshd::start("ed25519") else { return };
    if server.settings().username != "root" {
        eprintln!("skipped: sudo may ask somebody else than root");
        return;
    }
    let uploader = SshUploader::new(server.settings());
    let most = Duration::from_secs(30);
    let arguments = ["printf", "%s|", "a b", "", "it's $HOME; `id`"];
    let output = uploader.run_as_root(&server.target, &arguments, most).await.unwrap();
    assert_eq!((output.stdout.as_str(), output.exit), ("a b||it's $HOME; `id`|", SshExit::Code(0)));
    let failing = ["sh", "-c", "echo out; echo err >&2; exit 7"];
    let output = uploader.run_as_root(&server.target, &failing, most).await.unwrap();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(output.exit, SshExit::Code(7));
    let late = uploader.run_as_root(&server.target, &["cat"], Duration::from_millis(50)).await;
    assert_eq!(late.unwrap_err().kind, SshErrorKind::Lost);
}
