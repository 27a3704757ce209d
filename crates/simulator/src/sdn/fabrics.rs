//! Fabrics and their nodes (PVE::API2::Network::SDN::Fabrics).

use serde_json::{Value, json};

use super::others::CONTROLLERS;
use super::view::{self, check_lock, plain};
use super::zones;
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::sections::{File, MODIFIED, Texts, digest};
use crate::state::Options;

const FABRIC: &str = "/cluster/sdn/fabrics/fabric/{id}";
const NODES_OF: &str = "/cluster/sdn/fabrics/node/{fabric_id}";
const NODE: &str = "/cluster/sdn/fabrics/node/{fabric_id}/{node_id}";

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/sdn/fabrics", |_| {
        Ok(["fabric", "node", "all"].map(|name| json!({ "subdir": name })).into())
    }),
    ("GET", "/cluster/sdn/fabrics/all", |request| {
        Ok(json!({ "fabrics": fabrics(request)?, "nodes": nodes(request)? }))
    }),
    ("GET", "/cluster/sdn/fabrics/fabric", |request| fabrics(request)),
    ("POST", "/cluster/sdn/fabrics/fabric", create_fabric),
    ("GET", FABRIC, |request| view::read(request, &FABRICS, &request.text("id"), plain)),
    ("PUT", FABRIC, update_fabric),
    ("DELETE", FABRIC, delete_fabric),
    ("GET", "/cluster/sdn/fabrics/node", |request| nodes(request)),
    ("GET", NODES_OF, |request| nodes(request)),
    ("POST", NODES_OF, create_node),
    ("GET", NODE, read_node),
    ("PUT", NODE, update_node),
    ("DELETE", NODE, delete_node),
];

