//! Plain objects of the cluster: what is kept of them are the sections of their files.

mod acme;
mod mappings;
mod metrics;
mod notifications;
mod replication;

pub(crate) use acme::{Account, ROUTES as ACME_ROUTES};
pub(crate) use mappings::{ROUTES as MAPPING_ROUTES, is_mapped};
pub(crate) use metrics::ROUTES as METRIC_ROUTES;
pub(crate) use notifications::ROUTES as NOTIFICATION_ROUTES;
pub(crate) use replication::{
    ROUTES as REPLICATION_ROUTES, check_replication, forget_replication, settle_replication,
};
