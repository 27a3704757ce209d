//! What belongs to the whole cluster: options, replication, backup jobs, metrics servers.

mod backup;
mod metrics;
mod options;
mod replication;

use crate::object::Object;

/// The kinds of this family.
pub(super) fn objects() -> Vec<Object> {
    vec![options::options(), replication::replication(), backup::job(), metrics::server()]
}
