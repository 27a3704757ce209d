//! The rules of Proxmox VE in tables: what a change takes from whom.

use super::*;

fn holder(name: &str) -> Holder {
    match name.strip_prefix('@') {
        Some(group) => Holder::Group(group.into()),
        None if name.contains('!') => Holder::Token(name.into()),
        None => Holder::User(name.into()),
    }
}

/// `/path holder role`, with a `-` at the end where it does not propagate.
fn entry(text: &str) -> (Entry, bool) {
    let parts: Vec<&str> = text.split(' ').collect();
    let entry = Entry { path: parts[0].into(), holder: holder(parts[1]), role: parts[2].into() };
    (entry, parts.get(3) != Some(&"-"))
}

fn grant(text: &str) -> Change {
    let (entry, propagate) = entry(text);
    Change::Grant(entry, propagate)
}

fn revoke(text: &str) -> Change {
    Change::Revoke(entry(text).0)
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn access(token: Option<(&str, bool)>, entries: &[&str]) -> Access {
    let roles = [
        ("Admin", ["Permissions.Modify", "Sys.Audit", "VM.Audit"].as_slice()),
        ("Same", &["Permissions.Modify", "Sys.Audit", "VM.Audit"]),
        ("Audit", &["Sys.Audit", "VM.Audit"]),
        ("NoAccess", &[]),
    ];
    Access {
        user: "a@pve".into(),
        token: token.map(|(token, _)| token.into()),
        separated: token.is_some_and(|(_, separated)| separated),
        groups: set(&["admins"]),
        entries: entries.iter().map(|text| entry(text)).collect(),
        roles: roles.map(|(name, privileges)| (name.to_string(), set(privileges))).into_iter().collect(),
    }
}

fn lost(access: &Access, changes: &[Change]) -> Option<String> {
    access.loss(changes).map(|loss| match loss {
        Loss::Privilege { privilege, path, .. } => format!("{privilege} {path}"),
        Loss::Login(how) => how.to_string(),
    })
}

#[test]
fn entries_on_deeper_paths_replace_inherited_ones_and_no_access_beats_all() {
    let own = access(None, &["/ a@pve Admin"]);
    let modify = |path: &str| Some(format!("Permissions.Modify {path}"));
    assert_eq!(lost(&own, &[grant("/access a@pve NoAccess")]), modify("/access"));
    assert_eq!(lost(&own, &[grant("/vms a@pve Audit")]), modify("/vms"));
    assert_eq!(lost(&own, &[grant("/vms/100 a@pve Audit")]), modify("/vms/100"));
    assert_eq!(lost(&own, &[grant("/ a@pve NoAccess")]), modify("/"));
    assert_eq!(lost(&own, &[grant("/ a@pve Audit")]), None, "roles on one path add up");
    assert_eq!(lost(&own, &[grant("/vms a@pve Same")]), None);
    assert_eq!(lost(&own, &[grant("/ a@pve Admin -")]), modify("what is below /"));
    assert_eq!(lost(&own, &[grant("/ a@pve Same"), revoke("/ a@pve Admin")]), None);
    assert_eq!(lost(&own, &[revoke("/ a@pve Admin"), grant("/ a@pve Same")]), modify("/"));
    assert_eq!(lost(&own, &[grant("/ b@pve NoAccess"), grant("/ a@pve!other NoAccess")]), None);
}

#[test]
fn what_gives_permissions_back_is_no_loss() {
    let weak =
        access(None, &["/ a@pve Admin", "/access a@pve NoAccess", "/vms a@pve Audit", "/nodes a@pve Same"]);
    for gain in ["/access a@pve NoAccess", "/vms a@pve Audit", "/nodes a@pve Same"] {
        assert_eq!(lost(&weak, &[revoke(gain)]), None, "{gain}");
    }
    let none = access(None, &["/ a@pve Admin", "/ a@pve NoAccess"]);
    assert_eq!(lost(&none, &[revoke("/ a@pve NoAccess")]), None);
}

#[test]
fn own_entries_outdo_those_of_groups() {
    let of_group = access(None, &["/ @admins Admin"]);
    let gone = Some("Permissions.Modify /".to_string());
    assert_eq!(lost(&of_group, &[grant("/ a@pve Audit")]), gone);
    assert_eq!(lost(&of_group, &[grant("/ a@pve Same")]), None);
    assert_eq!(lost(&of_group, &[revoke("/ @admins Admin")]), gone);
    assert_eq!(lost(&of_group, &[revoke("/ @others Admin")]), None);
    assert_eq!(lost(&of_group, &[Change::NoGroup("admins".into())]), gone);
    assert_eq!(lost(&of_group, &[Change::Groups("a@pve".into(), set(&[]))]), gone);
    assert_eq!(lost(&of_group, &[Change::Groups("a@pve".into(), set(&["admins", "more"]))]), None);
    let both = access(None, &["/ @admins Admin", "/ a@pve Same"]);
    assert_eq!(lost(&both, &[Change::NoGroup("admins".into())]), None);
}

#[test]
fn roles_matter_where_they_are_used() {
    let own = access(None, &["/ a@pve Admin"]);
    let less = |role: &str| Change::Role(role.into(), set(&["Sys.Audit"]));
    assert_eq!(lost(&own, &[less("Admin")]), Some("Permissions.Modify /".into()));
    assert_eq!(lost(&own, &[less("Same")]), None);
    assert_eq!(lost(&own, &[Change::NoRole("Admin".into())]), Some("Permissions.Modify /".into()));
    let twice = access(None, &["/ a@pve Admin", "/ a@pve Same"]);
    assert_eq!(lost(&twice, &[less("Admin")]), None);
}

#[test]
fn tokens_have_what_is_theirs_and_their_users() {
    let token = "a@pve!ci";
    let open = access(Some((token, false)), &["/ a@pve Admin", "/ a@pve!ci Audit"]);
    assert_eq!(lost(&open, &[revoke("/ a@pve!ci Audit")]), None, "its entries mean nothing");
    assert_eq!(lost(&open, &[Change::Separation(token.into(), true)]), Some("Permissions.Modify /".into()));
    assert_eq!(lost(&open, &[Change::Shut(token.into(), "gone")]), Some("gone".into()));
    assert_eq!(lost(&open, &[Change::Shut("b@pve".into(), "gone")]), None);
    let own = access(Some((token, true)), &["/ a@pve Admin", "/ a@pve!ci Audit"]);
    assert_eq!(lost(&own, &[revoke("/ a@pve!ci Audit")]), Some("Sys.Audit /".into()));
    assert_eq!(lost(&own, &[revoke("/ a@pve Admin")]), Some("Sys.Audit /".into()));
    assert_eq!(lost(&own, &[grant("/ a@pve Audit"), revoke("/ a@pve Admin")]), None);
    let root = Access { user: "root@pam".into(), token: Some("root@pam!t".into()), ..own };
    assert_eq!(lost(&root, &[revoke("/ root@pam Admin"), grant("/ root@pam NoAccess")]), None);
}

#[test]
fn what_leaves_a_pool_takes_what_only_the_pool_gives() {
    let leave = |path: &str| Change::Leave { path: path.into(), pool: "/pool/px".into(), joins: None };
    let move_to = |pool: &str| Change::Leave {
        path: "/vms/100".into(),
        pool: "/pool/px".into(),
        joins: Some(pool.into()),
    };
    let held = |lines: &[(&str, &[&str])]| -> Held {
        lines.iter().map(|(path, privileges)| (path.to_string(), set(privileges))).collect()
    };
    let by_pool =
        held(&[("/", &[]), ("/vms", &[]), ("/pool/px", &["VM.Audit"]), ("/vms/100", &["VM.Audit"])]);
    let access = |entries: &[&str]| access(None, entries);
    let of_pool = access(&["/pool/px a@pve Audit"]);
    let lost = of_pool.leaves(&by_pool, &[leave("/vms/100")]);
    assert!(matches!(&lost, Some(Loss::Privilege { path, .. }) if path == "/vms/100"), "{lost:?}");
    // What is not held through the pool is not lost.
    assert_eq!(of_pool.leaves(&by_pool, &[leave("/vms/101")]), None);
    assert_eq!(of_pool.leaves(&by_pool, &[grant("/vms/100 a@pve Audit"), leave("/vms/100")]), None);
    let above = held(&[("/vms", &["VM.Audit"]), ("/pool/px", &["VM.Audit"]), ("/vms/100", &["VM.Audit"])]);
    assert_eq!(of_pool.leaves(&above, &[leave("/vms/100")]), None);
    // The pool that it joins gives it as well, or does by then; one that does not is none the better for being another.
    let both = held(&[
        ("/pool/px", &["VM.Audit"]),
        ("/pool/py", &["VM.Audit"]),
        ("/pool/pz", &["Pool.Audit"]),
        ("/vms/100", &["VM.Audit"]),
    ]);
    assert_eq!(of_pool.leaves(&both, &[move_to("/pool/py")]), None);
    assert_eq!(of_pool.leaves(&both, &[grant("/pool/new a@pve Audit"), move_to("/pool/new")]), None);
    assert!(of_pool.leaves(&both, &[move_to("/pool/pz")]).is_some());
    // What means nothing on a guest is not lost on it.
    let pool_only =
        held(&[("/pool/px", &["Pool.Allocate"]), ("/vms", &[]), ("/vms/100", &["Pool.Allocate"])]);
    assert_eq!(of_pool.leaves(&pool_only, &[leave("/vms/100")]), None);
    let everywhere = held(&[("/", &["VM.Audit"]), ("/vms/100", &["VM.Audit"])]);
    assert_eq!(of_pool.leaves(&everywhere, &[leave("/vms/100")]), None);
}
