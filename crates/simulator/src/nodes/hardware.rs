//! Devices, processors and services of a node.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/hardware", |_| Ok(json!([{ "type": "pci" }, { "type": "usb" }]))),
    ("GET", "/nodes/{node}/hardware/pci", |_| Ok(devices())),
    ("GET", "/nodes/{node}/hardware/pci/{pci-id-or-mapping}", |_| Ok(json!([{ "method": "mdev" }]))),
    ("GET", "/nodes/{node}/hardware/pci/{pci-id-or-mapping}/mdev", |_| Ok(json!([]))),
    ("GET", "/nodes/{node}/hardware/usb", |_| {
        Ok(json!([{
            "busnum": 1, "devnum": 1, "class": 9, "level": 0, "port": 0, "vendid": "1d6b", "prodid": "0002",
            "speed": "480", "manufacturer": "Linux Foundation", "product": "2.0 root hub",
        }]))
    }),
    ("GET", "/nodes/{node}/capabilities", |_| Ok(json!([{ "name": "qemu" }]))),
    ("GET", "/nodes/{node}/capabilities/qemu", |_| {
        Ok(["cpu", "cpu-flags", "machines", "migration"].map(|name| json!({ "name": name })).into())
    }),
    ("GET", "/nodes/{node}/capabilities/qemu/cpu", |_| Ok(processors())),
    ("GET", "/nodes/{node}/capabilities/qemu/cpu-flags", |_| {
        let flags =
            ["aes", "amd-ssbd", "ibpb", "md-clear", "pcid", "pdpe1gb", "spec-ctrl", "ssbd", "virt-ssbd"];
        Ok(flags.map(|name| json!({ "name": name, "description": name })).into())
    }),
    ("GET", "/nodes/{node}/capabilities/qemu/machines", |_| {
        let machine = |kind: &str, id: &str, version: &str| json!({ "id": format!("pc-{id}-{version}"), "type": kind, "version": version });
        let versions = ["10.1", "10.0", "9.2", "9.1", "9.0", "8.2", "8.1", "8.0"];
        Ok(versions
            .iter()
            .flat_map(|version| [machine("q35", "q35", version), machine("i440fx", "i440fx", version)])
            .collect())
    }),
    ("GET", "/nodes/{node}/capabilities/qemu/migration", |_| Ok(json!({ "has-dbus-vmstate": 1 }))),
    ("GET", "/nodes/{node}/services", |_| Ok(SERVICES.iter().map(|name| service(name)).collect())),
    ("GET", "/nodes/{node}/services/{service}", |_| {
        Ok(["reload", "restart", "start", "state", "stop"].map(|name| json!({ "subdir": name })).into())
    }),
    ("GET", "/nodes/{node}/services/{service}/state", |request| Ok(service(&request.text("service")))),
    ("POST", "/nodes/{node}/services/{service}/start", |request| act(request, "srvstart")),
    ("POST", "/nodes/{node}/services/{service}/stop", |request| act(request, "srvstop")),
    ("POST", "/nodes/{node}/services/{service}/restart", |request| act(request, "srvrestart")),
    ("POST", "/nodes/{node}/services/{service}/reload", |request| act(request, "srvreload")),
    ("POST", "/nodes/{node}/wakeonlan", |request| {
        let mac = request.state.node_options.get(&request.node).and_then(|options| options.get("wakeonlan"));
        match mac {
            Some(mac) => Ok(json!(mac)),
            None => Err(Failure::died(format!("No wake on LAN MAC address defined for '{}'!", request.node))),
        }
    }),
];

const SERVICES: [&str; 8] =
    ["chrony", "corosync", "pve-cluster", "pve-firewall", "pvedaemon", "pveproxy", "pvestatd", "sshd"];

fn service(name: &str) -> Value {
    json!({ "service": name, "name": name, "desc": name, "state": "running", "active-state": "active", "unit-state": "enabled" })
}

fn act(request: &mut Request<'_>, kind: &str) -> Answer {
    let name = request.text("service");
    Ok(request.submit(kind, &name, Outcome::default()))
}

