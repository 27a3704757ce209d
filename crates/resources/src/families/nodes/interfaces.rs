//! Bridges, bonds and VLANs of a node. Changes are staged by Proxmox VE and applied afterwards, see
//! [`super::reload`].

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::rules::Problem;
use pve_model::{Path, Type, Value};

use super::reload;
use crate::cluster::{ApiError, Call, Cluster, Method};
use crate::definition::{Fields, flag, number, problem, text, texts};
use crate::firewall::same_network;
use crate::limits;
use crate::object::{Delete, Form, Hooks, Object, Planning, Read};
use crate::values::{flag as flag_of, int, text as text_of, texts as texts_of, with, with_unknown};

/// Where interfaces are staged.
const NODE_NETWORK: &str = "/nodes/{node_name}/network";

const PLACE: &str = "/nodes/{node_name}/network/{name}";

type Constants = &'static [(&'static str, &'static str)];

/// What is reloaded to apply a change of an interface, where its node is known.
pub(crate) fn batch(object: &Object, value: &Value) -> Option<String> {
    let node = text_of(value, "node_name").filter(|_| object.hooks.is_interface())?;
    Some(format!("the network of {node}"))
}

/// What Proxmox VE refuses to a second interface of a node, staged or not (PVE::API2::Network): a name, a default gateway,
/// and to be in a bridge or bond, which nothing is that has an address.
pub(crate) fn holds(object: &Object, value: &Value) -> Vec<String> {
    if !object.hooks.is_interface() {
        return Vec::new();
    }
    let is_set = |attribute: &&str| text_of(value, attribute).is_some_and(|text| !text.is_empty());
    let name = text_of(value, "name");
    let gateways = [("gateway", "the default gateway"), ("gateway6", "the default IPv6 gateway")];
    let gateways = gateways.into_iter().filter(|(attribute, _)| is_set(attribute));
    let mut held: Vec<String> = name.iter().map(|name| format!("the name {name}")).collect();
    held.extend(gateways.map(|(_, what)| what.to_string()));
    let mut devices: Vec<String> =
        ["ports", "slaves"].into_iter().flat_map(|list| texts_of(value, list)).collect();
    if ["address", "address6"].iter().any(is_set) {
        devices.extend(name.map(String::from));
    }
    held.extend(devices.into_iter().map(|device| format!("the device {device}")));
    held
}

/// An interface of one type, with the attributes that all have.
fn interface(names: &'static [&'static str], kind: Constants, own: Fields) -> Object {
    let mut fields = vec![
        ("address", text().param("cidr").checked(limits::host_in_network)),
        ("address6", text().param("cidr6").checked(limits::host_in_network).same_as(same_text)),
        ("autostart", flag().computed().or(true).absent(false)),
        ("comment", text().param("comments")),
        ("gateway", text().checked(limits::ip)),
        ("gateway6", text().checked(limits::ip).same_as(same_network)),
        ("id", text().read_only()),
        ("mtu", number()),
        ("name", text().required().replaces().param("iface").only_made().checked(limits::interface_name)),
        ("node_name", text().required().replaces().unsent()),
        (
            "timeout_reload",
            number().computed().or(reload::TIMEOUT).range(5, i64::MAX).local().means("seconds"),
        ),
    ];
    fields.extend(own);
    Object {
        names,
        what: "interface",
        fields,
        create: (Method::Post, NODE_NETWORK),
        read: Read::At(PLACE),
        update: (Method::Put, PLACE),
        delete: Delete::At(PLACE),
        constants: kind,
        always: &["type"],
        whole: true,
        id: "{node_name}:{name}",
        import: "{node_name}:{name}",
        hooks: &Interface { shape: Shape::Bond },
        ..Object::default()
    }
}

/// Addresses in another spelling.
fn same_text(a: &str, b: &str) -> bool {
    let parts = |text: &str| {
        let (address, bits) = text.split_once('/')?;
        Some((address.parse::<std::net::IpAddr>().ok()?, bits.to_string()))
    };
    a == b || parts(a).is_some() && parts(a) == parts(b)
}

