//! Objects that are replaced and are still there although what replaces them is, too: something came between the two halves
//! of a batch and its end. Both are known then, the earlier one as deposed, so that it is destroyed yet and is not taken for
//! somebody else's.

use pve_model::InstanceAddress;
use pve_model::event::{InstanceObserved, Payload};
use pve_model::state::InstanceRecord;
use uuid::Uuid;

/// Keeps what was replaced beside what the action has made, unless it is that: of two with one name there is one.
pub(crate) fn kept_beside(
    address: &InstanceAddress,
    action: Uuid,
    replaced: InstanceRecord,
    made: &InstanceRecord,
) -> Option<Payload> {
    if replaced.values.get("id") == made.values.get("id") {
        return None;
    }
    // The same name, however often it is found of this action: what follows the time in its id is random.
    let name = action.simple().to_string().chars().skip(24).collect();
    let address = address.clone();
    Some(Payload::InstanceObserved(InstanceObserved { address, deposed: Some(name), record: replaced }))
}
