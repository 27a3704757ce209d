//! Rounds of the managers on a clock that only the test moves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::calls::Calls;
use crate::options::Options;

const CYCLE: Duration = Duration::from_secs(10);

fn cluster(guests_obey: bool) -> Calls {
    let other_nodes = vec!["pve2".to_owned(), "pve3".to_owned()];
    let root = Calls::with(Options { other_nodes, guests_obey, ha_cycle: CYCLE, ..Options::default() });
    root.simulator.stop_clock();
    root.ok("POST", "/nodes/pve/qemu", &[("vmid", "100")]);
    root.ok("POST", "/cluster/ha/resources", &[("sid", "vm:100")]);
    root
}

fn rounds(root: &Calls, count: u32) {
    for _ in 0..count {
        root.simulator.advance(CYCLE);
        root.get("/version");
    }
}

fn row(root: &Calls, id: &str) -> Value {
    let rows = root.get("/cluster/ha/status/current");
    rows.as_array().unwrap().iter().find(|row| row["id"] == id).cloned().unwrap_or_default()
}

#[test]
fn a_result_is_kept_until_the_node_has_another_job_for_the_service() {
    let root = cluster(true);
    rounds(&root, 4);
    assert_eq!(row(&root, "service:vm:100")["state"], "started");
    let status = root.get("/cluster/ha/status/manager_status");
    let results = status["lrm_status"]["pve"]["results"].as_object().unwrap();
    let uid = status["manager_status"]["service_status"]["vm:100"]["uid"].as_str().unwrap();
    assert_eq!(results[uid], json!({ "sid": "vm:100", "state": "started", "exit_code": 0 }));
    assert_eq!((results.len(), uid.len()), (1, 22));
    root.ok("PUT", "/cluster/ha/resources/vm:100", &[("state", "stopped")]);
    rounds(&root, 3);
    let status = root.get("/cluster/ha/status/manager_status");
    let results = status["lrm_status"]["pve"]["results"].as_object().unwrap();
    let done: Vec<&Value> = results.values().map(|result| &result["state"]).collect();
    assert_eq!(done, ["request_stop"]);
}

#[test]
fn a_guest_that_does_not_react_is_stopped_after_a_minute() {
    let root = cluster(false);
    rounds(&root, 4);
    root.ok("PUT", "/cluster/ha/resources/vm:100", &[("state", "stopped")]);
    rounds(&root, 6);
    assert_eq!(row(&root, "service:vm:100")["state"], "request_stop");
    assert_eq!(root.get("/nodes/pve/qemu/100/status/current")["status"], "running");
    rounds(&root, 3);
    assert_eq!(row(&root, "service:vm:100")["state"], "stopped");
    assert_eq!(root.get("/nodes/pve/qemu/100/status/current")["status"], "stopped");
}

#[test]
fn a_manager_that_has_been_silent_for_half_a_minute_may_be_dead() {
    let root = cluster(true);
    rounds(&root, 2);
    root.simulator.silence_manager("pve3", Duration::from_secs(20));
    assert!(row(&root, "lrm:pve3")["status"].as_str().unwrap().contains("idle"));
    rounds(&root, 2);
    let text = row(&root, "lrm:pve3")["status"].as_str().unwrap().to_owned();
    assert!(text.starts_with("pve3 (old timestamp - dead?, watchdog standby, "), "{text}");
}

#[test]
fn services_of_a_node_that_fails_are_fenced_and_recovered_elsewhere() {
    let root = cluster(true);
    let rule = [("rule", "r1"), ("type", "node-affinity"), ("resources", "vm:100"), ("nodes", "pve3,pve2:1")];
    root.ok("POST", "/cluster/ha/rules", &rule);
    rounds(&root, 6);
    assert_eq!(row(&root, "service:vm:100")["node"], "pve2");
    root.simulator.fail_node("pve2");
    assert_eq!(root.refused("GET", "/nodes/pve2/status", &[]), "595 No route to host");
    let node_state =
        || root.get("/cluster/ha/status/manager_status")["manager_status"]["node_status"]["pve2"].clone();
    rounds(&root, 5);
    assert_eq!(
        (node_state(), row(&root, "service:vm:100")["state"].clone()),
        (json!("unknown"), json!("started"))
    );
    rounds(&root, 2);
    assert_eq!(
        (node_state(), row(&root, "service:vm:100")["state"].clone()),
        (json!("fence"), json!("fence"))
    );
    assert_eq!(row(&root, "master")["node"], "pve3");
    rounds(&root, 15);
    let service = row(&root, "service:vm:100");
    assert_eq!((&service["node"], &service["state"]), (&json!("pve3"), &json!("started")));
    assert_eq!(root.get("/nodes/pve3/qemu/100/status/current")["status"], "running");
    root.simulator.return_node("pve2");
    rounds(&root, 6);
    assert_eq!(
        (node_state(), row(&root, "service:vm:100")["node"].clone()),
        (json!("online"), json!("pve2"))
    );
}

