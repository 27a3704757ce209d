//! Making containers from templates.

use pve_executor::ports::ProviderError;
use pve_model::{Path, PathStep, Value};

use super::apply::Target;
use crate::guest::{Cloning, GuestKind, Unlike, timeout};
use crate::observed::Observed;
use crate::params::Params;
use crate::property::Properties;
use crate::size::parse_size;
use crate::values::{all_blocks, block, flag, int, text};

impl Target<'_> {
    /// Makes the container as a clone.
    pub(crate) async fn clone_from(
        &self,
        planned: &Value,
        clone: &Value,
        marker: Option<&str>,
    ) -> Result<(), ProviderError> {
        let source = int(clone, "vm_id").unwrap_or_default();
        let source_node = text(clone, "node_name").unwrap_or(&self.node);
        self.refuse_unlike(planned, (source, source_node)).await?;
        let full = flag(clone, "full") != Some(false);
        let mut params = Params::default();
        params.put("hostname", block(planned, "initialization").and_then(|init| text(init, "hostname")));
        params.put("pool", text(planned, "pool_id"));
        params.put("description", marker);
        params.put_flag("full", Some(full));
        params.put("storage", text(clone, "datastore_id").filter(|_| full));
        let most = timeout(planned, "timeout_clone");
        let cloning = Cloning {
            kind: GuestKind::Container,
            template: source,
            from: source_node,
            vmid: self.vmid,
            to: &self.node,
            attempts: 1,
            most,
            most_to_migrate: most,
        };
        cloning.make(&self.call, params).await
    }

    /// Refuses to make a clone that would not be as it is planned. Where the template does not show itself it is made.
    async fn refuse_unlike(
        &self,
        planned: &Value,
        (template, node): (i64, &str),
    ) -> Result<(), ProviderError> {
        let Ok(id) = u32::try_from(template) else { return Ok(()) };
        let seen = self.call.cluster.look_at_options("lxc", id, node).await.ok().flatten();
        let unlike = seen.and_then(|seen| unlike_template(&seen, planned).into_iter().next());
        unlike.map_or(Ok(()), |unlike| Err(unlike.refusal(&self.call.object)))
    }
}

/// Whether a container that was seen is unprivileged.
pub(crate) fn is_unprivileged(observed: &Observed) -> bool {
    observed.flag("unprivileged") == Some(true)
}

/// What of a clone cannot be as it is planned: volumes only grow, and a clone is as privileged as its template, which no
/// request changes (PVE::API2::LXC, `clone_vm`; PVE::LXC::Config, `update_pct_config`).
pub(crate) fn unlike_template(template: &Observed, planned: &Value) -> Vec<Unlike> {
    let has = is_unprivileged(template);
    let privilege = flag(planned, "unprivileged").filter(|wants| *wants != has).map(|wants| Unlike {
        path: Path::attribute("unprivileged"),
        name: "unprivileged".to_string(),
        has: has.to_string(),
        wants: wants.to_string(),
        hint: "leave `unprivileged` out, or clone another template: this one cannot be changed, but a backup of it can be \
               restored with another `unprivileged`",
    });
    let root = block(planned, "disk").and_then(|disk| int(disk, "size")).map(|size| format!("{size}G"));
    let root = root.map(|size| ("disk", 0, "rootfs".to_string(), size));
    let points = all_blocks(planned, "mount_point").iter().enumerate();
    // One that names a volume has that.
    let points =
        points.filter(|(_, point)| !text(point, "volume").is_some_and(|name| name.contains([':', '/'])));
    let points = points.filter_map(|(index, point)| {
        let slot = super::slot_of(template, point)?;
        Some(("mount_point", index, slot, text(point, "size")?.to_string()))
    });
    let smaller = root.into_iter().chain(points).filter_map(|(part, index, slot, wants)| {
        let line = Properties::parse(&template.text(&slot)?);
        let has = line.get("size").filter(|has| parse_size(has) > parse_size(&wants))?.to_string();
        let at = Path::attribute(part).child(PathStep::Index(index as u64));
        Some(Unlike {
            path: at.child(PathStep::Attribute("size".to_string())),
            name: slot,
            has,
            wants,
            hint: "volumes only grow: set a size that is at least the template's, or leave it out",
        })
    });
    privilege.into_iter().chain(smaller).collect()
}
