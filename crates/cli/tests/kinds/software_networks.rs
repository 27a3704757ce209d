//! Software-defined networks: what is staged of them, and what applies it.

use pve_simulator::{FailureRule, How, Options, When};

use crate::simulated::{Cluster, Project};

#[test]
fn networks_that_are_destroyed_after_the_applier_are_applied() {
    let cluster = Cluster::start(Options::default());
    let main = r#"
resource "proxmox_sdn_zone_simple" "s" {
  id = "simple1"
}
resource "proxmox_sdn_vnet" "lab" {
  id   = "lab"
  zone = proxmox_sdn_zone_simple.s.id
}
resource "proxmox_sdn_applier" "a" {
  depends_on = [proxmox_sdn_vnet.lab]
  lifecycle {
    replace_triggered_by = [proxmox_sdn_zone_simple.s, proxmox_sdn_vnet.lab]
  }
}
"#;
    let project = Project::of(&cluster, main);
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(cluster.get("/cluster/sdn/zones").as_array().unwrap().len(), 1);
    project.ok(&["destroy", "--auto-approve"]);
    for list in ["zones", "vnets"] {
        assert_eq!(cluster.get(&format!("/cluster/sdn/{list}?pending=1")), serde_json::json!([]), "{list}");
    }
}

#[test]
fn an_applier_applies_at_the_end_what_a_run_has_staged_and_without_one_the_plan_says_what_stays_pending() {
    let cluster = Cluster::start(Options::default());
    let zone = "resource \"proxmox_sdn_zone_simple\" \"s\" {\n  id = \"simple1\"\n}\n";
    let vnet = |name: &str, alias: &str| {
        format!(
            "resource \"proxmox_sdn_vnet\" \"{name}\" {{\n  id = \"{name}\"\n  alias = \"{alias}\"\n  zone = \
             proxmox_sdn_zone_simple.s.id\n}}\n"
        )
    };
    let applier = "resource \"proxmox_sdn_applier\" \"a\" {}\n";
    let pending = |list: &str| {
        let list = cluster.get(&format!("/cluster/sdn/{list}?pending=1"));
        let entries = list.as_array().unwrap().clone();
        entries.into_iter().filter(|entry| entry["state"].is_string()).collect::<Vec<_>>()
    };
    let applied = || {
        let path = |path: &str| path.ends_with("/cluster/sdn");
        cluster.requests().iter().filter(|request| request.method == "PUT" && path(&request.path)).count()
    };
    let project = Project::of(&cluster, &format!("{zone}{}{}{applier}", vnet("one", "a"), vnet("two", "a")));
    project.ok(&["apply", "--auto-approve"]);
    assert!(pending("vnets").is_empty(), "{:?}", pending("vnets"));
    // One is changed, one goes: neither has anything to do with the applier.
    project.write("main.tf", &format!("{zone}{}{applier}", vnet("one", "b")));
    cluster.send("POST", "/cluster/sdn/zones", &[("zone", "theirs"), ("type", "simple")]);
    let said = project.ok(&["plan"]);
    assert!(said.contains("what is pending in the cluster already: zone theirs (new)"), "{said}");
    cluster.forget_requests();
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(said.contains("proxmox_sdn_applier.a must be replaced"), "{said}");
    assert!(said.contains("it applies what this plan changes of software-defined networks"), "{said}");
    assert!(pending("vnets").is_empty(), "{:?}", pending("vnets"));
    assert_eq!(applied(), 1, "once, when all is staged");
    assert!(project.ok(&["plan"]).contains("No changes."));
    // One that goes applies what others have staged, too.
    cluster.send("POST", "/cluster/sdn/zones", &[("zone", "other"), ("type", "simple")]);
    let said = project.ok(&["plan", "-destroy"]);
    assert!(said.contains("what is pending in the cluster already: zone other (new)"), "{said}");
    cluster.send("DELETE", "/cluster/sdn/zones/other", &[]);
    // One that must stay, or does not apply, is no help.
    let kept =
        "resource \"proxmox_sdn_applier\" \"a\" {\n  lifecycle {\n    prevent_destroy = true\n  }\n}\n";
    project.write("main.tf", &format!("{zone}{kept}"));
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(
        said.contains("it stays pending: nothing in this plan applies changes of software-defined networks")
    );
    assert_eq!(pending("vnets").len(), 1);
    // The applier goes after what it does not depend on, or before: both are applied.
    project.write("main.tf", "");
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!((pending("vnets").len(), pending("zones").len()), (0, 0));
}

