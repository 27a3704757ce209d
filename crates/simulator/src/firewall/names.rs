//! What rules refer to: aliases, IP sets, security groups.

use serde_json::{Value, json};

use super::{Scope, check_digest, digest};
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::state::{AddressSet, Firewall, Options};

fn firewall<'a>(request: &'a mut Request<'_>, scope: Scope) -> &'a mut Firewall {
    let key = scope.key(request);
    request.state.firewalls.entry(key).or_default()
}

fn view(request: &Request<'_>, scope: Scope) -> Firewall {
    request.state.firewalls.get(&scope.key(request)).cloned().unwrap_or_default()
}

/// Drops the prefix of a single address.
fn plain(cidr: &str) -> String {
    let host = if cidr.contains(':') { "/128" } else { "/32" };
    cidr.strip_suffix(host).unwrap_or(cidr).to_owned()
}

fn shown_alias(alias: &Options, digest: &str) -> Value {
    let cidr = alias.get("cidr").cloned().unwrap_or_default();
    let mut row = json!({
        "name": alias.get("name"), "cidr": cidr, "ipversion": if cidr.contains(':') { 6 } else { 4 },
        "digest": digest,
    });
    if let Some(comment) = alias.get("comment") {
        row["comment"] = json!(comment);
    }
    row
}

/// `GET aliases`.
pub(crate) fn aliases(request: &mut Request<'_>, scope: Scope) -> Answer {
    let digest = digest(request, scope);
    Ok(view(request, scope).aliases.values().map(|alias| shown_alias(alias, &digest)).collect())
}

/// `GET aliases/{name}`.
pub(crate) fn read_alias(request: &mut Request<'_>, scope: Scope) -> Answer {
    let digest = digest(request, scope);
    match view(request, scope).aliases.get(&request.text("name").to_lowercase()) {
        Some(alias) => {
            let mut row = shown_alias(alias, &digest);
            // Only the list has it.
            if let Some(row) = row.as_object_mut() {
                row.remove("digest");
            }
            Ok(row)
        }
        None => Err(Failure::parameter("name", "no such alias")),
    }
}

fn alias_of(request: &Request<'_>, name: &str) -> Options {
    let mut alias = Options::from([
        ("name".to_owned(), name.to_owned()),
        ("cidr".to_owned(), plain(&request.text("cidr"))),
    ]);
    if let Some(comment) = request.get("comment").filter(|comment| !comment.is_empty()) {
        alias.insert("comment".to_owned(), comment.to_owned());
    }
    alias
}

/// `POST aliases`.
pub(crate) fn create_alias(request: &mut Request<'_>, scope: Scope) -> Answer {
    let name = request.text("name");
    if view(request, scope).aliases.contains_key(&name.to_lowercase()) {
        return Err(Failure::parameter("name", format!("alias '{name}' already exists")));
    }
    let alias = alias_of(request, &name);
    firewall(request, scope).aliases.insert(name.to_lowercase(), alias);
    Ok(Value::Null)
}

/// `PUT aliases/{name}`.
pub(crate) fn update_alias(request: &mut Request<'_>, scope: Scope) -> Answer {
    check_digest(request, scope)?;
    let known = view(request, scope).aliases;
    let old = request.text("name").to_lowercase();
    let Some(present) = known.get(&old) else { return Err(Failure::parameter("name", "no such alias")) };
    let present_name = present.get("name").cloned().unwrap_or_default();
    let new = request.get("rename").map(str::to_owned).unwrap_or(present_name);
    if new.to_lowercase() != old && known.contains_key(&new.to_lowercase()) {
        return Err(Failure::parameter("name", format!("alias '{new}' already exists")));
    }
    let alias = alias_of(request, &new);
    let firewall = firewall(request, scope);
    firewall.aliases.remove(&old);
    firewall.aliases.insert(new.to_lowercase(), alias);
    Ok(Value::Null)
}

/// `DELETE aliases/{name}`: fine if it is not there.
pub(crate) fn delete_alias(request: &mut Request<'_>, scope: Scope) -> Answer {
    check_digest(request, scope)?;
    let name = request.text("name").to_lowercase();
    firewall(request, scope).aliases.remove(&name);
    Ok(Value::Null)
}

/// `GET ipset`.
pub(crate) fn sets(request: &mut Request<'_>, scope: Scope) -> Answer {
    let digest = digest(request, scope);
    Ok(view(request, scope)
        .sets
        .iter()
        .map(|(name, set)| {
            let mut row = json!({ "name": name, "digest": digest });
            if !set.comment.is_empty() {
                row["comment"] = json!(set.comment);
            }
            row
        })
        .collect())
}

