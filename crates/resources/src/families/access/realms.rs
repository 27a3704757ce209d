//! Realms of users that others authenticate, and their synchronisation.

use pve_model::rules::Problem;
use pve_model::{Path, Value};

use crate::cluster::Method;
use crate::definition::{flag, number, problem, text};
use crate::limits;
use crate::object::{Delete, Hooks, Object, Read, Removal};
use crate::operations::Proof;

const PLACE: &str = "/access/domains/{realm}";

fn realm(names: &'static [&'static str], kind: &'static [(&'static str, &'static str)]) -> Object {
    Object { names, what: "realm", constants: kind, ..Object::listed("/access/domains", PLACE, "{realm}") }
}

/// `proxmox_realm_ldap`
pub(super) fn ldap() -> Object {
    Object {
        about: "A realm whose users an LDAP server authenticates. The API does not tell the password of the bind user.",
        fields: vec![
            ("base_dn", text().required()),
            ("bind_dn", text()),
            ("bind_password", text().sensitive().param("password").unread()),
            ("ca_path", text().param("capath")),
            ("case_sensitive", flag().computed().or(true).param("case-sensitive")),
            ("cert_key_path", text().param("certkey")),
            ("cert_path", text().param("cert")),
            ("comment", text()),
            ("default", flag().computed().or(false)),
            ("filter", text()),
            ("group_classes", text()),
            ("group_dn", text()),
            ("group_filter", text()),
            ("group_name_attr", text()),
            ("id", text().read_only()),
            ("mode", text().one_of(&["ldap", "ldaps", "ldap+starttls"])),
            ("port", number().range(1, 65535)),
            ("realm", text().required().replaces().only_made().checked(limits::realm)),
            ("secure", flag().computed().or(false).deprecated("use mode instead")),
            ("server1", text().required()),
            ("server2", text()),
            ("ssl_version", text().param("sslversion").one_of(&["tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3"])),
            ("sync_attributes", text()),
            ("sync_defaults_options", text().param("sync-defaults-options")),
            ("user_attr", text().computed().or("uid")),
            ("user_classes", text()),
            ("verify", flag().computed().or(false)),
        ],
        example: r#"
  realm   = "example"
  server1 = "ldap.example.test"
  base_dn = "ou=people,dc=example,dc=test"
  mode    = "ldaps"
"#,
        hooks: &Ldap,
        ..realm(&["proxmox_realm_ldap", "proxmox_virtual_environment_realm_ldap"], &[("type", "ldap")])
    }
}

struct Ldap;

impl Hooks for Ldap {
    /// What is of no use alone.
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let is_set = |name| config.get(name).is_some_and(|part| !part.is_null());
        let pairs =
            [("bind_password", "bind_dn"), ("cert_key_path", "cert_path"), ("cert_path", "cert_key_path")];
        let alone = pairs.into_iter().filter(|(name, other)| is_set(name) && !is_set(other));
        alone.map(|(name, other)| needs(name, other)).collect()
    }
}

fn needs(name: &str, other: &str) -> Problem {
    problem(
        Path::attribute(name),
        format!("{name} needs {other}"),
        format!("set {other}, or leave {name} out"),
    )
}

/// What stands in an address as it is (PVE::Auth::OpenId, after RFC 2396).
fn in_addresses(text: &str) -> Option<String> {
    let fits = text.chars().all(|letter| !letter.is_control() && !" <>#\"".contains(letter));
    (!fits).then(|| format!("{text:?} has a blank, a control character, or one of < > # \" in it"))
}

/// `proxmox_realm_openid`
pub(super) fn openid() -> Object {
    Object {
        about: "A realm whose users an OpenID Connect provider authenticates. The API does not tell the client's key.",
        fields: vec![
            ("acr_values", text().param("acr-values")),
            (
                "audiences",
                text()
                    .checked(in_addresses)
                    .means("taken by libpve-access-control 9.1.1 (May 2026) and later"),
            ),
            ("autocreate", flag().computed()),
            ("client_id", text().required().param("client-id")),
            ("client_key", text().sensitive().param("client-key").unread()),
            ("client_key_wo", text().sensitive().param("client-key").write_only()),
            ("client_key_wo_version", number().local()),
            ("comment", text()),
            ("default", flag().computed()),
            ("groups_autocreate", flag().computed().param("groups-autocreate")),
            ("groups_claim", text().param("groups-claim")),
            ("groups_overwrite", flag().computed().param("groups-overwrite")),
            ("id", text().read_only()),
            ("issuer_url", text().required().param("issuer-url")),
            ("prompt", text()),
            ("query_userinfo", flag().computed().param("query-userinfo").absent(true)),
            ("realm", text().required().replaces().only_made().checked(limits::realm)),
            ("scopes", text().computed().absent("email profile")),
            ("username_claim", text().replaces().param("username-claim").only_made()),
        ],
        example: r#"
  realm          = "sso"
  issuer_url     = "https://login.example.test"
  client_id      = "pve"
  username_claim = "username"
"#,
        ..realm(&["proxmox_realm_openid", "proxmox_virtual_environment_realm_openid"], &[("type", "openid")])
    }
}

/// `proxmox_realm_sync`
pub(super) fn sync() -> Object {
    Object {
        names: &["proxmox_realm_sync", "proxmox_virtual_environment_realm_sync"],
        what: "synchronisation of realm",
        about: "Synchronises the users and groups of a realm when it is made and whenever it is changed. Destroying it \
                undoes nothing.",
        fields: vec![
            ("dry_run", flag().param("dry-run").unread()),
            ("enable_new", flag().param("enable-new").unread()),
            ("full", flag().unread().deprecated("use remove_vanished instead")),
            ("id", text().read_only()),
            ("purge", flag().unread().deprecated("use remove_vanished instead")),
            ("realm", text().required().replaces().unsent()),
            ("remove_vanished", text().param("remove-vanished").unread()),
            ("scope", text().one_of(&["users", "groups", "both"]).unread()),
        ],
        create: (Method::Post, "/access/domains/{realm}/sync"),
        read: Read::At(PLACE),
        update: (Method::Post, "/access/domains/{realm}/sync"),
        delete: Delete::Stays,
        removal: Removal::Absence,
        whole: true,
        id: "{realm}",
        import: "{realm}",
        proof: Proof::Repeated,
        example: r#"
  realm = proxmox_realm_ldap.directory.realm
  scope = "both"
"#,
        beside: r#"
resource "proxmox_realm_ldap" "directory" {
  realm     = "directory"
  server1   = "ldap.example.test"
  base_dn   = "ou=people,dc=example,dc=test"
  user_attr = "uid"
}
"#,
        ..Object::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audiences_stand_in_an_address_as_they_are() {
        for good in ["1234567890", "api://pve,web", ""] {
            assert_eq!(in_addresses(good), None);
        }
        for bad in ["a b", "a\n", "<a>", "a#b", "\"a\""] {
            assert!(in_addresses(bad).is_some(), "{bad}");
        }
    }
}