/// Lists of VLANs: Proxmox VE separates them by spaces.
fn same_vids(a: &str, b: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        let parts = text.split([' ', ',', ';']).filter(|part| !part.is_empty());
        parts.map(String::from).collect()
    };
    parts(a) == parts(b)
}

/// `proxmox_network_linux_bridge`
pub(super) fn bridge() -> Object {
    let own = vec![
        ("ports", texts().param("bridge_ports").form(Form::Joined(' '))),
        ("vids", text().computed().param("bridge_vids").same_as(same_vids)),
        ("vlan_aware", flag().computed().param("bridge_vlan_aware").form(Form::Switch)),
    ];
    Object {
        about: "A bridge of a node. It is staged, and the network of the node is reloaded once for all \
                interfaces of it that a run makes, changes or destroys, whatever they have to do with each other, and \
                before anything else that needs one of them. If the reload does not begin, what is staged is taken back. \
                `timeout_reload` is how long it may take: the longest of these interfaces counts.",
        example: r#"
  node_name  = "pve"
  name       = "vmbr5"
  address    = "192.0.2.1/24"
  vlan_aware = true
"#,
        hooks: &Interface { shape: Shape::Bridge },
        ..interface(
            &["proxmox_network_linux_bridge", "proxmox_virtual_environment_network_linux_bridge"],
            &[("type", "bridge")],
            own,
        )
    }
}

