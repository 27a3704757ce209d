//! Runs provisioners: commands on this machine, and commands and files on others.

mod connection;
mod local;
mod remote;

use std::path::PathBuf;

use async_trait::async_trait;
use pve_executor::ports::{ProvisionError, ProvisionOutput, Provisioners};
use pve_model::Value;
use pve_model::provisioner::{Provision, ProvisionerKind};

/// Runs provisioners of one project.
pub struct Runner {
    /// The folder of the root module, in which commands run and at which relative paths start.
    pub root: PathBuf,
}

#[async_trait]
impl Provisioners for Runner {
    async fn run(&self, provision: &Provision, output: &dyn ProvisionOutput) -> Result<(), ProvisionError> {
        let connection =
            || provision.connection.as_ref().ok_or_else(|| failed("there is no `connection` block"));
        match provision.kind {
            ProvisionerKind::LocalExec => local::run(&self.root, &provision.arguments, output).await,
            ProvisionerKind::RemoteExec => {
                remote::run_scripts(&self.root, &provision.arguments, connection()?, output).await
            }
            ProvisionerKind::File => {
                remote::copy(&self.root, &provision.arguments, connection()?, output).await
            }
        }
    }
}

fn failed(message: impl Into<String>) -> ProvisionError {
    ProvisionError { message: message.into(), detail: None, hint: None }
}

/// A text that is set.
fn text<'v>(arguments: &'v Value, name: &str) -> Option<&'v str> {
    arguments.get(name).and_then(Value::as_str)
}

/// The texts of a list that is set.
fn texts<'v>(arguments: &'v Value, name: &str) -> Option<Vec<&'v str>> {
    let elements = arguments.get(name)?.elements()?;
    Some(elements.iter().filter_map(Value::as_str).collect())
}
