//! Which backups are kept (PVE::API2::Storage::PruneBackups, PVE::Storage, `prune_mark_backup_group`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::state::Options;
use crate::tasks::clock;
use crate::volumes;

/// A backup and what becomes of it.
struct Entry {
    id: String,
    kind: String,
    vmid: u32,
    /// Seconds since the epoch.
    time: u64,
    mark: Option<&'static str>,
}

/// `GET prunebackups`.
pub(super) fn preview(request: &mut Request<'_>) -> Answer {
    let row = |entry: Entry| json!({ "volid": entry.id, "ctime": entry.time, "mark": entry.mark, "type": entry.kind, "vmid": entry.vmid });
    Ok(marked(request)?.into_iter().map(row).collect())
}

/// `DELETE prunebackups`: a task, whatever it finds.
pub(super) fn prune(request: &mut Request<'_>) -> Answer {
    let storage = request.text("storage");
    let path = format!("/storage/{storage}");
    let id = match request.get("vmid").map(str::to_owned) {
        Some(vmid) => {
            request.check(&path, &["Datastore.AllocateSpace"])?;
            request.check(&format!("/vms/{vmid}"), &["VM.Backup"])?;
            format!("{vmid}@{storage}")
        }
        None => {
            request.check(&path, &["Datastore.Allocate"])?;
            storage
        }
    };
    Ok(request.task("prunebackups", &id, |request, outcome| {
        for entry in marked(request)?.into_iter().filter(|entry| entry.mark == Some("remove")) {
            request.state.volumes.remove(&entry.id);
            outcome.say(format!("removing backup '{}'", entry.id));
        }
        Ok(())
    }))
}

fn marked(request: &Request<'_>) -> Result<Vec<Entry>, Failure> {
    let storage = request.text("storage");
    let options = volumes::storage(request.state, &storage)?;
    if !volumes::allows(options, "backup") {
        return Err(Failure::died(format!("storage '{storage}' does not support backups")));
    }
    let given = request.get("prune-backups").or(options.get("prune-backups").map(String::as_str));
    let Some(rules) = given.map(rules) else {
        return Err(Failure::died(format!("no prune-backups options configured for storage '{storage}'")));
    };
    volumes::usable(request.state, &storage, &request.node)?;
    let mut groups: BTreeMap<(String, u32), Vec<Entry>> = BTreeMap::new();
    for entry in backups(request, &storage) {
        groups.entry((entry.kind.clone(), entry.vmid)).or_default().push(entry);
    }
    groups.values_mut().for_each(|group| mark(group, &rules));
    let mut all: Vec<Entry> = groups.into_values().flatten().collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(all)
}

fn rules(text: &str) -> Options {
    text.split(',')
        .filter_map(|part| part.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn backups(request: &Request<'_>, storage: &str) -> Vec<Entry> {
    let (kind, vmid) = (request.get("type"), request.number("vmid"));
    let entry = |(id, volume): (&String, &crate::state::Volume)| {
        let backup = volume.backup.as_ref()?;
        let wanted = volumes::split(id).is_some_and(|(name, _)| name == storage)
            && volumes::is_on(request.state, id, &request.node)
            && kind.is_none_or(|kind| kind == backup.kind.name())
            && vmid.is_none_or(|vmid| vmid == u64::from(backup.vmid));
        wanted.then(|| Entry {
            id: id.clone(),
            kind: backup.kind.name().to_owned(),
            vmid: backup.vmid,
            time: volume.created,
            mark: backup.protected.then_some("protected"),
        })
    };
    request.state.volumes.iter().filter_map(entry).collect()
}

/// The name of the span of time that a moment is in.
type Span = fn(u64) -> String;

/// Marks the backups of one guest: each rule keeps the newest of so many spans of time that no rule before it kept.
fn mark(group: &mut [Entry], rules: &Options) {
    let count = |key: &str| rules.get(key).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    let spans: [(&str, Span); 6] = [
        ("keep-last", |time| time.to_string()),
        ("keep-hourly", |time| clock(time)[..13].to_owned()),
        ("keep-daily", |time| clock(time)[..10].to_owned()),
        ("keep-weekly", week),
        ("keep-monthly", |time| clock(time)[..7].to_owned()),
        ("keep-yearly", |time| clock(time)[..4].to_owned()),
    ];
    if count("keep-all") > 0 || spans.iter().all(|(key, _)| count(key) == 0) {
        group.iter_mut().for_each(|entry| entry.mark = entry.mark.or(Some("keep")));
        return;
    }
    group.sort_by_key(|entry| std::cmp::Reverse(entry.time));
    for (key, span) in spans {
        keep(group, count(key), span);
    }
    group.iter_mut().for_each(|entry| entry.mark = entry.mark.or(Some("remove")));
}

fn keep(group: &mut [Entry], count: usize, span: Span) {
    if count == 0 {
        return;
    }
    let kept: BTreeSet<String> =
        group.iter().filter(|entry| entry.mark == Some("keep")).map(|entry| span(entry.time)).collect();
    let mut new = BTreeSet::new();
    for entry in group.iter_mut() {
        let id = span(entry.time);
        if entry.mark.is_some() || kept.contains(&id) {
            continue;
        }
        if new.contains(&id) {
            entry.mark = Some("remove");
            continue;
        }
        if new.len() >= count {
            break;
        }
        new.insert(id);
        entry.mark = Some("keep");
    }
}

/// The week that a moment is in: weeks begin on Monday, and the Thursday decides the year.
fn week(time: u64) -> String {
    let days = time / 86_400;
    // 1970-01-01 was a Thursday.
    let thursday = (days + 3) / 7 * 7;
    clock(thursday * 86_400)[..10].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks by `keep` of backups that were made so many hours after 2026-01-01 00:30.
    fn marks(keep: &str, hours: &[u64]) -> Vec<&'static str> {
        let entry = |hour: &u64| Entry {
            id: hour.to_string(),
            kind: "qemu".to_owned(),
            vmid: 100,
            time: 1_767_227_400 + hour * 3600,
            mark: None,
        };
        let mut group: Vec<Entry> = hours.iter().map(entry).collect();
        mark(&mut group, &rules(keep));
        group.sort_by_key(|entry| entry.time);
        group.into_iter().map(|entry| entry.mark.unwrap_or_default()).collect()
    }

    #[test]
    fn the_newest_backups_are_kept() {
        assert_eq!(marks("keep-last=2", &[0, 1, 2]), ["remove", "keep", "keep"]);
        assert_eq!(marks("keep-all=1,keep-last=1", &[0, 1]), ["keep", "keep"]);
        assert_eq!(marks("keep-last=0", &[0, 1]), ["keep", "keep"]);
    }

    #[test]
    fn a_rule_by_time_keeps_the_newest_of_each_span() {
        assert_eq!(
            marks("keep-daily=2", &[0, 5, 24, 30, 50]),
            ["remove", "remove", "remove", "keep", "keep"]
        );
        // What an earlier rule kept counts for no later one.
        assert_eq!(marks("keep-last=1,keep-daily=1", &[0, 24, 30]), ["keep", "remove", "keep"]);
    }

    #[test]
    fn weeks_begin_on_monday() {
        // 2026-01-04 is a Sunday.
        assert_eq!(week(1_767_484_800), week(1_767_225_600));
        assert_ne!(week(1_767_484_800), week(1_767_571_200));
    }
}
