//! What only root may do, and no token of root's either.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::Path;

use super::super::fault::Fault;
use crate::families::sets_password;

/// Attributes that only `root@pam` itself may set (PVE::API2::Backup, PVE::API2::ACMEAccount).
const OF_ROOT: &[(&str, &str)] =
    &[("acme_account", "contact"), ("backup_job", "script"), ("backup_job", "tmpdir")];

/// The attribute of a change that whoever asks may not set.
pub(super) fn only_for_root(user: &str, change: &ApplyRequest, kind: &str) -> Option<Doubt> {
    let (planned, prior) = (change.planned.as_ref()?, change.prior.as_ref());
    let is_changed = |attribute: &str| {
        let part = planned.get(attribute).filter(|part| part.is_known() && !part.is_null());
        part.is_some() && part != prior.and_then(|prior| prior.get(attribute))
    };
    let only_root = OF_ROOT.iter().find(|(of, attribute)| *of == kind && is_changed(attribute));
    if let Some(&(_, attribute)) = only_root.filter(|_| user != "root@pam") {
        let detail =
            format!("this is {user}; root logs in with a password (username and password), not with a token");
        let summary = |_: &str| format!("Only root@pam itself may set {attribute}");
        return Some(Fault::certain("", summary, detail).at(change, Path::attribute(attribute)));
    }
    let is_set = kind == "user" && prior.is_some_and(|prior| sets_password(prior, planned));
    (is_set && user.contains('!')).then(|| password_by_token(user, change))
}

/// The password of a user that is there is set by a request that no token may make (PVE::API2::AccessControl).
fn password_by_token(user: &str, change: &ApplyRequest) -> Doubt {
    let detail = format!("requests are made by the token {user}: log in with username and password");
    let summary = |_: &str| "No token may set the password of a user that is there".to_string();
    let doubt = Fault::certain("", summary, detail).at(change, Path::attribute("password"));
    Doubt { may_come: false, ..doubt }
}
