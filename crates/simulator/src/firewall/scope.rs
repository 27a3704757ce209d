//! Whose firewall a request is about.

use crate::request::Request;

/// Whose firewall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Cluster,
    Node,
    Guest,
    Group,
    Vnet,
}

impl Scope {
    /// Its key in the state.
    pub fn key(self, request: &Request<'_>) -> String {
        match self {
            Scope::Cluster => "cluster".to_owned(),
            Scope::Node => format!("node/{}", request.node),
            Scope::Guest => format!("guest/{}", request.vmid()),
            Scope::Group => format!("group/{}", request.text("group")),
            Scope::Vnet => format!("vnet/{}", request.text("vnet")),
        }
    }

    /// The endpoint whose schema has the options.
    pub fn options_template(self) -> &'static str {
        match self {
            Scope::Cluster | Scope::Group => "/cluster/firewall/options",
            Scope::Node => "/nodes/{node}/firewall/options",
            Scope::Guest => "/nodes/{node}/qemu/{vmid}/firewall/options",
            Scope::Vnet => "/cluster/sdn/vnets/{vnet}/firewall/options",
        }
    }

    /// How references call it.
    pub fn label(self) -> &'static str {
        match self {
            Scope::Guest => "guest",
            _ => "dc",
        }
    }
}