#[test]
fn what_an_applier_does_not_come_behind_stays_pending_and_the_plan_says_so() {
    let cluster = Cluster::start(Options::default());
    let zone = |mtu: &str, more: &str| {
        format!(
            "resource \"proxmox_sdn_zone_simple\" \"s\" {{\n  id = \"simple1\"\n  mtu = {mtu}\n{more}}}\n"
        )
    };
    let applier = |name: &str| format!("resource \"proxmox_sdn_applier\" \"{name}\" {{}}\n");
    let pending = || cluster.get("/cluster/sdn/zones?pending=1")[0]["state"].is_string();
    let note = "it stays pending: nothing in this plan applies changes of software-defined networks";
    let project = Project::of(
        &cluster,
        &format!("{}{}", applier("f"), zone("1400", "  depends_on = [proxmox_sdn_applier.f]\n")),
    );
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(said.contains(note) && pending(), "{said}");
    // So it is as long as nothing applies it.
    let said = project.ok(&["plan"]);
    assert!(said.contains("No changes") && said.contains("staged in the cluster, not applied yet"), "{said}");
    // One that is made anew before the zone does not keep another one from being made anew behind it.
    let main = |mtu: &str| {
        let needs_one = "  depends_on = [proxmox_sdn_applier.f]\n";
        format!("{}{}{}", applier("f"), applier("a"), zone(mtu, needs_one))
    };
    project.write("main.tf", &main("1400"));
    project.ok(&["apply", "--auto-approve"]);
    assert!(!pending());
    project.write("main.tf", &main("1300"));
    let words = ["apply", "--auto-approve", "-replace", "proxmox_sdn_applier.f"];
    let said = project.ok(&words);
    assert!(
        said.contains("proxmox_sdn_applier.a must be replaced") && !said.contains("replace_triggered_by"),
        "{said}"
    );
    assert!(!pending(), "{said}");
    // An applier that goes applies what others have staged, as one does that is made.
    cluster.send("POST", "/cluster/sdn/vnets", &[("vnet", "simple1"), ("zone", "simple1")]);
    project.write("main.tf", &format!("{}{}", applier("f"), zone("1300", "")));
    let said = project.ok(&["plan"]);
    assert!(said.contains("what is pending in the cluster already: vnet simple1 (new)"), "{said}");
}

#[test]
fn what_stays_pending_after_everything_is_destroyed_is_told_by_later_plans() {
    let cluster = Cluster::start(Options::default());
    let main = r#"
resource "proxmox_sdn_zone_simple" "s" {
  id = "simple1"
}
resource "proxmox_sdn_applier" "a" {
  on_destroy = false
}
"#;
    let project = Project::of(&cluster, main);
    project.ok(&["apply", "--auto-approve"]);
    let said = project.ok(&["plan"]);
    assert!(said.contains("No changes.") && !said.contains("pending"), "{said}");
    let said = project.ok(&["destroy", "--auto-approve"]);
    assert!(said.contains("it stays pending"), "{said}");
    let told = "applied by nothing of this plan: zone simple1 (deleted)";
    let said = project.ok(&["destroy", "--auto-approve"]);
    assert!(said.contains(told) && said.contains("nothing to destroy"), "{said}");
    // An applier that stays as it is does not apply what somebody else stages.
    project.ok(&["apply", "--auto-approve"]);
    cluster.send("POST", "/cluster/sdn/vnets", &[("vnet", "theirs"), ("zone", "simple1")]);
    let said = project.ok(&["plan"]);
    assert!(
        said.contains("No changes.") && said.contains("applied by nothing of this plan: vnet theirs (new)"),
        "{said}"
    );
}

#[test]
fn what_a_module_left_pending_is_told() {
    let cluster = Cluster::start(Options::default());
    let project = Project::of(&cluster, "module \"net\" {\n  source = \"./net\"\n}\n");
    project.write(
        "net/main.tf",
        "resource \"proxmox_sdn_zone_simple\" \"s\" {\n  count = 1\n  id = \"simple1\"\n}\n",
    );
    project.ok(&["init"]);
    project.ok(&["apply", "--auto-approve"]);
    cluster.send("PUT", "/cluster/sdn", &[]);
    project.ok(&["destroy", "--auto-approve"]);
    let said = project.ok(&["destroy", "--auto-approve"]);
    assert!(said.contains("applied by nothing of this plan: zone simple1 (deleted)"), "{said}");
}

