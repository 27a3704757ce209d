//! Nodes: their tasks, their guests as a whole, and the log of the cluster.

use super::Api;

#[tokio::test]
async fn the_cluster_s_log_has_what_the_daemons_say_about_calls() {
    // The log_msg calls of PVE::API2::Qemu, PVE::API2::LXC::Snapshot, PVE::API2::AccessControl.
    let api = Api::start().await;
    api.expect(&[
        ("PUT", "/nodes/pve/qemu/100/config", "cores=1&memory=256", "200"),
        ("POST", "/nodes/pve/qemu/100/snapshot", "snapname=s1", "200"),
        ("PUT", "/nodes/pve/qemu/100/resize", "disk=scsi0&size=+1G", "200"),
        ("POST", "/nodes/pve/lxc/200/snapshot", "snapname=s1", "200"),
        ("DELETE", "/nodes/pve/lxc/200/snapshot/s1", "", "200"),
        ("POST", "/access/users", "userid=a@pve&password=secret-of-a", "200"),
        ("POST", "/access/ticket", "username=a@pve&password=secret-of-a", "200"),
    ])
    .await;
    let log = api.get("/cluster/log?max=100").await;
    let said: Vec<&str> = log.as_array().unwrap().iter().map(|line| line["msg"].as_str().unwrap()).collect();
    let said: Vec<&str> = said.into_iter().rev().filter(|text| !text.contains("task UPID:")).collect();
    assert_eq!(
        said,
        [
            "update VM 100: -cores 1 -memory 256",
            "snapshot VM 100: s1",
            "update VM 100: resize --disk scsi0 --size +1G",
            "snapshot container 200: s1",
            "delete snapshot VM 200: s1",
            "successful auth for user 'a@pve'",
        ]
    );
    assert_eq!((&log[0]["user"], &log[0]["pri"]), (&"root@pam".into(), &6.into()));
    // A task begins, then it does its work.
    let of_snapshot =
        log.as_array().unwrap().iter().position(|line| line["msg"] == "snapshot VM 100: s1").unwrap();
    let around = |at: usize| log[at]["msg"].as_str().unwrap().split(" UPID").next().unwrap().to_owned();
    assert_eq!(
        (around(of_snapshot - 1), around(of_snapshot + 1)),
        ("end task".to_owned(), "starting task".to_owned())
    );
}

#[tokio::test]
async fn all_guests_of_a_node_are_started_by_their_order_and_stopped_the_other_way() {
    // PVE::API2::Nodes, startall, stopall, suspendall, migrateall.
    let api = Api::start().await;
    api.expect(&[
        ("PUT", "/nodes/pve/qemu/100/config", "onboot=1&startup=order=2", "200"),
        ("PUT", "/nodes/pve/lxc/200/config", "onboot=1&startup=order=1,up=5", "200"),
        ("POST", "/nodes/pve/startall", "", "200"),
    ])
    .await;
    let log = async |kind: &str| -> Vec<String> {
        let tasks = api.get(&format!("/nodes/pve/tasks?typefilter={kind}&limit=1")).await;
        let log = api.get(&format!("/nodes/pve/tasks/{}/log", tasks[0]["upid"].as_str().unwrap())).await;
        log.as_array().unwrap().iter().map(|line| line["t"].as_str().unwrap().to_owned()).collect()
    };
    let started = ["Starting CT 200", "Waiting for 5 seconds (startup delay)", "Starting VM 100", "TASK OK"];
    assert_eq!(log("startall").await, started);
    assert_eq!(api.get("/nodes/pve/qemu/101/status/current").await["status"], "stopped");
    api.expect(&[("POST", "/nodes/pve/stopall", "timeout=30", "200")]).await;
    let stopped =
        ["Stopping VM 100 (timeout = 30 seconds)", "Stopping CT 200 (timeout = 30 seconds)", "TASK OK"];
    assert_eq!(log("stopall").await, stopped);
    api.expect(&[
        ("POST", "/nodes/pve/migrateall", "target=pve", "target: target is local node."),
        ("POST", "/nodes/pve/migrateall", "target=nope", "no such cluster node 'nope'"),
        (
            "POST",
            "/nodes/pve/migrateall",
            "target=pve2",
            "either 'max-workers' parameter or max_workers in datacenter.cfg must be set!",
        ),
        ("POST", "/nodes/pve/migrateall", "target=pve2&max-workers=1", "200"),
    ])
    .await;
    let moved = api.get("/nodes/pve2/qemu").await;
    assert_eq!(moved.as_array().unwrap().len(), 2, "{moved}");
}

#[tokio::test]
async fn task_lists_are_filtered_as_the_index_is_read() {
    // PVE::API2::Tasks, node_tasks.
    let api = Api::start().await;
    api.expect(&[
        ("POST", "/nodes/pve/qemu/100/status/start", "", "200"),
        ("POST", "/nodes/pve/qemu/100/status/start", "", "task: VM 100 already running"),
    ])
    .await;
    let count = async |query: &str| {
        api.get(&format!("/nodes/pve/tasks?typefilter=qmstart&{query}")).await.as_array().unwrap().len()
    };
    assert_eq!(count("errors=1").await, 1);
    // The filter of errors comes before that of classes.
    assert_eq!(count("errors=1&statusfilter=ok").await, 1);
    assert_eq!(count("statusfilter=ok").await, 1);
    assert_eq!(count("userfilter=ROOT").await, 2);
    assert_eq!(count("limit=0").await, 0);
}
