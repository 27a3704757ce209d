//! Accounts and plugins for certificates by ACME (PVE::API2::ACMEAccount, PVE::API2::ACMEPlugin). The directory is not
//! asked: every account is accepted.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;
use crate::schema::formats::split_list;
use crate::sections::{File, Texts, Type};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/acme", |_| {
        Ok(["account", "tos", "meta", "directories", "plugins", "challenge-schema"]
            .map(|name| json!({ "name": name }))
            .into())
    }),
    ("GET", "/cluster/acme/plugins", plugins),
    ("POST", "/cluster/acme/plugins", |request| FILE.create(request)),
    ("GET", "/cluster/acme/plugins/{id}", plugin),
    ("PUT", "/cluster/acme/plugins/{id}", |request| FILE.update(request)),
    ("DELETE", "/cluster/acme/plugins/{id}", delete_plugin),
    ("GET", "/cluster/acme/account", accounts),
    ("POST", "/cluster/acme/account", register),
    ("GET", "/cluster/acme/account/{name}", account),
    ("PUT", "/cluster/acme/account/{name}", update_account),
    ("DELETE", "/cluster/acme/account/{name}", deactivate),
    ("GET", "/cluster/acme/tos", |_| Ok(json!(TERMS))),
    ("GET", "/cluster/acme/meta", |_| {
        Ok(
            json!({ "termsOfService": TERMS, "website": "https://letsencrypt.org", "externalAccountRequired": 0 }),
        )
    }),
    ("GET", "/cluster/acme/directories", |_| {
        Ok(DIRECTORIES.map(|(name, url)| json!({ "name": name, "url": url })).into())
    }),
    ("GET", "/cluster/acme/challenge-schema", |_| {
        Ok(["acmedns", "cf", "desec", "gandi_livedns", "hetzner", "nsupdate", "pdns"]
            .map(|id| json!({ "id": id, "name": id, "type": "dns", "schema": {} }))
            .into())
    }),
];

const TERMS: &str = "https://letsencrypt.org/documents/LE-SA-v1.5-February-24-2025.pdf";
const DIRECTORIES: [(&str, &str); 2] = [
    ("Let's Encrypt V2", "https://acme-v02.api.letsencrypt.org/directory"),
    ("Let's Encrypt V2 Staging", "https://acme-staging-v02.api.letsencrypt.org/directory"),
];

const FILE: File = File {
    name: "priv/acme/plugins.cfg",
    id: "id",
    schema: "/cluster/acme/plugins",
    types: &[
        Type {
            name: "dns",
            required: &["api"],
            options: &["data", "nodes", "disable", "validation-delay"],
            fixed: &[],
        },
        Type { name: "standalone", required: &[], options: &["nodes", "disable"], fixed: &[] },
    ],
    default_type: None,
    secrets: &[],
    texts: Texts {
        create: "",
        update: "",
        delete: "",
        exists: "ACME plugin ID '{}' already exists",
        missing: "ACME plugin ID '{}' does not exist",
    },
};

/// An account with a directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub directory: String,
    pub contact: Vec<String>,
    pub terms: Option<String>,
    pub location: String,
    pub created: u64,
}

fn shown(request: &Request<'_>, id: &str) -> Option<Value> {
    let options = FILE.sections(request.state).get(id)?;
    let mut row = FILE.shown(request.state, id, options);
    row.insert("plugin".to_owned(), json!(id));
    row.remove("id");
    Some(Value::Object(row))
}

/// The one for HTTP challenges is always there.
fn standalone(request: &Request<'_>) -> Value {
    json!({
        "plugin": "standalone", "type": "standalone", "digest": crate::sections::digest(FILE.sections(request.state)),
    })
}

fn plugins(request: &mut Request<'_>) -> Answer {
    let wanted = request.get("type").map(str::to_owned);
    let mut rows: Vec<Value> =
        FILE.sections(request.state).keys().filter_map(|id| shown(request, id)).collect();
    if !FILE.sections(request.state).contains_key("standalone") {
        rows.push(standalone(request));
    }
    rows.retain(|row| wanted.as_ref().is_none_or(|wanted| row["type"] == json!(wanted)));
    Ok(Value::Array(rows))
}

fn plugin(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    match shown(request, &id) {
        Some(row) => Ok(row),
        None if id == "standalone" => Ok(standalone(request)),
        None => Err(FILE.missing("", &id)),
    }
}

/// One that is not there is no error.
fn delete_plugin(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    FILE.sections_mut(request.state).remove(&id);
    Ok(Value::Null)
}

fn account_name(request: &Request<'_>) -> String {
    request.get("name").unwrap_or("default").to_owned()
}

fn contacts(request: &Request<'_>) -> Option<Vec<String>> {
    let list = request.get("contact")?;
    Some(split_list(list).map(|address| format!("mailto:{address}")).collect())
}

fn accounts(request: &mut Request<'_>) -> Answer {
    Ok(request.state.acme_accounts.keys().map(|name| json!({ "name": name })).collect())
}

fn missing(name: &str) -> Failure {
    Failure::died(format!("ACME account config file '{name}' does not exist."))
}

fn account(request: &mut Request<'_>) -> Answer {
    let name = account_name(request);
    let account = request.state.acme_accounts.get(&name).ok_or_else(|| missing(&name))?;
    let created = crate::tasks::clock(account.created).replace(' ', "T") + "Z";
    let mut row = Map::from_iter([
        (
            "account".to_owned(),
            json!({ "contact": account.contact, "createdAt": created, "status": "valid" }),
        ),
        ("directory".to_owned(), json!(account.directory)),
        ("location".to_owned(), json!(account.location)),
    ]);
    if let Some(terms) = &account.terms {
        row.insert("tos".to_owned(), json!(terms));
    }
    Ok(Value::Object(row))
}

fn register(request: &mut Request<'_>) -> Answer {
    let name = account_name(request);
    if request.state.acme_accounts.contains_key(&name) {
        return Err(Failure::parameter("name", format!("ACME account config file '{name}' already exists.")));
    }
    let directory = request.get("directory").unwrap_or(DIRECTORIES[0].1).to_owned();
    let contact = contacts(request).unwrap_or_default();
    let terms = request.get("tos_url").map(str::to_owned);
    Ok(request.task("acmeregister", &name.clone(), |request, outcome| {
        outcome.say("Registering ACME account..");
        let number = 100_000_000 + request.state.acme_accounts.len();
        let base = directory.trim_end_matches("/directory");
        let location = format!("{base}/acme/acct/{number}");
        outcome.say(format!("Registration successful, account URL: '{location}'"));
        let account = Account { directory, contact, terms, location, created: request.seconds() };
        request.state.acme_accounts.insert(name, account);
        Ok(())
    }))
}

fn update_account(request: &mut Request<'_>) -> Answer {
    let name = account_name(request);
    let contact = contacts(request);
    let Some(account) = request.state.acme_accounts.get_mut(&name) else { return Err(missing(&name)) };
    if let Some(contact) = contact {
        account.contact = contact;
    }
    Ok(request.submit("acmeupdate", &name, Outcome::default()))
}

fn deactivate(request: &mut Request<'_>) -> Answer {
    let name = account_name(request);
    if request.state.acme_accounts.remove(&name).is_none() {
        return Err(missing(&name));
    }
    let mut outcome = Outcome::default();
    outcome.say(format!(
        "Renaming account file from '/etc/pve/priv/acme/{name}' to '/etc/pve/priv/acme/_deactivated_{name}_0'"
    ));
    Ok(request.submit("acmedeactivate", &name, outcome))
}