#[test]
fn everything_that_others_have_staged_of_networks_is_named() {
    let cluster = Cluster::start(Options::default());
    let staged = [
        ("/cluster/sdn/zones", vec![("zone", "zone1"), ("type", "simple")]),
        ("/cluster/sdn/vnets", vec![("vnet", "lab"), ("zone", "zone1")]),
        ("/cluster/sdn/vnets/lab/subnets", vec![("subnet", "192.0.2.0/24"), ("type", "subnet")]),
        (
            "/cluster/sdn/fabrics/fabric",
            vec![("id", "spine"), ("protocol", "openfabric"), ("ip_prefix", "198.51.100.0/24")],
        ),
        (
            "/cluster/sdn/fabrics/node/spine",
            vec![
                ("node_id", "pve"),
                ("protocol", "openfabric"),
                ("ip", "198.51.100.1"),
                ("interfaces", "name=eno1"),
            ],
        ),
    ];
    for (path, params) in staged {
        cluster.send("POST", path, &params);
    }
    let project = Project::of(&cluster, "resource \"proxmox_sdn_applier\" \"a\" {}\n");
    let said = project.ok(&["plan"]).split_whitespace().collect::<Vec<_>>().join(" ");
    for named in [
        "zone zone1",
        "vnet lab",
        "subnet 192.0.2.0/24 of vnet lab",
        "fabric spine",
        "node pve of fabric spine",
    ] {
        assert!(said.contains(&format!("{named} (new)")), "{named}: {said}");
    }
}

#[test]
fn what_others_stage_after_a_plan_was_saved_is_told_when_it_is_applied() {
    let cluster = Cluster::start(Options::default());
    let main = "resource \"proxmox_sdn_zone_simple\" \"s\" {\n  id = \"simple1\"\n}\n\
                resource \"proxmox_sdn_applier\" \"a\" {\n  depends_on = [proxmox_sdn_zone_simple.s]\n}\n";
    let project = Project::of(&cluster, main);
    cluster.send("POST", "/cluster/sdn/zones", &[("zone", "before"), ("type", "simple")]);
    project.ok(&["plan", "-out=saved"]);
    cluster.send("POST", "/cluster/sdn/zones", &[("zone", "since"), ("type", "simple")]);
    let (code, said) = project.ends(&["apply", "saved"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("staged in the cluster") && said.contains("zone since (new)"), "{said}");
}

/// What is destroyed behind an applier is applied as it goes, and one of another configuration of the cluster applies it all.
#[test]
fn what_an_applier_of_the_same_cluster_applies_does_not_stay_pending() {
    let cluster = Cluster::start(Options::default());
    let main = |vnet: &str, provider: &str| {
        format!(
            r#"
provider "proxmox" {{}}
provider "proxmox" {{
  alias = "two"
}}
resource "proxmox_sdn_zone_simple" "s" {{
  id = "simple1"
}}
resource "proxmox_sdn_vnet" "v" {{
  id   = "{vnet}"
  zone = proxmox_sdn_zone_simple.s.id
  lifecycle {{
    create_before_destroy = true
  }}
}}
resource "proxmox_sdn_applier" "a" {{
  {provider}
  depends_on = [proxmox_sdn_vnet.v]
}}
"#
        )
    };
    let project = Project::of(&cluster, &main("one", ""));
    for next in [
        main("one", ""),
        main("two", ""),
        main("two", "provider = proxmox.two"),
        main("three", "provider = proxmox.two"),
    ] {
        project.write("main.tf", &next);
        let said = project.ok(&["apply", "--auto-approve"]);
        assert!(!said.contains("pending in the cluster") && !said.contains("stays pending"), "{said}");
        for kind in ["zones", "vnets"] {
            let listed = cluster.get(&format!("/cluster/sdn/{kind}?pending=1"));
            let is_pending = |entry: &serde_json::Value| entry["state"].is_string();
            assert!(!listed.as_array().unwrap().iter().any(is_pending), "{listed}");
        }
        assert!(project.ok(&["plan"]).contains("No changes."));
    }
}

#[test]
fn what_a_saved_plan_could_not_look_up_is_not_told_as_staged_by_others() {
    let main = "resource \"proxmox_sdn_applier\" \"a\" {}\n";
    let is_asked = |request: &&pve_simulator::RequestRecord| request.path.ends_with("/cluster/sdn/zones");
    let asked = {
        let cluster = Cluster::start(Options::default());
        Project::of(&cluster, main).ok(&["plan", "-out", "saved.plan"]);
        u32::try_from(cluster.requests().iter().filter(is_asked).count()).unwrap()
    };
    let how = How::Refuse { status: 500, reason: "no quorum".into() };
    let path = "/cluster/sdn/zones".to_string();
    let rule = FailureRule { method: "GET".into(), path, when: When::Nth(asked), how };
    let cluster = Cluster::start(Options { failures: vec![rule], ..Options::default() });
    let project = Project::of(&cluster, main);
    project.ok(&["plan", "-out", "saved.plan"]);
    let (code, said) = project.ends(&["apply", "saved.plan"]);
    assert!(code == 0 && said.contains("could not be looked up") && said.contains("no quorum"), "{said}");
    assert!(
        said.contains("What proxmox_sdn_applier.a would apply") && !said.contains("something else staged"),
        "{said}"
    );
}
