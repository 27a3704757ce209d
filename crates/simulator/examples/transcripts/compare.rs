//! Compares an answer with the recorded one: equal, but for names and figures that no two runs share.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

/// What differs from run to run inside a text: task ids, addresses of nodes and cards, fingerprints, UUIDs, digests, times, process ids,
/// speeds, signatures of tickets, and the version of QEMU (the recorded server had Debian's).
static VOLATILE: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = [
        r"(?P<task>UPID:[\w-]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:)",
        r"(?P<mac>(?i:BC:24:1[12]:[0-9A-F]{2}:[0-9A-F]{2}:[0-9A-F]{2}))",
        r"(?P<print>\b(?:[0-9A-F]{2}:){31}[0-9A-F]{2}\b)",
        r"(?P<uuid>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})",
        r"(?P<digest>\b[0-9a-f]{40}\b)",
        r"(?P<date>\b20\d\d_\d\d_\d\d-\d\d_\d\d_\d\d\b)",
        r"(?P<address>\b10\.(?:99|0)\.0\.1\d\b|\b198\.51\.100\.10\b|\b127\.0\.0\.1\b)",
        r"(?P<local>\b\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d 20\d\d\b)",
        r"(?P<moment>\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\b(?:\.\d{9} \+0000)?)",
        r"(?P<time>\b1[789]\d{8}\b)",
        r"(?P<clock>\b\d\d:\d\d:\d\d\b)",
        r"(?P<process>\b(?:pid|PID|process) \d+)",
        r"(?P<version>creation-qemu=[\d.]+|pc-(?:q35|i440fx)-[\d.]+(?:\+pve\d+)?)",
        r"(?P<upload>pveupload-[0-9a-f]+)",
        r"(?P<ticket>\b[0-9A-F]{8}::?(?:<\w+ masked>|[A-Za-z0-9+/]{43}))",
        r"(?P<part>tmp_dwnl\.\d+)",
        r"(?P<speed>\b[\d.]+ ?[KMG]i?B/s)",
    ];
    Regex::new(&kinds.join("|")).unwrap_or_else(|error| unreachable!("a constant pattern: {error}"))
});

/// Kinds whose every occurrence of one recorded text is one text in this run. Addresses are not: a simulated cluster has
/// one for all nodes.
const BOUND: [&str; 6] = ["task", "mac", "uuid", "digest", "date", "print"];

/// Measured figures: zero has to be zero, anything else any number.
const MEASURED: &[&str] = &[
    "cpu",
    "mem",
    "memhost",
    "uptime",
    "netin",
    "netout",
    "diskread",
    "diskwrite",
    "pid",
    "pstart",
    "starttime",
    "endtime",
    "ctime",
    "used",
    "avail",
    "used_fraction",
    "freemem",
    "balloon_min",
    "wait",
    "idle",
    "time",
    "start",
    "actual",
    "free_mem",
    "total_mem",
    "pressurecpusome",
    "pressurecpufull",
    "pressureiosome",
    "pressureiofull",
    "pressurememorysome",
    "pressurememoryfull",
    "mem_swapped_in",
    "mem_swapped_out",
    "localtime",
    "snaptime",
    "total",
    "disk",
];

/// What tells about the machine below: the fields are compared, not the values.
const MACHINE: &[&str] = &[
    "cpuinfo",
    "current-kernel",
    "kversion",
    "boot-info",
    "loadavg",
    "pveversion",
    "memory",
    "swap",
    "rootfs",
    "repoid",
    "ssl_fingerprint",
];

/// Figures that may be zero on one side only: what was written so far, and the seconds since a start.
const ANY: &[&str] = &["used", "used_fraction", "uptime", "diskread", "diskwrite", "netin", "netout", "cpu"];

/// What recorded texts are called in this run.
#[derive(Debug, Default, Clone)]
pub struct Names {
    known: HashMap<String, String>,
    /// Recorded names of volumes with those of this run, where a clone made them in another order.
    volumes: HashMap<String, String>,
}

static DISK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\bvm-\d+-disk-\d+\b").unwrap_or_else(|error| unreachable!("a constant pattern: {error}"))
});

