//! Growing a volume, and its line with it: a volume that has the size already, as after the rollback of a snapshot from
//! before an earlier growth, leaves the line as it is.

use std::time::Duration;

use pve_executor::ports::ProviderError;

use crate::cluster::{Call, Method, Step, refused};
use crate::observed::Observed;
use crate::params::Params;
use crate::property::Properties;
use crate::size::parse_size;

/// What the API says of a volume of a container that has the size already (PVE::API2::LXC, `resize_vm`).
const AT_SIZE: &str = "disk is already at specified size";

/// The guest that has the volume.
pub(crate) struct Place<'a> {
    /// `qemu` or `lxc`.
    pub(crate) kind: &'a str,
    pub(crate) vmid: u32,
    pub(crate) node: &'a str,
}

/// Whether the line of a slot says less than a size. `None` where it says none.
pub(crate) fn is_smaller(observed: &Observed, slot: &str, size: &str) -> Option<bool> {
    let line = Properties::parse(&observed.text(slot)?);
    Some(parse_size(line.get("size")?)? < parse_size(size)?)
}

impl Call<'_> {
    /// Grows the volume of a slot to a size (`12G`), and sees that its line says so.
    pub(crate) async fn grow(
        &self,
        place: &Place<'_>,
        slot: &str,
        size: &str,
        most: Duration,
    ) -> Result<(), ProviderError> {
        let Place { kind, vmid, node } = place;
        let path = format!("/nodes/{node}/{kind}/{vmid}");
        let mut params = Params::default();
        params.put("disk", Some(slot));
        params.put("size", Some(size));
        let resize = format!("{path}/resize");
        match self.step(Step::of("resize", slot), Method::Put, &resize, &params, most).await {
            // A VM is silent about it, a container refuses it.
            Err(error) if !error.message.contains(AT_SIZE) => return Err(error),
            _ => {}
        }
        let Some(line) = self.line_to_correct(place, slot, size).await? else { return Ok(()) };
        let mut params = Params::default();
        params.put(slot, Some(line));
        self.step(Step::of("correct", slot), Method::Put, &format!("{path}/config"), &params, most).await?;
        let Some(line) = self.line_to_correct(place, slot, size).await? else { return Ok(()) };
        let message =
            format!("resize {slot} of {}: it was asked for {size}, and is still {line}", self.object);
        Err(refused(
            message,
            Some("its volume may have another size than its line says: look at it in the cluster"),
        ))
    }

    /// The line of a slot with the size, if it says less.
    async fn line_to_correct(
        &self,
        Place { kind, vmid, node }: &Place<'_>,
        slot: &str,
        size: &str,
    ) -> Result<Option<String>, ProviderError> {
        let observed = self.existing(self.look_at_options(kind, *vmid, node).await?)?;
        if is_smaller(&observed, slot, size) != Some(true) {
            return Ok(None);
        }
        let line = observed.text(slot).unwrap_or_default();
        let kept = line.split(',').filter(|part| !part.starts_with("size="));
        Ok(Some(kept.map(str::to_string).chain([format!("size={size}")]).collect::<Vec<_>>().join(",")))
    }
}
