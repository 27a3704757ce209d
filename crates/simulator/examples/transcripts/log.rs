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