impl Names {
    /// Replaces recorded names by those of this run.
    pub fn translate(&self, text: &str) -> String {
        let text = &*self.volumes_here(text);
        VOLATILE
            .replace_all(text, |found: &regex::Captures<'_>| {
                self.known.get(&found[0]).cloned().unwrap_or_else(|| found[0].to_owned())
            })
            .into_owned()
    }

    /// True if a task of this recording has this id here.
    pub fn has(&self, upid: &str) -> bool {
        VOLATILE.find(upid).is_some_and(|found| self.known.values().any(|here| here == found.as_str()))
    }

    /// True if a task of this recording has this id.
    pub fn knows(&self, upid: &str) -> bool {
        VOLATILE.find(upid).is_some_and(|found| self.known.contains_key(found.as_str()))
    }

    /// As [`Names::translate`], for every text in `value`.
    pub fn translate_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.translate(text)),
            Value::Array(items) => items.iter().map(|item| self.translate_value(item)).collect(),
            Value::Object(fields) => Value::Object(
                fields.iter().map(|(name, value)| (name.clone(), self.translate_value(value))).collect(),
            ),
            other => other.clone(),
        }
    }

    /// Remembers which volumes a clone made in another order.
    pub fn bind_volumes(&mut self, recorded: &[String], here: &[String]) {
        self.volumes.extend(crate::log::volumes(recorded, here));
    }

    fn volumes_here(&self, text: &str) -> String {
        let name = |found: &regex::Captures<'_>| {
            self.volumes.get(&found[0]).cloned().unwrap_or_else(|| found[0].to_owned())
        };
        DISK.replace_all(text, name).into_owned()
    }

    fn bind(&mut self, recorded: &str, here: &str) -> bool {
        if recorded.starts_with("bc:24:11") {
            return self.bind(&recorded.to_uppercase(), &here.to_uppercase());
        }
        self.known.entry(recorded.to_owned()).or_insert_with(|| here.to_owned()) == here
    }

    fn same_text(&mut self, expected: &str, actual: &str) -> bool {
        let expected = &*self.volumes_here(expected);
        if expected == actual && !VOLATILE.is_match(expected) {
            return true;
        }
        let (left, right) = (pieces(expected), pieces(actual));
        left.len() == right.len()
            && left.iter().zip(&right).all(|((kind, recorded), (other, here))| {
                kind == other
                    && match kind {
                        None => recorded == here,
                        Some(kind) => !BOUND.contains(kind) || self.bind(recorded, here),
                    }
            })
    }
}

/// Splits a text into literal and volatile pieces.
fn pieces(text: &str) -> Vec<(Option<&'static str>, &str)> {
    const KINDS: [&str; 17] = [
        "task", "mac", "uuid", "digest", "date", "time", "clock", "process", "moment", "address", "version",
        "upload", "part", "speed", "ticket", "local", "print",
    ];
    let (mut pieces, mut at) = (Vec::new(), 0);
    for found in VOLATILE.captures_iter(text) {
        let Some(whole) = found.get(0) else { continue };
        pieces.push((None, &text[at..whole.start()]));
        let kind = KINDS.iter().find(|kind| found.name(kind).is_some()).copied();
        pieces.push((kind, whole.as_str()));
        at = whole.end();
    }
    pieces.push((None, &text[at..]));
    pieces
}

/// Compares two values and writes down where they differ. `names` learns what this run calls things.
pub fn compare(at: &str, expected: &Value, actual: &Value, names: &mut Names, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::String(left), Value::String(right)) if names.same_text(left, right) => {}
        // Results of high availability, by the id of the work.
        (Value::Object(left), Value::Object(right)) if is_by_uid(left) && is_by_uid(right) => {
            let rows = |results: &Map<String, Value>| results.values().cloned().collect::<Vec<_>>();
            compare_lists(at, &rows(left), &rows(right), names, found);
        }
        (Value::Object(left), Value::Object(right)) => {
            // A line of the cluster's log is numbered by what was written before the recording.
            let line = left.contains_key("tag") && left.contains_key("msg");
            let node = left.get("type").is_some_and(|kind| kind == "node" || kind == "storage");
            for (name, value) in left {
                match right.get(name) {
                    // The machine's own figures, and those that its kernel does not have.
                    Some(other) if node && value.is_number() && other.is_number() => {}
                    Some(_) if name.starts_with("pressure") => {}
                    Some(_) if line && matches!(name.as_str(), "uid" | "id") => {}
                    Some(other) if MACHINE.contains(&name.as_str()) => {
                        shape(&format!("{at}.{name}"), value, other, found)
                    }
                    // Perl prints the same figure as a number or as a text.
                    Some(other) if name == "saved" && text_of(value) == text_of(other) => {}
                    None => found.push(format!("{at}.{name}: missing, recorded {value}")),
                    Some(other) if !at.is_empty() && measured(name, value, other) => {}
                    Some(other) if name == "uid" && is_uid(value) && is_uid(other) => {}
                    Some(other) if name == "content" && same_list(value, other) => {}
                    Some(other) => compare(&format!("{at}.{name}"), value, other, names, found),
                }
            }
            for (name, value) in right.iter().filter(|(name, _)| !left.contains_key(*name)) {
                found.push(format!("{at}.{name}: not recorded, here {value}"));
            }
        }
        (Value::Array(left), Value::Array(right)) => compare_lists(at, left, right, names, found),
        (left, right) if left == right => {}
        // Times that are stored as a value.
        (left, right) if is_time(left) && is_time(right) => {}
        (left, right) => found.push(format!("{at}: recorded {left}, here {right}")),
    }
}