fn devices() -> Value {
    let device = |id: &str, class: &str, vendor: [&str; 2], device: [&str; 2], group: i64| {
        json!({
            "id": id, "class": class, "vendor": vendor[0], "vendor_name": vendor[1], "device": device[0],
            "device_name": device[1], "iommugroup": group, "subsystem_vendor": "0x8086", "subsystem_device": "0x0000",
        })
    };
    let intel = ["0x8086", "Intel Corporation"];
    json!([
        device("0000:00:02.0", "0x030000", intel, ["0x4680", "AlderLake-S GT1"], 0),
        device("0000:01:00.0", "0x020000", intel, ["0x1521", "I350 Gigabit Network Connection"], 1),
        device("0000:01:00.1", "0x020000", intel, ["0x1521", "I350 Gigabit Network Connection"], 2),
    ])
}

/// The processors that QEMU knows by name (PVE::QemuServer::CPUConfig), by vendor.
fn processors() -> Value {
    let intel = [
        "486",
        "Broadwell",
        "Broadwell-IBRS",
        "Broadwell-noTSX",
        "Broadwell-noTSX-IBRS",
        "Cascadelake-Server",
        "Cascadelake-Server-noTSX",
        "Cascadelake-Server-v2",
        "Cascadelake-Server-v4",
        "Cascadelake-Server-v5",
        "ClearwaterForest",
        "Conroe",
        "Cooperlake",
        "Cooperlake-v2",
        "GraniteRapids",
        "GraniteRapids-v2",
        "GraniteRapids-v3",
        "Haswell",
        "Haswell-IBRS",
        "Haswell-noTSX",
        "Haswell-noTSX-IBRS",
        "Icelake-Client",
        "Icelake-Client-noTSX",
        "Icelake-Server",
        "Icelake-Server-noTSX",
        "Icelake-Server-v3",
        "Icelake-Server-v4",
        "Icelake-Server-v5",
        "Icelake-Server-v6",
        "Icelake-Server-v7",
        "IvyBridge",
        "IvyBridge-IBRS",
        "KnightsMill",
        "Nehalem",
        "Nehalem-IBRS",
        "Penryn",
        "SandyBridge",
        "SandyBridge-IBRS",
        "SapphireRapids",
        "SapphireRapids-v2",
        "SapphireRapids-v3",
        "SapphireRapids-v4",
        "SierraForest",
        "SierraForest-v2",
        "SierraForest-v3",
        "Skylake-Client",
        "Skylake-Client-IBRS",
        "Skylake-Client-noTSX-IBRS",
        "Skylake-Client-v4",
        "Skylake-Server",
        "Skylake-Server-IBRS",
        "Skylake-Server-noTSX-IBRS",
        "Skylake-Server-v4",
        "Skylake-Server-v5",
        "Westmere",
        "Westmere-IBRS",
        "core2duo",
        "coreduo",
        "pentium",
        "pentium2",
        "pentium3",
    ];
    let amd = [
        "EPYC",
        "EPYC-Genoa",
        "EPYC-Genoa-v2",
        "EPYC-IBPB",
        "EPYC-Milan",
        "EPYC-Milan-v2",
        "EPYC-Milan-v3",
        "EPYC-Rome",
        "EPYC-Rome-v2",
        "EPYC-Rome-v3",
        "EPYC-Rome-v4",
        "EPYC-Rome-v5",
        "EPYC-Turin",
        "EPYC-v3",
        "EPYC-v4",
        "EPYC-v5",
        "Opteron_G1",
        "Opteron_G2",
        "Opteron_G3",
        "Opteron_G4",
        "Opteron_G5",
        "athlon",
        "phenom",
    ];
    let others = [
        "host",
        "kvm32",
        "kvm64",
        "max",
        "qemu32",
        "qemu64",
        "x86-64-v2",
        "x86-64-v2-AES",
        "x86-64-v3",
        "x86-64-v4",
    ];
    let rows = |names: &[&str], vendor: &'static str| -> Vec<Value> {
        names.iter().map(|name| json!({ "name": name, "vendor": vendor, "custom": 0 })).collect()
    };
    let mut others = rows(&others, "default");
    // Levels of the architecture rather than machines.
    for row in
        others.iter_mut().filter(|row| row["name"].as_str().is_some_and(|name| name.starts_with("x86-64-")))
    {
        row["abstract"] = json!(1);
    }
    let all = [rows(&intel, "GenuineIntel"), rows(&amd, "AuthenticAMD"), others];
    Value::Array(all.concat())
}
