//! Where notifications go (PVE::API2::Cluster::Notifications): endpoints of four types and matchers, in one file.

use serde_json::{Map, Value, json};
use sha2::Digest as _;

use crate::failure::Failure;
use crate::guests::hex;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema::{self, Kind};
use crate::sections::{MODIFIED, Sections, typed};
use crate::state::{Options, State};

const FILE: &str = "notifications.cfg";
const TOP: &str = "/cluster/notifications";

fn names(names: &[&str]) -> Answer {
    Ok(names.iter().map(|name| json!({ "name": name })).collect())
}

macro_rules! routes {
    ($(($path:literal, $kind:literal)),*) => {
        pub(crate) const ROUTES: &[Route] = &[
            ("GET", TOP, |_| {
                names(&["endpoints", "matchers", "targets", "matcher-fields", "matcher-field-values"])
            }),
            ("GET", "/cluster/notifications/endpoints", |_| names(&["gotify", "sendmail", "smtp", "webhook"])),
            ("GET", "/cluster/notifications/matcher-fields", |_| names(&["type", "hostname", "job-id"])),
            ("GET", "/cluster/notifications/matcher-field-values", field_values),
            ("GET", "/cluster/notifications/targets", targets),
            ("POST", "/cluster/notifications/targets/{name}/test", test),
            $(
                ("GET", $path, |request| list(request, $kind)),
                ("POST", $path, |request| create(request, $kind)),
                ("GET", concat!($path, "/{name}"), |request| read(request, $kind)),
                ("PUT", concat!($path, "/{name}"), |request| update(request, $kind)),
                ("DELETE", concat!($path, "/{name}"), |request| delete(request, $kind)),
            )*
        ];

        /// The endpoint that makes an object of this type: its schema has the types of all options.
        fn schema_of(kind: &str) -> Option<&'static schema::Keys> {
            match kind {
                $($kind => schema::endpoint("POST", $path),)*
                _ => None,
            }
        }
    };
}

routes!(
    ("/cluster/notifications/endpoints/gotify", "gotify"),
    ("/cluster/notifications/endpoints/sendmail", "sendmail"),
    ("/cluster/notifications/endpoints/smtp", "smtp"),
    ("/cluster/notifications/endpoints/webhook", "webhook"),
    ("/cluster/notifications/matchers", "matcher")
);

fn refused(status: u16, text: String) -> Failure {
    Failure { status, ..Failure::died(text) }
}

fn options(pairs: &[(&str, &str)]) -> Options {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
}

/// What every cluster has, whatever its file says.
fn built_in() -> Sections {
    let target = options(&[
        ("type", "sendmail"),
        ("mailto-user", "root@pam"),
        ("comment", "Send mails to root@pam's email address"),
    ]);
    let matcher = options(&[
        ("type", "matcher"),
        ("mode", "all"),
        ("target", "mail-to-root"),
        ("comment", "Route all notifications to mail-to-root"),
    ]);
    [("mail-to-root".to_owned(), target), ("default-matcher".to_owned(), matcher)].into()
}

fn sections(state: &State) -> Sections {
    let mut all = built_in();
    all.extend(state.sections.get(FILE).cloned().unwrap_or_default());
    all
}

fn origin(name: &str, present: &Options) -> &'static str {
    match built_in().get(name) {
        Some(original) if original == present => "builtin",
        Some(_) => "modified-builtin",
        None => "user-created",
    }
}

fn digest(state: &State) -> String {
    let text = state.sections.get(FILE).map(|all| serde_json::to_string(all).unwrap_or_default());
    hex(&sha2::Sha256::digest(text.unwrap_or_default()))
}

fn kind_of(present: &Options) -> &str {
    present.get("type").map_or("", String::as_str)
}

fn shown(name: &str, present: &Options) -> Map<String, Value> {
    let keys = schema_of(kind_of(present));
    let secret = ["token", "password", "type"];
    let mut row: Map<String, Value> = present
        .iter()
        .filter(|(key, text)| {
            let list = keys.and_then(|keys| keys.get(*key)).is_some_and(|rule| rule.kind == Kind::Array);
            !(secret.contains(&key.as_str()) || list && text.is_empty())
        })
        .map(|(key, text)| (key.clone(), typed(keys, key, text)))
        .collect();
    // Secrets of webhooks are listed by name.
    if let Some(secrets) = row.get_mut("secret").and_then(Value::as_array_mut) {
        for secret in secrets {
            let named =
                secret.as_str().and_then(|text| text.split(',').find(|part| part.starts_with("name=")));
            *secret = json!(named.unwrap_or_default());
        }
    }
    row.insert("name".to_owned(), json!(name));
    row.insert("origin".to_owned(), json!(origin(name, present)));
    row
}

