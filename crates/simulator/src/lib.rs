//! A double of the Proxmox VE API: it keeps state, runs tasks, refuses what the real one refuses, in its words.
//!
//! [`Simulator`] is the cluster, [`serve`] puts it on a socket with TLS (API below `/api2/json`, with SSH for
//! snippets and two of the node's tools beside it). It shares no code with the API client, so one mistake cannot hide on both sides.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let simulator = pve_simulator::Simulator::new(pve_simulator::Options::default());
//! let server = pve_simulator::serve(simulator, "127.0.0.1:0".parse()?).await?;
//! assert!(server.endpoint.starts_with("https://127.0.0.1:"));
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Where a handler follows a rule of PVE, the comment names the Perl module the rule comes from; what the
//! answers look like was compared with recordings of the real API (`examples/transcripts`).

mod access;
mod bulk;
mod bulk_action;
mod calendar;
#[cfg(test)]
mod calls;
mod cluster;
mod datacenter;
#[cfg(test)]
mod digests;
mod failure;
mod firewall;
mod guests;
mod ha;
mod jobs;
mod lxc;
mod migration;
mod nodes;
mod options;
mod pools;
mod qemu;
mod records;
mod request;
mod router;
mod schema;
mod sdn;
mod sections;
mod seed;
mod server;
mod shell;
mod simulator;
mod snapshots;
mod state;
mod statistics;
mod storage;
mod table;
mod tasks;
mod tools;
mod volumes;
mod vzdump;

pub use options::{Behaviour, FailureRule, How, Options, When};
pub use schema::parameter_fault;
pub use seed::{Seed, SeedError, SeedGuest};
pub use server::{ServeError, Server, SshEndpoint, serve};
pub use simulator::{Conformity, OpenError, RequestRecord, Simulator, StateFile};
pub use state::RemoteFile;