/// An id that the manager of high availability makes for a piece of work: 128 bits in base 64.
fn is_uid(value: &Value) -> bool {
    value.as_str().is_some_and(is_uid_text)
}

fn is_uid_text(text: &str) -> bool {
    text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn is_by_uid(fields: &Map<String, Value>) -> bool {
    !fields.is_empty() && fields.keys().all(|key| is_uid_text(key))
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Compares the fields and their types.
fn shape(at: &str, expected: &Value, actual: &Value, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(left), Value::Object(right)) => {
            for (name, value) in left {
                match right.get(name) {
                    Some(other) => shape(&format!("{at}.{name}"), value, other, found),
                    None => found.push(format!("{at}.{name}: missing, recorded {value}")),
                }
            }
        }
        (left, right) if std::mem::discriminant(left) == std::mem::discriminant(right) => {}
        (left, right) => found.push(format!("{at}: recorded {left}, here {right}")),
    }
}

fn is_time(value: &Value) -> bool {
    value.as_u64().is_some_and(|number| (1_700_000_000..2_000_000_000).contains(&number))
}

/// Content types of a storage, in any order.
fn same_list(expected: &Value, actual: &Value) -> bool {
    let sorted = |value: &Value| {
        let mut items: Vec<String> =
            value.as_str().unwrap_or_default().split(',').map(str::to_owned).collect();
        items.sort();
        items
    };
    expected.is_string() && actual.is_string() && sorted(expected) == sorted(actual)
}

fn measured(name: &str, expected: &Value, actual: &Value) -> bool {
    let zero = |value: &Value| value.as_f64() == Some(0.0);
    MEASURED.contains(&name)
        && ((expected.is_number()
            && actual.is_number()
            && (ANY.contains(&name) || zero(expected) == zero(actual)))
            || (name == "ctime" && expected.is_string() && actual.is_string()))
}

/// Lists have no order in the API: every recorded item has to find a partner, the one at its own place first.
fn compare_lists(at: &str, left: &[Value], right: &[Value], names: &mut Names, found: &mut Vec<String>) {
    let mut free: Vec<usize> = (0..right.len()).collect();
    let mut alone = Vec::new();
    for (index, item) in left.iter().enumerate() {
        let candidates = free.iter().copied().filter(|other| *other == index);
        let order: Vec<usize> =
            candidates.chain(free.iter().copied().filter(|other| *other != index)).collect();
        let partner = order.into_iter().find(|other| {
            let (mut tried, mut differences) = (names.clone(), Vec::new());
            compare(at, item, &right[*other], &mut tried, &mut differences);
            if differences.is_empty() {
                *names = tried;
            }
            differences.is_empty()
        });
        match partner {
            Some(partner) => free.retain(|other| *other != partner),
            None => alone.push(item),
        }
    }
    for item in alone {
        let near = free
            .iter()
            .copied()
            .find(|other| identity(item).is_some_and(|id| identity(&right[*other]) == Some(id)));
        match near {
            Some(near) => {
                free.retain(|other| *other != near);
                let name = identity(item).map(ToString::to_string).unwrap_or_default();
                compare(&format!("{at}[{name}]"), item, &right[near], names, found);
            }
            None => found.push(format!("{at}: missing {item}")),
        }
    }
    found.extend(free.into_iter().map(|other| format!("{at}: not recorded {}", right[other])));
}

/// What names an item of a list.
fn identity(item: &Value) -> Option<&Value> {
    [
        "upid", "volid", "id", "key", "n", "storage", "vmid", "name", "node", "pos", "userid", "cidr",
        "iface", "sid",
    ]
    .iter()
    .find_map(|name| item.get(name))
}
