//! How ids inside of a container are those of its node: `lxc.idmap` in the container's own file (`pct.conf(5)`,
//! `lxc.container.conf(5)`). The API shows these lines and takes none, so they are written over SSH, under the lock that
//! Proxmox VE itself takes, and read back.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::apply::Target;
use crate::cluster::{Step, refused};
use crate::observed::Observed;
use crate::values::{all_blocks, int, text};

/// The key of a line.
const KEY: &str = "lxc.idmap";

/// The longest wait for the lock and the file.
const MOST: Duration = Duration::from_secs(60);

/// The lines that are planned, without their key: `u 0 100000 65536`.
pub(super) fn planned_lines(value: &Value) -> Vec<String> {
    let maps = all_blocks(value, "idmap").iter().filter_map(|map| {
        let kind = text(map, "type")?.get(..1)?;
        let number = |name: &str| int(map, name);
        Some(format!("{kind} {} {} {}", number("container_id")?, number("host_id")?, number("size")?))
    });
    maps.collect()
}

/// The lines that are there.
fn present_lines(observed: &Observed) -> Vec<String> {
    let pairs = observed.config.get("lxc").and_then(Json::as_array).into_iter().flatten();
    let lines = pairs.filter_map(|pair| {
        let text = |at: usize| pair.get(at).and_then(Json::as_str);
        (text(0)? == KEY).then(|| text(1)).flatten()
    });
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The blocks of the lines that are there.
pub(super) fn decode(observed: &Observed) -> Json {
    let blocks = present_lines(observed).into_iter().filter_map(|line| {
        let mut words = line.split(' ');
        let kind = match words.next()? {
            "u" => "uid",
            "g" => "gid",
            _ => return None,
        };
        let mut number = || words.next()?.parse::<i64>().ok();
        Some(json!({ "type": kind, "container_id": number()?, "host_id": number()?, "size": number()? }))
    });
    blocks.collect()
}

/// The command that replaces the lines, in what comes before the first snapshot. The inserts come first: a deleted line
/// ends what is done for it.
fn command(node: &str, vmid: u32, lines: &[String]) -> Vec<String> {
    let lock = format!("/run/lock/lxc/pve-config-{vmid}.lock");
    let file = format!("/etc/pve/nodes/{node}/lxc/{vmid}.conf");
    let inserts = lines.iter().map(|line| format!("1i {KEY}: {line}"));
    let scripts = inserts.chain([r"1,/^\[/{/^lxc\.idmap/d}".to_string()]);
    let scripts = scripts.flat_map(|script| ["-e".to_string(), script]);
    let words = ["flock", "-w", "10", &lock, "sed", "-i"].map(str::to_string);
    words.into_iter().chain(scripts).chain([file]).collect()
}

impl Target<'_> {
    /// Writes the planned map where another is there. A running container is shut down before: it keeps the map that it
    /// was started with, and one that is stopped is planned to be started, whatever happens in between. Returns whether
    /// it still runs.
    pub(super) async fn map_ids(
        &self,
        prior: Option<&Value>,
        planned: &Value,
        was_running: bool,
    ) -> Result<bool, ProviderError> {
        let wanted = planned_lines(planned);
        if wanted.is_empty() && prior.is_none_or(|prior| planned_lines(prior).is_empty()) {
            return Ok(was_running);
        }
        if present_lines(&self.look_at_options().await?) == wanted {
            return Ok(was_running);
        }
        if was_running {
            self.shut_down(planned).await?;
        }
        let step = Step::of("write", "idmap");
        self.call.go_on(step)?;
        self.refuse_taken_over().await?;
        let command = command(&self.node, self.vmid, &wanted);
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let run = self.call.cluster.api.run(&self.node, &words, MOST).await;
        run.map_err(|error| self.call.failed(step, &error))?;
        if present_lines(&self.look_at_options().await?) != wanted {
            let message = format!("{}: the cluster does not show it afterwards", step.on(&self.call.object));
            return Err(refused(message, Some("look at the container's file on the node, and plan again")));
        }
        self.call.completed(step).await?;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `sed` of this machine says what becomes of a file.
    #[test]
    fn lines_are_replaced_before_the_first_snapshot_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("301.conf");
        let lines = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let edit = |before: &str, wanted: &[&str]| {
            std::fs::write(&file, before).unwrap();
            let mut words = command("pve", 301, &lines(wanted)).split_off(4);
            assert_eq!(words.pop().as_deref(), Some("/etc/pve/nodes/pve/lxc/301.conf"));
            let done = std::process::Command::new(&words[0]).args(&words[1..]).arg(&file).status().unwrap();
            assert!(done.success());
            std::fs::read_to_string(&file).unwrap()
        };
        let snapshot = "\n[before]\narch: amd64\nlxc.idmap: u 0 5 1\n";
        let plain = "# text\narch: amd64\nlxc.cap.drop: sys_time\n";
        let mapped = format!("lxc.idmap: u 0 100000 9\nlxc.idmap: g 0 100000 9\n{plain}");
        let wanted = ["u 0 100000 9", "g 0 100000 9"];
        for end in ["", snapshot] {
            let before = format!("{plain}{end}");
            assert_eq!(edit(&before, &wanted), format!("{mapped}{end}"));
            let other = format!("lxc.idmap: u 0 1 2\narch: amd64\nlxc.idmap = g 0 1 2\n{end}");
            let expected = format!("lxc.idmap: u 0 100000 9\nlxc.idmap: g 0 100000 9\narch: amd64\n{end}");
            assert_eq!(edit(&other, &wanted), expected);
            assert_eq!(edit(&format!("{mapped}{end}"), &[]), before);
        }
    }
}
