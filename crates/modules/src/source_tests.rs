//! Source addresses against the forms that Terraform's documentation lists, and attacks on them.

use super::*;

/// A source in one line, to be compared.
fn shown(text: &str) -> String {
    let package = |package: Package| match package {
        Package::Git(git) => {
            let depth = git.depth.map(|depth| format!(" depth {depth}")).unwrap_or_default();
            format!("git {} at {}{depth}", git.url, git.reference.as_deref().unwrap_or("HEAD"))
        }
        Package::Http(http) => {
            let checksum = http.checksum.map(|checksum| format!(" {checksum}")).unwrap_or_default();
            format!("http {} {:?}{checksum}", http.url, http.archive)
        }
        Package::Folder(path) => format!("folder {}", path.display()),
    };
    match parse_source(text, "registry.example") {
        Ok(Source::Registry(module, folder)) => {
            format!("registry {} {} in {}", module.host, module.path(), folder.display())
        }
        Ok(Source::Package(found, folder)) => format!("{} in {}", package(found), folder.display()),
        Err(error) => format!("error {error} | {}", error.hint.clone().unwrap_or_default()),
    }
}

#[test]
fn the_documented_forms_are_understood() {
    let cases = [
        ("hashicorp/consul/aws", "registry registry.example hashicorp/consul/aws in "),
        ("hashicorp/consul/aws//modules/x", "registry registry.example hashicorp/consul/aws in modules/x"),
        (
            "app.terraform.io/example-corp/k8s_c/azurerm",
            "registry app.terraform.io example-corp/k8s_c/azurerm in ",
        ),
        ("LOCALHOST.localdomain:8443/a/b/c", "registry localhost.localdomain:8443 a/b/c in "),
        ("github.com/hashicorp/example", "git https://github.com/hashicorp/example.git at HEAD in "),
        (
            "github.com/hashicorp/example.git//a/b?ref=v1",
            "git https://github.com/hashicorp/example.git at v1 in a/b",
        ),
        ("github.com/hashicorp/example/a?ref=v1", "git https://github.com/hashicorp/example.git at v1 in a"),
        (
            "bitbucket.org/hashicorp/tf-consul",
            "git https://bitbucket.org/hashicorp/tf-consul.git at HEAD in ",
        ),
        (
            "git@github.com:hashicorp/example.git",
            "git ssh://git@github.com/hashicorp/example.git at HEAD in ",
        ),
        ("git::https://example.com/vpc.git", "git https://example.com/vpc.git at HEAD in "),
        (
            "git::ssh://username@example.com/storage.git",
            "git ssh://username@example.com/storage.git at HEAD in ",
        ),
        ("git::username@example.com:storage.git", "git ssh://username@example.com/storage.git at HEAD in "),
        (
            "git::https://example.com/vpc.git?ref=v1.2.0&depth=1",
            "git https://example.com/vpc.git at v1.2.0 depth 1 in ",
        ),
        (
            "git::https://example.com/n.git//modules/vpc?ref=feature/x",
            "git https://example.com/n.git at feature/x in modules/vpc",
        ),
        ("git::file:///srv/x", "git file:///srv/x at HEAD in "),
        ("https://example.com/vpc-module.zip", "http https://example.com/vpc-module.zip Some(Zip) in "),
        ("https://example.com/vpc-module?archive=zip", "http https://example.com/vpc-module Some(Zip) in "),
        (
            "https://example.com/a.tar.gz//sub?checksum=md5:00&x=y",
            "http https://example.com/a.tar.gz?x=y Some(TarGz) md5:00 in sub",
        ),
        ("https://example.com/vpc", "http https://example.com/vpc None in "),
        ("/srv/modules/a", "folder /srv/modules/a in "),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_fetched_is_refused_with_a_remedy() {
    let cases = [
        (
            "s3::https://s3-eu-west-1.amazonaws.com/b/vpc.zip",
            "Amazon S3 buckets are no source",
            "https://HOST/x.tar.gz",
        ),
        ("s3-eu-west-1.amazonaws.com/b/vpc.zip", "Amazon S3 buckets are no source", "git::https://"),
        (
            "gcs::https://www.googleapis.com/storage/v1/m/f.zip",
            "Google Cloud Storage buckets are no source",
            "registry",
        ),
        ("hg::http://example.com/vpc.hg", "Mercurial repositories are no source", "git::https://"),
        ("oci://example.com/x", "OCI registries are no source", "copy in the project"),
        ("modules/vm", "is no source of a module", "such as ./modules/vm"),
        ("gitlab.com/a/b", "is no source of a module", "git::https://gitlab.com/a/b.git"),
        ("ssh://git@example.com/a", "does not say that it is git", "git::ssh://git@example.com/a"),
        ("https://example.com/a.tar.bz2", "cannot unpack this kind of archive", "tar.gz"),
        ("https://example.com/a?archive=rar", "\"rar\" is no kind of archive", "tar.gz"),
        ("git::https://example.com/a?sshkey=secret", "`sshkey` is not supported", "SSH agent"),
        ("github.com/a", "names no repository", "github.com/OWNER/REPOSITORY"),
        ("a/B/C", "is no source of a module", "NAMESPACE/NAME/PROVIDER"),
        ("", "is no source of a module", ""),
    ];
    for (text, message, hint) in cases {
        let shown = shown(text);
        assert!(
            shown.starts_with("error") && shown.contains(message) && shown.contains(hint),
            "{text}: {shown}"
        );
    }
}

#[test]
fn nothing_can_be_taken_for_an_option_or_a_program() {
    for text in [
        "git::ext::sh -c touch% /tmp/x",
        "git::ext::sh%20-c",
        "git::--upload-pack=x",
        "--upload-pack=x",
        "git::https://example.com/a?ref=--upload-pack=x",
        "git::https://example.com/a?ref=-x",
        "git::https://example.com/a?ref=a..b",
        "git::https://example.com/a?ref=a%0Ab",
        "git::https://example.com/a?ref=",
        "git::ssh://-oProxyCommand=x/a",
        "git::ssh://-oProxyCommand=x@host/a",
        "git::-oProxyCommand=x@host:a",
        "git::https://example.com/a?depth=-1",
        "git::https://example.com/a?depth=x",
        "git::https://example.com/a//../../b",
        "a/b/c//../d",
        "https://example.com/a.zip//x/../../..",
    ] {
        assert!(shown(text).starts_with("error"), "{text}: {}", shown(text));
    }
}

#[test]
fn errors_do_not_show_credentials() {
    for text in [
        "git::https://u:secret@host/a?ref=-x",
        "git::foo://u:secret@host/a",
        "s3::https://secret@host/a",
        "https://host/a?archive=x&token=secret",
    ] {
        assert!(!shown(text).contains("secret"), "{text}: {}", shown(text));
    }
}
