//! Replication of guests to other nodes.

use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{Call, Step, refused};
use crate::definition::{flag, number, text};
use crate::guest::guest_claim_of;
use crate::object::{Hooks, Object};
use crate::values::text as text_of;

/// How long a removal is waited for: the jobs of a node run every minute, one after the other.
const MOST: Duration = Duration::from_secs(600);

const PLACE: &str = "/cluster/replication/{id}";

/// `proxmox_replication`
pub(super) fn replication() -> Object {
    Object {
        names: &["proxmox_replication", "proxmox_virtual_environment_replication"],
        what: "replication",
        about: "A job that replicates a guest to another node. `id` is the guest and a number: `100-0`.",
        fields: vec![
            ("comment", text()),
            ("disable", flag().computed().or(false)),
            ("guest", number().read_only()),
            ("id", text().required().replaces().only_made().checked(job_id)),
            ("jobnum", number().read_only()),
            ("rate", number().means("MB a second")),
            ("schedule", text().computed().absent("*/15")),
            ("source", text().read_only()),
            ("target", text().required().replaces().only_made()),
            ("type", text().required().replaces().only_made().one_of(&["local"])),
        ],
        example: r#"
  id       = "100-0"
  target   = "pve2"
  type     = "local"
  schedule = "*/30"
"#,
        hooks: &Replication,
        ..Object::listed("/cluster/replication", PLACE, "{id}")
    }
}

struct Replication;

#[async_trait]
impl Hooks for Replication {
    /// A guest that is purged takes its jobs along; one that is not is not destroyed before they are (PVE::API2::Qemu,
    /// PVE::API2::LXC).
    fn part_of(&self, present: &Value) -> Vec<String> {
        let id = text_of(present, "id").and_then(|id| id.split_once('-'));
        id.and_then(|(id, _)| guest_claim_of(id)).into_iter().collect()
    }

    /// A deletion only marks the job. What runs the jobs, every minute, takes it out with what the target has of the guest:
    /// until then its id is taken, and the guest is not destroyed without a purge, which would leave that behind.
    async fn after(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        let (Some(id), None) = (prior.and_then(|prior| text_of(prior, "id")), planned) else { return Ok(()) };
        let waiting =
            (Step::of("await", "its removal"), "waiting for the node to remove what the target has");
        if call.has_come(waiting, MOST, || is_removed(call, id)).await? {
            return Ok(());
        }
        let message = format!("{} is still being removed after {} s", call.object, MOST.as_secs());
        let hint = format!(
            "its target may be away: `pvesr list` on the guest's node tells; `pvesr delete {id} --force` there gives up what \
             the target has"
        );
        Err(refused(message, Some(&*hint)))
    }

    /// A job that is being removed is listed until its next run.
    fn is_it(&self, _: &Value, job: &Json) -> bool {
        job.get("remove_job").is_none()
    }

    /// The number of the job is in its id: one answer has it, the other has not.
    fn read(&self, _: &Value, job: &Json, read: &mut Map<String, Json>) {
        let id = job.get("id").and_then(Json::as_str).unwrap_or_default();
        if let Some(number) = id.split_once('-').and_then(|(_, number)| number.parse::<i64>().ok()) {
            read.insert("jobnum".into(), json!(number));
        }
    }
}

async fn is_removed(call: &Call<'_>, id: &str) -> Result<bool, ProviderError> {
    let jobs =
        call.cluster.get("/cluster/replication").await.map_err(|error| call.failed(Step::FIND, &error))?;
    Ok(!jobs.as_array().is_some_and(|jobs| jobs.iter().any(|job| job["id"] == id)))
}

fn job_id(text: &str) -> Option<String> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let fits =
        text.split_once('-').is_some_and(|(guest, job)| guest.len() > 2 && digits(guest) && digits(job));
    (!fits).then(|| format!("{text:?} is no id of a job: write it as GUEST-NUMBER"))
}
