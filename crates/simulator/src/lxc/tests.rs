//! Changes of containers (PVE::LXC::Config, `update_pct_config` and `vmconfig_hotplug_pending`).

use crate::calls::Calls;

const CONFIG: &str = "/nodes/pve/lxc/200/config";
const TEMPLATE: &str = "local:vztmpl/debian-13_13.1-1_amd64.tar.zst";

fn container(options: &[(&str, &str)]) -> Calls {
    let calls = Calls::new();
    calls.simulator.add_file(TEMPLATE, &[0; 64]);
    let mut all = vec![("vmid", "200"), ("ostemplate", TEMPLATE), ("rootfs", "local-lvm:1")];
    all.extend(options);
    calls.ok("POST", "/nodes/pve/lxc", &all);
    calls
}

#[test]
fn a_running_container_is_not_put_on_a_bridge_that_is_not_there() {
    let calls = container(&[("net0", "name=eth0,bridge=vmbr0")]);
    calls.ok("POST", "/nodes/pve/lxc/200/status/start", &[]);
    let change = [("net0", "name=eth0,bridge=vmbr77"), ("hostname", "changed")];
    let refused = calls.refused("PUT", CONFIG, &change);
    let text = "unable to hotplug net0: bridge 'vmbr77' is neither a linux nor an OVS bridge!";
    assert_eq!(refused, format!("400 Parameter verification failed. [net0: {text}]"));
    // Its configuration is only written where nothing failed.
    assert_eq!(calls.get(CONFIG)["hostname"], "CT200");
}

#[test]
fn a_mount_point_has_to_be_where_containers_may_be() {
    let calls = container(&[]);
    let refused = calls.refused("PUT", CONFIG, &[("mp0", "local:1,mp=/data")]);
    assert_eq!(refused, "500 storage 'local' does not allow content type 'rootdir' (Container)");
}

#[test]
fn a_hook_script_has_to_be_a_snippet_that_is_there() {
    let calls = container(&[]);
    let refused = calls.refused("PUT", CONFIG, &[("hookscript", "local:snippets/none.sh")]);
    assert_eq!(refused, "500 script 'local:snippets/none.sh' does not exist");
    let refused = calls.refused("PUT", CONFIG, &[("hookscript", TEMPLATE)]);
    assert_eq!(refused, format!("500 '{TEMPLATE}' is not in the snippets directory"));
}

#[test]
fn features_that_stay_are_no_matter_of_root() {
    let calls = container(&[("features", "nesting=1,fuse=1")]);
    let token = calls.token(&calls.simulator.token());
    token.ok("PUT", CONFIG, &[("features", "fuse=1")]);
    let refused = token.refused("PUT", CONFIG, &[("features", "keyctl=1")]);
    let text = "changing feature flags (except nesting) is only allowed for root@pam";
    assert_eq!(refused, format!("403 Permission check failed ({text})"));
}

#[test]
fn whether_it_runs_comes_before_who_manages_it() {
    let calls = container(&[]);
    calls.ok("POST", "/cluster/ha/resources", &[("sid", "ct:200"), ("state", "stopped")]);
    for way in ["stop", "shutdown"] {
        let refused = calls.refused("POST", &format!("/nodes/pve/lxc/200/status/{way}"), &[]);
        assert_eq!(refused, "500 CT 200 not running");
    }
}

#[test]
fn a_mount_point_at_another_path_keeps_its_volume_through_a_start() {
    let calls = container(&[("mp0", "local-lvm:1,mp=/data")]);
    calls.ok("POST", "/nodes/pve/lxc/200/status/start", &[]);
    let volume = calls.get(CONFIG)["mp0"].as_str().unwrap().split(',').next().unwrap().to_string();
    calls.ok("PUT", CONFIG, &[("mp0", &format!("{volume},mp=/srv"))]);
    calls.ok("POST", "/nodes/pve/lxc/200/status/reboot", &[]);
    let config = calls.get(CONFIG);
    assert!(config["mp0"].as_str().unwrap().contains("mp=/srv"), "{config}");
    assert!(config["unused0"].is_null(), "{config}");
}
