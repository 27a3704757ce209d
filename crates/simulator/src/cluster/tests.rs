//! Two servers become one cluster, on clocks that only the test moves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::calls::Calls;
use crate::options::Options;
use crate::simulator::Simulator;

const TASK: Duration = Duration::from_millis(20);

/// Two servers that reach each other; the first one is a cluster of one.
struct World {
    first: Calls,
    second: Calls,
}

impl World {
    fn new() -> Self {
        let server = |node: &str, password: &str| {
            let (node, password) = (node.to_owned(), password.to_owned());
            let simulator =
                Simulator::new(Options { node, password, task_duration: TASK, ..Options::default() });
            simulator.stop_clock();
            simulator
        };
        let (first, second) = (server("pve1", "first-one"), server("pve2", "second-one"));
        first.connect(&second);
        let world = World { first: Calls::to(&first), second: Calls::to(&second) };
        world.first.ok("POST", "/cluster/config", &[("clustername", "lab")]);
        world.pass(2 * TASK);
        world
    }

    fn pass(&self, time: Duration) {
        self.first.simulator.advance(time);
        self.second.simulator.advance(time);
    }

    /// How the second one's attempt to join ends.
    fn join(&self, fingerprint: &str, password: &str) -> (String, Vec<String>) {
        let sent = [("hostname", "pve1"), ("fingerprint", fingerprint), ("password", password)];
        let upid = self.second.ok("POST", "/cluster/config/join", &sent);
        self.pass(TASK);
        self.second.task(&upid)
    }

    fn fingerprint(&self) -> String {
        let information = self.first.get("/cluster/config/join");
        information["nodelist"][0]["pve_fp"].as_str().unwrap().to_owned()
    }
}

fn names(rows: &Value) -> Vec<(&str, &Value)> {
    rows.as_array().unwrap().iter().map(|row| (row["name"].as_str().unwrap(), &row["online"])).collect()
}

#[test]
fn a_server_that_joins_answers_as_a_node_of_the_cluster() {
    let world = World::new();
    world.first.ok("POST", "/access/users", &[("userid", "a@pve")]);
    let fingerprint = world.fingerprint();
    let sent = [("hostname", "pve1"), ("fingerprint", fingerprint.as_str()), ("password", "first-one")];
    let upid = world.second.ok("POST", "/cluster/config/join", &sent);
    assert_eq!(names(&world.first.get("/cluster/status")), [("lab", &Value::Null), ("pve1", &json!(1))]);
    world.pass(TASK);
    let status = world.first.get("/cluster/status");
    assert_eq!(names(&status)[2], ("pve2", &json!(0)));
    assert_eq!((&status[0]["quorate"], &status[0]["version"]), (&json!(0), &json!(2)));
    world.pass(TASK);
    let status = world.first.get("/cluster/status");
    assert_eq!((&status[0]["quorate"], names(&status)[2]), (&json!(1), ("pve2", &json!(1))));
    assert_eq!(world.first.get("/nodes")[1]["status"], "unknown");
    let early = world.first.refused("GET", "/nodes/pve2/tasks", &[]);
    assert_eq!(early, "596 error:0A000086:SSL routines::certificate verify failed");
    world.pass(Duration::from_secs(10));
    // Its passwords and users are the cluster's now, its tasks its own.
    let second = world.first.login("root@pam", "first-one").at(&world.second.simulator);
    assert_eq!(second.task(&upid).0, "OK");
    assert_eq!(second.get("/access/users")[0]["userid"], "a@pve");
    let local = second.get("/cluster/status");
    let local: Vec<&Value> = local.as_array().unwrap().iter().map(|row| &row["local"]).collect();
    assert_eq!(local, [&Value::Null, &json!(0), &json!(1)]);
    world.first.ok("DELETE", "/cluster/config/nodes/pve2", &[]);
    assert_eq!(world.first.get("/nodes").as_array().map(Vec::len), Some(1));
}

#[test]
fn a_server_that_may_not_join_is_told_why() {
    let world = World::new();
    let fingerprint = world.fingerprint();
    let (exit, log) = world.join(&fingerprint, "wrong");
    assert_eq!(
        (exit.as_str(), log[0].as_str()),
        ("401 authentication failure", "Establishing API connection with host 'pve1'")
    );
    let other = "AA:".repeat(31) + "AA";
    assert_eq!(world.join(&other, "wrong").0, format!("fingerprint '{fingerprint}' not verified, abort!"));
    world.second.ok("POST", "/nodes/pve2/qemu", &[("vmid", "100")]);
    let (exit, log) = world.join(&fingerprint, "first-one-");
    assert_eq!(exit, "Check if node may join a cluster failed!");
    assert_eq!(log[1], "* this host already contains virtual guests");
}

#[test]
fn the_name_of_a_node_with_its_domain_is_no_node() {
    let root = Calls::new();
    let refused = root.refused("GET", "/nodes/pve.lan/status", &[]);
    assert_eq!(refused, "596 error:0A000086:SSL routines::certificate verify failed");
    assert!(root.refused("GET", "/nodes/nope/status", &[]).starts_with("500 hostname lookup 'nope' failed"));
}

#[test]
fn a_node_that_was_only_added_takes_the_quorum_with_it() {
    let world = World::new();
    let added = world.first.ok("POST", "/cluster/config/nodes/pve9", &[("new_node_ip", "192.0.2.9")]);
    assert!(added["corosync_conf"].as_str().unwrap().contains("cluster_name: lab"));
    let again = world.first.refused("POST", "/cluster/config/nodes/pve9", &[("new_node_ip", "192.0.2.9")]);
    assert_eq!(again, "500 can't add existing node 'pve9'");
    assert_eq!(world.first.get("/cluster/status")[0]["quorate"], json!(0));
    assert_eq!(world.first.refused("GET", "/nodes/pve9/status", &[]), "595 No route to host");
    let own = world.first.refused("DELETE", "/cluster/config/nodes/pve1", &[]);
    assert_eq!(own, "500 Cannot delete myself from cluster!");
}
