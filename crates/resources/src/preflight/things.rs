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
    pub(super) seen: Seen,
}

/// Who sees that there is none of a sort.
#[derive(Clone, Copy)]
pub(super) enum Seen {
    /// Whoever could use one: the API shows those that may be used.
    ByAll,
    /// Who has this privilege, below this path.
    With(&'static str, &'static str),
    /// It may be needed later only.
    ByNone,
}

impl Thing {
    pub(super) fn listing(self) -> Listing {
        let listing = |what, path, key, seen| Listing { what, path, only: "", key, seen };
        match self {
            Thing::Node => listing("node", "/nodes", "node", Seen::ByAll),
            Thing::Datastore => listing("datastore", "/nodes/{node}/storage", "storage", Seen::ByAll),
            Thing::Pool => listing("pool", "/pools", "poolid", Seen::With("Pool.Audit", "/pool")),
            Thing::Bridge => {
                let bridges = listing("bridge", "/nodes/{node}/network", "iface", Seen::ByAll);
                Listing { only: "any_bridge", ..bridges }
            }
            // Not asked for by this path: the list of guests is shared with whoever reads them.
            Thing::Guest => listing("guest", "/cluster/resources", "vmid", Seen::With("VM.Audit", "/vms")),
            Thing::Role => listing("role", "/access/roles", "roleid", Seen::ByAll),
            Thing::Group => {
                listing("group", "/access/groups", "groupid", Seen::With("Group.Allocate", "/access/groups"))
            }
            Thing::Realm => listing("realm", "/access/domains", "realm", Seen::ByNone),
        }
    }

    /// Whether each node has its own.
    pub(super) fn is_of_node(self) -> bool {
        self.listing().path.contains("{node}")
    }
}
