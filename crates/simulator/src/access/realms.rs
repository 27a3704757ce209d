//! Realms, and users and groups that are taken over from a directory.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;
use crate::schema::formats::split_list;
use crate::sections::{File, MODIFIED, Sections, Texts, Type, check_options, digest};
use crate::state::State;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/access/domains", list),
    ("POST", "/access/domains", create),
    ("GET", "/access/domains/{realm}", read),
    ("PUT", "/access/domains/{realm}", update),
    ("DELETE", "/access/domains/{realm}", |request| FILE.delete(request)),
    ("POST", "/access/domains/{realm}/sync", synchronise),
];

const PLAIN: &[&str] = &["comment", "default", "tfa"];
const DIRECTORY: &[&str] = &[
    "server2",
    "bind_dn",
    "password",
    "port",
    "secure",
    "sslversion",
    "default",
    "comment",
    "tfa",
    "verify",
    "capath",
    "cert",
    "certkey",
    "filter",
    "sync_attributes",
    "user_classes",
    "group_dn",
    "group_name_attr",
    "group_filter",
    "group_classes",
    "sync-defaults-options",
    "mode",
    "case-sensitive",
    // One of the two is required in the one kind, optional in the other.
    "base_dn",
    "user_attr",
];

const TYPES: &[Type] = &[
    Type { name: "pam", required: &[], options: PLAIN, fixed: &[] },
    Type { name: "pve", required: &[], options: PLAIN, fixed: &[] },
    Type { name: "ldap", required: &["server1", "base_dn", "user_attr"], options: DIRECTORY, fixed: &[] },
    Type { name: "ad", required: &["server1", "domain"], options: DIRECTORY, fixed: &[] },
    Type {
        name: "openid",
        required: &["issuer-url", "client-id"],
        options: &[
            "client-key",
            "autocreate",
            "groups-claim",
            "groups-autocreate",
            "groups-overwrite",
            "prompt",
            "scopes",
            "acr-values",
            "audiences",
            "default",
            "comment",
            "query-userinfo",
        ],
        fixed: &["username-claim"],
    },
];

pub(super) const FILE: File = File {
    name: "domains.cfg",
    id: "realm",
    schema: "/access/domains",
    types: TYPES,
    default_type: None,
    secrets: &["password"],
    texts: Texts {
        create: "add auth server failed: ",
        update: "update auth server failed: ",
        delete: "delete auth server failed: authentication ",
        exists: "domain '{}' already exists",
        missing: "domain '{}' does not exist",
    },
};

/// The realms of a new installation.
pub(crate) fn built_in() -> Sections {
    [("pam", "Linux PAM"), ("pve", "Proxmox VE authentication server")]
        .map(|(name, comment)| {
            let options = [("type", name), ("comment", comment)];
            (name.to_owned(), options.map(|(key, text)| (key.to_owned(), text.to_owned())).into())
        })
        .into()
}

/// The type of a realm.
pub(super) fn kind<'a>(state: &'a State, realm: &str) -> Option<&'a str> {
    FILE.sections(state).get(realm)?.get("type").map(String::as_str)
}

/// Refuses a password for a realm that keeps none.
pub(super) fn check_password(state: &State, realm: &str) -> Result<(), Failure> {
    match kind(state, realm) {
        Some("pam" | "pve") => Ok(()),
        Some(kind) => Err(Failure::died(format!("can't set password on auth type '{kind}'"))),
        None => Err(Failure::died(format!("auth domain '{realm}' does not exist"))),
    }
}

fn list(request: &mut Request<'_>) -> Answer {
    let rows = FILE.sections(request.state).iter().map(|(realm, options)| {
        let mut row = json!({ "realm": realm, "type": options.get("type") });
        if let Some(comment) = options.get("comment").filter(|comment| !comment.is_empty()) {
            row["comment"] = json!(comment);
        }
        if options.get("default").is_some_and(|value| value == "1") {
            row["default"] = json!(1);
        }
        if let Some(tfa) = options.get("tfa") {
            let kind = tfa.split(',').find_map(|part| part.strip_prefix("type="));
            row["tfa"] = json!(kind.unwrap_or_default());
        }
        row
    });
    Ok(rows.collect())
}

fn read(request: &mut Request<'_>) -> Answer {
    let mut data = FILE.read(request)?;
    if let Some(row) = data.as_object_mut() {
        row.remove("realm");
    }
    Ok(data)
}

fn is_directory(kind: &str) -> bool {
    matches!(kind, "ldap" | "ad")
}