const fn texts(
    create: &'static str,
    update: &'static str,
    delete: &'static str,
    what: [&'static str; 2],
) -> Texts {
    Texts { create, update, delete, exists: what[0], missing: what[1] }
}

pub(super) const FABRICS: File = File {
    name: "sdn/fabrics.cfg",
    id: "id",
    schema: "/cluster/sdn/fabrics/fabric",
    types: &[],
    default_type: None,
    secrets: &[],
    texts: texts(
        "adding fabric failed: ",
        "updating fabric failed: ",
        "deleting fabric failed: ",
        ["fabric '{}' already exists", "fabric '{}' does not exist"],
    ),
};

/// The id of a node is the fabric's and its own.
pub(super) const NODES: File = File {
    name: "sdn/fabrics.cfg nodes",
    id: "id",
    schema: "/cluster/sdn/fabrics/node/{fabric_id}",
    types: &[],
    default_type: None,
    secrets: &["id"],
    texts: texts(
        "adding node failed: ",
        "updating node failed: ",
        "deleting node failed: ",
        ["node '{}' already exists", "node '{}' does not exist"],
    ),
};

fn fabrics(request: &Request<'_>) -> Answer {
    view::list(request, &FABRICS, plain, |id, _| {
        request.allows_any(&format!("/sdn/fabrics/{id}"), &["SDN.Audit", "SDN.Allocate"])
    })
}

fn nodes(request: &Request<'_>) -> Answer {
    let fabric = request.get("fabric_id");
    let mut rows = view::list(request, &NODES, plain, |_, node| {
        let name = node.get("node_id").map_or("", String::as_str);
        fabric.is_none_or(|fabric| node.get("fabric_id").is_some_and(|id| id == fabric))
            && request.allows_any(&format!("/nodes/{name}"), &["Sys.Audit", "Sys.Modify"])
    })?;
    for row in rows.as_array_mut().into_iter().flatten() {
        without_id(row);
    }
    Ok(rows)
}

fn without_id(row: &mut Value) {
    if let Some(row) = row.as_object_mut() {
        row.remove("id");
    }
}

fn set(request: &Request<'_>, file: &File) -> Options {
    let mut set = file.set(request);
    set.remove("lock-token");
    set
}

fn check(request: &Request<'_>, file: &File, prefix: &str) -> Result<(), Failure> {
    check_lock(request, prefix)?;
    request
        .check_digest(&digest(file.sections(request.state)), MODIFIED)
        .map_err(|failure| file.prefixed(prefix, failure))
}

fn create_fabric(request: &mut Request<'_>) -> Answer {
    let (id, prefix) = (request.text("id"), FABRICS.texts.create);
    check(request, &FABRICS, prefix)?;
    FABRICS.check_new(request.state, &id)?;
    let fabric = set(request, &FABRICS);
    if fabric.get("protocol").is_some_and(|name| name == "ospf") && !fabric.contains_key("area") {
        return Err(Failure::died(format!("{prefix}missing field `area`")));
    }
    FABRICS.sections_mut(request.state).insert(id, fabric);
    Ok(Value::Null)
}

/// Changes what a call sets and removes what it deletes.
fn change(request: &mut Request<'_>, file: &File, id: &str) -> Answer {
    let prefix = file.texts.update;
    check(request, file, prefix)?;
    let mut present =
        file.sections(request.state).get(id).cloned().ok_or_else(|| file.missing(prefix, id))?;
    for key in request.get("delete").unwrap_or_default().split(['\0', ',']) {
        present.remove(key);
    }
    present.extend(set(request, file));
    file.sections_mut(request.state).insert(id.to_owned(), present);
    Ok(Value::Null)
}

fn update_fabric(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    change(request, &FABRICS, &id)
}

fn delete_fabric(request: &mut Request<'_>) -> Answer {
    let (id, prefix) = (request.text("id"), FABRICS.texts.delete);
    check_lock(request, prefix)?;
    let uses = |sections: &crate::sections::Sections| {
        sections.iter().find(|(_, other)| other.get("fabric") == Some(&id)).map(|(name, _)| name.clone())
    };
    if let Some(name) = uses(CONTROLLERS.sections(request.state)) {
        let text = format!("{prefix}this fabric is still used in the EVPN controller \"{name}\"");
        return Err(Failure::died(text));
    }
    if let Some(name) = uses(zones::FILE.sections(request.state)) {
        let text = format!("{prefix}this fabric is still used in the VXLAN zone \"{name}\"");
        return Err(Failure::died(text));
    }
    if FABRICS.sections_mut(request.state).remove(&id).is_none() {
        return Err(FABRICS.missing(prefix, &id));
    }
    NODES.sections_mut(request.state).retain(|_, node| node.get("fabric_id") != Some(&id));
    Ok(Value::Null)
}

fn node_id(request: &Request<'_>) -> String {
    format!("{}_{}", request.text("fabric_id"), request.text("node_id"))
}

fn create_node(request: &mut Request<'_>) -> Answer {
    let (id, fabric, prefix) = (node_id(request), request.text("fabric_id"), NODES.texts.create);
    check(request, &NODES, prefix)?;
    let Some(protocol) =
        FABRICS.sections(request.state).get(&fabric).and_then(|fabric| fabric.get("protocol"))
    else {
        return Err(FABRICS.missing(prefix, &fabric));
    };
    if request.get("protocol") != Some(protocol) {
        return Err(Failure::died(format!("{prefix}node and fabric '{fabric}' have different protocols")));
    }
    NODES.check_new(request.state, &id)?;
    let node = set(request, &NODES);
    NODES.sections_mut(request.state).insert(id, node);
    Ok(Value::Null)
}

fn read_node(request: &mut Request<'_>) -> Answer {
    let mut row = view::read(request, &NODES, &node_id(request), plain)?;
    without_id(&mut row);
    Ok(row)
}

fn update_node(request: &mut Request<'_>) -> Answer {
    let id = node_id(request);
    change(request, &NODES, &id)
}

fn delete_node(request: &mut Request<'_>) -> Answer {
    let (id, prefix) = (node_id(request), NODES.texts.delete);
    check_lock(request, prefix)?;
    match NODES.sections_mut(request.state).remove(&id) {
        Some(_) => Ok(Value::Null),
        None => Err(NODES.missing(prefix, &id)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::calls::Calls;

    #[test]
    fn a_change_of_a_fabric_need_not_take_anything_out() {
        let root = Calls::new();
        let made = [("id", "f1"), ("protocol", "openfabric"), ("ip_prefix", "192.0.2.0/24")];
        root.ok("POST", "/cluster/sdn/fabrics/fabric", &made);
        let path = "/cluster/sdn/fabrics/fabric/f1";
        root.ok("PUT", path, &[("protocol", "openfabric"), ("hello_interval", "5")]);
        assert_eq!(root.get(path)["hello_interval"], json!(5));
        root.ok("PUT", path, &[("protocol", "openfabric"), ("delete", "hello_interval")]);
        assert_eq!(root.get(path)["hello_interval"], json!(null));
        // Their schema is open: what it does not define is passed over.
        assert_eq!(root.ok("GET", path, &[("pending", "1")])["id"], json!("f1"));
        // A node without interfaces is one too.
        let node = [("node_id", "pve"), ("protocol", "openfabric"), ("ip", "192.0.2.1")];
        root.ok("POST", "/cluster/sdn/fabrics/node/f1", &node);
    }
}