fn list(request: &mut Request<'_>, kind: &str) -> Answer {
    let all = sections(request.state);
    let rows = all.iter().filter(|(_, present)| kind_of(present) == kind);
    Ok(rows.map(|(name, present)| Value::Object(shown(name, present))).collect())
}

fn missing(kind: &str, name: &str) -> Failure {
    let what = if kind == "matcher" { "matcher" } else { "endpoint" };
    refused(404, format!("{what} '{name}' not found"))
}

fn find(request: &Request<'_>, kind: &str) -> Result<(String, Options), Failure> {
    let name = request.text("name");
    let found = sections(request.state).remove(&name).filter(|present| kind_of(present) == kind);
    found.map(|present| (name.clone(), present)).ok_or_else(|| missing(kind, &name))
}

fn read(request: &mut Request<'_>, kind: &str) -> Answer {
    let (name, present) = find(request, kind)?;
    let mut row = shown(&name, &present);
    row.insert("digest".to_owned(), json!(digest(request.state)));
    Ok(Value::Object(row))
}

/// Rules that hold between the options of an object and the rest of the file.
fn check(request: &Request<'_>, present: &Options) -> Result<(), Failure> {
    let empty = |key: &str| present.get(key).is_none_or(String::is_empty);
    if matches!(kind_of(present), "sendmail" | "smtp") && empty("mailto") && empty("mailto-user") {
        let text = "must at least provide one recipient, either in mailto or in mailto-user";
        return Err(refused(400, text.to_owned()));
    }
    let all = sections(request.state);
    let targets = present.get("target").map(String::as_str).unwrap_or_default().split('\0');
    let is_target = |name: &str| all.get(name).is_some_and(|found| kind_of(found) != "matcher");
    match targets.filter(|name| !name.is_empty()).find(|name| !is_target(name)) {
        Some(absent) => Err(refused(404, format!("endpoint '{absent}' does not exist"))),
        None => Ok(()),
    }
}

