//! The sorts of things that can be named, and how the cluster lists them.

/// What can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Node,
    Datastore,
    Pool,
    Bridge,
    Guest,
    Role,
    Group,
    Realm,
    User,
    Token,
    Privilege,
    Zone,
    Vnet,
    Controller,
    Fabric,
    Ipam,
    Dns,
    Interface,
    HaResource,
    HaRule,
    Replication,
    BackupJob,
    MetricsServer,
    DirectoryMapping,
    PciMapping,
    UsbMapping,
    AcmeAccount,
    AcmePlugin,
    SecurityGroup,
    /// Of the cluster, as the next.
    FirewallAlias,
    FirewallSet,
}

/// How the cluster lists the things of a sort, and to whom it shows all of them.
pub(super) struct Listing {
    /// What one is called.
    pub(super) what: &'static str,
    /// The path of the list, with `{node}` where each node has its own.
    pub(super) path: &'static str,
    /// The `type` that is asked for; none if empty.
    pub(super) only: &'static str,
    /// The attribute of an entry that is its name.
    pub(super) key: &'static str,
    pub(super) visibility: Visibility,
}

/// Who sees that there is none of a sort.
#[derive(Clone, Copy)]
pub(super) enum Visibility {
    /// Whoever could use one: the API shows those that may be used.
    ByAll,
    /// Whoever is shown the list at all: that there is nothing in it is known as well.
    Whole,
    /// Who has this privilege, below this path.
    With(&'static str, &'static str),
    /// It may be needed later only, or there may be more than are listed.
    ByNone,
}

fn sdn(area: &'static str) -> Visibility {
    Visibility::With("SDN.Audit", area)
}

impl Thing {
    pub(super) fn listing(self) -> Listing {
        let listing = |what, path, key, visibility| Listing { what, path, only: "", key, visibility };
        match self {
            Thing::Node => listing("node", "/nodes", "node", Visibility::ByAll),
            Thing::Datastore => listing("datastore", "/nodes/{node}/storage", "storage", Visibility::ByAll),
            Thing::Pool => listing("pool", "/pools", "poolid", Visibility::With("Pool.Audit", "/pool")),
            // As the dialogue of a guest lists them: of /etc/network/interfaces and software-defined networks
            // (PVE::API2::Network). What that file sources, and what was made by other means, is not read, and is used
            // all the same where the kernel has it (PVE::Network, `tap_plug`).
            Thing::Bridge => {
                let bridges = listing("bridge", "/nodes/{node}/network", "iface", Visibility::ByNone);
                Listing { only: "any_bridge", ..bridges }
            }
            // Not asked for by this path: the list of guests is shared with whoever reads them.
            Thing::Guest => {
                listing("guest", "/cluster/resources", "vmid", Visibility::With("VM.Audit", "/vms"))
            }
            Thing::Role => listing("role", "/access/roles", "roleid", Visibility::ByAll),
            Thing::Group => listing(
                "group",
                "/access/groups",
                "groupid",
                Visibility::With("Group.Allocate", "/access/groups"),
            ),
            Thing::Realm => listing("realm", "/access/domains", "realm", Visibility::ByAll),
            Thing::User => {
                listing("user", "/access/users", "userid", Visibility::With("Sys.Audit", "/access/groups"))
            }
            // Found among the users, see `names`.
            Thing::Token => {
                listing("token", "/access/users?full=1", "", Visibility::With("Sys.Audit", "/access/groups"))
            }
            // Those of the administrator's role.
            Thing::Privilege => listing("privilege", "/access/roles", "", Visibility::ByAll),
            Thing::Zone => listing("zone", "/cluster/sdn/zones", "zone", sdn("/sdn/zones")),
            Thing::Vnet => listing("vnet", "/cluster/sdn/vnets", "vnet", sdn("/sdn/zones")),
            Thing::Controller => {
                listing("controller", "/cluster/sdn/controllers", "controller", sdn("/sdn/controllers"))
            }
            Thing::Fabric => listing("fabric", "/cluster/sdn/fabrics/fabric", "id", sdn("/sdn/fabrics")),
            Thing::Ipam => listing("IPAM", "/cluster/sdn/ipams", "ipam", sdn("/sdn/ipams")),
            Thing::Dns => listing("DNS server", "/cluster/sdn/dns", "dns", sdn("/sdn/dns")),
            Thing::Interface => listing(
                "interface",
                "/nodes/{node}/network",
                "iface",
                Visibility::With("Sys.Audit", "/nodes"),
            ),
            // Whoever may not see all of these is refused the list.
            Thing::HaResource => listing("HA resource", "/cluster/ha/resources", "sid", Visibility::Whole),
            Thing::HaRule => listing("HA rule", "/cluster/ha/rules", "rule", Visibility::Whole),
            // Those that are only looked at for whether a name is taken.
            Thing::Replication => listing("replication", "/cluster/replication", "id", Visibility::ByNone),
            Thing::BackupJob => listing("backup job", "/cluster/backup", "id", Visibility::ByNone),
            Thing::MetricsServer => {
                listing("metrics server", "/cluster/metrics/server", "id", Visibility::ByNone)
            }
            Thing::DirectoryMapping => {
                let visibility = Visibility::With("Mapping.Audit", "/mapping/dir");
                listing("directory mapping", "/cluster/mapping/dir", "id", visibility)
            }
            Thing::PciMapping => {
                let visibility = Visibility::With("Mapping.Audit", "/mapping/pci");
                listing("PCI mapping", "/cluster/mapping/pci", "id", visibility)
            }
            Thing::UsbMapping => {
                let visibility = Visibility::With("Mapping.Audit", "/mapping/usb");
                listing("USB mapping", "/cluster/mapping/usb", "id", visibility)
            }
            Thing::AcmeAccount => listing("ACME account", "/cluster/acme/account", "name", Visibility::Whole),
            Thing::AcmePlugin => listing("ACME plugin", "/cluster/acme/plugins", "plugin", Visibility::Whole),
            Thing::SecurityGroup => {
                listing("security group", "/cluster/firewall/groups", "group", Visibility::Whole)
            }
            Thing::FirewallAlias => {
                listing("firewall alias", "/cluster/firewall/aliases", "name", Visibility::Whole)
            }
            Thing::FirewallSet => listing("IP set", "/cluster/firewall/ipset", "name", Visibility::Whole),
        }
    }

    /// A name as others of the sort are compared with it: those of a firewall are told apart whatever their case.
    pub(super) fn folded(self, name: &str) -> String {
        match self {
            Thing::FirewallAlias | Thing::FirewallSet => name.to_lowercase(),
            _ => name.to_string(),
        }
    }

    /// Whether each node has its own.
    pub(super) fn is_of_node(self) -> bool {
        self.listing().path.contains("{node}")
    }
}
