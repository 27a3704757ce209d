//! Task logs: what of them is compared.
//!
//! Lines of programs that tell about a guest's files or the speed of the machine (mke2fs, e2fsck, rsync, tar,
//! ssh-keygen, wget, progress of a copy) are left out; the simulator has no such files. Removed volumes come in no
//! order in the recordings (Perl hashes).

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

static FOREIGN: LazyLock<Regex> = LazyLock::new(|| {
    let programs = [
        r"transferred ",
        r"Creating filesystem with|Filesystem UUID:|Superblock backups|\t\d+|$",
        r"e2fsck |Pass \d|\S+: \d+/\d+ files|resize2fs |Resizing the filesystem|The filesystem on|Filesystem at|old_desc_blocks",
        r"Number of |Total |Literal data|Matched data|File list |sent [\d,]+ bytes|total size is",
        r"Creating SSH host key|done: SHA256",
        r"--20|Resolving |Connecting to |Saving to|\s+\d+K|20\d\d-\d\d-\d\d .*saved",
        r"trying to acquire|\s*OK$",
        r"20\d\d-\d\d-\d\d \S+ \d+(\+\d+ records| bytes)",
        r"\d+\+\d records (in|out)|\d+ bytes .* copied",
    ];
    Regex::new(&format!("^(?:{})", programs.join("|")))
        .unwrap_or_else(|error| unreachable!("a constant pattern: {error}"))
});

/// Options of a recorded command line come in no order (Perl hashes).
fn sort_options(line: &mut String) {
    let Some((head, options)) =
        line.split_once(" --").filter(|(head, _)| head.contains("new backup job: vzdump"))
    else {
        return;
    };
    let mut options: Vec<&str> = options.split(" --").collect();
    options.sort_unstable();
    *line = format!("{head} --{}", options.join(" --"));
}

/// What a container's volume is copied as, one part of a log each: a clone's mount point, a volume on its way to
/// another node.
static PART: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^create (?:full|linked) clone of mount ?point (\w+) |  Logical volume "(vm-\d+-disk-\d+)" created\.$"#)
        .unwrap_or_else(|error| unreachable!("a constant pattern: {error}"))
});

/// Both logs with the recorded parts in the order of `here`, if they are the same parts. The recorded page may have ended
/// within a part.
pub fn in_same_order(recorded: &[String], here: &[String]) -> Option<(Vec<String>, Vec<String>)> {
    let (left, right) = (parts(recorded)?, parts(here)?);
    if left.parts.len() != right.parts.len() || left.parts.len() < 2 {
        return None;
    }
    let whole = recorded.last().is_some_and(|line| line.starts_with("TASK "));
    let (mut both, mut shown) = (left.head.clone(), right.head.clone());
    for (name, lines) in &right.parts {
        let (_, old) = left.parts.iter().find(|(known, _)| known == name)?;
        let count = if whole { lines.len() } else { old.len().min(lines.len()) };
        both.extend_from_slice(old);
        shown.extend_from_slice(&lines[..count]);
    }
    both.extend(left.tail);
    shown.extend(right.tail);
    Some((both, shown))
}

/// A log's beginning, its parts by the name in their first line, and its end.
#[derive(Default)]
struct Parts {
    head: Vec<String>,
    parts: Vec<(String, Vec<String>)>,
    tail: Vec<String>,
}

/// Only logs of containers have them.
fn parts(lines: &[String]) -> Option<Parts> {
    let clone = lines.iter().any(|line| line.starts_with("creating a clone of container"));
    if !clone && !lines.iter().any(|line| line.contains("starting migration of CT")) {
        return None;
    }
    let mut found = Parts::default();
    for line in lines {
        let name = PART
            .captures(line)
            .and_then(|found| Some(found.get(if clone { 1 } else { 2 })?.as_str().to_owned()));
        // A volume that has arrived is the last line of its part.
        let open = |lines: &[String]| !lines.last().is_some_and(|line| line.ends_with(" on the target"));
        match (name, found.parts.last_mut()) {
            (Some(name), _) => found.parts.push((name, vec![line.clone()])),
            (None, Some((_, lines))) if open(lines) && !line.starts_with("TASK ") => lines.push(line.clone()),
            (None, Some(_)) => found.tail.push(line.clone()),
            (None, None) => found.head.push(line.clone()),
        }
    }
    (!found.parts.is_empty()).then_some(found)
}

/// Recorded volume names of a clone's mount points with those of this run.
pub fn volumes(recorded: &[String], here: &[String]) -> Vec<(String, String)> {
    let (Some(recorded), Some(here)) = (parts(recorded), parts(here)) else { return Vec::new() };
    let made = |lines: &[String]| {
        lines.iter().find_map(|line| Some(PART.captures(line)?.get(2)?.as_str().to_owned()))
    };
    let mut pairs = Vec::new();
    let mut rest: Vec<String> = here.parts.iter().filter_map(|(_, lines)| made(lines)).collect();
    let mut unknown = Vec::new();
    for (name, lines) in &recorded.parts {
        let other = here.parts.iter().find(|(known, _)| known == name).and_then(|(_, lines)| made(lines));
        match (made(lines), other) {
            (Some(old), Some(new)) => {
                rest.retain(|known| *known != old);
                pairs.push((old, new));
            }
            (None, Some(new)) => unknown.push(new),
            _ => {}
        }
    }
    // The one that the page had no room for has the name that is left.
    if let ([old], [new]) = (&rest[..], &unknown[..]) {
        pairs.push((old.clone(), new.clone()));
    }
    pairs
}

/// The lines of a task log in an answer's `data` that are compared; `None` for anything else.
pub fn lines(body: &Value) -> Option<Vec<String>> {
    let rows = body["data"].as_array().filter(|rows| !rows.is_empty())?;
    let mut lines = Vec::new();
    for row in rows {
        let fields = row.as_object().filter(|fields| fields.len() == 2 && fields.contains_key("n"))?;
        lines.push(fields.get("t")?.as_str()?.to_owned());
    }
    lines.retain(|line| !FOREIGN.is_match(line));
    lines.iter_mut().for_each(sort_options);
    let removed = |line: &String| line.ends_with("successfully removed.");
    for run in lines.chunk_by_mut(|a, b| removed(a) && removed(b)) {
        run.sort();
    }
    Some(lines)
}