const MODES: &[&str] =
    &["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];

/// `proxmox_network_linux_bond`
pub(super) fn bond() -> Object {
    let own = vec![
        ("bond_mode", text().computed().one_of(MODES)),
        ("bond_primary", text().param("bond-primary")),
        ("bond_xmit_hash_policy", text().one_of(&["layer2", "layer2+3", "layer3+4"])),
        ("slaves", texts().required().form(Form::Joined(' '))),
    ];
    Object {
        about: "A bond of network devices of a node. It is staged and applied as a bridge is.",
        example: r#"
  node_name = "pve"
  name      = "bond0"
  slaves    = ["eno1", "eno2"]
  bond_mode = "802.3ad"
"#,
        ..interface(&["proxmox_network_linux_bond"], &[("type", "bond")], own)
    }
}

/// `proxmox_network_linux_vlan`
pub(super) fn vlan() -> Object {
    let own = vec![
        ("interface", text().computed().param("vlan-raw-device")),
        ("vlan", number().computed().param("vlan-id")),
    ];
    Object {
        about: "A VLAN on an interface of a node. It is staged and applied as a bridge is.",
        hooks: &Interface { shape: Shape::Vlan },
        example: r#"
  node_name = "pve"
  name      = "eno1.30"
  address   = "192.0.2.17/28"
"#,
        ..interface(
            &["proxmox_network_linux_vlan", "proxmox_virtual_environment_network_linux_vlan"],
            &[("type", "vlan")],
            own,
        )
    }
}

/// A name like `vmbr0.61` or `vlan61` says itself what the VLAN is (PVE::INotify, `read_etc_network_interfaces`). Proxmox VE
/// drops an attribute that says something else, and the reference fails once it has made such an interface.
fn contradicted_name(config: &Value) -> Vec<Problem> {
    let name = text_of(config, "name").unwrap_or_default();
    let numbered = |number: &str| number.parse::<i64>().ok();
    let (device, number) = match name.rsplit_once('.') {
        Some((device, number)) => (Some(device), numbered(number)),
        None => (None, name.strip_prefix("vlan").and_then(numbered)),
    };
    let Some(number) = number else { return Vec::new() };
    if number > 4094 {
        let detail = format!("{name} would be VLAN {number}: there are 1 to 4094");
        return vec![problem(Path::attribute("name"), "No such VLAN", detail)];
    }
    let fault = |attribute: &str, told: &str| {
        let detail = format!("{name} is {told} by its name: leave {attribute} out, or choose another name");
        problem(Path::attribute(attribute), "Two things said of a VLAN", detail)
    };
    let mut faults = Vec::new();
    if int(config, "vlan").is_some_and(|stated| stated != number) {
        faults.push(fault("vlan", &format!("VLAN {number}")));
    }
    if let (Some(device), Some(stated)) = (device, text_of(config, "interface"))
        && stated != device
    {
        faults.push(fault("interface", &format!("on {device}")));
    }
    faults
}

/// A new VLAN needs to be on something (PVE::INotify): its name says it, or an attribute.
fn without_interface(planning: &mut Planning<'_>) {
    let name = text_of(planning.config, "name").filter(|name| !name.contains('.'));
    let is_unset = planning.config.get("interface").is_none_or(Value::is_null);
    if let Some(name) = name.filter(|_| is_unset && planning.prior.is_none()) {
        let detail = format!("{name} does not say on which interface it is, as eno1.30 would: set interface");
        planning.problems.push(problem(Path::attribute("name"), "A VLAN needs an interface", detail));
    }
}

/// What bridges, bonds and VLANs have in common, and what only a bridge has.
struct Interface {
    shape: Shape,
}

enum Shape {
    Bridge,
    Bond,
    Vlan,
}

#[async_trait]
impl Hooks for Interface {
    fn is_interface(&self) -> bool {
        true
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        match self.shape {
            Shape::Bridge => unused_vids(config),
            Shape::Vlan => contradicted_name(config),
            Shape::Bond => foreign_primary(config),
        }
    }

    fn plan(&self, planning: &mut Planning<'_>) {
        reload::plan(planning);
        match self.shape {
            Shape::Bridge => plan_vids(planning),
            Shape::Vlan => without_interface(planning),
            Shape::Bond => {}
        }
    }

    fn shown(&self, before: &Value, after: Option<&Value>) -> Option<Value> {
        reload::shown(before, after)
    }

    /// What is only staged is applied with the next change: there is one left.
    fn unfinished(&self, value: Value, done: &[String], _: &[&str]) -> Value {
        reload::unfinished(value, done)
    }

    async fn before(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<(), ProviderError> {
        reload::refuse_foreign(call, prior, Some(planned)).await
    }

    async fn before_delete(&self, call: &Call<'_>, prior: &Value) -> Result<(), ProviderError> {
        reload::refuse_foreign(call, Some(prior), None).await
    }

    async fn is_staged(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<bool, ProviderError> {
        reload::stage(call, prior, planned).await
    }

    async fn remains(&self, cluster: &Cluster, prior: &Value) -> Result<Option<Value>, ApiError> {
        reload::remains(cluster, prior).await
    }

    async fn after(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        reload::apply(call, prior, planned).await
    }
}

/// The primary device of a bond is one of its own (PVE::INotify).
fn foreign_primary(config: &Value) -> Vec<Problem> {
    let is_known = config.get("slaves").is_some_and(Value::is_wholly_known);
    match text_of(config, "bond_primary").filter(|_| is_known) {
        Some(primary) if texts_of(config, "slaves").iter().all(|slave| slave != primary) => {
            let detail = format!("{primary} is none of its slaves");
            vec![problem(Path::attribute("bond_primary"), "A primary device of another bond", detail)]
        }
        _ => Vec::new(),
    }
}

fn unused_vids(config: &Value) -> Vec<Problem> {
    let aware = config.get("vlan_aware");
    let vids = config.get("vids").is_some_and(|vids| !vids.is_null());
    if vids && aware.is_some_and(Value::is_known) && flag_of(config, "vlan_aware") != Some(true) {
        let detail = "a bridge that is not aware of VLANs does not look at them: set vlan_aware = true";
        return vec![problem(Path::attribute("vids"), "vids are of no use without vlan_aware", detail)];
    }
    Vec::new()
}

/// Proxmox VE chooses the VLANs of a bridge that becomes aware of them.
fn plan_vids(planning: &mut Planning<'_>) {
    let configured = planning.config.get("vids").is_some_and(|vids| !vids.is_null());
    let known = planning.planned.get("vlan_aware").is_none_or(Value::is_known);
    if configured || !known {
        return;
    }
    if flag_of(&planning.planned, "vlan_aware") != Some(true) {
        planning.planned = with(&planning.planned, "vids", Value::null(Type::String));
    } else if planning.prior.is_some_and(|prior| flag_of(prior, "vlan_aware") != Some(true)) {
        planning.planned = with_unknown(&planning.planned, "vids");
    }
}