/// `POST ipset`: creates, or renames with `rename` naming the old one.
pub(crate) fn create_set(request: &mut Request<'_>, scope: Scope) -> Answer {
    if request.get("rename").is_some() {
        check_digest(request, scope)?;
    }
    let name = request.text("name");
    let comment = request.get("comment").map(str::to_owned);
    let known = view(request, scope).sets;
    let stored = name.to_lowercase();
    if let Some(old) = request.get("rename").map(str::to_owned) {
        let Some(mut set) = known.get(&old).cloned() else {
            return Err(Failure::parameter("name", format!("IPSet '{old}' does not exist")));
        };
        if old != name && known.contains_key(&name) {
            return Err(Failure::parameter("name", format!("IPSet '{name}' does already exist")));
        }
        set.comment = comment.unwrap_or(set.comment);
        let firewall = firewall(request, scope);
        firewall.sets.remove(&old);
        firewall.sets.insert(stored, set);
        return Ok(Value::Null);
    }
    // The comparison is by the name as it was sent, the file has it in lower case.
    if known.contains_key(&name) {
        return Err(Failure::parameter("name", format!("IPSet '{name}' already exists")));
    }
    let set = AddressSet { comment: comment.unwrap_or_default(), ..AddressSet::default() };
    firewall(request, scope).sets.entry(stored).or_insert(set);
    Ok(Value::Null)
}

fn set_of(request: &Request<'_>, scope: Scope) -> Result<AddressSet, Failure> {
    let name = request.text("name");
    let missing = || Failure::died(format!("no such IPSet '{name}'"));
    view(request, scope).sets.get(&name).cloned().ok_or_else(missing)
}

fn shown_entry(cidr: &str, entry: &Options, digest: &str) -> Value {
    let mut row = json!({ "cidr": cidr, "digest": digest });
    if let Some(comment) = entry.get("comment") {
        row["comment"] = json!(comment);
    }
    if entry.get("nomatch").is_some_and(|value| value == "1") {
        row["nomatch"] = json!(1);
    }
    row
}

/// `GET ipset/{name}`.
pub(crate) fn read_set(request: &mut Request<'_>, scope: Scope) -> Answer {
    let digest = digest(request, scope);
    let set = set_of(request, scope)?;
    Ok(set.entries.iter().map(|(cidr, entry)| shown_entry(cidr, entry, &digest)).collect())
}

/// Clears the host bits, as the set's file does.
fn network(cidr: &str) -> String {
    let text = plain(cidr);
    let Some((address, bits)) = text.split_once('/') else { return text };
    match (address.parse::<std::net::Ipv4Addr>(), bits.parse::<u32>()) {
        (Ok(parsed), Ok(bits)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            format!("{}/{bits}", std::net::Ipv4Addr::from(u32::from(parsed) & mask))
        }
        _ => text,
    }
}

/// `POST ipset/{name}`.
pub(crate) fn add_entry(request: &mut Request<'_>, scope: Scope) -> Answer {
    let set = set_of(request, scope)?;
    let sent = request.text("cidr");
    check_alias(request, scope, &sent)?;
    let cidr = network(&sent);
    if set.entries.contains_key(&cidr) {
        return Err(Failure::parameter("cidr", format!("address '{cidr}' already exists")));
    }
    if cidr.ends_with("/0") {
        return Err(Failure::parameter("cidr", "a zero prefix is not allowed in ipset entries"));
    }
    let entry = entry_of(request);
    let name = request.text("name");
    if let Some(set) = firewall(request, scope).sets.get_mut(&name) {
        set.entries.insert(cidr, entry);
    }
    Ok(Value::Null)
}

/// An alias in a set has to be there.
fn check_alias(request: &Request<'_>, scope: Scope, text: &str) -> Result<(), Failure> {
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) || text.contains(':') {
        return Ok(());
    }
    let (place, name) = text.split_once('/').unwrap_or(("", text));
    let find = |scope: Scope| view(request, scope).aliases.contains_key(&name.to_lowercase());
    let own = scope == Scope::Guest && place != "dc" && find(Scope::Guest);
    if own || place != "guest" && find(Scope::Cluster) {
        return Ok(());
    }
    Err(Failure::died(format!("no such alias '{name}'")))
}

fn entry_of(request: &Request<'_>) -> Options {
    let keys = ["comment", "nomatch"];
    let sent = |key: &str| request.get(key).filter(|text| !text.is_empty()).map(str::to_owned);
    keys.iter().filter_map(|key| Some(((*key).to_owned(), sent(key)?))).collect()
}

/// `GET ipset/{name}/{cidr}`.
pub(crate) fn read_entry(request: &mut Request<'_>, scope: Scope) -> Answer {
    let digest = digest(request, scope);
    let cidr = request.text("cidr");
    match set_of(request, scope)?.entries.get(&cidr) {
        Some(entry) => Ok(shown_entry(&cidr, entry, &digest)),
        None => Err(Failure::parameter("cidr", "no such IP/Network")),
    }
}

