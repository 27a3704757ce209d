//! What the API answers where the recordings say nothing: every expectation is from the Perl source that the test
//! names, none from the simulator. Texts are those of the status line, or of the one parameter that is refused.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use pve_simulator::{Options, Server, Simulator, serve};
use reqwest::{Client, Method};
use serde_json::Value;

/// A cluster of two nodes on a socket, and a client.
struct Api {
    server: Server,
    client: Client,
}

/// Method, path, parameters (`name=value&...`, nothing encoded), and what is answered: `200`, or the text of the refusal.
type Case = (&'static str, &'static str, &'static str, &'static str);

impl Api {
    async fn start() -> Api {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = Options {
            other_nodes: vec!["pve2".to_owned()],
            task_duration: Duration::ZERO,
            status_cycle: Duration::ZERO,
            ..Options::default()
        };
        let simulator = Simulator::new(options);
        simulator.add_file("local:vztmpl/debian-12.tar.zst", b"template");
        let server = serve(simulator, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let client = Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
        let api = Api { server, client };
        api.expect(&[
            ("POST", "/nodes/pve/qemu", "vmid=100&scsi0=local-lvm:1&net0=virtio,bridge=vmbr0&cores=2", "200"),
            ("POST", "/nodes/pve/qemu", "vmid=101", "200"),
            (
                "POST",
                "/nodes/pve/lxc",
                "vmid=200&ostemplate=local:vztmpl/debian-12.tar.zst&rootfs=local-lvm:1&mp0=local-lvm:1,mp=/a",
                "200",
            ),
        ])
        .await;
        api
    }

    async fn ask(&self, method: &str, path: &str, parameters: &str) -> (u16, Value) {
        let url = format!("{}api2/json{path}", self.server.endpoint);
        let token = format!("PVEAPIToken={}", self.server.token);
        let pairs: Vec<(&str, &str)> =
            parameters.split('&').filter_map(|parameter| parameter.split_once('=')).collect();
        let request = self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        let request = request.header("authorization", token);
        let request = match method {
            _ if pairs.is_empty() => request,
            "GET" | "DELETE" => request.query(&pairs),
            _ => request.form(&pairs),
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// The text of a refusal, `200`, or how the task ended that was started.
    async fn said(&self, method: &str, path: &str, parameters: &str) -> String {
        let (status, body) = self.ask(method, path, parameters).await;
        if let Some(errors) = body["errors"].as_object() {
            let texts: Vec<String> =
                errors.iter().map(|(name, text)| format!("{name}: {}", text.as_str().unwrap())).collect();
            return texts.join("; ");
        }
        if status != 200 {
            return body["message"].as_str().unwrap_or_default().trim_end().to_owned();
        }
        match body["data"].as_str().filter(|text| text.starts_with("UPID:")) {
            Some(upid) => {
                let node = upid.split(':').nth(1).unwrap();
                let (_, task) = self.ask("GET", &format!("/nodes/{node}/tasks/{upid}/status"), "").await;
                let exit = task["data"]["exitstatus"].as_str().unwrap_or("running").to_owned();
                if exit == "OK" { "200".to_owned() } else { format!("task: {exit}") }
            }
            None => "200".to_owned(),
        }
    }

    async fn expect(&self, cases: &[Case]) {
        for (method, path, parameters, expected) in cases {
            let said = self.said(method, path, parameters).await;
            assert_eq!(said, *expected, "{method} {path} {parameters}");
        }
    }

    async fn get(&self, path: &str) -> Value {
        self.ask("GET", path, "").await.1["data"].clone()
    }
}

#[tokio::test]
async fn options_of_a_machine_are_refused_as_its_update_does() {
    // PVE::API2::Qemu, $update_vm_api.
    let config = "/nodes/pve/qemu/100/config";
    Api::start()
        .await
        .expect(&[
            ("PUT", config, "revert=cores&cores=1", "delete: you can't use '-cores' and -revert cores' at the same time"),
            ("PUT", config, "delete=cores&cores=1", "delete: you can't use '-cores' and -delete cores' at the same time"),
            ("PUT", config, "delete=cores&revert=cores", "revert: you can't use '-delete cores' and -revert cores' at the same time"),
            ("PUT", config, "delete=", "no options specified"),
            ("PUT", config, "balloon=1024", "balloon value too large (must be smaller than assigned memory)"),
            ("PUT", config, "memory=256&balloon=512", "balloon value too large (must be smaller than assigned memory)"),
            ("PUT", config, "memory=512&balloon=512", "200"),
            // PVE::QemuServer::Machine, assert_valid_machine_property.
            ("PUT", config, "machine=pc,viommu=intel", "to use Intel vIOMMU please set the machine type to q35"),
            ("PUT", config, "machine=q35,viommu=intel,aw-bits=40", "Intel vIOMMU supports only 39 or 48 bits as address width"),
            ("PUT", config, "machine=q35,viommu=intel,aw-bits=48", "200"),
            // PVE::QemuServer, assert_clipboard_config.
            ("PUT", config, "vga=serial0,clipboard=vnc", "vga type serial0 is not compatible with VNC clipboard"),
            ("PUT", config, "vga=std,clipboard=vnc", "200"),
            ("PUT", config, "tpmstate0=local-lvm:1,version=v2.0", "200"),
            ("PUT", config, "tpmstate0=local-lvm:vm-100-disk-1,version=v1.2", "cannot change TPM state version after creation"),
            ("POST", config, "scsi1=local-lvm:1,format=qcow2&background_delay=5", "failed to update VM 100: unsupported format 'qcow2' at /usr/share/perl5/PVE/Storage/LvmThinPlugin.pm line 102."),
            ("PUT", "/nodes/pve/qemu/100/unlink", "idlist=nope", "delete: unknown option 'nope'"),
        ])
        .await;
}

#[tokio::test]
async fn processor_weights_stop_at_what_control_groups_take() {
    // PVE::CGroup, clamp_cpu_shares.
    let api = Api::start().await;
    api.expect(&[
        ("PUT", "/nodes/pve/qemu/100/config", "cpuunits=262144", "200"),
        ("PUT", "/nodes/pve/lxc/200/config", "cpuunits=20000", "200"),
    ])
    .await;
    assert_eq!(api.get("/nodes/pve/qemu/100/config").await["cpuunits"], 10_000);
    assert_eq!(api.get("/nodes/pve/lxc/200/config").await["cpuunits"], 10_000);
}

#[tokio::test]
async fn disks_go_to_another_machine_only_if_both_let_them() {
    // PVE::API2::Qemu, $load_and_check_reassign_configs and $load_and_check_move.
    let move_disk = "/nodes/pve/qemu/100/move_disk";
    let api = Api::start().await;
    api.expect(&[
        (
            "POST",
            move_disk,
            "disk=scsi0&target-vmid=100",
            "target-vmid: must be different than source VMID to reassign disk",
        ),
        ("POST", move_disk, "disk=scsi0&target-vmid=999", "could not find target VM 999"),
        ("POST", move_disk, "disk=scsi9&target-vmid=101", "Disk 'scsi9' for VM '100' does not exist"),
        ("POST", move_disk, "disk=scsi9&storage=nope", "disk 'scsi9' does not exist"),
        (
            "POST",
            move_disk,
            "disk=scsi0&storage=local-lvm",
            "you can't move to the same storage with same format",
        ),
        ("POST", move_disk, "disk=scsi0&storage=nope", "storage 'nope' does not exist"),
        ("PUT", "/nodes/pve/qemu/100/config", "ide2=none,media=cdrom", "200"),
        ("PUT", "/nodes/pve/qemu/100/resize", "disk=ide2&size=+1G", "task: unable to parse volume ID 'none'"),
        ("POST", move_disk, "disk=ide2&target-vmid=101", "CD drive contents can't be moved to another VM"),
        ("POST", "/nodes/pve/qemu/100/status/start", "", "200"),
        (
            "POST",
            move_disk,
            "disk=scsi0&target-vmid=101",
            "Cannot move disk to another VM while the source VM is running - detach first",
        ),
        ("POST", "/nodes/pve/qemu/100/status/stop", "", "200"),
        ("POST", "/nodes/pve/qemu/100/snapshot", "snapname=one", "200"),
        ("POST", move_disk, "disk=scsi0&target-vmid=101", "Can't move disk used by a snapshot to another VM"),
        ("DELETE", "/nodes/pve/qemu/100/snapshot/one", "", "200"),
        ("POST", move_disk, "disk=scsi0&target-vmid=101&target-disk=scsi3", "200"),
    ])
    .await;
    assert_eq!(api.get("/nodes/pve/qemu/101/config").await["scsi3"], "local-lvm:vm-101-disk-0,size=1G");
    assert_eq!(api.get("/nodes/pve/qemu/100/config").await["boot"], "order=net0;ide2");
}

#[tokio::test]
async fn machines_are_started_and_stopped_in_the_words_of_their_source() {
    // PVE::API2::Qemu (vm_shutdown, vm_reboot, vm_suspend, vm_resume) and PVE::QemuServer::Agent.
    let status = |what: &str| -> &'static str {
        Box::leak(format!("/nodes/pve/qemu/100/status/{what}").into_boxed_str())
    };
    let agent = "/nodes/pve/qemu/100/agent/ping";
    let api = Api::start().await;
    api.expect(&[
        ("POST", status("shutdown"), "", "200"),
        ("POST", status("reboot"), "", "VM 100 not running"),
        ("POST", agent, "", "No QEMU guest agent configured"),
        ("PUT", "/nodes/pve/qemu/100/config", "agent=0", "200"),
        ("POST", agent, "", "VM 100 is not running"),
        ("POST", status("start"), "", "200"),
        ("POST", agent, "", "QEMU guest agent is not running"),
        ("POST", status("suspend"), "", "200"),
        ("POST", status("shutdown"), "", "VM is paused - cannot shutdown"),
        ("POST", status("reboot"), "", "VM is paused - cannot shutdown"),
        ("POST", status("shutdown"), "forceStop=1", "200"),
        (
            "POST",
            "/nodes/pve/qemu/999/status/reset",
            "",
            "unable to find configuration file for VM 999 on node 'pve'",
        ),
        ("POST", status("stop"), "keepActive=1", "keepActive: Only root may use this option."),
    ])
    .await;
}

#[tokio::test]
async fn a_machine_that_is_suspended_to_disk_goes_on_at_its_next_start() {
    // PVE::QemuServer::RunState, vm_suspend: the state's size is twice the memory and 500 MiB.
    let api = Api::start().await;
    let current = "/nodes/pve/qemu/100";
    api.expect(&[
        ("PUT", "/nodes/pve/qemu/100/config", "memory=256", "200"),
        ("POST", "/nodes/pve/qemu/100/status/start", "", "200"),
        ("POST", "/nodes/pve/qemu/100/status/suspend", "todisk=1", "200"),
        ("PUT", "/nodes/pve/qemu/100/config", "cores=1", "VM is locked (suspended)"),
    ])
    .await;
    let config = api.get(&format!("{current}/config")).await;
    assert_eq!(config["lock"], "suspended");
    let volume = config["vmstate"].as_str().unwrap().to_owned();
    assert!(volume.starts_with("local-lvm:vm-100-state-suspend-"), "{volume}");
    let content = api.get("/nodes/pve/storage/local-lvm/content").await;
    let saved = content.as_array().unwrap().iter().find(|row| row["volid"] == volume.as_str()).unwrap();
    assert_eq!(saved["size"], (2 * 256 + 500) << 20);
    api.expect(&[("POST", "/nodes/pve/qemu/100/status/start", "", "200")]).await;
    let config = api.get(&format!("{current}/config")).await;
    assert!(config["lock"].is_null() && config["vmstate"].is_null(), "{config}");
}

#[tokio::test]
async fn snapshots_bring_back_the_disks_and_keep_the_new_ones() {
    // PVE::AbstractConfig, snapshot_rollback and __snapshot_rollback_get_unused.
    let api = Api::start().await;
    api.expect(&[
        (
            "POST",
            "/nodes/pve/qemu/100/snapshot",
            "snapname=PENDING",
            "unable to use snapshot name 'pending' (reserved name)",
        ),
        (
            "POST",
            "/nodes/pve/lxc/200/snapshot",
            "snapname=vzdump",
            "unable to use snapshot name 'vzdump' (reserved name)",
        ),
        (
            "POST",
            "/nodes/pve/lxc/999/snapshot",
            "snapname=one",
            "task: Configuration file 'nodes/pve/lxc/999.conf' does not exist",
        ),
        (
            "POST",
            "/nodes/pve/qemu/999/snapshot/one/rollback",
            "",
            "task: Configuration file 'nodes/pve/qemu-server/999.conf' does not exist",
        ),
        ("PUT", "/nodes/pve/qemu/100/snapshot/nope/config", "", "200"),
        ("POST", "/nodes/pve/qemu/100/snapshot", "snapname=one", "200"),
        ("PUT", "/nodes/pve/qemu/100/config", "scsi1=local-lvm:2", "200"),
        ("POST", "/nodes/pve/qemu/100/snapshot/one/rollback", "start=1", "200"),
    ])
    .await;
    let config = api.get("/nodes/pve/qemu/100/config").await;
    assert_eq!(config["unused0"], "local-lvm:vm-100-disk-1");
    assert!(config["scsi1"].is_null());
    assert_eq!(api.get("/nodes/pve/qemu/100/status/current").await["status"], "running");
    // PVE::Storage::LvmThinPlugin: thin volumes can be cloned from a snapshot.
    let linked = ("POST", "/nodes/pve/qemu/100/clone", "newid=110&full=0&snapname=one", "200");
    api.expect(&[linked]).await;
}

#[tokio::test]
async fn options_of_a_container_are_refused_as_its_update_does() {
    // PVE::API2::LXC::Config and PVE::LXC::Config, update_pct_config.
    let config = "/nodes/pve/lxc/200/config";
    let api = Api::start().await;
    api.expect(&[
        (
            "PUT",
            config,
            "revert=cores&cores=1",
            "revert: you can't use '-cores' and '-revert cores' at the same time",
        ),
        (
            "PUT",
            config,
            "delete=cores&cores=1",
            "delete: you can't use '-cores' and -delete cores' at the same time",
        ),
        (
            "PUT",
            config,
            "delete=cores&revert=cores",
            "delete: you can't use '-delete cores' and '-revert cores' at the same time",
        ),
        ("PUT", config, "delete=memory", "unable to delete required option 'memory'"),
        ("PUT", config, "delete=swap", "200"),
        ("PUT", config, "delete=unprivileged", "unable to delete read-only option: 'unprivileged'"),
        (
            "PUT",
            config,
            "net0=name=eth0,bridge=vmbr0,mtu=9000",
            "net0: MTU size '9000' is bigger than bridge MTU '1500'",
        ),
        ("PUT", config, "protection=1", "200"),
        ("PUT", config, "delete=mp0", "can't remove CT 200 drive 'mp0' - protection mode enabled"),
        (
            "PUT",
            config,
            "mp0=local-lvm:vm-200-disk-1,mp=/b",
            "can't update CT 200 drive 'mp0' - protection mode enabled",
        ),
        ("PUT", config, "protection=0&nameserver=1.1.1.1,8.8.8.8", "200"),
        (
            "PUT",
            "/nodes/pve/lxc/999/config",
            "delete=nope",
            "Configuration file 'nodes/pve/lxc/999.conf' does not exist",
        ),
    ])
    .await;
    let read = api.get(config).await;
    assert_eq!(read["nameserver"], "1.1.1.1 8.8.8.8");
    assert!(read["swap"].is_null());
}

#[tokio::test]
async fn volumes_of_a_container_are_moved_only_where_they_can_go() {
    // PVE::API2::LXC, move_volume and clone_vm.
    let path = "/nodes/pve/lxc/200/move_volume";
    Api::start()
        .await
        .expect(&[
            (
                "POST",
                path,
                "volume=mp0&storage=local&target-vmid=201",
                "either set storage or target-vmid, but not both",
            ),
            ("POST", path, "volume=rootfs&target-vmid=200", "Cannot move to/from 'rootfs'"),
            (
                "POST",
                path,
                "volume=unused0&target-vmid=200&target-volume=mp3",
                "Moving an unused volume to a used one is not possible",
            ),
            ("POST", path, "volume=mp0&target-vmid=999", "could not find CT 999"),
            (
                "POST",
                path,
                "volume=mp7&target-vmid=200&target-volume=mp3",
                "volume 'mp7' for container '200' does not exist",
            ),
            (
                "POST",
                path,
                "volume=mp0&target-vmid=200",
                "Target volume key 'mp0' is already in use for container '200'",
            ),
            ("POST", path, "volume=mp0&target-vmid=200&target-volume=mp3", "200"),
            (
                "POST",
                path,
                "volume=unused0&storage=local-lvm",
                "cannot move volume 'unused0', only configured volumes can be moved to another storage",
            ),
            (
                "POST",
                "/nodes/pve/lxc",
                "vmid=201&ostemplate=local:iso/x.iso",
                "unable to use volume local:iso/x.iso - content type needs to be 'vztmpl'",
            ),
            (
                "POST",
                "/nodes/pve/lxc",
                "vmid=201&ostemplate=local:vztmpl/debian-12.tar.zst&mp0=local-lvm:1,mp=/a",
                "mount points configured, but 'rootfs' not set - aborting",
            ),
        ])
        .await;
}

#[tokio::test]
async fn firewall_rules_are_verified_one_fault_at_a_time() {
    // PVE::Firewall, verify_rule, $apply_macro, delete_rule_properties; PVE::API2::Firewall.
    let rules = "/cluster/firewall/rules";
    let guest = "/nodes/pve/qemu/100/firewall/rules";
    let api = Api::start().await;
    api.expect(&[
        ("POST", rules, "type=in&action=ACCEPT&macro=ssh", "200"),
        ("POST", rules, "type=in&action=ACCEPT&macro=SSH&proto=tcp", "200"),
        (
            "POST",
            rules,
            "type=in&action=ACCEPT&macro=SSH&proto=udp",
            "proto: parameter 'proto' already define in macro (value = 'tcp')",
        ),
        (
            "POST",
            rules,
            "type=in&action=ACCEPT&macro=SSH&proto=tcp&dport=23",
            "dport: parameter 'dport' already define in macro (value = '22')",
        ),
        (
            "POST",
            rules,
            "type=in&action=ACCEPT&macro=SSH&dport=22",
            "proto: missing property - 'dport' requires this property",
        ),
        (
            "POST",
            rules,
            "type=in&action=ACCEPT&proto=esp&dport=22",
            "dport: protocol 'esp' does not support ports",
        ),
        ("POST", rules, "type=in&action=ACCEPT&proto=icmp&dport=8", "200"),
        (
            "POST",
            rules,
            "type=in&action=ACCEPT&proto=icmp&icmp-type=no-route",
            "icmp-type: invalid icmp-type 'no-route' for proto 'icmp'",
        ),
        (
            "POST",
            rules,
            "type=in&action=ACCEPT&proto=icmp&source=fe80::1",
            "source: detected mixed ipv4/ipv6 addresses in rule",
        ),
        ("POST", rules, "type=forward&action=REJECT", "action: cannot define REJECT rules on forward chain"),
        ("POST", guest, "type=forward&action=ACCEPT", "type: invalid rule type 'forward' for rule_env 'vm'"),
        ("POST", guest, "type=in&action=ACCEPT&source=+guest/x&dest=+y", "source: no such ipset 'x'"),
        ("POST", "/cluster/firewall/groups", "group=g1", "200"),
        ("POST", "/cluster/firewall/groups", "group=g2", "200"),
        (
            "POST",
            "/cluster/firewall/groups",
            "group=g2&rename=g1",
            "group: Security group 'g2' does already exist",
        ),
        (
            "POST",
            "/cluster/firewall/groups/g1",
            "type=in&action=ACCEPT&iface=net0",
            "type: parameter -i not allowed for this rule type",
        ),
        ("PUT", "/cluster/firewall/rules/0", "delete=foo", "delete: no such property ('foo')"),
        (
            "PUT",
            "/cluster/firewall/rules/0",
            "delete=type",
            "delete: unable to delete required property 'type'",
        ),
        ("POST", "/cluster/firewall/ipset", "name=set1", "200"),
        ("POST", "/cluster/firewall/ipset/set1", "cidr=nope", "no such alias 'nope'"),
        ("POST", "/cluster/firewall/ipset/set1", "cidr=10.0.0.7/24", "200"),
        ("GET", "/cluster/firewall/ipset/set1/10.0.0.7/24", "", "cidr: no such IP/Network"),
    ])
    .await;
    // The last of the rules is the first that was made, under the macro's own name.
    assert_eq!(api.get(rules).await[2]["macro"], "SSH");
}

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
async fn an_empty_field_takes_a_rules_value_away() {
    // PVE::Firewall: copy_rule_data; parse_address_list, parse_port_name_number_or_range and the formats
    // pve-fw-protocol-spec and pve-fw-icmp-type-spec let nothing pass, pve-iface and the enumerations do not.
    let rules = "/cluster/firewall/rules";
    let first = "/cluster/firewall/rules/0";
    let api = Api::start().await;
    let empty = "macro=&dport=&sport=&source=&dest=&proto=&comment=&icmp-type=";
    let create: &'static str = format!("type=in&action=ACCEPT&enable=1&{empty}").leak();
    api.expect(&[("POST", rules, create, "200")]).await;
    let bare = api.get(first).await;
    let fields: BTreeSet<&str> = bare.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, BTreeSet::from(["action", "digest", "enable", "pos", "type"]));
    api.expect(&[
        ("PUT", first, "proto=tcp&dport=22,80:90,http&source=10.0.0.0/8&comment=x&macro=-", "200"),
        ("PUT", first, empty, "200"),
    ])
    .await;
    let mut again = api.get(first).await;
    again["digest"] = bare["digest"].clone();
    assert_eq!(again, bare);
    let refused = |field: &str, text: &str| {
        let (parameters, answer) = (
            format!("type=in&action=ACCEPT&{field}"),
            format!("{}: {text}", field.split('=').next().unwrap()),
        );
        let both: (&'static str, &'static str) = (parameters.leak(), answer.leak());
        ("POST", rules, both.0, both.1)
    };
    api.expect(&[
        refused("iface=", "invalid format - invalid network interface name ''\n"),
        refused(
            "log=",
            "value '' does not have a value in the enumeration 'emerg, alert, crit, err, warning, notice, info, debug, nolog'",
        ),
        refused("enable=", "type check ('integer') failed - got ''"),
        refused("dport=-", "invalid format - invalid port '-'\n"),
        refused("dport=22,", "invalid format - extraneous commas in list\n"),
        refused("dport=ssh:http", "invalid format - invalid port 'ssh:http'\n"),
        refused("dport=echo-reply,80", "invalid format - ICMP ports not allowed in port range\n"),
        refused("dport=1,2,3,4,5,6,7,8:9,10,11,12,13,14,15,16", "invalid format - too many entries in port list (> 15 numbers)\n"),
        refused("sport=echo-reply", "invalid format - invalid port 'echo-reply'\n"),
        refused("source=10.0.0.1,", "invalid format - extraneous commas in list\n"),
        refused("icmp-type=foo", "invalid format - invalid icmp-type value 'foo'\n"),
    ])
    .await;
}

#[tokio::test]
async fn a_clone_has_the_firewall_of_its_source() {
    // PVE::Firewall, clone_vmfw_conf.
    let api = Api::start().await;
    api.expect(&[
        ("PUT", "/nodes/pve/qemu/100/firewall/options", "enable=1", "200"),
        ("POST", "/nodes/pve/qemu/100/clone", "newid=120", "200"),
    ])
    .await;
    assert_eq!(api.get("/nodes/pve/qemu/120/firewall/options").await["enable"], 1);
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
async fn a_place_shows_the_same_volumes_under_every_definition_of_it() {
    // PVE::Storage::LvmThinPlugin, list_images: what is in the pool, whoever put it there.
    let api = Api::start().await;
    let again = "storage=again&type=lvmthin&vgname=pve&thinpool=data&content=images,rootdir";
    api.expect(&[("POST", "/storage", again, "200")]).await;
    let names = async |storage: &str| -> Vec<String> {
        let content = api.get(&format!("/nodes/pve/storage/{storage}/content")).await;
        let names = content.as_array().unwrap().iter().map(|row| row["volid"].as_str().unwrap());
        names.map(|id| id.split(':').nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(names("again").await, ["vm-100-disk-0", "vm-200-disk-0", "vm-200-disk-1"]);
    // A number that is taken in the pool is not given again.
    api.expect(&[
        ("PUT", "/nodes/pve/qemu/100/config", "scsi1=again:1", "200"),
        ("DELETE", "/storage/again", "", "200"),
    ])
    .await;
    assert!(names("local-lvm").await.contains(&"vm-100-disk-1".to_owned()));
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
