//! Ceph beyond its pools (PVE::API2::Ceph, PVE::API2::Cluster::Ceph): as on a node where it is not installed.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/ceph", |_| {
        names(&[
            "cmd-safety",
            "cfg",
            "crush",
            "fs",
            "init",
            "log",
            "mds",
            "mgr",
            "mon",
            "osd",
            "pool",
            "releases",
            "restart",
            "restart-bulk",
            "rules",
            "start",
            "status",
            "stop",
        ])
    }),
    ("GET", "/nodes/{node}/ceph/cfg", |_| names(&["raw", "db", "value"])),
    ("GET", "/nodes/{node}/ceph/cfg/raw", without_monitor),
    ("GET", "/nodes/{node}/ceph/cfg/db", without_monitor),
    ("GET", "/nodes/{node}/ceph/cfg/value", without_monitor),
    ("GET", "/nodes/{node}/ceph/cmd-safety", without_monitor),
    ("GET", "/nodes/{node}/ceph/crush", without_monitor),
    ("GET", "/nodes/{node}/ceph/fs", without_monitor),
    ("POST", "/nodes/{node}/ceph/fs/{name}", without_monitor),
    ("POST", "/nodes/{node}/ceph/init", |_| absent("/usr/bin/ceph")),
    ("GET", "/nodes/{node}/ceph/log", without_monitor),
    ("GET", "/nodes/{node}/ceph/mds", without_monitor),
    ("POST", "/nodes/{node}/ceph/mds/{name}", |_| absent("/usr/bin/ceph-mds")),
    ("DELETE", "/nodes/{node}/ceph/mds/{name}", without_monitor),
    ("GET", "/nodes/{node}/ceph/mgr", without_monitor),
    ("POST", "/nodes/{node}/ceph/mgr/{id}", |_| absent("/usr/bin/ceph-mgr")),
    ("DELETE", "/nodes/{node}/ceph/mgr/{id}", without_monitor),
    ("GET", "/nodes/{node}/ceph/mon", without_monitor),
    ("POST", "/nodes/{node}/ceph/mon/{monid}", without_monitor),
    ("DELETE", "/nodes/{node}/ceph/mon/{monid}", without_monitor),
    ("GET", "/nodes/{node}/ceph/osd", without_monitor),
    ("POST", "/nodes/{node}/ceph/osd", without_monitor),
    ("GET", "/nodes/{node}/ceph/osd/{osdid}", |_| names(&["metadata", "lv-info"])),
    ("DELETE", "/nodes/{node}/ceph/osd/{osdid}", without_monitor),
    ("GET", "/nodes/{node}/ceph/osd/{osdid}/lv-info", without_monitor),
    ("GET", "/nodes/{node}/ceph/osd/{osdid}/metadata", without_monitor),
    ("POST", "/nodes/{node}/ceph/osd/{osdid}/in", without_monitor),
    ("POST", "/nodes/{node}/ceph/osd/{osdid}/out", without_monitor),
    ("POST", "/nodes/{node}/ceph/osd/{osdid}/scrub", without_monitor),
    ("POST", "/nodes/{node}/ceph/restart", without_monitor),
    ("GET", "/nodes/{node}/ceph/rules", without_monitor),
    ("POST", "/nodes/{node}/ceph/start", without_monitor),
    ("GET", "/nodes/{node}/ceph/status", without_monitor),
    ("POST", "/nodes/{node}/ceph/stop", without_monitor),
    ("GET", "/cluster/ceph", |_| names(&["flags", "metadata", "restart-bulk", "status"])),
    ("GET", "/cluster/ceph/flags", without_monitor),
    ("PUT", "/cluster/ceph/flags", without_monitor),
    ("GET", "/cluster/ceph/flags/{flag}", without_monitor),
    ("PUT", "/cluster/ceph/flags/{flag}", without_monitor),
    ("GET", "/cluster/ceph/metadata", without_monitor),
    ("GET", "/cluster/ceph/status", without_monitor),
];

fn names(names: &[&str]) -> Answer {
    Ok(names.iter().map(|name| json!({ "name": name })).collect::<Value>())
}

fn absent(program: &str) -> Answer {
    Err(Failure::died(format!("binary not installed: {program}")))
}

/// Every call looks for the monitor first (PVE::Ceph::Tools, `check_ceph_inited`).
fn without_monitor(_: &mut Request<'_>) -> Answer {
    absent("/usr/bin/ceph-mon")
}
