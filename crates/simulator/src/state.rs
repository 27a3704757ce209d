//! The cluster as data: what is kept between requests and written to the state file.

mod guest;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::access::{self, Access};
use crate::cluster::Member;
use crate::cluster::log::Message;
use crate::datacenter::Account;
use crate::ha::Manager;
use crate::nodes::{AptFiles, DiskPools, Network, NodeSettings};
use crate::sdn::Sdn;
use crate::sections::Sections;
use crate::statistics::Sample;
use crate::table::Table;

pub(crate) use guest::{Guest, GuestKind, Snapshot};

/// Options of a guest, storage or rule as the configuration file has them: all text.
pub(crate) type Options = BTreeMap<String, String>;

/// Everything the simulator remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// Key of the tickets; stays the same over a restart, so a client's session does too.
    pub secret: String,
    /// The API token, `USER@REALM!ID=UUID`.
    pub token: String,
    pub next_process: u32,
    pub guests: Table<u32, Guest>,
    pub storages: BTreeMap<String, Options>,
    pub volumes: Table<String, Volume>,
    pub tasks: Table<u64, Task>,
    /// By scope: `cluster`, `node/NAME`, `guest/VMID`, `group/NAME`.
    pub firewalls: BTreeMap<String, Firewall>,
    pub pools: BTreeMap<String, Pool>,
    /// Interfaces that every node has at first.
    pub networks: BTreeMap<String, Options>,
    /// Interfaces of the nodes whose network was changed.
    #[serde(default)]
    pub node_networks: BTreeMap<String, Network>,
    pub cluster_options: Options,
    /// The name of a cluster that was made of one node.
    #[serde(default)]
    pub cluster_name: Option<String>,
    /// When that cluster runs, in milliseconds since the epoch.
    #[serde(default)]
    pub cluster_since: u64,
    /// Nodes that were added to the cluster while it ran.
    #[serde(default)]
    pub members: BTreeMap<String, Member>,
    /// What the daemons wrote to the cluster's log about calls.
    #[serde(default)]
    pub messages: VecDeque<Message>,
    /// Replication jobs that are marked to be removed, with when their runner does it in milliseconds since the epoch.
    #[serde(default)]
    pub leaving_jobs: BTreeMap<String, u64>,
    /// Nodes that have failed, with when in milliseconds since the epoch.
    #[serde(default)]
    pub down: BTreeMap<String, u64>,
    /// Options of nodes.
    #[serde(default)]
    pub node_options: BTreeMap<String, Options>,
    /// Settings of nodes.
    #[serde(default)]
    pub node_settings: BTreeMap<String, NodeSettings>,
    #[serde(default)]
    pub access: Access,
    /// Package repositories of the nodes where they were changed.
    #[serde(default)]
    pub apt: BTreeMap<String, AptFiles>,
    /// What was made of the disks of nodes.
    #[serde(default)]
    pub disk_pools: BTreeMap<String, DiskPools>,
    /// Certificates of nodes that are not Proxmox's own, as PEM.
    #[serde(default)]
    pub certificates: BTreeMap<String, String>,
    /// Accounts for certificates.
    #[serde(default)]
    pub acme_accounts: BTreeMap<String, Account>,
    /// What runs of the software-defined networks.
    #[serde(default)]
    pub sdn: Sdn,
    /// What the manager of high availability knows.
    #[serde(default)]
    pub ha: Manager,
    /// How many nodes that manager has seen.
    #[serde(default)]
    pub ha_nodes: usize,
    /// Objects of configuration files by the file's name.
    #[serde(default = "new_sections")]
    pub sections: BTreeMap<String, Sections>,
    /// Storages that other data has filled.
    #[serde(default)]
    pub full_storages: BTreeSet<String>,
    /// Files that were written into guests by their agent, by guest and path.
    #[serde(default)]
    pub guest_files: BTreeMap<u32, Options>,
    /// Guests as the status daemon saw them last. Not kept: a daemon that starts looks at once.
    #[serde(skip)]
    pub seen: BTreeMap<u32, Sample>,
    /// What downloads find, by URL.
    pub remote_files: Table<String, RemoteFile>,
}

/// A disk, image or file on a storage; the key is its volume id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Volume {
    /// `images`, `rootdir`, `iso`, `vztmpl`, `import`, `snippets`, `backup`.
    pub content: String,
    pub format: String,
    /// Bytes as a guest sees them.
    pub size: u64,
    /// Bytes of the file.
    pub file_size: u64,
    pub owner: Option<u32>,
    pub parent: Option<String>,
    /// Seconds since the epoch.
    pub created: u64,
    /// Kept for small uploads only (snippets), and the configuration in a backup.
    pub bytes: Option<String>,
    #[serde(default)]
    pub backup: Option<Backup>,
    /// The nodes a file lies on, if its storage is not shared; none named: on all of them.
    #[serde(default)]
    pub nodes: BTreeSet<String>,
}

