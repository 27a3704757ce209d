//! Backup jobs.

use pve_model::rules::Problem;
use pve_model::{Path, Value};
use serde_json::{Map, Value as Json};

use crate::definition::{flag, number, object, of_type, problem, text, texts};
use crate::object::{Form, Hooks, Object, Planning};
use crate::values::{flag as flag_of, is_unset, with};

const PLACE: &str = "/cluster/backup/{id}";

/// `proxmox_backup_job`
pub(super) fn job() -> Object {
    Object {
        names: &["proxmox_backup_job"],
        what: "backup job",
        about: "A job that backs up guests at certain times.",
        fields: vec![
            ("all", flag().computed()),
            ("bwlimit", number().computed().means("KiB a second")),
            ("compress", text().computed().one_of(&["0", "1", "gzip", "lzo", "zstd"])),
            ("enabled", flag().computed()),
            ("exclude_path", texts().param("exclude-path").form(Form::Several)),
            ("fleecing", object(vec![("enabled", flag().computed()), ("storage", text())])),
            ("id", text().required().replaces().only_made().checked(job_id)),
            ("ionice", number().computed().range(0, 8)),
            ("lockwait", number().means("minutes")),
            ("mailnotification", text().computed().one_of(&["always", "failure"])),
            ("mailto", texts().checked(recipient)),
            ("maxfiles", number()),
            ("mode", text().computed().one_of(&["snapshot", "suspend", "stop"])),
            ("node", text()),
            ("notes_template", text().param("notes-template")),
            (
                "pbs_change_detection_mode",
                text().param("pbs-change-detection-mode").one_of(&["legacy", "data", "metadata"]),
            ),
            (
                "performance",
                object(vec![
                    ("max_workers", number().param("max-workers")),
                    ("pbs_entries_max", number().param("pbs-entries-max")),
                ]),
            ),
            ("pigz", number()),
            ("pool", text()),
            ("protected", flag().computed()),
            (
                "prune_backups",
                of_type(pve_model::Type::map(pve_model::Type::String))
                    .computed()
                    .param("prune-backups")
                    .form(Form::Map),
            ),
            ("remove", flag().computed().absent(true)),
            ("repeat_missed", flag().computed().param("repeat-missed")),
            ("schedule", text().required()),
            ("script", text()),
            ("starttime", text()),
            ("stdexcludes", flag().computed().absent(true)),
            ("stopwait", number().means("minutes")),
            ("storage", text().required()),
            ("tmpdir", text()),
            ("vmid", texts()),
            ("zstd", number()),
        ],
        // Some parameters are taken only with the storage beside them.
        whole: true,
        example: r#"
  id       = "nightly"
  schedule = "02:30"
  storage  = "local"
  all      = true

  prune_backups = {
    keep-last = "7"
  }
"#,
        hooks: &Job,
        ..Object::listed("/cluster/backup", PLACE, "{id}")
    }
}

/// Proxmox VE makes a job of a longer id, and neither tells it nor deletes it.
fn job_id(text: &str) -> Option<String> {
    (text.chars().count() > 50).then(|| "an id has at most 50 characters".to_string())
}

/// A mail address or the name of a user: Proxmox VE takes what has a space or the like for several.
fn recipient(text: &str) -> Option<String> {
    let is_one =
        !text.is_empty() && !text.contains(|letter: char| letter.is_whitespace() || ",;".contains(letter));
    (!is_one).then(|| format!("{text:?} is no mail address and no name of a user"))
}

struct Job;

const WHICH: &str = "a job has all guests (all = true), those of a pool, or certain ones (vmid)";

impl Hooks for Job {
    /// What contradicts itself (PVE::VZDump, `verify_vzdump_parameters`).
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let is_set = |name| config.get(name).is_some_and(|part| part.is_known() && !is_unset(part));
        let all = flag_of(config, "all") == Some(true);
        let mut problems = Vec::new();
        let mut tell = |name, summary, detail| problems.push(problem(Path::attribute(name), summary, detail));
        if is_set("vmid") && (all || is_set("pool")) {
            tell("vmid", "Which guests a job has is said twice", WHICH);
        }
        if is_set("starttime") && is_set("schedule") {
            tell("starttime", "When a job begins is said twice", "leave starttime out: schedule says it");
        }
        problems
    }

    /// A job that nothing is said of is enabled: the API writes that down for each that it makes, an old one may lack it.
    fn read(&self, _: &Value, answer: &Json, read: &mut Map<String, Json>) {
        if answer.get("enabled").is_none() {
            read.insert("enabled".to_string(), Json::Bool(true));
        }
    }

    /// All guests, or certain ones: Proxmox VE refuses a job of both.
    fn plan(&self, planning: &mut Planning<'_>) {
        let is_stated = |name| planning.config.get(name).is_some_and(|part| !part.is_null());
        let had_all = planning.prior.is_some_and(|prior| flag_of(prior, "all") == Some(true));
        if had_all && !is_stated("all") && (is_stated("vmid") || is_stated("pool")) {
            planning.planned = with(&planning.planned, "all", Value::bool(false));
        }
        let config = planning.config;
        let is_unset = |name| config.get(name).is_none_or(is_unset);
        let has_all = config.get("all").is_some_and(|all| !all.is_known() || all.as_bool() == Some(true));
        if planning.prior.is_none() && !has_all && is_unset("vmid") && is_unset("pool") {
            let summary = "Nothing says which guests the job has";
            planning.problems.push(problem(Path::attribute("id"), summary, WHICH));
        }
    }
}
