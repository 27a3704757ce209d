//! Who may ask: API tokens, tickets, and the check against forged requests.

mod built_in;
pub(crate) mod enforcement;
mod factors;
mod groups;
pub(crate) mod guest_options;
mod login;
pub(crate) mod permissions;
mod realms;
mod roles;
#[cfg(test)]
mod tests;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;

pub(crate) use factors::ROUTES as FACTOR_ROUTES;
pub(crate) use groups::ROUTES as GROUP_ROUTES;
pub(crate) use login::{
    Credentials, ROUTES as LOGIN_ROUTES, check_console, console_ticket, identify, is_open, is_password,
    register,
};
pub(crate) use realms::{ROUTES as REALM_ROUTES, built_in as realms};
pub(crate) use roles::ROUTES as ROLE_ROUTES;
pub(crate) use users::{ROUTES as USER_ROUTES, verify_name};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/access", |_| {
        let names = ["users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password"];
        Ok(names.iter().map(|name| json!({ "subdir": name })).collect())
    }),
    ("GET", "/access/permissions", list_permissions),
];

/// Users, groups, roles and who has which.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Access {
    pub users: BTreeMap<String, users::User>,
    /// Group to comment.
    pub groups: BTreeMap<String, Option<String>>,
    /// Role to privileges, without the built-in ones.
    pub roles: BTreeMap<String, BTreeSet<String>>,
    pub entries: Vec<roles::Entry>,
}

impl Default for Access {
    fn default() -> Self {
        let options = [("enable", "1"), ("expire", "0")];
        let options = options.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
        let root = users::User { options, ..users::User::default() };
        Access {
            users: BTreeMap::from([("root@pam".to_owned(), root)]),
            groups: BTreeMap::new(),
            roles: BTreeMap::new(),
            entries: Vec::new(),
        }
    }
}

fn list_permissions(request: &mut Request<'_>) -> Answer {
    let asker = request.identity.full_name();
    let who = request.get("userid").unwrap_or(&asker).to_owned();
    let own_token = who.split_once('!').is_some_and(|(user, _)| user == asker);
    if who != asker && !own_token {
        request.check("/access", &["Sys.Audit"])?;
    }
    let shown = |privileges: permissions::Privileges| -> Value {
        privileges.into_iter().map(|(name, propagates)| (name, json!(u8::from(propagates)))).collect()
    };
    let all = match request.get("path") {
        Some(path) => BTreeMap::from([(
            path.to_owned(),
            permissions::of(request.state, &who, &roles::normal_path(path)),
        )]),
        None => permissions::effective(request.state, &who),
    };
    Ok(all.into_iter().map(|(path, privileges)| (path, shown(privileges))).collect())
}

impl Request<'_> {
    /// Refuses if the caller lacks one of the privileges.
    pub fn check(&self, path: &str, privileges: &[&str]) -> Result<(), Failure> {
        enforcement::privileges(self.state, &self.identity.full_name(), path, privileges, false)
    }

    /// Refuses if the caller has none of the privileges.
    pub fn check_any(&self, path: &str, privileges: &[&str]) -> Result<(), Failure> {
        enforcement::privileges(self.state, &self.identity.full_name(), path, privileges, true)
    }

    pub fn allows(&self, path: &str, privilege: &str) -> bool {
        self.check(path, &[privilege]).is_ok()
    }

    pub fn allows_any(&self, path: &str, privileges: &[&str]) -> bool {
        self.check_any(path, privileges).is_ok()
    }
}