/// `PUT ipset/{name}/{cidr}`.
pub(crate) fn update_entry(request: &mut Request<'_>, scope: Scope) -> Answer {
    check_digest(request, scope)?;
    let cidr = request.text("cidr");
    if !set_of(request, scope)?.entries.contains_key(&cidr) {
        return Err(Failure::parameter("cidr", "no such IP/Network"));
    }
    let (name, entry) = (request.text("name"), entry_of(request));
    if let Some(set) = firewall(request, scope).sets.get_mut(&name) {
        set.entries.insert(cidr, entry);
    }
    Ok(Value::Null)
}

/// `DELETE ipset/{name}/{cidr}`: fine if it is not there.
pub(crate) fn delete_entry(request: &mut Request<'_>, scope: Scope) -> Answer {
    check_digest(request, scope)?;
    set_of(request, scope)?;
    let (name, cidr) = (request.text("name"), request.text("cidr"));
    if let Some(set) = firewall(request, scope).sets.get_mut(&name) {
        set.entries.remove(&cidr);
    }
    Ok(Value::Null)
}

/// `DELETE ipset/{name}`.
pub(crate) fn delete_set(request: &mut Request<'_>, scope: Scope) -> Answer {
    let (set, name) = (set_of(request, scope)?, request.text("name"));
    check_digest(request, scope)?;
    if !set.entries.is_empty() && !request.flag("force") {
        return Err(Failure::died(format!("IPSet '{name}' is not empty")));
    }
    firewall(request, scope).sets.remove(&name);
    Ok(Value::Null)
}

/// `GET refs`: what rules of this scope can name.
pub(crate) fn references(request: &mut Request<'_>, scope: Scope) -> Answer {
    let mut rows = Vec::new();
    let scopes: &[Scope] =
        if scope == Scope::Guest { &[Scope::Guest, Scope::Cluster] } else { &[Scope::Cluster] };
    for scope in scopes {
        let found = view(request, *scope);
        if request.get("type") != Some("alias") {
            rows.extend(found.sets.keys().map(|name| {
                json!({ "type": "ipset", "name": name, "ref": format!("+{name}"), "scope": scope.label() })
            }));
        }
        if request.get("type") != Some("ipset") {
            rows.extend(found.aliases.values().map(|alias| {
                let name = alias.get("name");
                json!({ "type": "alias", "name": name, "ref": name, "scope": scope.label() })
            }));
        }
    }
    Ok(Value::Array(rows))
}

/// `GET groups`.
pub(crate) fn groups(request: &mut Request<'_>) -> Answer {
    let digest = digest(request, Scope::Cluster);
    Ok(view(request, Scope::Cluster)
        .groups
        .iter()
        .map(|(name, comment)| {
            let mut row = json!({ "group": name, "digest": digest });
            if !comment.is_empty() {
                row["comment"] = json!(comment);
            }
            row
        })
        .collect())
}

/// `POST groups`: creates, or renames with `rename` naming the old one.
pub(crate) fn create_group(request: &mut Request<'_>) -> Answer {
    if request.get("rename").is_some() {
        check_digest(request, Scope::Cluster)?;
    }
    let name = request.text("group");
    let comment = request.get("comment").map(str::to_owned);
    let known = view(request, Scope::Cluster).groups;
    if let Some(old) = request.get("rename").map(str::to_owned) {
        let Some(present) = known.get(&old).cloned() else {
            return Err(Failure::parameter("group", format!("Security group '{old}' does not exist")));
        };
        if old != name && known.contains_key(&name) {
            let text = format!("Security group '{name}' does already exist");
            return Err(Failure::parameter("group", text));
        }
        if let Some(rules) = request.state.firewalls.remove(&format!("group/{old}")) {
            request.state.firewalls.insert(format!("group/{name}"), rules);
        }
        for firewall in request.state.firewalls.values_mut() {
            for rule in &mut firewall.rules {
                let of_group = rule.get("type").is_some_and(|kind| kind == "group");
                if of_group && let Some(action) = rule.get_mut("action").filter(|action| **action == old) {
                    *action = name.clone();
                }
            }
        }
        let groups = &mut firewall(request, Scope::Cluster).groups;
        groups.remove(&old);
        groups.insert(name, comment.unwrap_or(present));
        return Ok(Value::Null);
    }
    if known.contains_key(&name) {
        return Err(Failure::parameter("group", format!("Security group '{name}' already exists")));
    }
    firewall(request, Scope::Cluster).groups.insert(name, comment.unwrap_or_default());
    Ok(Value::Null)
}

/// `DELETE groups/{group}`.
pub(crate) fn delete_group(request: &mut Request<'_>) -> Answer {
    let name = request.text("group");
    if !view(request, Scope::Cluster).groups.contains_key(&name) {
        return Err(Failure::died(format!("no such security group '{name}'")));
    }
    if !view(request, Scope::Group).rules.is_empty() {
        return Err(Failure::died(format!("Security group '{name}' is not empty")));
    }
    firewall(request, Scope::Cluster).groups.remove(&name);
    request.state.firewalls.remove(&format!("group/{name}"));
    Ok(Value::Null)
}
