//! Who may call which endpoint, as the API's description says.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

/// The permissions of an endpoint.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Permission {
    /// `all` or `world`.
    pub user: Option<String>,
    /// A check as PVE::RPCEnvironment runs it.
    pub check: Option<Value>,
    /// 0 where an API token may not call.
    #[serde(default = "allowed")]
    pub token: u8,
}

fn allowed() -> u8 {
    1
}

/// The permissions of an endpoint; `None` where only root itself may call it.
pub(crate) fn permission(method: &str, template: &str) -> Option<&'static Permission> {
    static PERMISSIONS: OnceLock<HashMap<String, Option<Permission>>> = OnceLock::new();
    PERMISSIONS
        .get_or_init(|| {
            serde_json::from_str(include_str!("../../schema/permissions.json"))
                .unwrap_or_else(|error| unreachable!("an embedded schema: {error}"))
        })
        .get(&format!("{method} {template}"))?
        .as_ref()
}
