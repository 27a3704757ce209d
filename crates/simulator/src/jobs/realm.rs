//! Jobs that take over users and groups of a directory (PVE::API2::Jobs::RealmSync).

use serde_json::{Map, Value, json};

use super::{jobs, jobs_mut, next_run};
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema;
use crate::sections::{Type, check_options, delete_options, typed};
use crate::state::Options;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/jobs/realm-sync", list),
    ("GET", ONE, read),
    ("POST", ONE, create),
    ("PUT", ONE, update),
    ("DELETE", ONE, delete),
];
const ONE: &str = "/cluster/jobs/realm-sync/{id}";
const NAME: &str = "realm-sync";
const TYPE: Type = Type {
    name: NAME,
    required: &["schedule", "scope"],
    options: &["enabled", "comment", "enable-new", "remove-vanished"],
    fixed: &["realm"],
};

fn shown(job: &Options) -> Map<String, Value> {
    let keys = schema::endpoint("POST", ONE);
    job.iter().map(|(key, text)| (key.clone(), typed(keys, key, text))).collect()
}

fn is_mine(job: &Options) -> bool {
    job.get("type").is_some_and(|kind| kind == NAME)
}

fn list(request: &mut Request<'_>) -> Answer {
    let rows = jobs(request.state).iter().filter(|(_, job)| is_mine(job)).map(|(id, job)| {
        let mut row = shown(job);
        row.insert("id".to_owned(), json!(id));
        if let Some(next) = next_run(job, request.seconds()) {
            row.insert("next-run".to_owned(), json!(next));
        }
        Value::Object(row)
    });
    Ok(rows.collect())
}

fn read(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    match jobs(request.state).get(&id).filter(|job| is_mine(job)) {
        Some(job) => Ok(Value::Object(shown(job))),
        None => Err(Failure::parameter("id", format!("No such job '{id}'"))),
    }
}

fn set(request: &Request<'_>) -> Options {
    let set = request.parameters.iter().filter(|(key, _)| !matches!(key.as_str(), "id" | "delete"));
    set.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn create(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    if jobs(request.state).contains_key(&id) {
        return Err(Failure::died(format!("Job '{id}' already exists")));
    }
    let mut job = set(request);
    check_options(&TYPE, &job, true)?;
    let realm = request.text("realm");
    match request.state.sections.get("domains.cfg").and_then(|realms| realms.get(&realm)) {
        None => return Err(Failure::nested("", "realm", &format!("No such realm '{realm}'"))),
        Some(options) if !options.get("type").is_some_and(|kind| matches!(kind.as_str(), "ldap" | "ad")) => {
            return Err(Failure::nested("", "realm", "Only LDAP/AD realms can be synced."));
        }
        Some(_) => {}
    }
    job.insert("type".to_owned(), NAME.to_owned());
    jobs_mut(request.state).insert(id, job);
    Ok(Value::Null)
}

fn update(request: &mut Request<'_>) -> Answer {
    let (id, set) = (request.text("id"), set(request));
    if set.is_empty() {
        return Err(Failure::died("no job options specified"));
    }
    check_options(&TYPE, &set, false)?;
    let mut job = jobs(request.state)
        .get(&id)
        .filter(|job| is_mine(job))
        .cloned()
        .ok_or_else(|| Failure::died("no such realm-sync job"))?;
    delete_options(&TYPE, &mut job, &set, request.get("delete").unwrap_or_default())?;
    job.extend(set);
    jobs_mut(request.state).insert(id, job);
    Ok(Value::Null)
}

fn delete(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    if !jobs(request.state).get(&id).is_some_and(is_mine) {
        return Err(Failure::nested("", "id", &format!("No such job '{id}'")));
    }
    jobs_mut(request.state).remove(&id);
    Ok(Value::Null)
}