fn create(request: &mut Request<'_>) -> Answer {
    let (realm, kind) = (request.text("realm"), request.text("type"));
    let failed = |text: String| Err(Failure::died(format!("add auth server failed: {text}")));
    FILE.check_new(request.state, &realm)?;
    if matches!(realm.as_str(), "pam" | "pve") {
        return failed(format!("unable to use reserved name '{realm}'"));
    }
    if matches!(kind.as_str(), "pam" | "pve") {
        return failed(format!("unable to create builtin type '{kind}'"));
    }
    check_connection(request, "add auth server failed: ", &kind)?;
    if !is_directory(&kind) {
        // Ignored with a warning in the journal.
        request.parameters.remove("password");
    }
    let data = FILE.create(request)?;
    only_default(request, &realm);
    Ok(data)
}

fn check_connection(request: &mut Request<'_>, prefix: &str, kind: &str) -> Result<(), Failure> {
    match request.parameters.remove("check-connection") {
        Some(_) if !is_directory(kind) => Err(Failure::died(format!(
            "{prefix}'check-connection' parameter can only be set for realms of type 'ldap' or 'ad'"
        ))),
        _ => Ok(()),
    }
}

/// One realm is the default: the one that was made it last.
fn only_default(request: &mut Request<'_>, realm: &str) {
    let sections = FILE.sections_mut(request.state);
    if sections.get(realm).and_then(|options| options.get("default")).is_some_and(|value| value == "1") {
        for (_, options) in sections.iter_mut().filter(|(name, _)| *name != realm) {
            options.remove("default");
        }
    }
}

fn update(request: &mut Request<'_>) -> Answer {
    let (realm, prefix) = (request.text("realm"), FILE.texts.update);
    let failed = |text: &str| Failure::died(format!("{prefix}{text}"));
    let sections = FILE.sections(request.state);
    request.check_digest(&digest(sections), MODIFIED).map_err(|failure| FILE.prefixed(prefix, failure))?;
    let mut options = sections.get(&realm).cloned().ok_or_else(|| FILE.missing(prefix, &realm))?;
    let name = options.get("type").cloned().unwrap_or_default();
    check_connection(request, prefix, &name)?;
    let mut set = FILE.set(request);
    let delete = request.get("delete").unwrap_or_default().to_owned();
    if delete.is_empty() && set.is_empty() {
        return Err(failed("no options specified"));
    }
    // Whatever is named is taken away, also what the realm does not have or does need.
    for key in split_list(&delete) {
        options.remove(key);
    }
    if !is_directory(&name) {
        set.remove("password");
    }
    let Some(kind) = FILE.kind(&name) else { return Err(FILE.missing(prefix, &realm)) };
    check_options(kind, &set, false).map_err(|failure| FILE.prefixed(prefix, failure))?;
    options.extend(set);
    if let Some(absent) = kind.required.iter().find(|key| !options.contains_key(**key)) {
        return Err(failed(&format!("section '{realm}' - missing value for required option '{absent}'")));
    }
    FILE.sections_mut(request.state).insert(realm.clone(), options);
    only_default(request, &realm);
    Ok(Value::Null)
}

/// There is no directory to take users from: the task says what it would do.
fn synchronise(request: &mut Request<'_>) -> Answer {
    let realm = request.text("realm");
    let Some(options) = FILE.sections(request.state).get(&realm) else {
        return Err(Failure::parameter("realm", "Realm does not exist."));
    };
    let kind = options.get("type").cloned().unwrap_or_default();
    if !is_directory(&kind) {
        let text = format!("Cannot sync realm type '{kind}'! Only LDAP/AD realms can be synced.");
        return Err(Failure::died(text));
    }
    let defaults = options.get("sync-defaults-options").cloned().unwrap_or_default();
    let scope = request
        .get("scope")
        .map(str::to_owned)
        .or_else(|| defaults.split(',').find_map(|part| part.strip_prefix("scope=")).map(str::to_owned));
    let Some(scope) = scope else {
        let text = "scope - Not passed as parameter and not defined in realm default sync options.";
        return Err(Failure::parameter("scope", text));
    };
    let trial = request.flag("dry-run");
    let mut outcome = Outcome::default();
    if trial {
        outcome.say("NOTE: dry test run, changes will not be written to the configuration.");
    }
    outcome.say(format!("starting sync for realm {realm}"));
    outcome.say(format!("syncing {scope}"));
    let left = if trial { "finished dry run" } else { "successfully updated" };
    outcome.say(format!("{left} {scope} configuration"));
    Ok(request.submit("auth-realm-sync", &realm, outcome))
}
