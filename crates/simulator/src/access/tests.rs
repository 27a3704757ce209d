//! Users, groups, tokens, roles and realms as PVE::API2::User, Group, ACL and Domains answer.

use serde_json::json;

use crate::calls::Calls;

#[test]
fn what_is_empty_is_not_there_but_an_address_before_a_comment() {
    let root = Calls::new();
    root.ok("POST", "/access/users", &[("userid", "a@pve"), ("comment", "x"), ("firstname", "")]);
    let read = root.get("/access/users/a@pve");
    assert_eq!((&read["email"], &read["firstname"]), (&json!(""), &json!(null)));
    root.ok("PUT", "/access/users/a@pve", &[("comment", "")]);
    let read = root.get("/access/users/a@pve");
    assert_eq!((&read["email"], &read["comment"]), (&json!(null), &json!(null)));
}

#[test]
fn a_token_loses_its_comment_and_with_the_token_its_secret() {
    let root = Calls::new();
    let path = "/access/users/root@pam/token/ci";
    let made = root.ok("POST", path, &[("comment", "x")]);
    assert_eq!(made["info"], json!({ "comment": "x", "privsep": 1 }));
    let old = format!("root@pam!ci={}", made["value"].as_str().unwrap());
    root.ok("PUT", "/access/acl", &[("path", "/"), ("roles", "PVEAuditor"), ("tokens", "root@pam!ci")]);
    root.token(&old).get("/nodes");
    let other = root.refused("PUT", path, &[("delete", "expire")]);
    assert_eq!(
        other,
        "500 updating token info failed: 400 Parameter verification failed.\ndelete: unknown option 'expire'"
    );
    let changed = root.ok("PUT", path, &[("delete", "comment"), ("privsep", "0")]);
    assert_eq!(changed, json!({ "privsep": "0", "expire": 0 }));
    root.ok("DELETE", path, &[]);
    assert_eq!(root.token(&old).refused("GET", "/nodes", &[]), "401 Authentication failed!");
}

#[test]
fn groups_are_listed_for_who_may_see_them() {
    let root = Calls::new();
    root.ok("POST", "/access/groups", &[("groupid", "seen")]);
    root.ok("POST", "/access/groups", &[("groupid", "hidden")]);
    let user = root.user("a@pve", &[("/access/groups/seen", "PVEUserAdmin")]);
    assert_eq!(user.get("/access/groups"), json!([{ "groupid": "seen", "users": "" }]));
}

#[test]
fn a_password_needs_a_realm_that_keeps_it() {
    let root = Calls::new();
    let openid =
        [("realm", "sso"), ("type", "openid"), ("issuer-url", "https://sso.test"), ("client-id", "pve")];
    root.ok("POST", "/access/domains", &openid);
    let create = |name| root.refused("POST", "/access/users", &[("userid", name), ("password", "secret12")]);
    assert_eq!(create("a@sso"), "500 create user failed: can't set password on auth type 'openid'");
    assert_eq!(create("a@none"), "500 create user failed: auth domain 'none' does not exist");
    root.ok("POST", "/access/users", &[("userid", "a@sso")]);
    let listed = root.get("/access/users");
    assert_eq!((&listed[0]["userid"], &listed[0]["realm-type"]), (&json!("a@sso"), &json!("openid")));
}

#[test]
fn a_realm_loses_what_is_named_but_not_what_it_needs() {
    let root = Calls::new();
    let made = [
        ("realm", "dir"),
        ("type", "ldap"),
        ("server1", "h.test"),
        ("base_dn", "dc=x"),
        ("user_attr", "uid"),
    ];
    root.ok("POST", "/access/domains", &made);
    root.ok("PUT", "/access/domains/dir", &[("delete", "comment,port")]);
    let needed = root.refused("PUT", "/access/domains/dir", &[("delete", "server1")]);
    let text = "section 'dir' - missing value for required option 'server1'";
    assert_eq!(needed, format!("500 update auth server failed: {text}"));
    let absent = root.refused("PUT", "/access/domains/none", &[("comment", "x")]);
    assert_eq!(absent, "500 update auth server failed: domain 'none' does not exist");
}

#[test]
fn who_may_not_change_permissions_hands_out_what_they_have() {
    let root = Calls::new();
    root.ok("POST", "/access/users", &[("userid", "b@pve")]);
    let user = root.user("a@pve", &[("/vms/100", "PVEVMAdmin")]);
    let give = |role| [("path", "/vms/100"), ("users", "b@pve"), ("roles", role)];
    user.ok("PUT", "/access/acl", &give("PVEVMUser"));
    let more = user.refused("PUT", "/access/acl", &give("PVEAuditor"));
    let text = "Cannot add role 'PVEAuditor' - requires 'Permissions.Modify' or superset of privileges.";
    assert_eq!(more, format!("500 ACL update failed: 400 Parameter verification failed.\nrole: {text}"));
    let gone = [("path", "/vms/100"), ("users", "c@pve"), ("roles", "PVEVMUser"), ("delete", "1")];
    assert_eq!(
        root.refused("PUT", "/access/acl", &gone),
        "500 ACL update failed: user 'c@pve' does not exist"
    );
}

#[test]
fn roots_ticket_deletes_a_user_that_is_not_there() {
    let root = Calls::new();
    root.ok("DELETE", "/access/users/none@pve", &[]);
    let token = root.token(&root.simulator.token());
    assert_eq!(token.refused("DELETE", "/access/users/none@pve", &[]), "500 no such user ('none@pve')");
}
