//! What aliases and IP sets share: objects of a firewall with a name of their own, which may change.

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::{id, owner, owner_of};
use crate::cluster::refused;
use crate::values::{blank, complete, settle, text, with, with_unknown};

/// What users import such an object by.
pub(crate) const SHAPE: &str = "cluster/NAME, vm/NODE/VMID/NAME or container/NODE/VMID/NAME";

/// Its name.
pub(crate) fn name(value: &Value) -> &str {
    text(value, "name").unwrap_or_default()
}

/// What nothing else may be beside it: names are told apart whatever their case.
pub(crate) fn claim(what: &str, planned: &Value) -> Option<String> {
    let name = text(planned, "name")?.to_lowercase();
    Some(format!("firewall {what} {name} of {}", owner(planned)?))
}

/// What is planned for it: a new name is a new id, which is told once it has it.
pub(crate) fn planned(prior: &Value, proposed: &Value) -> Value {
    let planned = settle(prior, proposed);
    if text(prior, "name") == text(&planned, "name") { planned } else { with_unknown(&planned, "id") }
}

/// The planned values once it is as planned.
pub(crate) fn done(planned: &Value) -> Value {
    complete(planned, &with(&blank(planned), "id", Value::string(name(planned))))
}

/// The owner and the name of `OWNER/NAME`, put into a value.
pub(crate) fn located(base: &Value, id: &str) -> Option<Value> {
    let (owner, name) = id.rsplit_once('/')?;
    Some(with(&owner_of(base, owner)?, "name", Value::string(name)))
}

/// An object of that name is there already.
pub(crate) fn taken(error: ProviderError, planned: &Value) -> ProviderError {
    if !error.message.contains("already exists") {
        return error;
    }
    let hint = format!(
        "import it with the id {:?}, or choose another name",
        format!("{}/{}", id(planned), name(planned))
    );
    ProviderError { left: None, ..refused(error.message, Some(&hint)) }
}