#[test]
fn a_node_that_comes_back_in_time_keeps_its_services() {
    let root = cluster(true);
    rounds(&root, 4);
    root.simulator.fail_node("pve");
    rounds(&root, 3);
    root.simulator.return_node("pve");
    rounds(&root, 3);
    let service = row(&root, "service:vm:100");
    assert_eq!((&service["node"], &service["state"]), (&json!("pve"), &json!("started")));
    assert_eq!(root.get("/nodes/pve/qemu/100/status/current")["status"], "running");
}

#[test]
fn who_has_to_be_together_moves_along_and_who_has_to_be_apart_keeps_out() {
    let root = cluster(true);
    for vmid in ["101", "102"] {
        root.ok("POST", "/nodes/pve/qemu", &[("vmid", vmid)]);
        root.ok("POST", "/cluster/ha/resources", &[("sid", &format!("vm:{vmid}"))]);
    }
    let rule = |name, resources, affinity| {
        let sent =
            [("rule", name), ("type", "resource-affinity"), ("resources", resources), ("affinity", affinity)];
        root.ok("POST", "/cluster/ha/rules", &sent);
    };
    rule("together", "vm:100,vm:101", "positive");
    rule("apart", "vm:101,vm:102", "negative");
    rounds(&root, 8);
    let apart = row(&root, "service:vm:102")["node"].clone();
    assert_ne!(apart, "pve");
    let blocked =
        root.ok("POST", "/cluster/ha/resources/vm:101/migrate", &[("node", apart.as_str().unwrap())]);
    assert_eq!(blocked["blocking-resources"], json!([{ "sid": "vm:102", "cause": "resource-affinity" }]));
    let free = if apart == "pve2" { "pve3" } else { "pve2" };
    let moved = root.ok("POST", "/cluster/ha/resources/vm:100/migrate", &[("node", free)]);
    assert_eq!(moved["comigrated-resources"], json!(["vm:101"]));
    rounds(&root, 4);
    let places: Vec<Value> =
        ["100", "101", "102"].map(|vmid| row(&root, &format!("service:vm:{vmid}"))["node"].clone()).into();
    assert_eq!(places, [json!(free), json!(free), apart]);
}

fn status(root: &Calls, guest: &str) -> Value {
    root.get(&format!("/nodes/pve/{guest}/status/current"))["status"].clone()
}

#[test]
fn a_reboot_ends_with_the_machine_stopped_and_the_manager_starts_it() {
    let root = cluster(true);
    rounds(&root, 4);
    root.ok("POST", "/nodes/pve/qemu/100/status/reboot", &[]);
    assert_eq!(status(&root, "qemu/100"), "stopped");
    rounds(&root, 3);
    assert_eq!(
        (status(&root, "qemu/100"), &row(&root, "service:vm:100")["state"]),
        (json!("running"), &json!("started"))
    );
}

#[test]
fn a_stop_leaves_the_guest_no_time_and_is_only_a_wish_for_a_guest_that_runs() {
    for (way, rounds_until_stopped) in [("stop", 2), ("shutdown", 9)] {
        let root = cluster(false);
        rounds(&root, 4);
        root.ok("POST", &format!("/nodes/pve/qemu/100/status/{way}"), &[]);
        let mut passed = 0;
        while status(&root, "qemu/100") == "running" {
            rounds(&root, 1);
            passed += 1;
        }
        assert!(
            passed <= rounds_until_stopped && (passed > 5) == (way == "shutdown"),
            "{way}: {passed} rounds"
        );
        assert_eq!(root.get("/cluster/ha/resources/vm:100")["state"], "stopped");
    }
}

#[test]
fn a_stop_of_a_service_that_is_about_to_start_is_taken_up_once_it_runs() {
    let root = cluster(true);
    root.ok("POST", "/nodes/pve/qemu/100/status/stop", &[]);
    rounds(&root, 8);
    assert_eq!(
        (status(&root, "qemu/100"), &row(&root, "service:vm:100")["state"]),
        (json!("stopped"), &json!("stopped"))
    );
    root.ok("POST", "/nodes/pve/qemu/100/status/start", &[]);
    root.ok("POST", "/nodes/pve/qemu/100/status/stop", &[]);
    rounds(&root, 8);
    assert_eq!(status(&root, "qemu/100"), "stopped");
    assert_eq!(root.get("/cluster/ha/resources/vm:100")["state"], "stopped");
}
