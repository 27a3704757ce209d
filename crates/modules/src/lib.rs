//! Modules that come from elsewhere: git, registries, archives. Finds, fetches and installs them in the project's data
//! folder; `pve-config` loads them from there and never asks the network.

mod archive;
mod download;
mod error;
mod git;
mod install;
mod links;
mod registry;
mod settings;
mod source;

pub use error::FetchError;
pub use install::{Installation, Reporter, install};
pub use settings::{DEFAULT_REGISTRY, Settings, SettingsError};
pub use source::{GitPackage, HttpPackage, Package, RegistryModule, Source, parse_source};