/// What is known about a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Backup {
    pub kind: GuestKind,
    pub vmid: u32,
    pub notes: Option<String>,
    pub protected: bool,
}

/// A task. What it changes is computed when it is accepted; `effects` are applied when it ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    pub upid: String,
    pub node: String,
    pub kind: String,
    pub id: String,
    pub user: String,
    pub token: Option<String>,
    pub process: u32,
    pub process_start: u32,
    /// Milliseconds since the epoch.
    pub started: u64,
    pub ends: u64,
    pub exit: String,
    pub log: Vec<String>,
    pub effects: Vec<Effect>,
    pub finished: bool,
}

/// What happens when a task ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Effect {
    RemoveGuest(u32),
    RemoveOption { guest: u32, key: String },
    MakeTemplate(u32),
    Move { guest: u32, node: String, running: bool },
    AddVolume { id: String, volume: Box<Volume> },
    RemoveVolume(String),
}

/// One firewall configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Firewall {
    pub options: Options,
    pub rules: Vec<Options>,
    pub aliases: BTreeMap<String, Options>,
    pub sets: BTreeMap<String, AddressSet>,
    /// Security groups: name to comment (cluster only); rules live in the scope `group/NAME`.
    pub groups: BTreeMap<String, String>,
}

/// An IP set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AddressSet {
    pub comment: String,
    pub entries: BTreeMap<String, Options>,
}

/// A resource pool.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Pool {
    pub comment: Option<String>,
    pub guests: Vec<u32>,
    pub storages: Vec<String>,
}

/// What is behind a URL.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoteFile {
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of the disk in it; the same as `size` for anything but disk images.
    pub virtual_size: u64,
    /// Hex digests by algorithm (`md5`, `sha1`, `sha256`, `sha512`, ...).
    pub checksums: BTreeMap<String, String>,
    /// Content type the server tells.
    pub mime_type: String,
    /// `false`: the server answers 404.
    pub exists: bool,
    /// `false`: the server's certificate is not trusted; only asked for without checking it.
    #[serde(default = "yes")]
    pub trusted: bool,
}

fn new_sections() -> BTreeMap<String, Sections> {
    BTreeMap::from([("domains.cfg".to_owned(), access::realms())])
}

fn yes() -> bool {
    true
}

impl State {
    /// The default cluster: storages `local` and `local-lvm`, bridges `vmbr0` and `vmbr1`.
    pub fn new() -> Self {
        let options = |pairs: &[(&str, &str)]| -> Options {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let storages = BTreeMap::from([
            (
                "local".to_owned(),
                options(&[
                    ("type", "dir"),
                    ("path", "/var/lib/vz"),
                    ("content", "iso,vztmpl,backup,snippets,import"),
                ]),
            ),
            (
                "local-lvm".to_owned(),
                options(&[
                    ("type", "lvmthin"),
                    ("vgname", "pve"),
                    ("thinpool", "data"),
                    ("content", "images,rootdir"),
                ]),
            ),
        ]);
        let card = options(&[("type", "eth"), ("active", "1"), ("exists", "1")]);
        let bridge =
            options(&[("type", "bridge"), ("autostart", "1"), ("active", "1"), ("bridge_ports", "")]);
        let mut outer = bridge.clone();
        outer.extend(options(&[("bridge_ports", "eno1"), ("cidr", "10.0.0.10/24"), ("gateway", "10.0.0.1")]));
        let networks = [("eno1", card), ("vmbr0", outer), ("vmbr1", bridge)];
        let networks = networks.map(|(name, options)| (name.to_owned(), options)).into();
        State {
            secret: uuid::Uuid::new_v4().to_string(),
            token: format!("root@pam!pve={}", uuid::Uuid::new_v4()),
            next_process: 1200,
            guests: Table::default(),
            storages,
            volumes: Table::default(),
            tasks: Table::default(),
            firewalls: BTreeMap::new(),
            pools: BTreeMap::new(),
            networks,
            node_networks: BTreeMap::new(),
            cluster_options: Options::new(),
            cluster_name: None,
            cluster_since: 0,
            members: BTreeMap::new(),
            messages: VecDeque::new(),
            leaving_jobs: BTreeMap::new(),
            down: BTreeMap::new(),
            node_options: BTreeMap::new(),
            node_settings: BTreeMap::new(),
            access: Access::default(),
            apt: BTreeMap::new(),
            disk_pools: BTreeMap::new(),
            certificates: BTreeMap::new(),
            acme_accounts: BTreeMap::new(),
            sdn: Sdn::default(),
            ha: Manager::default(),
            ha_nodes: 0,
            sections: new_sections(),
            full_storages: BTreeSet::new(),
            guest_files: BTreeMap::new(),
            seen: BTreeMap::new(),
            remote_files: Table::default(),
        }
    }

    /// A process number that was not given before.
    pub fn process(&mut self) -> u32 {
        self.next_process = self.next_process.wrapping_add(1).max(1200);
        self.next_process
    }
}
