//! What only root may do, and no token of root's either.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::Path;

use super::super::fault::Fault;

/// Attributes that only `root@pam` itself may set (PVE::API2::Backup, PVE::API2::ACMEAccount).
const OF_ROOT: &[(&str, &str)] =
    &[("acme_account", "contact"), ("backup_job", "script"), ("backup_job", "tmpdir")];

/// Attributes that no API token may change (PVE::API2::AccessControl).
const OF_SESSIONS: &[(&str, &str)] = &[("user", "password")];

/// The attribute of a change that whoever asks may not set.
pub(super) fn look(user: &str, change: &ApplyRequest, kind: &str) -> Option<Doubt> {
    let (planned, prior) = (change.planned.as_ref()?, change.prior.as_ref());
    let is_changed = |attribute: &str| {
        let part = planned.get(attribute).filter(|part| part.is_known() && !part.is_null());
        part.is_some() && part != prior.and_then(|prior| prior.get(attribute))
    };
    let find = |table: &'static [(&str, &str)]| {
        table
            .iter()
            .find(|(of, attribute)| *of == kind && is_changed(attribute))
            .map(|(_, attribute)| *attribute)
    };
    if let Some(attribute) = find(OF_ROOT).filter(|_| user != "root@pam") {
        let detail =
            format!("this is {user}; root logs in with a password (username and password), not with a token");
        let summary = |_: &str| format!("Only root@pam itself may set {attribute}");
        return Some(Fault::certain("", summary, detail).at(change, Path::attribute(attribute)));
    }
    let attribute = find(OF_SESSIONS).filter(|_| user.contains('!') && prior.is_some())?;
    let detail = format!("this is {user}; log in with username and password to change it");
    let summary = |_: &str| format!("No API token may change a {attribute}");
    Some(Fault::certain("", summary, detail).at(change, Path::attribute(attribute)))
}