fn set(request: &Request<'_>) -> Options {
    let call = ["name", "digest", "delete"];
    let set = request.parameters.iter().filter(|(key, _)| !call.contains(&key.as_str()));
    set.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn store(request: &mut Request<'_>, name: String, present: Options) {
    request.state.sections.entry(FILE.to_owned()).or_default().insert(name, present);
}

fn create(request: &mut Request<'_>, kind: &str) -> Answer {
    let name = request.text("name");
    if sections(request.state).contains_key(&name) {
        let text = format!("Cannot create '{name}', an entity with the same name already exists");
        return Err(refused(400, text));
    }
    let mut present = set(request);
    present.insert("type".to_owned(), kind.to_owned());
    check(request, &present)?;
    store(request, name, present);
    Ok(Value::Null)
}

fn update(request: &mut Request<'_>, kind: &str) -> Answer {
    let now = digest(request.state);
    request.check_digest(&now, MODIFIED).map_err(|failure| Failure { status: 400, ..failure })?;
    let (name, mut present) = find(request, kind)?;
    for key in request.get("delete").unwrap_or_default().split('\0') {
        present.remove(key);
    }
    // A secret without a value keeps the one it has.
    let mut set = set(request);
    if let Some(wanted) = set.get_mut("secret") {
        let old = present.get("secret").cloned().unwrap_or_default();
        let kept = |item: &str| match item.contains("value=") {
            true => item.to_owned(),
            false => {
                let before = old.split('\0').find(|known| known.split(',').any(|part| part == item));
                before.unwrap_or(item).to_owned()
            }
        };
        *wanted = wanted.split('\0').map(kept).collect::<Vec<_>>().join("\0");
    }
    present.extend(set);
    check(request, &present)?;
    store(request, name, present);
    Ok(Value::Null)
}

/// A built-in object comes back as it was at first.
fn delete(request: &mut Request<'_>, kind: &str) -> Answer {
    let (name, _) = find(request, kind)?;
    let uses = |present: &Options| {
        present.get("target").is_some_and(|targets| targets.split('\0').any(|target| target == name))
    };
    let all = sections(request.state);
    let users: Vec<&str> =
        all.iter().filter(|(_, present)| uses(present)).map(|(user, _)| user.as_str()).collect();
    if !users.is_empty() {
        let text = format!("cannot delete '{name}', referenced by: {}", users.join(", "));
        return Err(refused(400, text));
    }
    request.state.sections.entry(FILE.to_owned()).or_default().remove(&name);
    Ok(Value::Null)
}

fn targets(request: &mut Request<'_>) -> Answer {
    let all = sections(request.state);
    let rows = all.iter().filter(|(_, present)| kind_of(present) != "matcher").map(|(name, present)| {
        let mut row = shown(name, present);
        row.retain(|key, _| ["name", "origin", "comment", "disable"].contains(&key.as_str()));
        row.insert("type".to_owned(), json!(kind_of(present)));
        Value::Object(row)
    });
    Ok(rows.collect())
}

/// Mail is given to the node; nobody listens anywhere else.
fn test(request: &mut Request<'_>) -> Answer {
    let name = request.text("name");
    let all = sections(request.state);
    match all.get(&name).map(kind_of) {
        None | Some("matcher") => Err(refused(404, format!("endpoint '{name}' does not exist"))),
        Some("sendmail") => Ok(Value::Null),
        Some(_) => Err(refused(500, format!("could not notify via endpoint(s): {name}: Connection refused"))),
    }
}

fn field_values(request: &mut Request<'_>) -> Answer {
    let types = ["package-updates", "fencing", "replication", "vzdump", "system-mail"];
    let mut rows: Vec<Value> = types.iter().map(|value| json!({ "value": value, "field": "type" })).collect();
    let jobs = |file: &str| request.state.sections.get(file).into_iter().flatten();
    let backups = jobs("jobs.cfg").filter(|(_, job)| {
        request.allows("/", "Sys.Audit") && job.get("type").is_none_or(|kind| kind == "vzdump")
    });
    for (id, job) in backups.chain(jobs("replication.cfg")) {
        rows.push(json!({ "value": id, "comment": job.get("comment"), "field": "job-id" }));
    }
    rows.extend(request.options.nodes().map(|node| json!({ "value": node, "field": "hostname" })));
    Ok(Value::Array(rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::calls::Calls;

    const SENDMAIL: &str = "/cluster/notifications/endpoints/sendmail";
    const MATCHERS: &str = "/cluster/notifications/matchers";

    #[test]
    fn an_endpoint_lives_from_its_creation_to_its_deletion() {
        let root = Calls::new();
        let hook = "/cluster/notifications/endpoints/webhook";
        let created = [
            ("name", "hook"),
            ("url", "https://example.test/{{ secrets.token }}"),
            ("method", "post"),
            ("header", "name=A,value=YQ=="),
            ("header", "name=B,value=Yg=="),
            ("secret", "name=token,value=c2VjcmV0"),
        ];
        root.ok("POST", hook, &created);
        let again = "400 Cannot create 'hook', an entity with the same name already exists";
        assert_eq!(root.refused("POST", hook, &created), again);
        let one = root.get(&format!("{hook}/hook"));
        assert_eq!(one["header"], json!(["name=A,value=YQ==", "name=B,value=Yg=="]));
        assert_eq!((&one["secret"], &one["origin"]), (&json!(["name=token"]), &json!("user-created")));
        root.ok("PUT", &format!("{hook}/hook"), &[("comment", "x"), ("delete", "header")]);
        let changed = root.get(&format!("{hook}/hook"));
        assert_eq!((&changed["header"], &changed["comment"]), (&json!(null), &json!("x")));
        let old = [("comment", "y"), ("digest", one["digest"].as_str().unwrap())];
        assert!(root.refused("PUT", &format!("{hook}/hook"), &old).starts_with("400 detected modified"));
        root.ok("DELETE", &format!("{hook}/hook"), &[]);
        assert_eq!(root.refused("GET", &format!("{hook}/hook"), &[]), "404 endpoint 'hook' not found");
    }

    #[test]
    fn what_every_cluster_has_can_be_changed_and_comes_back() {
        let root = Calls::new();
        assert_eq!(root.get(SENDMAIL)[0]["mailto-user"], json!(["root@pam"]));
        root.ok("PUT", &format!("{MATCHERS}/default-matcher"), &[("disable", "1")]);
        let matcher = root.get(&format!("{MATCHERS}/default-matcher"));
        assert_eq!((&matcher["origin"], &matcher["disable"]), (&json!("modified-builtin"), &json!(1)));
        let used = root.refused("DELETE", &format!("{SENDMAIL}/mail-to-root"), &[]);
        assert_eq!(used, "400 cannot delete 'mail-to-root', referenced by: default-matcher");
        root.ok("DELETE", &format!("{MATCHERS}/default-matcher"), &[]);
        assert_eq!(root.get(&format!("{MATCHERS}/default-matcher"))["origin"], json!("builtin"));
    }

    #[test]
    fn a_matcher_names_targets_that_are_there_and_a_mail_somebody() {
        let root = Calls::new();
        let absent = root.refused("POST", MATCHERS, &[("name", "mm"), ("target", "nobody")]);
        assert_eq!(absent, "404 endpoint 'nobody' does not exist");
        let none = root.refused("POST", SENDMAIL, &[("name", "ss")]);
        assert_eq!(none, "400 must at least provide one recipient, either in mailto or in mailto-user");
        let auditor = root.user("a@pve", &[("/mapping", "PVEMappingUser")]);
        assert_eq!(auditor.get("/cluster/notifications/targets").as_array().map(Vec::len), Some(1));
        let refused = auditor.refused("POST", MATCHERS, &[("name", "mm")]);
        assert_eq!(refused, "403 Permission check failed (/mapping/notifications, Mapping.Modify)");
    }
}
