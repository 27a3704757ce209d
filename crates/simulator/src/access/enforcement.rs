//! Whether a call is allowed: the checks that the API's description states for each endpoint (PVE::RPCEnvironment,
//! `exec_api2_perm_check`).

use serde_json::Value;

use super::{permissions, roles, users};
use crate::failure::Failure;
use crate::schema::Permission;
use crate::schema::formats::split_list;
use crate::state::State;

/// A call as the checks see it: parameters are not verified yet.
pub(crate) struct Call<'a> {
    pub state: &'a State,
    /// `USER@REALM` or `USER@REALM!TOKEN`.
    pub who: &'a str,
    pub parameter: &'a dyn Fn(&str) -> Option<String>,
}

/// Refuses what the endpoint does not let this caller do.
pub(crate) fn check(call: &Call<'_>, rules: Option<&Permission>) -> Result<(), Failure> {
    if call.who == "root@pam" {
        return Ok(());
    }
    let Some(rules) = rules else { return Err(Failure::forbidden("user != root@pam")) };
    match (rules.user.as_deref(), &rules.check) {
        (Some("all" | "world"), _) => Ok(()),
        (_, Some(check)) => {
            run(call, check, false).and_then(|allowed| if allowed { Ok(()) } else { Err(refused()) })
        }
        _ => Err(refused()),
    }
}

/// A refusal without a reason.
pub(crate) fn refused() -> Failure {
    Failure { status: 403, ..Failure::died("Permission check failed") }
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    value
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

/// The value behind `key` in what follows the fixed parts of a check.
fn option<'a>(check: &'a [Value], key: &str) -> Option<&'a Value> {
    check.iter().position(|item| item == key).and_then(|at| check.get(at + 1))
}

/// Runs one check; `quiet` checks answer no instead of refusing.
fn run(call: &Call<'_>, check: &Value, quiet: bool) -> Result<bool, Failure> {
    let Some(check) = check.as_array() else { return Ok(false) };
    match check.first().and_then(Value::as_str).unwrap_or_default() {
        "and" => {
            for part in &check[1..] {
                run(call, part, false)?;
            }
            Ok(true)
        }
        "or" => {
            for part in &check[1..] {
                if run(call, part, true)? {
                    return Ok(true);
                }
            }
            if quiet { Ok(false) } else { Err(refused()) }
        }
        "perm" => {
            let required = option(check, "require_param").and_then(Value::as_str);
            if required.is_some_and(|name| (call.parameter)(name).is_none()) {
                return if quiet { Ok(false) } else { Err(refused()) };
            }
            let path = fill(call, check.get(1).and_then(Value::as_str).unwrap_or_default());
            let any = option(check, "any").is_some_and(|value| value != &Value::from(0));
            verdict(privileges(call.state, call.who, &path, &texts(check.get(2)), any), quiet)
        }
        "perm-modify" => {
            let path = fill(call, check.get(1).and_then(Value::as_str).unwrap_or_default());
            verdict(modify(call.state, call.who, &path), quiet)
        }
        "userid-param" => user_parameter(call, check, quiet),
        "userid-group" => user_group(call, check, quiet),
        _ => Ok(false),
    }
}

fn verdict(result: Result<(), Failure>, quiet: bool) -> Result<bool, Failure> {
    match result {
        Ok(()) => Ok(true),
        Err(_) if quiet => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Puts the parameters into a path.
fn fill(call: &Call<'_>, template: &str) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        path.push_str(before);
        path.push_str(&(call.parameter)(name).unwrap_or_default());
        rest = tail;
    }
    path.push_str(rest);
    roles::normal_path(&path)
}

/// All of the privileges at the path, or any.
pub(crate) fn privileges(
    state: &State,
    who: &str,
    path: &str,
    wanted: &[&str],
    any: bool,
) -> Result<(), Failure> {
    let has = permissions::of(state, who, path);
    if any {
        let found = wanted.iter().any(|name| has.contains_key(*name));
        return if found {
            Ok(())
        } else {
            Err(Failure::forbidden(&format!("{path}, {}", wanted.join("|"))))
        };
    }
    match wanted.iter().find(|name| !has.contains_key(**name)) {
        Some(missing) => Err(Failure::forbidden(&format!("{path}, {missing}"))),
        None => Ok(()),
    }
}

/// Whether the permissions at a path may be changed.
pub(crate) fn modify(state: &State, who: &str, path: &str) -> Result<(), Failure> {
    let below = |top: &str| path.strip_prefix(top).is_some_and(|rest| !rest.is_empty());
    let mut wanted = vec!["Permissions.Modify"];
    if below("/storage/") {
        wanted.push("Datastore.Allocate");
    } else if below("/vms/") {
        wanted.push("VM.Allocate");
    } else if below("/pool/") {
        wanted.push("Pool.Allocate");
    }
    privileges(state, who, path, &wanted, true)
}

fn user_parameter(call: &Call<'_>, check: &[Value], quiet: bool) -> Result<bool, Failure> {
    let user = (call.parameter)("userid").unwrap_or_default();
    let realm = users::verify_name(&user)?;
    if check.get(1).and_then(Value::as_str) == Some("self") {
        if !exists(call, &user, quiet)? {
            return Ok(false);
        }
        let same = call.who == user;
        return if same || quiet { Ok(same) } else { Err(refused()) };
    }
    let path = format!("/access/realm/{realm}");
    verdict(privileges(call.state, call.who, &path, &["Realm.AllocateUser"], false), quiet)
}

fn exists(call: &Call<'_>, user: &str, quiet: bool) -> Result<bool, Failure> {
    let known = call.state.access.users.contains_key(user);
    if known || quiet { Ok(known) } else { Err(users::missing(user)) }
}

fn user_group(call: &Call<'_>, check: &[Value], quiet: bool) -> Result<bool, Failure> {
    let user = (call.parameter)("userid").unwrap_or_default();
    let wanted = texts(check.get(1));
    let parameter = option(check, "groups_param").and_then(Value::as_str);
    let existing = parameter != Some("create");
    if existing && !exists(call, &user, quiet)? {
        return Ok(false);
    }
    let any = |path: &str| privileges(call.state, call.who, path, &wanted, true);
    if any("/access/groups").is_ok() {
        return Ok(true);
    }
    if parameter.is_some() {
        let groups = (call.parameter)("groups").unwrap_or_default();
        if split_list(&groups).next().is_none() {
            any("/access/groups")?;
        }
        for group in split_list(&groups) {
            any(&format!("/access/groups/{group}"))?;
            if !call.state.access.groups.contains_key(group) {
                return Err(Failure::forbidden(&format!("/access/groups/{group}, {}", wanted.join("|"))));
            }
        }
    }
    if !existing {
        return Ok(true);
    }
    let mut groups = call.state.access.users.get(&user).into_iter().flat_map(|user| &user.groups);
    let allowed = groups.any(|group| any(&format!("/access/groups/{group}")).is_ok());
    if allowed || quiet { Ok(allowed) } else { Err(refused()) }
}
