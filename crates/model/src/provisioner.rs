//! Provisioners: commands and files that go with the creation or the destruction of an instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::schema::{Attribute, Block};
use crate::types::Type;
use crate::value::Value;

/// The kinds of provisioners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProvisionerKind {
    /// Runs a command on this machine.
    LocalExec,
    /// Runs commands on the machine that the connection leads to.
    RemoteExec,
    /// Copies a file or a folder to that machine.
    File,
}

/// What is done when a provisioner fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The step fails: a new instance is tainted, one that was to be destroyed is kept.
    #[default]
    Fail,
    /// It is said and passed over.
    Continue,
}

/// One run of a provisioner, evaluated. Its values are wholly known.
#[derive(Clone, Debug, PartialEq)]
pub struct Provision {
    /// What runs.
    pub kind: ProvisionerKind,
    /// Its arguments by [`ProvisionerKind::schema`], without marks.
    pub arguments: Value,
    /// Where it runs, by [`connection_schema`], without marks; `None` when no connection is configured.
    pub connection: Option<Value>,
    /// What a failure means.
    pub on_failure: OnFailure,
    /// Whether something of the arguments is sensitive: nothing of the output may be shown.
    pub sensitive: bool,
}

impl ProvisionerKind {
    /// All kinds.
    pub const ALL: [ProvisionerKind; 3] =
        [ProvisionerKind::LocalExec, ProvisionerKind::RemoteExec, ProvisionerKind::File];

    /// The name in the language.
    pub fn name(self) -> &'static str {
        match self {
            ProvisionerKind::LocalExec => "local-exec",
            ProvisionerKind::RemoteExec => "remote-exec",
            ProvisionerKind::File => "file",
        }
    }

    /// The kind of a name.
    pub fn of(name: &str) -> Option<ProvisionerKind> {
        ProvisionerKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it needs a connection.
    pub fn is_remote(self) -> bool {
        self != ProvisionerKind::LocalExec
    }

    /// The arguments.
    pub fn schema(self) -> Block {
        let texts = || Type::list(Type::String);
        match self {
            ProvisionerKind::LocalExec => block(vec![
                ("command", Type::String, true),
                ("working_dir", Type::String, false),
                ("interpreter", texts(), false),
                ("environment", Type::map(Type::String), false),
                ("quiet", Type::Bool, false),
            ]),
            ProvisionerKind::RemoteExec => block(vec![
                ("inline", texts(), false),
                ("script", Type::String, false),
                ("scripts", texts(), false),
            ]),
            ProvisionerKind::File => block(vec![
                ("source", Type::String, false),
                ("content", Type::String, false),
                ("destination", Type::String, true),
            ]),
        }
    }
}

/// The arguments of a `connection` block; those of WinRM and proxies are known so that they can be refused by name.
pub fn connection_schema() -> Block {
    let text = [
        "type",
        "host",
        "user",
        "password",
        "private_key",
        "certificate",
        "host_key",
        "timeout",
        "script_path",
        "target_platform",
        "agent_identity",
        "bastion_host",
        "bastion_host_key",
        "bastion_user",
        "bastion_password",
        "bastion_private_key",
        "bastion_certificate",
        "proxy_scheme",
        "proxy_host",
        "proxy_user_name",
        "proxy_user_password",
        "cacert",
    ];
    let numbers = ["port", "bastion_port", "proxy_port"];
    let flags = ["agent", "https", "insecure", "use_ntlm"];
    let all = text
        .into_iter()
        .map(|name| (name, Type::String, false))
        .chain(numbers.into_iter().map(|name| (name, Type::Number, false)))
        .chain(flags.into_iter().map(|name| (name, Type::Bool, false)));
    block(all.collect())
}

fn block(attributes: Vec<(&'static str, Type, bool)>) -> Block {
    let attributes = attributes.into_iter().map(|(name, ty, required)| {
        (Arc::from(name), Attribute { ty, required, optional: !required, ..Attribute::default() })
    });
    Block { attributes: attributes.collect(), blocks: BTreeMap::new() }
}
